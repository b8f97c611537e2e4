"""The tokenizer that `data.tokenizer` names: read from a file, downloaded from the Hub, or learned from the corpus."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tuitrain.config.source import HUGGINGFACE_FILE, TOKENIZER_INFO, tokenizer_file
from tuitrain_engine.data.cache import cache_errors
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.files import explained, first_characters, naming, read_json
from tuitrain_engine.data.progress import human, megabytes, note_stage
from tuitrain_engine.data.sources import Source
from tuitrain_engine.data.tokenizers import (
    USUAL_ENDS,
    ByteTokenizer,
    CharTokenizer,
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    load_tokenizer,
    save_tokenizer,
)

SAMPLE_BYTES = 32_000_000
"""A SentencePiece vocabulary, or the characters of a stream, are learned from so much text, the first of the source."""
_LONGEST_LINE_BYTES = 1 << 16


def learned(spec: str) -> bool:
    """Whether the vocabulary is learned from the corpus."""
    return spec == "char" or spec.startswith("sentencepiece:")


def tokenizer_identity(spec: str) -> str:
    """A string that changes whenever the ids would: the content of a file counts, not its name."""
    if spec == "byte" or learned(spec) or spec.startswith("hf:"):
        return spec
    path = _file(spec)
    if path.name == TOKENIZER_INFO:
        return f"saved:{load_tokenizer(path.parent).fingerprint}"
    with explained(path):
        return f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def make_tokenizer(
    spec: str, source: Source, cache: Path, token_limit: int | None, *, streamed: bool = False
) -> Tokenizer:
    """The tokenizer that `data.tokenizer` names, given or learned from the source. Raises DataError."""
    if learned(spec):
        return learn_tokenizer(spec, source, cache, token_limit, streamed=streamed)
    return given_tokenizer(spec)


def given_tokenizer(spec: str) -> Tokenizer:
    """A tokenizer that does not depend on the corpus. Raises DataError."""
    if spec == "byte":
        return ByteTokenizer()
    if spec.startswith("hf:"):
        return _from_hub(spec.removeprefix("hf:"))
    path = _file(spec)
    if path.name == TOKENIZER_INFO:
        return load_tokenizer(path.parent)
    if path.suffix != ".json":
        with explained(path):
            model = path.read_bytes()
        return SentencePieceTokenizer(model, str(path))
    with explained(path):
        content = path.read_text(encoding="utf-8")
    config = path.with_name("tokenizer_config.json")
    return HuggingFaceTokenizer(content, _ends(config) if config.exists() else USUAL_ENDS, str(path))


def learn_tokenizer(
    spec: str, source: Source, cache: Path, token_limit: int | None, *, streamed: bool = False
) -> Tokenizer:
    """The vocabulary of a corpus: all its characters, or SentencePiece trained on the first of it and kept in `cache`.

    `token_limit` is how much of the source will be used at most; characters beyond it are not read. Of a corpus
    that is `streamed` the first characters are read; each of the others becomes U+FFFD.
    """
    if spec == "char":
        return _characters(source, SAMPLE_BYTES if streamed else token_limit, streamed)
    key = hashlib.sha256(f"{spec}\n{source.identity}\n{source.fingerprint}".encode()).hexdigest()[:16]
    kept = cache / f"sentencepiece-{key}"
    with suppress(DataError):
        return load_tokenizer(kept)
    tokenizer = _train_sentencepiece(int(spec.removeprefix("sentencepiece:")), source)
    with cache_errors(kept):
        save_tokenizer(tokenizer, kept)
    return tokenizer


def _file(spec: str) -> Path:
    with naming("data.tokenizer", spec):
        return tokenizer_file(spec)


def _ends(config: Path) -> tuple[str, ...]:
    """The tokens that may end a document: what a Hugging Face tokenizer_config.json names, then the usual ones."""
    token = read_json(config).get("eos_token")
    content = token.get("content") if isinstance(token, dict) else token
    return (content, *USUAL_ENDS) if isinstance(content, str) else USUAL_ENDS


def _from_hub(name: str) -> Tokenizer:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        content = Path(hf_hub_download(name, HUGGINGFACE_FILE)).read_text(encoding="utf-8")
        ends = USUAL_ENDS
        try:
            ends = _ends(Path(hf_hub_download(name, "tokenizer_config.json")))
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            pass
    except DataError:
        raise
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"data.tokenizer = 'hf:{name}' could not be downloaded: {reason} "
            "Without a network, pass its tokenizer.json as data.tokenizer=PATH."
        ) from None
    return HuggingFaceTokenizer(content, ends, f"hf:{name}")


def _characters(source: Source, limit: int | None, streamed: bool) -> CharTokenizer:
    characters: set[str] = set()
    documents = 0
    for piece in first_characters(source.pieces(), limit):
        characters.update(piece.text)
        documents += piece.last and bool(piece.text)
    if streamed:
        return CharTokenizer.from_corpus(characters, several_documents=True, replace_unknown=True)
    return CharTokenizer.from_corpus(characters, several_documents=documents > 1)


def _train_sentencepiece(vocab_size: int, source: Source) -> SentencePieceTokenizer:
    """Byte-pair pieces with byte fallback and without normalisation, so that decoding restores the text."""
    import sentencepiece

    sample = list(_lines(source, SAMPLE_BYTES))
    if not sample:
        raise DataError(f"The source {source.name} has no text to learn a vocabulary from.")
    size = sum(map(len, sample))
    note_stage(f"training a SentencePiece vocabulary of {human(vocab_size)} on {megabytes(size)} of {source.name}")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sample),
            model_writer=model,
            vocab_size=vocab_size,
            model_type="bpe",
            byte_fallback=True,
            character_coverage=0.9995,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            allow_whitespace_only_pieces=True,
            split_digits=True,
            max_sentence_length=_LONGEST_LINE_BYTES,
            unk_id=0,
            eos_id=1,
            bos_id=-1,
            pad_id=-1,
            num_threads=min(os.cpu_count() or 1, 16),
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).split("] ")[-1].strip().rstrip(".")
        raise DataError(
            f"data.tokenizer = 'sentencepiece:{vocab_size}' could not be trained on {megabytes(size)} of "
            f"{source.name} ({reason}): choose another size or use more text."
        ) from None
    return SentencePieceTokenizer(model.getvalue(), "the trained model")


def _lines(source: Source, limit: int) -> Iterator[str]:
    size = 0
    for piece in source.pieces():
        for line in piece.text.splitlines():
            if line and len(line) < _LONGEST_LINE_BYTES // 4:
                yield line
        size += piece.size
        if size >= limit:
            return
