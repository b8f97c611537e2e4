"""Several sources in one run: exact shares, an order that depends on the index alone, an exact resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.data import hub
from tests.engine.data.test_data_tokenizers import huggingface_file

from tuitrain.config import ConfigError, load_config
from tuitrain_engine.data import DataError, Dataset
from tuitrain_engine.data.mixture import Shares

Opened = Callable[..., Dataset]


@pytest.fixture
def mixture(tmp_path: Path, offline: None) -> dict[str, float]:
    """A stream whose texts all contain a digit, and two files without digits, one of them in capital letters."""
    (tmp_path / "small.txt").write_text("only small letters here\n" * 400)
    (tmp_path / "large.txt").write_text("ONLY LARGE LETTERS HERE\n" * 400)
    rows = hub.jsonl_dataset(tmp_path / "rows")
    return {str(tmp_path / "small.txt"): 5, f"hf:{rows}": 3, str(tmp_path / "large.txt"): 2}


@given(
    weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=6),
    seed=st.integers(0, 2**40),
    n=st.integers(0, 10**9),
)
def test_shares_hold_after_any_number_of_sequences(weights: list[float], seed: int, n: int) -> None:
    shares = Shares(weights, seed)
    counts = shares.counts(n)
    assert sum(counts) == n
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - n * weight / sum(weights)) < len(weights)
    following = shares.counts(n + 1)
    assert sorted(after - before for before, after in zip(counts, following, strict=True)) == [0] * (
        len(weights) - 1
    ) + [1]


def test_shares_are_exact_in_the_limit() -> None:
    assert Shares([0.7, 0.2, 0.1], seed=3).counts(10**12) == pytest.approx([7e11, 2e11, 1e11], abs=3)


def test_the_seed_decides_the_order_of_sources() -> None:
    orders = {tuple(Shares([1, 1], seed).counts(1)) for seed in range(20)}
    assert orders == {(0, 1), (1, 0)}


def kinds(rows: torch.Tensor) -> list[str]:
    """The source, of three, of each sequence of bytes."""
    names = []
    for row in rows.tolist():
        text = bytes(row).decode()
        names.append("small" if "small" in text or "letters" in text else "large" if text.upper() == text else "hf")
    return names


def test_each_source_has_its_share_and_its_own_order(opened: Opened, mixture: dict[str, float]) -> None:
    keys = {"val_bytes": 40, "seq_len": 24}
    mixed = opened("mixture", mixture=mixture, **keys)
    x, _ = mixed.train.batch(0, 100)
    sources = kinds(x)
    assert [sources.count(kind) for kind in ("small", "hf", "large")] == pytest.approx([50, 30, 20], abs=2)
    (streamed,) = (name for name in mixture if name.startswith("hf:"))
    alone, _ = opened(streamed, **keys).train.batch(0, sources.count("hf"))
    assert torch.equal(x[[kind == "hf" for kind in sources]], alone)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 150), step=st.integers(1, 9))
def test_a_resume_is_exact(opened: Opened, mixture: dict[str, float], position: int, step: int) -> None:
    straight, interrupted, resumed = (opened("mixture", mixture=mixture, val_bytes=40) for _ in range(3))
    expected = straight.train.batch(0, position + 30)
    for first in range(0, position, step):
        interrupted.train.batch(first, min(step, position - first))
    state = json.loads(json.dumps(interrupted.train.state_at(position)))
    interrupted.train.batch(position, 5)
    assert interrupted.train.state_at(position) == state
    resumed.train.restore(state, position)
    actual = resumed.train.batch(position, 30)
    assert all(torch.equal(part, whole[position:]) for part, whole in zip(actual, expected, strict=True))


def test_a_resume_without_the_state_of_its_stream_is_refused(opened: Opened, mixture: dict[str, float]) -> None:
    with pytest.raises(DataError, match="has no position in the stream of hf:"):
        opened("mixture", mixture=mixture, val_bytes=40).train.restore({}, 20)


def test_files_alone_need_no_state(opened: Opened, mixture: dict[str, float]) -> None:
    files = {name: weight for name, weight in mixture.items() if not name.startswith("hf:")}
    dataset = opened("mixture", mixture=files)
    assert dataset.train.state_at(1000) == {}
    dataset.train.restore({}, 1000)
    x, _ = dataset.train.batch(1000, 7)
    assert torch.equal(x, opened("mixture", mixture=files).train.batch(1000, 7)[0])
    assert dataset.train.tokens is not None


def test_the_held_out_split_has_the_same_shares(opened: Opened, mixture: dict[str, float]) -> None:
    dataset = opened("mixture", mixture=mixture, val_bytes=300, val_fraction=0.2, seq_len=24)
    count = dataset.val.n_sequences
    assert count >= 20
    x, _ = dataset.val.batch(0, count)
    sources = kinds(x)
    expected = [count * share for share in (0.5, 0.3, 0.2)]
    assert [sources.count(kind) for kind in ("small", "hf", "large")] == pytest.approx(expected, abs=3)
    # An epoch repeats no document of any source.
    own = [row for row, kind in zip(x.tolist(), sources, strict=True) if kind == "hf"]
    assert len({tuple(row) for row in own}) == len(own)


def test_the_report_names_each_source_with_its_share_and_epochs(opened: Opened, mixture: dict[str, float]) -> None:
    lines = opened("mixture", mixture=mixture, val_bytes=40, token_limit=100_000).describe()
    shares = [line for line in lines if line.startswith("mixture")]
    assert [line.split()[1] for line in shares] == ["50.0%", "30.0%", "20.0%"]
    assert all(name.rsplit("/", 1)[-1] in line for name, line in zip(mixture, shares, strict=True))
    epochs = [line for line in lines if line.startswith("epochs")]
    assert len(epochs) == 2
    assert "50.0 k tokens, goes over them 5.5 times" in epochs[0]
    assert sum(line.startswith("tokenizer") for line in lines) == 1


@pytest.mark.parametrize("spec", ["char", "sentencepiece:300"])
def test_a_vocabulary_is_trained_on_all_sources(opened: Opened, mixture: dict[str, float], spec: str) -> None:
    dataset = opened("mixture", mixture=mixture, tokenizer=spec, val_bytes=20)
    again = opened("mixture", mixture=mixture, tokenizer=spec, val_bytes=20)
    assert again.tokenizer.fingerprint == dataset.tokenizer.fingerprint
    for text in ("ONLY", "only", "<3.4>"):
        assert dataset.tokenizer.decode(dataset.tokenizer.encode(text)) == text
    x, _ = dataset.train.batch(0, 50)
    assert int(x.max()) < dataset.vocab_size


def test_external_ids_need_the_name_of_their_tokenizer(
    opened: Opened, mixture: dict[str, float], tmp_path: Path
) -> None:
    (tmp_path / "bins").mkdir()
    np.full(1000, 7, "<u2").tofile(tmp_path / "bins" / "train.bin")
    both = {**mixture, f"bin:{tmp_path / 'bins'}": 1}
    with pytest.raises(DataError, match=r"data\.mixture: the ids of bin:.* were made by another tokenizer"):
        opened("mixture", mixture=both, val_bytes=40)
    tokenizer = huggingface_file(tmp_path / "tokenizer.json")
    dataset = opened("mixture", mixture=both, val_bytes=20, tokenizer=str(tokenizer))
    x, _ = dataset.train.batch(0, 44)
    assert sum((row == 7).all().item() for row in x) == pytest.approx(4, abs=3)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (['data.mixture={"stdlib"=1}'], "mixture is set, but source = 'stdlib': set source = mixture"),
        (["data.source=mixture"], "source = mixture needs mixture"),
        (["data.source=mixture", 'data.mixture={"stdlib"=0}'], "data.mixture.stdlib = 0 is not valid"),
        (["data.source=mixture", 'data.mixture={"mixture"=1}'], "cannot hold a source named"),
    ],
)
def test_an_invalid_mixture_is_refused(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("gpt2-tiny", overrides)
    assert sentence in str(caught.value)
