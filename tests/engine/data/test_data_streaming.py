"""Datasets streamed during training: every document once an epoch, and a state that continues with the next one."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.data import hub

from tuitrain_engine.data import DataError, Dataset, Prefetcher, load_tokenizer, save_tokenizer, stream
from tuitrain_engine.data.loader import IGNORED

Opened = Callable[..., Dataset]
Batch = tuple[torch.Tensor, ...]
KEYS = {"val_bytes": 40, "stall_timeout_s": 30}
HELD_OUT = 2
"""Documents that the 40 bytes are of."""
PACKINGS = ["packed", "sample"]


def ids_of(dataset: Dataset, first: int, count: int, packing: str = "packed") -> list[int]:
    """The inputs of some sequences, one after the other, without padding."""
    x, y = dataset.train.batch(first, count)
    if packing == "packed":
        return x.flatten().tolist()
    return torch.cat([torch.cat([a[:1], b[b != IGNORED]]) for a, b in zip(x, y, strict=True)]).tolist()


def some_epochs(dataset: Dataset, epochs: int) -> list[list[str]]:
    """The documents of the first epochs: the n-th occurrence of a document belongs to epoch n."""
    texts: list[str] = []
    total = epochs * (len(hub.texts()) - HELD_OUT)
    ids: list[int] = []
    first = 0
    while len(texts) < total:
        ids += ids_of(dataset, first, 40)
        first += 40
        texts = bytes(ids).decode().split("\0")[:-1]
    per_epoch = len(hub.texts()) - HELD_OUT
    return [texts[number * per_epoch : (number + 1) * per_epoch] for number in range(epochs)]


def same(left: Batch, right: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_every_epoch_has_each_document_once_and_its_own_order(opened: Opened, streamed: str) -> None:
    dataset = opened(streamed, **KEYS)
    first, second, third = some_epochs(dataset, 3)
    # The first two documents are held out.
    assert Counter(first) == Counter(second) == Counter(third) == Counter(hub.texts()[HELD_OUT:])
    assert first != second != third
    other = some_epochs(opened(streamed, seed=8, **KEYS), 1)[0]
    assert other != first
    assert some_epochs(opened(streamed, **KEYS), 1)[0] == first


def test_a_shard_is_read_in_its_own_order(opened: Opened, streamed: str) -> None:
    (texts,) = some_epochs(opened(streamed, **KEYS), 1)
    by_shard: dict[str, list[str]] = {}
    for text in texts:
        by_shard.setdefault(text[1], []).append(text)
    assert len(by_shard) == hub.FILES
    assert all(
        texts == [text for text in hub.texts()[HELD_OUT:] if text[1] == shard] for shard, texts in by_shard.items()
    )


def test_packed_sequences_join_without_gap(opened: Opened, streamed: str) -> None:
    x, y = opened(streamed, **KEYS).train.batch(0, 30)
    assert x.shape == y.shape == (30, 16)
    assert x.dtype == y.dtype == torch.int64
    assert torch.equal(x.flatten()[1:], y.flatten()[:-1])


def test_a_sample_is_one_document_cut_or_padded(opened: Opened, streamed: str) -> None:
    x, y = opened(streamed, packing="sample", **KEYS).train.batch(0, 58)
    texts = []
    for ids, targets in zip(x, y, strict=True):
        used = int((targets != IGNORED).sum())
        assert torch.equal(ids[1:used], targets[: used - 1])
        assert (ids[used:] == 0).all()
        assert (targets[used:] == IGNORED).all()
        texts.append(bytes([*ids[:used].tolist(), int(targets[used - 1])]).decode())
    assert Counter(texts) == Counter((text + "\0")[:17] for text in hub.texts()[HELD_OUT:])


@pytest.fixture(params=PACKINGS)
def straight(request: pytest.FixtureRequest, opened: Opened, streamed: str) -> tuple[str, Batch]:
    """A way of packing, and the first 440 sequences in it."""
    return request.param, opened(streamed, packing=request.param, **KEYS).train.batch(0, 440)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 400), ahead=st.integers(0, 9), step=st.integers(1, 7))
def test_a_resume_is_exact_at_any_position(
    opened: Opened, streamed: str, straight: tuple[str, Batch], position: int, ahead: int, step: int
) -> None:
    packing, expected = straight
    interrupted, resumed = (opened(streamed, packing=packing, **KEYS) for _ in range(2))
    for first in range(0, position, step):
        interrupted.train.batch(first, min(step, position - first))
    for number in range(ahead):
        interrupted.train.batch(position + number, 1)
    state = json.loads(json.dumps(interrupted.train.state_at(position)))
    resumed.train.restore(state, position)
    assert resumed.train.state_at(position) == state
    assert same(resumed.train.batch(position, 40), tuple(part[position : position + 40] for part in expected))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_reading_ahead_does_not_change_the_state(opened: Opened, streamed: str, device: str) -> None:
    plain, ahead = opened(streamed, **KEYS), opened(streamed, **KEYS)
    plain.train.batch(0, 24)
    with Prefetcher(ahead.train, ((first, 4) for first in range(0, 400, 4)), device) as batches:
        for _ in range(6):
            next(batches)
        assert ahead.train.state_at(24) == plain.train.state_at(24)


def test_recent_sequences_can_be_read_again(opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STATES_KEPT", 16)
    split = opened(streamed, **KEYS).train
    once = split.batch(0, 8)
    split.batch(8, 8)
    assert same(split.batch(0, 8), once)
    for first in range(8, 8 * (stream.STATES_KEPT + 2), 8):
        split.batch(first, 8)
    with pytest.raises(ValueError, match="sequence 0 of a stream is not available"):
        split.state_at(0)


def test_the_state_at_the_start_of_a_step_of_many_micro_batches_is_kept(opened: Opened, streamed: str) -> None:
    split = opened(streamed, **KEYS).train
    first = split.batch(0, 1)
    for number in range(1, 600):
        split.batch(number, 1)
    resumed = opened(streamed, **KEYS).train
    resumed.restore(split.state_at(0), 0)
    assert same(resumed.batch(0, 1), first)


def test_the_rest_of_a_long_document_is_kept_whole(opened: Opened, streamed: str) -> None:
    split = opened(streamed, seq_len=8, **KEYS).train
    longest = 0
    for first in range(200):
        split.batch(first, 1)
        longest = max(longest, len(split.state_at(first + 1)["tokens"]))
    assert longest > 150
    assert longest < max(map(len, hub.texts()))


def test_a_state_of_other_data_is_refused(opened: Opened, streamed: str) -> None:
    split = opened(streamed, **KEYS).train
    split.batch(0, 4)
    state = split.state_at(4)
    with pytest.raises(DataError, match=r"has no position in the stream of hf:.*data\.source that it was trained on"):
        opened(streamed, **KEYS).train.restore({}, 4)
    with pytest.raises(DataError, match=r"is at sequence 4 of hf:.*and the run at 8"):
        opened(streamed, **KEYS).train.restore(state, 8)
    with pytest.raises(DataError, match=r"a stream with seed = 7, and this run streams with 9"):
        opened(streamed, seed=9, **KEYS).train.restore(state, 4)
    opened(streamed, **KEYS).train.restore({}, 0)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("at", [0, 1, 20, 47])
def test_after_an_error_the_stream_continues_with_the_same_document(
    opened: Opened,
    streamed: str,
    packing: str,
    at: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = opened(streamed, packing=packing, **KEYS).train.batch(0, 50)
    troubled = opened(streamed, packing=packing, max_retries=2, **KEYS)
    fault = hub.ReadFault(monkeypatch, at, times=2)
    assert same(troubled.train.batch(0, 50), expected)
    assert fault.times == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "retry" in line]
    assert len(lines) == 2
    assert f"{streamed}: the connection was reset; retry 1 of 2 in 0.001 s, from epoch 1, shard" in lines[0]
    assert "retry 2 of 2 in 0.002 s" in lines[1]


def test_a_stalled_stream_is_reopened(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = opened(streamed, **KEYS).train.batch(0, 50)
    troubled = opened(streamed, **KEYS | {"stall_timeout_s": 0.2})
    fault = hub.ReadFault(monkeypatch, 20, times=1, hang=True)
    assert same(troubled.train.batch(0, 50), expected)
    fault.woken.set()
    assert f"{streamed}: no row for 0.2 s; retry 1 of 5" in capsys.readouterr().err


def test_after_the_last_retry_the_error_is_one_sentence(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubled = opened(streamed, max_retries=3, **KEYS)
    fault = hub.ReadFault(monkeypatch, 20, times=100)
    with pytest.raises(DataError) as caught:
        troubled.train.batch(0, 50)
    assert fault.times == 96
    assert f"{streamed} could not be streamed: the connection was reset, after 3 retries." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_consecutive_errors_count_as_retries(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten errors, each followed by a document, do not exhaust the retries."""
    import datasets

    expected = opened(streamed, **KEYS).train.batch(0, 120)
    troubled = opened(streamed, max_retries=1, **KEYS)
    lost = set(hub.texts()[10:20])
    existing = threading.enumerate()
    original = datasets.IterableDataset.__iter__

    def rows(dataset: datasets.IterableDataset) -> Iterator[dict]:
        for row in original(dataset):
            if threading.current_thread() not in existing and row["text"] in lost:
                lost.remove(row["text"])
                raise ConnectionError("reset")
            yield row

    monkeypatch.setattr(datasets.IterableDataset, "__iter__", rows)
    assert same(troubled.train.batch(0, 120), expected)
    assert not lost


def test_the_held_out_documents_are_the_first(opened: Opened, streamed: str, cache: Path) -> None:
    dataset = opened(streamed, **KEYS)
    held = "\0".join(hub.texts()[:HELD_OUT]) + "\0"
    assert dataset.val.tokens == len(held) == 42
    x, _ = dataset.val.batch(0, dataset.val.n_sequences)
    assert all(bytes(row.tolist()).decode() in held for row in x)
    again = opened(streamed, **KEYS)
    assert any(line.startswith("shards     cached in") for line in again.describe())


def test_a_fraction_of_a_small_source_is_held_out(opened: Opened, streamed: str) -> None:
    dataset = opened(streamed, val_fraction=0.2)
    total = sum(len(text) + 1 for text in hub.texts())
    assert 0.1 * total < dataset.val.tokens <= 0.2 * total


def test_a_source_of_one_document_cannot_be_held_out_and_streamed(
    opened: Opened, tmp_path: Path, offline: None
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.jsonl").write_text(json.dumps({"text": "some text " * 20}))
    dataset = opened(f"hf:{tmp_path / 'one'}")
    with pytest.raises(DataError, match=r"has no text besides what is held out: lower data\.val_bytes"):
        dataset.train.batch(0, 1)


@pytest.mark.parametrize("spec", ["char", "sentencepiece:300"])
def test_a_vocabulary_is_trained_on_the_beginning_of_the_stream(
    opened: Opened, streamed: str, spec: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tuitrain_engine.data.vocabulary.SAMPLE_BYTES", 400)
    keys = KEYS | {"val_bytes": 80}
    dataset = opened(streamed, tokenizer=spec, **keys)
    x, _ = dataset.train.batch(0, 200)
    assert int(x.max()) < dataset.vocab_size
    assert opened(streamed, tokenizer=spec, **keys).tokenizer.fingerprint == dataset.tokenizer.fingerprint
    if spec == "char":
        # "4." begins the last file, which the sample does not reach: "4" is not in the sample, "." is.
        unseen = dataset.tokenizer.encode("Ω.")
        assert dataset.tokenizer.decode(unseen) == "\ufffd."
        save_tokenizer(dataset.tokenizer, tmp_path / "saved")
        assert load_tokenizer(tmp_path / "saved").encode("Ω.").tolist() == unseen.tolist()


def test_with_max_tokens_the_stream_is_stored_in_shards_that_a_resume_reuses(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    first = opened(streamed, max_tokens=500, token_limit=1000)
    assert first.train.tokens + first.val.tokens == 500
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("it was read again"))
    again = opened(streamed, max_tokens=500, token_limit=1_000_000)
    assert same(again.train.batch(0, 8), first.train.batch(0, 8))
    assert again.train.state_at(8) == {}
    assert len([path for path in (cache / "datasets").iterdir() if path.is_dir()]) == 1


def test_without_end_of_document_texts_are_joined(opened: Opened, streamed: str, tmp_path: Path) -> None:
    from tests.engine.data.test_data_tokenizers import huggingface_file

    tokenizer = huggingface_file(tmp_path / "tokenizer.json", end=None)
    dataset = opened(streamed, tokenizer=str(tokenizer), **KEYS)
    assert dataset.tokenizer.end_of_document is None
    x, _ = dataset.train.batch(0, 40)
    assert "\0" not in dataset.tokenizer.decode(x.flatten())


def test_a_wrong_name_split_or_column_fails_at_once(opened: Opened, streamed: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"hf:.*nowhere cannot be read: Couldn't find any data file"):
        opened(f"hf:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match=r"data\.split = 'test' is not a split of hf:.*rows: it has train\."):
        opened(streamed, split="test")
    with pytest.raises(DataError, match=r"shard 0, row 0 has no 'body': set data\.text_column to one of text"):
        opened(streamed, text_column="body")
    with pytest.raises(DataError, match=r"hf:some/name cannot be read: .*HF_HUB_OFFLINE is set"):
        opened("hf:some/name")


def test_a_configuration_that_is_missing_or_unknown_is_named(opened: Opened, streamed: str) -> None:
    directory = Path(streamed.removeprefix("hf:"))
    suffix = sorted(directory.iterdir())[0].suffix
    configs = [f"- config_name: part-{file}\n  data_files: part-{file}{suffix}\n" for file in (1, 2)]
    (directory / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n")
    assert opened(f"{streamed}:part-2", **KEYS).describe()[0].endswith("one shard")
    with pytest.raises(DataError, match=r"data\.source = 'hf:.*rows:3': there is no configuration '3'; name one as "):
        opened(f"{streamed}:3")
    with pytest.raises(
        DataError, match=r"data\.source = 'hf:.*rows': it has several .*hf:.*rows:CONFIG, of part-1, part-2\."
    ):
        opened(streamed)


def test_a_dataset_of_another_number_of_shards_is_refused(opened: Opened, streamed: str) -> None:
    opened(streamed, **KEYS)
    directory = Path(streamed.removeprefix("hf:"))
    extra = sorted(directory.iterdir())[0]
    (directory / f"zz{extra.suffix}").write_bytes(extra.read_bytes())
    with pytest.raises(DataError, match="has changed: it has 6 shards, and had 5"):
        opened(streamed, **KEYS).train.batch(0, 1)


def test_the_report_states_shards_and_held_out_documents(opened: Opened, streamed: str) -> None:
    lines = opened(streamed, token_limit=10**9, **KEYS).describe()
    assert lines[0] == f"source     {streamed}: streamed while training, 5 shards, each epoch in another order"
    assert lines[2] == "tokens     train: the whole stream; 42 val (the first 2 documents), uint16"
