"""The engine as the application runs it: a subprocess, a run directory, a log, an exit code."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from engine_runs import (
    command,
    configure,
    known_values,
    make_run,
    model_tensors,
    of_type,
    read_log,
    run_engine,
    start_engine,
)

from tuitrain import accounting, events
from tuitrain.config import load_config
from tuitrain_engine import checkpoint
from tuitrain_engine import journal as journal_module
from tuitrain_engine.control import Control
from tuitrain_engine.data import progress as progress_module
from tuitrain_engine.data import report_progress_to
from tuitrain_engine.data.progress import Progress as DataProgress
from tuitrain_engine.data.progress import note_stage
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import World
from tuitrain_engine.trainer import prepare


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A complete run of five steps and its console output."""
    run_dir = make_run(tmp_path_factory.mktemp("finished"))
    return run_dir, run_engine(run_dir)


def test_a_completed_run_has_a_complete_log(finished) -> None:
    run_dir, process = finished
    assert process.returncode == 0, process.stderr
    records = read_log(run_dir)
    run, end = records[0], records[-1]
    assert isinstance(run, events.Run) and isinstance(end, events.End)
    assert (run.attempt, run.run_id, run.total_steps, run.tokens_per_step) == (1, "run", 5, 128)
    assert run.parallel.strategy == "single" and run.parallel.accumulation == 2
    config = load_config(str(run_dir / "config.toml")).with_vocab_size(256)
    assert run.architecture.params_total == accounting.count_parameters(config.model).total
    assert run.flops_per_token == accounting.flops_per_token(config.model).full
    assert run.software.torch == torch.__version__ and run.attention_backend and run.dtype == "float32"

    steps = of_type(records, events.Step)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5]
    assert [step.tokens for step in steps] == [128, 256, 384, 512, 640]
    assert all(0 <= step.accuracy <= 1 and step.grad_norm > 0 and step.mem_peak_gb >= step.mem_allocated_gb
               for step in steps)  # fmt: skip
    assert [evaluation.step for evaluation in of_type(records, events.Eval)] == [0, 2, 4, 5]
    assert [sample.step for sample in of_type(records, events.Sample)] == [4, 5]
    assert [layers.step for layers in of_type(records, events.Layers)] == [2, 4]
    assert len(of_type(records, events.Layers)[0].grad_norm) == 4
    assert len(of_type(records, events.System)) >= 1
    assert (end.status, end.step, end.tokens) == ("completed", 5, 640)


def test_the_log_and_the_console_report_each_stage_before_the_first_step(finished) -> None:
    run_dir, process = finished
    records = list(map(events.decode, (run_dir / "metrics.jsonl").read_bytes().splitlines()))
    stages = [record.stage for record in of_type(records, events.Stage)]
    assert stages == ["reading the data", "building the model", "evaluating", "first step"]
    kinds = [type(record) for record in records]
    assert kinds.index(events.Run) == 2 and kinds.index(events.Step) > max(
        index for index, kind in enumerate(kinds) if kind is events.Stage
    )
    printed = [line.split(maxsplit=1)[1] for line in process.stdout.splitlines() if line.startswith("start ")]
    assert printed == stages


def test_a_long_preparation_reports_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    for module in (journal_module, progress_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    journal = Journal(tmp_path)
    journal.begin_stage("reading the data")
    with (
        report_progress_to(journal.record_progress),
        DataProgress("tokenizing corpus.txt", total_bytes=3600) as progress,
    ):
        note_stage("waiting for another process")
        for _ in range(3600):
            now += 1.0
            progress.advance(1, 1)
    journal.close()
    records = list(map(events.decode, (tmp_path / "metrics.jsonl").read_bytes().splitlines()))
    first, reports = records[:2], records[2:]
    assert [(stage.stage, stage.done) for stage in first] == [
        ("reading the data", None),
        ("waiting for another process", None),
    ]
    assert {record.stage for record in reports} == {"tokenizing corpus.txt"}
    shares = [record.done for record in reports]
    assert shares == sorted(shares) and shares[0] < 0.002 and shares[-1] > 0.97
    assert 60 <= len(reports) <= 200, "soon at first, later once a minute"


def test_the_numbers_of_a_step_agree_with_each_other(finished) -> None:
    run_dir, _ = finished
    records = read_log(run_dir)
    run = records[0]
    steps = of_type(records, events.Step)
    for step in steps:
        assert step.tokens_per_sec == pytest.approx(run.tokens_per_step / step.step_time_ms * 1e3)
        assert step.tflops == pytest.approx(step.tokens_per_sec * run.flops_per_token / 1e12)
        assert step.mfu is None
    summary = records[-1].summary
    assert summary["final_loss"] == steps[-1].loss
    assert summary["training_time_s"] == pytest.approx(sum(step.step_time_ms for step in steps) / 1e3)
    assert summary["mean_tokens_per_sec"] == pytest.approx(640 / summary["training_time_s"])
    best = min(of_type(records, events.Eval), key=lambda record: record.loss)
    assert (summary["best_val_loss"], summary["best_val_step"]) == (best.loss, best.step)
    assert summary == known_values(run_dir)
    for evaluation in of_type(records, events.Eval):
        assert evaluation.perplexity == pytest.approx(math.exp(evaluation.loss))


def test_gradient_statistics_are_of_the_gradients_before_clipping(finished) -> None:
    run_dir, _ = finished
    records = read_log(run_dir)
    by_step = {step.step: step for step in of_type(records, events.Step)}
    count = records[0].architecture.params_total
    for layers in of_type(records, events.Layers):
        step = by_step[layers.step]
        assert math.hypot(*layers.grad_norm) == pytest.approx(step.grad_norm, rel=1e-4)
        assert math.sqrt((step.grad_std**2 + step.grad_mean**2) * count) == pytest.approx(step.grad_norm, rel=1e-4)
        assert step.grad_max <= step.grad_norm


def test_the_console_states_decisions_progress_and_summary(finished) -> None:
    run_dir, process = finished
    text = process.stdout
    assert "\x1b[" not in text
    assert "2L-2H-32D-RoPE-RMS-GELU-PreNorm" in text
    assert "CPU: bfloat16 matrix products are slower here" in text
    lines = text.splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    assert len(steps) == 5 and all(len(line) <= 144 for line in steps)
    assert "MFU   n/a" in steps[0] and steps[-1].endswith("ETA 0 s")
    report = text[: text.index("eval ")]
    assert max(len(line) for line in report.splitlines() if str(run_dir.parent) not in line) <= 80
    assert "completed" in text and "val loss" in text


def test_only_the_newest_and_the_best_checkpoints_are_kept(tmp_path: Path) -> None:
    run_dir = make_run(
        tmp_path, train={"max_steps": 8}, checkpoint={"interval": 1, "keep_last": 1}, eval={"interval": 1}
    )
    assert run_engine(run_dir).returncode == 0
    losses = {record.step: record.loss for record in of_type(read_log(run_dir), events.Eval) if record.step}
    best = min(losses, key=lambda step: losses[step])
    assert {saved.step for saved in checkpoint.complete(run_dir)} == {best, 8}


def test_accumulation_and_log_interval_change_numbers_by_rounding_only(tmp_path: Path) -> None:
    whole = make_run(tmp_path, "whole", train={"micro_batch_size": 8})
    parts = make_run(tmp_path, "parts", train={"micro_batch_size": 2}, telemetry={"log_interval": 3})
    assert run_engine(whole).returncode == 0 and run_engine(parts).returncode == 0
    each = {record.step: record for record in of_type(read_log(whole), events.Step)}
    some = {record.step: record for record in of_type(read_log(parts), events.Step)}
    assert sorted(some) == [3, 5]
    assert some[3].loss == pytest.approx(sum(each[step].loss for step in (1, 2, 3)) / 3, rel=1e-4)
    assert some[3].accuracy == pytest.approx(each[3].accuracy, abs=0.02)
    assert some[5].loss == pytest.approx((each[4].loss + each[5].loss) / 2, rel=1e-4)
    assert read_log(parts)[-1].summary["final_loss"] == some[5].loss


def test_a_resume_with_other_data_warns_and_with_another_tokenizer_is_refused(finished, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(finished[0], run_dir)
    tokenizer = sorted((path.name, path.read_bytes()) for path in (run_dir / "tokenizer").iterdir())
    configure(run_dir, "data.tokenizer=char", "model.vocab_size=256", "train.max_steps=6")
    refused = run_engine(run_dir, "train", "--resume")
    assert refused.returncode == 2 and "data.tokenizer" in refused.stderr and "Traceback" not in refused.stderr
    assert tokenizer == sorted((path.name, path.read_bytes()) for path in (run_dir / "tokenizer").iterdir())

    configure(run_dir, "data.tokenizer=byte", "data.packing=sample")
    process = run_engine(run_dir, "train", "--resume")
    assert process.returncode == 0, process.stderr
    records = read_log(run_dir)
    alerts = of_type(records, events.Alert)
    assert [alert.code for alert in alerts] == ["data_changed"]
    assert "data.packing: packed → sample" in alerts[0].message
    # The best loss so far was measured on other held-out sequences.
    assert records[-1].summary["best_val_step"] == 6


def test_a_second_engine_on_a_run_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 100_000})
    process = start_engine(run_dir)
    second = run_engine(run_dir, "train", "--resume")
    assert second.returncode == 2 and "by another process" in second.stderr
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    records = read_log(run_dir)
    assert len(of_type(records, events.Run)) == len(of_type(records, events.End)) == 1


def test_a_diverging_run_stops_with_an_alert_that_names_the_step(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, optim={"lr": 1e2, "name": "sgd"}, train={"max_steps": 200, "grad_clip": 0.0})
    process = run_engine(run_dir)
    assert process.returncode == 1
    records = read_log(run_dir)
    alert, end, last = of_type(records, events.Alert)[0], records[-1], of_type(records, events.Step)[-1]
    assert alert.level == "critical" and alert.step == last.step
    assert alert.code in ("non_finite_loss", "non_finite_gradient", "non_finite_val_loss")
    assert f"step {last.step}" in alert.message
    losses = [last.loss, last.grad_norm, of_type(records, events.Eval)[-1].loss]
    assert not all(math.isfinite(value) for value in losses)
    for kept in checkpoint.complete(run_dir):
        tensors = model_tensors(run_dir, kept.step).values()
        assert kept.step < last.step and all(tensor.isfinite().all() for tensor in tensors)
    assert end.status == "failed" and f"step {last.step}" in end.reason
    assert "Traceback" not in process.stderr


def test_an_error_in_the_data_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, data={"source": str(tmp_path / "nothing.txt")})
    process = run_engine(run_dir)
    assert process.returncode == 2
    assert "nothing.txt" in process.stderr and "Traceback" not in process.stderr
    end = read_log(run_dir)[-1]
    assert isinstance(end, events.End) and end.status == "failed" and "nothing.txt" in end.reason


def test_a_wrong_key_and_a_missing_directory_are_one_sentence(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    with (run_dir / "config.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tarin]\nx = 1\n")
    process = run_engine(run_dir)
    assert process.returncode == 2 and "tarin" in process.stderr and "Traceback" not in process.stderr
    missing = subprocess.run(
        command("train", "--run-dir", str(tmp_path / "none")), capture_output=True, text=True, timeout=60
    )
    assert missing.returncode == 3 and "config.toml" in missing.stderr


def test_sample_and_check_checkpoint_work_without_the_corpus(finished, tmp_path: Path) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(finished[0], run_dir)
    check = run_engine(run_dir, "check-checkpoint")
    assert check.returncode == 0 and "step-00000005" in check.stdout
    sample = run_engine(run_dir, "sample", "--prompt", "def ", "--max-tokens", "5", "--step", "4", "--json")
    assert sample.returncode == 0, sample.stderr
    answer = json.loads(sample.stdout)
    assert answer["step"] == 4 and answer["prompt"] == "def "
    # With a bit of the newest one flipped, the previous one is used, with a message.
    data = next(checkpoint.directory(run_dir, 5).glob("*.distcp"))
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    older = run_engine(run_dir, "sample", "--prompt", "def ", "--max-tokens", "5", "--json")
    assert older.returncode == 0 and json.loads(older.stdout) == answer
    assert "step-00000005 is damaged" in older.stderr and "step-00000004 is used instead" in older.stderr
    export = run_engine(run_dir, "export-weights", "--step", "5", "--out", str(tmp_path / "weights"))
    assert export.returncode == 3 and "step-00000005 is damaged" in export.stderr
    absent = run_engine(run_dir, "sample", "--prompt", "x", "--step", "77")
    assert absent.returncode == 3 and "4, 5" in absent.stderr


def test_a_prompt_outside_of_the_vocabulary_does_not_stop_training(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, data={"tokenizer": "char"}, sampling={"prompt": "ÄÖ", "interval": 5})
    process = run_engine(run_dir)
    assert process.returncode == 0, process.stderr
    alerts = of_type(read_log(run_dir), events.Alert)
    assert [alert.code for alert in alerts] == ["sample_prompt"]


def test_a_resume_evaluates_the_same_sequences_or_resets_the_best_loss(
    finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _ = finished
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(source.parent / "cache"))
    before = of_type(read_log(source), events.Eval)
    assert {record.sequences for record in before} == {2 * 8}
    assert len({record.split_fingerprint for record in before}) == 1

    def resumed(name: str, *changes: str) -> tuple[int, dict[int, float], str]:
        run_dir = tmp_path / name
        shutil.copytree(source, run_dir)
        config = load_config(str(run_dir / "config.toml"), [*changes, "train.max_steps=20"])
        journal = Journal(run_dir)
        trainer = prepare(run_dir, config, journal, Control(run_dir), World(), resume=True)
        journal.close()
        return trainer.evaluator.sequences, trainer.val_losses, capsys.readouterr().out

    sequences, losses, text = resumed("batch", "train.global_batch_size=16", "train.micro_batch_size=2")
    assert sequences == 16 and losses == {record.step: record.loss for record in before}
    assert "starts again" not in " ".join(text.split())
    sequences, losses, text = resumed("steps", "eval.steps=3")
    assert sequences == 24 and losses == {}
    assert "best validation loss starts again" in " ".join(text.split())


def test_a_warmup_as_long_as_the_run_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    run_dir = make_run(tmp_path, schedule={"warmup_steps": 50})
    journal = Journal(run_dir)
    prepare(run_dir, load_config(str(run_dir / "config.toml")), journal, Control(run_dir), World(), resume=False)
    journal.close()
    (alert,) = of_type(read_log(run_dir), events.Alert)
    assert (alert.level, alert.code) == ("warning", "schedule")
    assert "to 0.001 of optim.lr = 0.01" in alert.message
    text = " ".join(capsys.readouterr().out.split())
    assert "it ends at 0.001 in step 5" in text and alert.message in text
