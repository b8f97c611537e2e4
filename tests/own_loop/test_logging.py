"""What `import tuitrain` costs, and what init, log, eval, sample and finish leave in the log."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import tuitrain
from tests.own_loop.loops import of_type, only_run, records, runs_of
from tuitrain import events
from tuitrain.analysis.summary import summarize
from tuitrain.runs import RunDirectory, Status, load_history, lock_held, read_snapshot

LIGHT = """
import sys
import tuitrain
heavy = ("torch", "numpy", "textual", "pydantic", "psutil", "msgspec", "typing")
imported = {name for name in heavy if name in sys.modules} - {"typing"}
tuitrain.init, tuitrain.log, tuitrain.finish, tuitrain.Run
used = {name for name in ("torch", "numpy", "textual", "pydantic", "psutil") if name in sys.modules}
run = tuitrain.init(name="light", system=False)
run.log({"loss": 1.0, "mine": 2})
begun = {name for name in ("torch", "numpy", "textual", "pydantic") if name in sys.modules}
run.finish()
ended = {name for name in ("torch", "textual", "pydantic") if name in sys.modules}
print(sorted(imported | used | begun | ended))
"""


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for variable in ("TUITRAIN_RUN_DIR", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("TUITRAIN_SYSTEM", "0")
    yield tmp_path / "runs"
    tuitrain.finish()


def steps(runs_dir: Path) -> list[events.Step]:
    return of_type(only_run(runs_dir), events.Step)


def test_the_import_and_a_run_load_no_heavy_package(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_run_has_a_directory_a_record_of_its_configuration_steps_and_an_end(runs_dir: Path) -> None:
    run = tuitrain.init(name="my run", config={"lr": 0.1, "optim": {"betas": (0.9, 0.95)}}, total_steps=3, tags=["a b"])
    for step in range(3):
        run.log({"loss": 3.0 - step, "lr": 1e-3, "rewards/mean": step / 2})
    run.finish()
    directory = only_run(runs_dir)
    assert directory.run_id == run.id
    assert directory.run_id.startswith("my-run-")
    first, last = records(directory)[0], records(directory)[-1]
    assert isinstance(first, events.Run)
    assert (first.name, first.attempt, first.total_steps) == ("my run", 1, 3)
    assert first.config == {"lr": 0.1, "optim": {"betas": [0.9, 0.95]}}
    assert [(each.step, each.loss, each.lr) for each in steps(runs_dir)] == [(0, 3, 1e-3), (1, 2, 1e-3), (2, 1, 1e-3)]
    assert [each.metrics for each in steps(runs_dir)] == [{"rewards/mean": value} for value in (0, 0.5, 1)]
    assert isinstance(last, events.End)
    assert (last.status, last.reason, last.step) == ("completed", None, 2)
    metadata = directory.read_metadata()
    assert metadata is not None
    assert (metadata.name, metadata.tags) == ("my run", ["a-b"])


def test_known_names_go_to_their_fields_and_evaluations_to_records_of_their_own(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        run.log({"train/loss": 2.0, "learning_rate": 0.5, "val/loss": 3.0, "valid_acc": 0.5, "mine/ä ö": 1}, step=7)
        run.eval({"loss": 2.5, "accuracy": 0.25, "pass@1": 0.125}, step=7)
        run.eval({"loss": 4.0}, split="wiki")
    (step,) = steps(runs_dir)
    assert (step.step, step.loss, step.lr, step.metrics) == (7, 2.0, 0.5, {"mine/ä ö": 1})
    logged, given, other = of_type(only_run(runs_dir), events.Eval)
    assert (logged.split, logged.step, logged.loss, logged.accuracy) == ("val", 7, 3.0, 0.5)
    assert (given.split, given.loss, given.accuracy, given.metrics) == ("val", 2.5, 0.25, {"pass@1": 0.125})
    assert (other.split, other.step, other.loss) == ("wiki", 7, 4.0)


def test_steps_count_up_and_what_is_logged_of_one_adds_up(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        run.log({"loss": 1.0}, commit=False)
        run.log({"lr": 0.1})
        run.log({"loss": 2.0})
        run.log({"loss": 3.0}, step=10)
        run.log({"lr": 0.3})
        run.log({"loss": 4.0})
        assert run.step == 12
    assert [each.step for each in steps(runs_dir)] == [0, 0, 1, 10, 10, 11]
    history = load_history(only_run(runs_dir))
    assert history.steps["loss"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert history.steps["lr"][[0, 2]].tolist() == [0.1, 0.3]


def test_a_value_that_comes_late_neither_ends_an_attempt_nor_becomes_the_newest(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        for step in range(5):
            run.log({"loss": float(step)}, step=step)
        run.log({"judge": 0.5}, step=2)
        run.log({"loss": 5.0}, step=5)
    history = load_history(only_run(runs_dir))
    assert history.steps["step"].tolist() == [0, 1, 2, 3, 4, 5]
    assert history.steps["judge"][2] == 0.5


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3), (True, 1), (np.float32(0.5), 0.5), (np.int64(7), 7), (np.array([2.5]), 2.5), (torch.tensor(1.5), 1.5),
        (torch.tensor([4]), 4), (torch.tensor(0.25, requires_grad=True), 0.25), (Decimal("0.75"), 0.75),
        (torch.tensor(1.5, dtype=torch.bfloat16), 1.5), (10**400, math.inf), (-np.inf, -math.inf),
    ],
)  # fmt: skip
def test_scalars_of_any_library_are_numbers(runs_dir: Path, value: object, number: float) -> None:
    with tuitrain.init() as run:
        run.log({"x": value, "loss": value})
    (step,) = steps(runs_dir)
    assert (step.loss, step.metrics) == (number, {"x": number})


def test_nan_is_a_value(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        run.log({"loss": math.nan, "x": torch.tensor(math.nan), "y": 1.0})
    (step,) = steps(runs_dir)
    assert step.loss is not None
    assert math.isnan(step.loss)
    assert isinstance(step.metrics, dict)
    assert str(step.metrics) == "{'x': nan, 'y': 1.0}"


def test_what_is_no_number_is_skipped_with_one_warning_a_name(runs_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    with tuitrain.init() as run:
        for _ in range(3):
            run.log({"text": "a", "none": None, "many": np.zeros(3), "object": object(), "loss": 1.0})
    assert [each.metrics for each in steps(runs_dir)] == [events.Step(step=0).metrics] * 3
    assert sorted(record.message.split("'")[1] for record in caplog.records) == ["many", "none", "object", "text"]


def test_nested_dicts_are_joined_by_dots(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        run.log({"a": {"b": {"c": 1}, "d": 2}, 3: 4})
    (step,) = steps(runs_dir)
    assert step.metrics == {"a.b.c": 1, "a.d": 2, "3": 4}


def test_configuration_that_comes_late_belongs_to_the_run(runs_dir: Path) -> None:
    with tuitrain.init(config=SimpleNamespace(lr=1, seed=Path("x"))) as run:
        run.config.batch = 8
        run.config["lr"] = 2
        run.config.update({"deep": {"er": math.nan}}, allow_val_change=True)
        run.config.setdefaults({"lr": 5, "new": 1})
        assert run.config.lr == 2
        assert run.config.get("missing") is None
        with pytest.raises(AttributeError, match="missing"):
            _ = run.config.missing
    history = load_history(only_run(runs_dir))
    assert history.run is not None
    assert history.run.config == {"lr": 2, "seed": "x", "batch": 8, "deep": {"er": "nan"}, "new": 1}
    assert len(history.attempts) == 1


def test_the_summary_has_the_newest_values_and_the_end_what_the_loop_set(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        run.log({"mine": 1})
        run.log({"mine": 2})
        assert run.summary["mine"] == 2
        run.summary["best"] = np.float64(0.5)
        run.summary.note = "text"
    (end,) = of_type(only_run(runs_dir), events.End)
    assert end.summary.items() >= {"best": 0.5, "note": "text"}.items()


def test_the_end_has_the_summary_that_readers_make_of_the_log(runs_dir: Path) -> None:
    with tuitrain.init(tokens_per_step=100, params=1000) as run:
        for step in range(30):
            run.log({"loss": 5.0 - step / 10, "accuracy": 0.5}, step=step)
            if step % 10 == 9:
                run.log({"val/loss": 5.0 - step / 20}, step=step)
                run.eval({"loss": 1.0}, split="wiki")
        run.log({"late": 3.0, "accuracy": 0.25}, step=29)
        run.log({"loss": math.nan}, step=31)
        run.summary["mean_mfu"] = "mine"
    (end,) = of_type(only_run(runs_dir), events.End)
    values = dataclasses.asdict(summarize(load_history(only_run(runs_dir))))
    known = {key: value for key, value in values.items() if value is not None and key not in ("name", "run_id")}
    assert known["final_val_loss"] == 5.0 - 29 / 20
    assert known["tokens_per_parameter"] > 0
    assert math.isnan(known["last_loss"])
    assert {**end.summary, "last_loss": 0} == {**known, "last_loss": 0, "mean_mfu": "mine"}


def test_samples_alerts_and_checkpoints_are_records(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        run.log({"loss": 1}, step=3)
        run.sample("once upon", prompt="once")
        run.alert("Low accuracy", "it fell", level="WARN")
        run.alert(text="it fell again")
        run.saved("ckpt/3.pt")
    directory = only_run(runs_dir)
    (sample,) = of_type(directory, events.Sample)
    alert, untitled = of_type(directory, events.Alert)
    (checkpoint,) = of_type(directory, events.Checkpoint)
    assert (sample.step, sample.text, sample.prompt) == (3, "once upon", "once")
    assert (alert.step, alert.level, alert.message) == (3, "warning", "Low accuracy: it fell")
    assert (untitled.level, untitled.message) == ("warning", "it fell again")
    assert (checkpoint.step, checkpoint.path) == (3, "ckpt/3.pt")


def test_a_live_run_is_seen_alive_and_its_lock_ends_with_it(runs_dir: Path) -> None:
    run = tuitrain.init()
    directory = only_run(runs_dir)
    assert read_snapshot(directory).status is Status.STARTING
    assert lock_held(directory.lock)
    run.log({"loss": 1.0})
    run.finish()
    assert read_snapshot(directory).status is Status.COMPLETED
    assert not lock_held(directory.lock)


def test_several_runs_in_one_process_are_apart_and_the_module_means_the_newest(runs_dir: Path) -> None:
    first, second = tuitrain.init(name="first"), tuitrain.init(name="second")
    tuitrain.log({"loss": 2.0})
    first.log({"loss": 1.0})
    assert tuitrain.run is second
    first.finish()
    second.finish()
    losses = {run.run_id.partition("-")[0]: of_type(run, events.Step)[0].loss for run in runs_of(runs_dir)}
    assert losses == {"first": 1.0, "second": 2.0}


def test_after_the_end_nothing_is_logged_and_nothing_raised(runs_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tuitrain.init()
    run.finish()
    before = records(only_run(runs_dir))
    run.finish()
    run.log({"loss": 1.0})
    run.log({"loss": 1.0})
    run.eval({"loss": 1.0})
    run.sample("x")
    assert records(only_run(runs_dir)) == before
    assert len([each for each in caplog.records if "finished" in each.message]) == 1


@pytest.mark.parametrize("data", [None, 5, "text", [1, 2]])
def test_bad_arguments_do_not_raise_into_the_loop(runs_dir: Path, data: object) -> None:
    with tuitrain.init() as run:
        run.log(data)  # type: ignore[arg-type]
        run.eval(data)  # type: ignore[arg-type]
        run.log({"loss": 1.0}, step="later")  # type: ignore[arg-type]
        run.log({"loss": 2.0}, step=-3)
        run.log({"\ud800": 1.0})
    assert of_type(only_run(runs_dir), events.End)[0].status == "completed"
    assert len(steps(runs_dir)) == 3


def test_an_id_continues_its_run_as_a_further_attempt(runs_dir: Path) -> None:
    for loss in (1.0, 2.0):
        with tuitrain.init(id="fixed id") as run:
            run.log({"loss": loss})
    assert [each.attempt for each in of_type(only_run(runs_dir), events.Run)] == [1, 2]


def test_a_run_in_use_is_refused(runs_dir: Path) -> None:
    with tuitrain.init(id="one"), pytest.raises(RuntimeError, match="Another process writes the log"):
        tuitrain.init(id="one")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"config": 5}, "config should be a dict"),
        ({"total_steps": "many"}, "total_steps = 'many'"),
        ({"params": "x"}, "params = 'x'"),
        ({"gpu": "Abacus 3000", "params": 1000}, "Abacus 3000"),
    ],
)
def test_wrong_arguments_of_init_are_refused_in_a_sentence(
    runs_dir: Path, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        tuitrain.init(**arguments)  # type: ignore[arg-type]
    assert runs_of(runs_dir) == []


def test_a_place_that_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path, runs_dir: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeError, match="file"):
        tuitrain.init(runs_dir=tmp_path / "file" / "runs")


def test_a_disabled_run_writes_nothing(runs_dir: Path) -> None:
    with tuitrain.init(mode="disabled", config={"lr": 1}) as run:
        run.log({"loss": 1.0})
        assert not run.should_stop
        assert run.config.lr == 1
    assert not runs_dir.exists()


def test_mfu_follows_from_parameters_tokens_and_the_peak(runs_dir: Path) -> None:
    with tuitrain.init(params="1B", tokens_per_step=1000, peak_tflops=100, gpus=2) as run:
        run.log({"loss": 1.0, "tokens_per_sec": 10_000}, step=5)
        run.log({"loss": 1.0, "tokens": 6000, "step_time_ms": 100}, step=6)
    first, second = steps(runs_dir)
    assert (first.tokens, first.tflops, first.mfu) == (5000, 30.0, 0.3)
    assert (second.tokens, second.tokens_per_sec, second.mfu) == (6000, 10_000, 0.3)
    (record,) = of_type(only_run(runs_dir), events.Run)
    assert (record.flops_per_token, record.tokens_per_step) == (6e9, 1000)
    assert record.hardware is not None
    assert (record.hardware.count, record.hardware.peak_tflops) == (2, 100)


def test_a_step_time_never_contains_an_evaluation_a_sample_or_a_save(runs_dir: Path) -> None:
    with tuitrain.init(tokens_per_step=100) as run:
        run.log({"loss": 1.0})
        run.log({"loss": 1.0})
        run.eval({"loss": 1.0})
        run.log({"loss": 1.0})
        run.sample("text")
        run.log({"loss": 1.0})
        run.saved("x")
        run.log({"loss": 1.0, "val/loss": 2.0})
        run.log({"loss": 1.0})
        run.log({"loss": 1.0})
    timed = [each.step_time_ms is not None for each in steps(runs_dir)]
    assert timed == [False, True, False, False, False, False, True]
    for each in steps(runs_dir):
        if each.step_time_ms is not None and each.tokens_per_sec is not None:
            assert each.tokens_per_sec * each.step_time_ms / 1000 == pytest.approx(100)


def test_readings_of_the_machine_are_the_heartbeat(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUITRAIN_SYSTEM")
    tuitrain.init(system_interval_s=60).finish()
    (reading,) = of_type(only_run(runs_dir), events.System)
    assert reading.ram_total_gb is not None


def test_a_run_directory_is_that_of_every_command(runs_dir: Path) -> None:
    with tuitrain.init() as run:
        run.log({"loss": 1.0})
    assert run.path == RunDirectory(runs_dir / run.id).path
    assert run.dir == str(run.path)
