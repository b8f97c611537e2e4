"""Losses of different tokenizers on the same held-out text, in bits per byte."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from test_evaluation import prepared
from tests.engine.data.test_data_tokenizers import huggingface_file

from tuitrain.accounting import bits_per_byte
from tuitrain.events import Eval
from tuitrain_engine.trainer import Trainer

ROWS = [f"def function_{n}(argument):\n    return argument + {n}  # naïve größe 三\n" for n in range(60)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))


def written(folder: Path, kind: str) -> str:
    """The rows as one document, as documents of a file, and as a dataset that is streamed: a data.source."""
    folder.mkdir(exist_ok=True)
    rows = "".join(json.dumps({"text": row}) + "\n" for row in ROWS)
    match kind:
        case "text":
            (folder / "corpus.txt").write_text("".join(ROWS), encoding="utf-8")
            return str(folder / "corpus.txt")
        case "documents":
            (folder / "corpus.jsonl").write_text(rows, encoding="utf-8")
            return str(folder / "corpus.jsonl")
    (folder / "rows").mkdir(exist_ok=True)
    (folder / "rows" / "a.jsonl").write_text(rows, encoding="utf-8")
    return f"hf:{folder / 'rows'}"


def evaluated(folder: Path, source: str, tokenizer: str, seq_len: int = 16, **data: object) -> tuple[Eval, Trainer]:
    """The evaluation of a whole held-out split by a model that has learned nothing."""
    (folder / "runs").mkdir(exist_ok=True)
    sections = {
        "model": {"seq_len": seq_len},
        "data": {"source": source, "tokenizer": tokenizer, "val_fraction": 0.2, "val_bytes": 300, **data},
        "eval": {"steps": 1000},
    }
    with prepared(folder / "runs", **sections) as trainer:
        return trainer.evaluator.evaluate(step=0, tokens=0), trainer


def test_a_loss_of_bytes_is_one_of_nats() -> None:
    assert bits_per_byte(math.log(2), 1000, 1000) == pytest.approx(1.0)
    # 3 nats a token, 4.5 bytes a token: 3 / ln 2 / 4.5.
    assert bits_per_byte(3.0, 1000, 4500) == pytest.approx(0.9618, abs=1e-4)
    assert bits_per_byte(3.0, 1000, None) is None


@pytest.mark.parametrize("kind", ["text", "documents", "stream"])
def test_tokenizers_share_the_held_out_text(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path / "data", kind)
    file = str(huggingface_file(tmp_path / "tokenizer.json"))
    found = {name: evaluated(tmp_path, source, name)[0] for name in ("byte", "char", file, "sentencepiece:330")}
    assert len({each.text_fingerprint for each in found.values()} - {None}) == 1
    assert len({each.split_fingerprint for each in found.values()}) == len(found)
    for each in found.values():
        assert each.text_fraction == 1.0
        assert each.bytes is not None
        # All of it but the first token and the end, which is shorter than a sequence.
        assert each.bytes == pytest.approx(found["byte"].bytes, abs=16 * 10)


def test_bits_per_byte_are_of_the_loss_and_the_text_of_the_same_targets(tmp_path: Path) -> None:
    source = written(tmp_path / "data", "documents")
    file = str(huggingface_file(tmp_path / "tokenizer.json"))
    for tokenizer in ("byte", file):
        record, trainer = evaluated(tmp_path, source, tokenizer)
        dataset, sequences = trainer.dataset, record.sequences
        assert sequences is not None
        _, y = dataset.val.batch(0, sequences)
        text = dataset.tokenizer.decode(y.reshape(-1)[torch.argsort(order(trainer), stable=True)])
        ends = sum((y == dataset.tokenizer.end_of_document).reshape(-1).tolist())
        assert ends > 0
        size = len(text.encode()) - ends * len(dataset.tokenizer.decode([dataset.tokenizer.end_of_document or 0]))
        assert record.bytes == size
        assert record.loss is not None
        assert record.bits_per_byte == pytest.approx(record.loss * y.numel() / size / math.log(2))


def order(trainer: Trainer) -> torch.Tensor:
    """The position in the split of each target that an evaluation reads."""
    indices, _ = trainer.dataset.val._order(range(trainer.evaluator.sequences))  # type: ignore[attr-defined]
    return (torch.from_numpy(indices)[:, None] * 16 + torch.arange(16)).reshape(-1)


def test_padding_is_no_text_and_what_is_cut_is_not_evaluated(tmp_path: Path) -> None:
    source = written(tmp_path / "data", "documents")
    for seq_len, fraction in ((100, 1.0), (16, 17 / 70)):
        record, trainer = evaluated(tmp_path, source, "byte", seq_len, packing="sample")
        _, y = trainer.dataset.val.batch(0, record.sequences or 0)
        assert record.bytes == int((y > 0).sum())
        assert (int((y < 0).sum()) > 0) == (seq_len == 100)
        assert record.text_fraction == pytest.approx(fraction, abs=0.02)


def test_another_text_has_another_fingerprint(tmp_path: Path) -> None:
    source = written(tmp_path / "data", "documents")
    first, _ = evaluated(tmp_path, source, "byte")
    more, _ = evaluated(tmp_path, source, "byte", val_fraction=0.25)
    cut, _ = evaluated(tmp_path, source, "byte", max_tokens=2000)
    assert first.text_fingerprint != more.text_fingerprint
    # Where the text ends depends on the tokenizer.
    assert cut.text_fingerprint is None
    assert cut.bits_per_byte is not None


def test_ids_of_an_unknown_tokenizer_have_no_bits_per_byte(tmp_path: Path) -> None:
    import numpy as np

    for name in ("train", "val"):
        np.arange(400, dtype=np.uint16).__mod__(50).tofile(tmp_path / f"{name}.bin")
    record, _ = evaluated(tmp_path, f"bin:{tmp_path}", "byte")
    assert (record.bits_per_byte, record.bytes, record.text_fingerprint) == (None, None, None)
    assert record.loss is not None
