"""Bytes of the tokens of each tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tests.engine.data.test_data_tokenizers import (
    SENTENCES,
    TRAINING,
    huggingface_file,
    sentencepiece_file,
    unigram_file,
)
from tokenizers import models, normalizers, pre_tokenizers

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data.sources import make_source
from tuitrain_engine.data.token_bytes import text_bytes, token_bytes
from tuitrain_engine.data.tokenizers import CharTokenizer, IdTokenizer, Tokenizer
from tuitrain_engine.data.vocabulary import given_tokenizer, learn_tokenizer


@pytest.fixture(params=["byte", "char", "sentencepiece", "huggingface"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizer:
    if request.param == "char":
        return CharTokenizer.from_corpus("".join(TRAINING + SENTENCES), several_documents=True)
    if request.param == "sentencepiece":
        text = tmp_path / "training.txt"
        text.write_text("".join(TRAINING), encoding="utf-8")
        return learn_tokenizer("sentencepiece:330", make_source(DataConfig(source=str(text)), tmp_path), tmp_path, None)
    if request.param == "huggingface":
        return given_tokenizer(str(huggingface_file(tmp_path / "tokenizer.json")))
    return given_tokenizer("byte")


@pytest.mark.parametrize("text", [text.replace("\x00", "") for text in SENTENCES])
def test_the_bytes_of_the_tokens_of_a_text_are_its_own(tokenizer: Tokenizer, text: str) -> None:
    sizes = token_bytes(tokenizer)
    assert sizes is not None
    assert len(sizes) == tokenizer.vocab_size
    assert text_bytes(sizes, tokenizer.encode(text)) == len(text.encode())


def test_the_end_of_a_document_and_padding_are_no_bytes(tokenizer: Tokenizer) -> None:
    end = tokenizer.end_of_document
    assert end is not None
    assert text_bytes(token_bytes(tokenizer), np.array([[end, -100], [-100, end]])) == 0


def test_what_a_vocabulary_lacks_has_no_known_bytes() -> None:
    tokenizer = CharTokenizer.from_corpus("abc", several_documents=False, replace_unknown=True)
    sizes = token_bytes(tokenizer)
    assert text_bytes(sizes, tokenizer.encode("abcab")) == 5
    assert text_bytes(sizes, tokenizer.encode("abcd")) is None


def lower_case(path: Path) -> Path:
    tokenizer = tokenizers.Tokenizer.from_file(str(huggingface_file(path)))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(path))
    return path


def words(path: Path) -> Path:
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "The": 1, "fox": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize(
    ("make", "name"),
    [(lower_case, "tokenizer.json"), (words, "tokenizer.json"), (unigram_file, "tokenizer.json"),
     (sentencepiece_file, "sp.model")],
    ids=["lower case", "words", "without decoder", "nmt_nfkc"],
)  # fmt: skip
def test_a_tokenizer_that_changes_text_has_none(tmp_path: Path, make: object, name: str) -> None:
    assert token_bytes(given_tokenizer(str(make(tmp_path / name)))) is None  # type: ignore[operator]


def test_bare_ids_have_none() -> None:
    assert token_bytes(IdTokenizer(100)) is None
    assert text_bytes(None, np.arange(3)) is None
