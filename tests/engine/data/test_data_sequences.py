"""The content of sequence n: targets, order, resume, packing, evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tuitrain_engine.data import DataError, Dataset
from tuitrain_engine.data.loader import IGNORED, PackedSplit, Shuffled, Spread

Opened = Callable[..., Dataset]


class Counting:
    """A split whose ids are their own positions."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def read(self, start: int, length: int) -> range:
        assert start >= 0 and start + length <= self.tokens
        return range(start, start + length)


@given(tokens=st.integers(9, 400), seq_len=st.integers(1, 8), seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_an_epoch_covers_the_stream_without_overlap(tokens: int, seq_len: int, seed: int, epoch: int) -> None:
    split = PackedSplit(Counting(tokens), seq_len, seed)
    x, y = split.batch(epoch * split.n_sequences, split.n_sequences)
    assert (y == x + 1).all()
    ids = x.flatten().sort().values
    assert (ids.diff() == 1).all()
    assert tokens - len(ids) <= 2 * seq_len


def test_the_shapes_are_those_of_a_batch(opened: Opened, corpus: Path) -> None:
    x, y = opened(corpus, seq_len=32).train.batch(5, 3)
    assert x.shape == y.shape == (3, 32)
    assert x.dtype == y.dtype == torch.int64
    assert x.is_contiguous() and y.is_contiguous()
    assert (x[:, 1:] == y[:, :-1]).all()


@given(first=st.integers(0, 200), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8), seed=st.integers(0, 9))
def test_the_order_does_not_depend_on_the_batch_size(first: int, sizes: list[int], seed: int) -> None:
    split = PackedSplit(Counting(333), 5, seed)
    parts, start = [], first
    for size in sizes:
        parts.append(split.batch(start, size)[0])
        start += size
    assert torch.equal(torch.cat(parts), split.batch(first, sum(sizes))[0])


def test_the_order_does_not_depend_on_the_number_of_processes(opened: Opened, corpus: Path) -> None:
    alone, micro = opened(corpus).train, 4
    together = alone.batch(24, 8)[0]
    ranks = [opened(corpus).train.batch(24 + rank * micro, micro)[0] for rank in range(2)]
    assert torch.equal(together, torch.cat(ranks))


def test_epochs_and_seeds_differ_in_order_and_offsets() -> None:
    split = PackedSplit(Counting(4000), 10, seed=1)
    epochs = [split.batch(number * split.n_sequences, split.n_sequences)[0][:, 0] for number in range(6)]
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 6
    assert len({int(epoch.min()) for epoch in epochs}) > 1
    other = PackedSplit(Counting(4000), 10, seed=2).batch(0, split.n_sequences)[0][:, 0]
    assert other.tolist() != epochs[0].tolist()


def test_a_position_far_into_a_long_run_is_computed_directly() -> None:
    order = Shuffled(10**12, seed=3)
    indices, epochs = order(range(5 * 10**14, 5 * 10**14 + 4))
    assert epochs.tolist() == [500] * 4
    assert len(set(indices.tolist())) == 4


@given(st.integers(1, 3000))
def test_evaluation_reads_every_sequence_once_before_any_twice(n: int) -> None:
    indices, _ = Spread(n)(range(n))
    assert sorted(indices.tolist()) == list(range(n))


def test_evaluation_is_fixed_and_its_first_sequences_are_spread() -> None:
    split = PackedSplit(Counting(10_001), 10, seed=None)
    assert split.n_sequences == 1000
    starts = split.batch(0, 20)[0][:, 0]
    assert torch.equal(starts, PackedSplit(Counting(10_001), 10, seed=None).batch(0, 20)[0][:, 0])
    gaps = torch.cat([starts, torch.tensor([10_000])]).sort().values.diff()
    assert int(gaps.max()) < 3 * 10_000 // 20


def test_a_sample_is_one_document_padded_and_masked(opened: Opened, tmp_path: Path) -> None:
    texts = [f"{number:02d}" + "x" * number for number in range(30)]
    for number, text in enumerate(texts):
        (tmp_path / f"{number:02d}.txt").write_text(text)
    dataset = opened(tmp_path / "*.txt", packing="sample", seq_len=16, val_fraction=0.1)
    assert dataset.train.n_sequences + dataset.val.n_sequences == 30
    samples = []
    for split in (dataset.train, dataset.val):
        x, y = split.batch(0, split.n_sequences)
        for ids, targets in zip(x, y, strict=True):
            whole = texts[int(dataset.tokenizer.decode(ids[:2]))].encode() + b"\0"
            samples.append(whole)
            expected = list(whole[:17])
            assert ids.tolist() == (expected[:-1] + [0] * 16)[:16]
            assert targets.tolist() == (expected[1:] + [IGNORED] * 16)[:16]
    assert len(set(samples)) == 30
    lines = "\n".join(dataset.describe())
    assert f"{sum(len(text) > 16 for text in texts) - 2} of 27 documents cut at 16" in lines


def test_one_document_holds_out_its_tail(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefghij" * 3)
    dataset = opened(tmp_path / "a.txt", packing="sample", seq_len=40, val_fraction=0.2)
    assert dataset.train.n_sequences == dataset.val.n_sequences == 1
    x, y = dataset.val.batch(0, 1)
    assert dataset.tokenizer.decode(x[0][:6]) == "efghij"
    assert int((y != IGNORED).sum()) == 6


@pytest.mark.parametrize("packing", ["packed", "sample"])
def test_too_little_text_for_a_sequence_is_an_error(opened: Opened, tmp_path: Path, packing: str) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match=r"the training split has 1 tokens.*model\.seq_len = 16.*use more text"):
        opened(tmp_path / "a.txt", packing=packing)


def test_too_little_held_out_text_is_an_error(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 200)
    with pytest.raises(DataError, match=r"the held-out split has 11 tokens.*raise data\.val_fraction"):
        opened(tmp_path / "a.txt")
