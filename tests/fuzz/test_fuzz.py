"""Mutated inputs of every kind are shown without a crash or a control character; bench/fuzz.py runs 100,000 of them.

Below them the inputs that it found, by what was wrong with them.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import tests.fuzz.screens as fuzzed_screens
from tests.fuzz.logs import OWN, log_targets, show_path
from tests.fuzz.others import checkpoint_target, other_targets, show_answers
from tests.fuzz.screens import screen_target
from tests.fuzz.target import Target, foreign, shown
from tests.support import write_run
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.model import Probe
from tuitrain.readers.quoting import quotes_log

CASES = 8
LOGS = {*BY_NAME, OWN}
SEED = 2026


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "CONFIG", "STATE", "RUNS"):
        monkeypatch.setenv(f"TUITRAIN_{name}_DIR", str(tmp_path / name))


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    kept = tmp_path_factory.mktemp("seeds")
    yield {target.name: target for target in (*log_targets(kept), *other_targets(kept), checkpoint_target(kept))}


def test_every_format_is_fuzzed(targets: dict[str, Target]) -> None:
    assert targets.keys() >= BY_NAME.keys() - {"parquet"}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mutated_inputs_are_shown(targets: dict[str, Target], tmp_path: Path) -> None:
    for name, target in targets.items():
        (tmp_path / name).mkdir()
        for number in range(CASES):
            assert foreign(target.run(tmp_path / name, SEED, number)) is None, f"{name} {number}"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mutated_logs_are_shown_on_the_screens(
    targets: dict[str, Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # bench/fuzz.py measures the time; a test does not.
    monkeypatch.setattr(fuzzed_screens, "DRAW_S", math.inf)
    screens = screen_target([target for name, target in targets.items() if name in LOGS], tmp_path / "RUNS")
    (tmp_path / "work").mkdir()
    try:
        for number in range(CASES // 2):
            assert screens.run(tmp_path / "work", SEED, number).split() == ["4"], (
                number
            )  # two screens, and a key on each
    finally:
        screens.close()


HUGE = "1" + "0" * 400
FOUND = {
    "a whole number that is no float": ("log.jsonl", f'{{"step": 1, "loss": {HUGE}}}\n{{"step": 2, "loss": 1.0}}\n'),
    "numbers of no float in columns": ("history.json", f'{{"loss": [{HUGE}, 1.0], "step": [1, 2], "acc": [0, 1]}}'),
    "nesting that msgspec does not follow": ("log.jsonl", '{"step": 1, "loss": ' + "[" * 40_000),
    "the same in a document": ("history.json", '{"step": 1, "loss": ' + "[" * 40_000),
    "signs of percent": ("train.log", "".join(f"step {at}: loss 5{'%' * 3000}\n" for at in range(9))),
    "a loss of points": ("train.log", "iter 0: loss 2.5, time 1.0ms, mfu 1.0%\niter 1: loss 2...., time 1ms, mfu 1%\n"),
    "a model of nested braces": (
        "train.log",
        "step 00001/00100 | loss: 2.5 |\nstep 00002/00100 | loss: 2.4 |\nModel config:\n" + "[" * 9000 + "\n}\n",
    ),
    "iterations without end": (
        "train.log", f"Overriding: max_iters = {HUGE}\niter 0: loss 2.5, time 1.0ms, mfu 1.0%\n"
    ),
    "an epoch that is infinite": ("train.log", "{'loss': '2.5', 'epoch': 'inf'}\n{'loss': '2.4', 'epoch': '0.1'}\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", FOUND)
def test_an_input_that_was_found_is_shown(what: str, tmp_path: Path) -> None:
    name, text = FOUND[what]
    (tmp_path / name).write_text(text)
    for path in (tmp_path / name, tmp_path):
        assert foreign(shown(lambda path=path: show_path(path, Random(0)))) is None


def test_a_file_store_of_mlflow_with_words_for_numbers(tmp_path: Path) -> None:
    run = tmp_path / "0/abc"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: abc\nlifecycle_stage: active\nartifact_uri: x\nstart_time: x\n")
    (run / "metrics/loss").write_text(f"1700000000000 2.5 {HUGE}\n1700000000000 2.4 1\n")
    assert "2.4" in shown(lambda: show_path(tmp_path, Random(0)))


def test_late_steps_before_a_restart_in_one_batch(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", steps=6, status=None)
    steps = [{"step": at, "loss": 1.0} for at in (7, 8, 9)]
    late = {"step": 8, "metrics": {"kl": 1.0}, "late": True}
    again = [{"step": at, "loss": 1.0} for at in (5, 6)]
    with run.metrics.open("a") as log:
        for at, values in enumerate((*steps, late, *again)):
            log.write(json.dumps({"type": "step", "time": 2e9 + at, **values}) + "\n")
    assert "step" in shown(lambda: show_path(run.path, Random(0)))


def test_blank_lines_are_looked_at_once() -> None:
    """A pattern for tables took minutes for them."""
    probe = Probe(b"iter 1 step 1 | loss train: 4.3\n" + b" \n" * 8000, Path("train.log"))
    assert not quotes_log(probe, BY_NAME["litgpt-console"])


def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("experiment.json", "{}")
        archive.writestr("messages.json", bytes(64 << 20).replace(b"\0", b"\n"))
    assert "more than 200 times" in shown(lambda: show_path(tmp_path / "bomb.zip", Random(0)))


@pytest.mark.parametrize(
    "answer",
    [
        b"c d\nl r\n" + b"9" * 5000 + b" 1 1 ./log\n.\n",
        b"c d\nl r\n.\ng 7 4 99999999999999999 0 4 r\nabc\n",
        b"c d\nl r\n.\ng 7 %s 1 0 4 r\nabc\n" % (b"9" * 40),
    ],
    ids=["inode", "time", "size"],
)
def test_numbers_beyond_all_measure_from_another_machine_are_refused(answer: bytes, tmp_path: Path) -> None:
    text = shown(lambda: show_answers(b"tuitrain remote 1\n" + answer, tmp_path, Random(0)))
    assert "it answered what is not understood" in text or "the connection was lost" in text


def test_a_few_bytes_of_an_index_take_no_memory(tmp_path: Path) -> None:
    from tuitrain_engine.checkpoint.index import CheckpointError, read_index

    (tmp_path / ".metadata").write_bytes(b"\x80\x02Nr" + (2**32 - 1).to_bytes(4, "little") + b".")
    with pytest.raises(CheckpointError, match="contains no checkpoint metadata"):
        read_index(tmp_path)
