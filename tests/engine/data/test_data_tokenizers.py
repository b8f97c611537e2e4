"""Text → ids → text, for every tokenizer, also after saving and loading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data import DataError, Dataset, load_tokenizer, save_tokenizer
from tuitrain_engine.data.sources import make_source
from tuitrain_engine.data.tokenizers import ByteTokenizer, CharTokenizer, IdTokenizer, Tokenizer
from tuitrain_engine.data.vocabulary import given_tokenizer, learn_tokenizer, tokenizer_identity

SENTENCES = ["def f(x):\n    return x + 1\n", "naïve größe 三\t\r\n\n", "  two  spaces ", "😀 and \x00 NUL", "\n", ""]
TRAINING = [f"def function_{n}(argument):\n    return argument + {n}\n# naïve größe 三\t\r\n" for n in range(300)]


def huggingface_file(path: Path, end: str | None = "<|endoftext|>") -> Path:
    """A byte-level BPE tokenizer.json trained on a few lines."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[end] if end else [],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(path))
    return path


@pytest.fixture(params=["byte", "char", "sentencepiece", "huggingface"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizer:
    text = tmp_path / "training.txt"
    text.write_bytes("".join(TRAINING + SENTENCES).replace("\x00", "").encode())
    if request.param == "char":
        return CharTokenizer.from_corpus("".join(TRAINING + SENTENCES), several_documents=True)
    if request.param == "sentencepiece":
        source = make_source(DataConfig(source=str(text)), tmp_path)
        return learn_tokenizer("sentencepiece:330", source, tmp_path / "kept", None)
    if request.param == "huggingface":
        return given_tokenizer(str(huggingface_file(tmp_path / "tokenizer.json")))
    return given_tokenizer("byte")


@pytest.mark.parametrize("text", SENTENCES)
def test_decoding_restores_the_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids.tolist()) == text
    assert all(0 <= number < tokenizer.vocab_size for number in ids.tolist())


def test_encoding_a_batch_equals_encoding_each_text(tokenizer: Tokenizer) -> None:
    texts = [*SENTENCES, *TRAINING[:5]]
    for ids, text in zip(tokenizer.encode_batch(texts), texts, strict=True):
        assert ids.tolist() == tokenizer.encode(text).tolist()


def test_ids_outside_the_vocabulary_are_left_out_of_the_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("def f")
    assert tokenizer.decode([*ids.tolist(), tokenizer.vocab_size, tokenizer.vocab_size + 60]) == "def f"


def test_a_saved_tokenizer_loads_as_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path / "run" / "tokenizer")
    loaded = load_tokenizer(tmp_path / "run" / "tokenizer")
    assert loaded.fingerprint == tokenizer.fingerprint
    assert (loaded.vocab_size, loaded.end_of_document) == (tokenizer.vocab_size, tokenizer.end_of_document)
    for text in SENTENCES:
        assert loaded.encode(text).tolist() == tokenizer.encode(text).tolist()
    again = given_tokenizer(str(tmp_path / "run" / "tokenizer"))
    assert again.fingerprint == tokenizer.fingerprint
    assert not [path.name for path in (tmp_path / "run" / "tokenizer").iterdir() if path.suffix == ".pkl"]


def test_every_tokenizer_has_an_end_of_document(tokenizer: Tokenizer) -> None:
    assert tokenizer.end_of_document is not None
    assert 0 <= tokenizer.end_of_document < tokenizer.vocab_size
    assert tokenizer.end_of_document not in tokenizer.encode("def function(argument):\n").tolist()


@given(st.text())
def test_bytes_encode_any_text(text: str) -> None:
    assert ByteTokenizer().decode(ByteTokenizer().encode(text)) == text


@given(st.text(min_size=1))
def test_characters_encode_their_corpus(text: str) -> None:
    tokenizer = CharTokenizer.from_corpus(text, several_documents=False)
    assert tokenizer.vocab_size == len(set(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("unknown", ["é", "\x01", "😀", "b"])
def test_an_unknown_character_is_named(unknown: str) -> None:
    tokenizer = CharTokenizer.from_corpus("ac", several_documents=False)
    with pytest.raises(DataError, match="is not in the vocabulary") as caught:
        tokenizer.encode("a" + unknown)
    assert repr(unknown) in str(caught.value)


def test_sentencepiece_has_the_configured_size_and_is_trained_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "t.txt"
    text.write_text("".join(TRAINING))
    source = make_source(DataConfig(source=str(text)), tmp_path)
    first = learn_tokenizer("sentencepiece:320", source, tmp_path / "kept", None)
    assert first.vocab_size == 320
    assert "training a SentencePiece vocabulary of 320" in capsys.readouterr().err
    second = learn_tokenizer("sentencepiece:320", source, tmp_path / "kept", None)
    assert second.fingerprint == first.fingerprint
    assert capsys.readouterr().err == ""


def test_a_sentencepiece_size_too_large_for_the_text_is_an_error(tmp_path: Path) -> None:
    text = tmp_path / "t.txt"
    text.write_text("so little text")
    source = make_source(DataConfig(source=str(text)), tmp_path)
    with pytest.raises(DataError, match=r"sentencepiece:32000.*t\.txt.*Vocabulary size too high.*use more text"):
        learn_tokenizer("sentencepiece:32000", source, tmp_path / "kept", None)


@pytest.mark.parametrize("tokenizer", ["sentencepiece"], indirect=True)
def test_a_sentencepiece_model_file_is_used_unchanged(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path / "saved")
    given_file = given_tokenizer(str(tmp_path / "saved" / "tokenizer.model"))
    assert given_file.encode("def f").tolist() == tokenizer.encode("def f").tolist()


def test_the_end_of_text_token_comes_from_the_tokenizers_own_configuration(tmp_path: Path) -> None:
    path = huggingface_file(tmp_path / "tokenizer.json", end="<fin>")
    assert given_tokenizer(str(path)).end_of_document is None
    for token in ("<fin>", {"content": "<fin>"}):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": token}))
        tokenizer = given_tokenizer(str(tmp_path))
        assert tokenizer.end_of_document == tokenizers.Tokenizer.from_file(str(path)).token_to_id("<fin>")


def unigram_file(path: Path) -> Path:
    """A model whose vocabulary, not only its added tokens, contains the end of a document."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((character, -2.0) for character in "</s> abcdefghijklmnopqrtuvwxyz|_")]
    tokenizer = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    tokenizer.save(str(path))
    return path


def sentencepiece_file(path: Path) -> Path:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.replace("\n", " ") for text in TRAINING]),
        model_prefix=str(path.with_suffix("")),
        model_type="bpe",
        byte_fallback=True,
        vocab_size=330,
        control_symbols="<|endoftext|>",
        minloglevel=2,
    )
    return path


@pytest.mark.parametrize(
    ("make", "name", "token"),
    [
        (huggingface_file, "tokenizer.json", "<|endoftext|>"),
        (unigram_file, "tokenizer.json", "</s>"),
        (sentencepiece_file, "sp.model", "</s>"),
        (sentencepiece_file, "sp.model", "<|endoftext|>"),
    ],
)
def test_a_special_token_in_a_text_is_encoded_as_text(
    opened: Callable[..., Dataset], tmp_path: Path, make: Callable[[Path], Path], name: str, token: str
) -> None:
    """The end-of-document id occurs once for each document and is never encoded from a text or a prompt."""
    file = make(tmp_path / name)
    rows = [f"row of {'a' * number} with {token} and {token}{token} in it" for number in range(1, 40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    dataset = opened(tmp_path / "rows.jsonl", tokenizer=str(file), packing="sample", seq_len=300, val_fraction=0.1)
    tokenizer = dataset.tokenizer
    end = tokenizer.end_of_document
    assert end is not None
    x, y = dataset.train.batch(0, dataset.train.n_sequences)
    assert (y == end).sum() == len(x) == 36
    for ids in (tokenizer.encode(rows[0]), tokenizer.encode_batch(rows)[0]):
        assert end not in ids
        assert tokenizer.decode(ids).replace(" ", "").strip() == rows[0].replace(" ", "")


def test_a_tokenizer_file_is_identified_by_content_not_by_name(tmp_path: Path) -> None:
    one, other = huggingface_file(tmp_path / "a.json"), huggingface_file(tmp_path / "b.json", end="<end>")
    assert tokenizer_identity(str(one)) != tokenizer_identity(str(other))
    other.write_bytes(one.read_bytes())
    assert tokenizer_identity(str(one)) == tokenizer_identity(str(other))


@pytest.mark.parametrize("content", [b"{}", b"", b"\xff\xfe\0", b"[" * 100_000])
@pytest.mark.parametrize("name", ["bad.json", "bad.model"])
def test_a_file_that_is_no_tokenizer_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} is not (a|UTF-8 text)"):
        given_tokenizer(str(tmp_path / name))


def test_an_unknown_tokenizer_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"none of byte, char.*Did you mean 'byte'\?"):
        given_tokenizer("bytes")


def test_a_tokenizer_of_the_hub_offline_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("cannot reach the Hub.\nmore")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(DataError, match=r"'hf:org/name' could not be downloaded: cannot reach the Hub\.") as caught:
        given_tokenizer("hf:org/name")
    assert "data.tokenizer=PATH" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_info.json").write_text('{"kind": "new"}')
    with pytest.raises(DataError, match="unknown kind of tokenizer 'new'"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_info.json").write_text("{")
    with pytest.raises(DataError, match=r"tokenizer_info\.json is not valid JSON"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_info.json").write_text('{"kind": "char"}')
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        load_tokenizer(tmp_path)


def test_a_saved_tokenizer_that_was_damaged_is_not_used(tokenizer: Tokenizer, tmp_path: Path) -> None:
    directory = tmp_path / "saved"
    save_tokenizer(tokenizer, directory)
    for file in directory.iterdir():
        content = file.read_bytes()
        for damaged in (b"", content[: len(content) // 2], b"\xff" * len(content)):
            file.write_bytes(damaged)
            with pytest.raises(DataError, match=str(directory)):
                load_tokenizer(directory)
        file.write_bytes(content)
    assert load_tokenizer(directory).fingerprint == tokenizer.fingerprint


def test_ids_without_a_tokenizer_are_written_as_numbers(tmp_path: Path) -> None:
    tokenizer = IdTokenizer(50)
    assert tokenizer.decode([3, 49, 50]) == "3 49"
    assert tokenizer.encode("3 49").tolist() == [3, 49]
    assert tokenizer.encode("def ").tolist() == tokenizer.encode("3 50").tolist() == [0]
    save_tokenizer(tokenizer, tmp_path)
    assert load_tokenizer(tmp_path).vocab_size == 50
