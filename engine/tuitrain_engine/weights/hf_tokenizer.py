"""A run's tokenizer as the files from which AutoTokenizer of transformers makes one with the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tuitrain.config.source import HUGGINGFACE_FILE
from tuitrain_engine.data import DataError, Tokenizer
from tuitrain_engine.data.tokenizers import REPLACEMENT, CharTokenizer, SentencePieceTokenizer

_PROBES = (
    "def f(x):\n    return x + 12345\t\r\n\n", "  two  spaces and one at the end ", "naïve größe ﬁ ① 三 😀 Ā \u2581",
    "a" * 300, " , . don't ( x ) </s><s><unk><|endoftext|>", "\n", "",
)  # fmt: skip
"""Texts on which tokenizers differ that split, normalise, prefix or look for special tokens in another way."""
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
_FUSE = {"type": "Fuse"}
_SPACE = "\u2581"


def tokenizer_files(tokenizer: Tokenizer, seq_len: int) -> tuple[dict[str, bytes], str | None]:
    """Files by name, and where AutoTokenizer will not read them, a sentence that says why."""
    files = tokenizer.files()
    end = tokenizer.end_of_document
    ending = None
    match tokenizer.kind:
        case "huggingface":
            content = files[HUGGINGFACE_FILE]
            ending = None if end is None else tokenizer.decode([end])
        case "byte":
            # NUL, which ends a document, is no token that a text could be searched for: generation_config.json has it.
            content = _tokenizer_json(_bpe(_byte_characters()), _BYTE_LEVEL, pre_tokenizer=_BYTE_LEVEL)
        case "char":
            assert isinstance(tokenizer, CharTokenizer)
            vocabulary = {character: number for number, character in enumerate(tokenizer.characters)}
            unknown = None if tokenizer.unknown is None else REPLACEMENT
            content = _tokenizer_json(_bpe(vocabulary, unk_token=unknown), _FUSE)
        case "sentencepiece":
            assert isinstance(tokenizer, SentencePieceTokenizer)
            content = _of_sentencepiece(tokenizer)
            ending = None if end is None else tokenizer.pieces()[end][0]
        case _:
            return files, "The run was trained on ids alone, so no tokenizer is exported."
    if not _same_ids(content, tokenizer):
        return files, (
            f"AutoTokenizer cannot read {', '.join(files)}: a tokenizer.json made of it gives other ids. Use the "
            f"{tokenizer.kind} library with it."
        )
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": seq_len,
        "clean_up_tokenization_spaces": False,
        # In a text they are text, as in training.
        "split_special_tokens": True,
    }
    if ending is not None:
        config["eos_token"] = ending
    return files | {HUGGINGFACE_FILE: content, "tokenizer_config.json": json.dumps(config, indent=2).encode()}, None


def _same_ids(content: bytes, tokenizer: Tokenizer) -> bool:
    import tokenizers

    made = tokenizers.Tokenizer.from_str(content.decode())
    made.no_truncation()
    made.no_padding()
    made.encode_special_tokens = True
    for text in _PROBES:
        try:
            expected = tokenizer.encode(text).tolist()
        except DataError:
            continue  # a character that the corpus did not have
        if made.encode(text, add_special_tokens=False).ids != expected:
            return False
    return True


def _tokenizer_json(
    model: dict[str, Any],
    decoder: dict[str, Any],
    *,
    normalizer: dict[str, Any] | None = None,
    pre_tokenizer: dict[str, Any] | None = None,
) -> bytes:
    tree = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder, "model": model,
    }  # fmt: skip
    return json.dumps(tree, ensure_ascii=False).encode()


def _bpe(vocabulary: dict[str, int], merges: Iterable[list[str]] = (), **settings: Any) -> dict[str, Any]:
    return {"type": "BPE", "vocab": vocabulary, "merges": list(merges), **settings}


def _byte_characters() -> dict[str, int]:
    """Each byte by the character that stands for it in byte-level vocabularies, as GPT-2 chose them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _of_sentencepiece(tokenizer: SentencePieceTokenizer) -> bytes:
    pieces = tokenizer.pieces()
    vocabulary = {piece: number for number, (piece, _) in enumerate(pieces)}
    scores = {piece: score for piece, score in pieces if score is not None}
    merged = sorted(scores, key=lambda piece: (-scores[piece], vocabulary[piece]))
    merges = (
        [piece[:cut], piece[cut:]]
        for piece in merged
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    )
    to_spaces = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    return _tokenizer_json(
        _bpe(vocabulary, merges, unk_token=tokenizer.unknown_piece, fuse_unk=True, byte_fallback=True),
        {"type": "Sequence", "decoders": [to_spaces, {"type": "ByteFallback"}, _FUSE]},
        normalizer={"type": "Replace", "pattern": {"String": " "}, "content": _SPACE},
    )
