"""Conditions for resuming a run, and settings that may change."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.runs.lock_holder import HOLD, held
from tests.support import write_run
from tuitrain.config import load_config
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.launch import LaunchError, preflight
from tuitrain.launch import resume as resuming
from tuitrain.launch.local import Label, start
from tuitrain.launch.machine import Device, Machine
from tuitrain.launch.preflight import Processes
from tuitrain.launch.resume import prepare_resume, resume_run
from tuitrain.launch.stop import kill_run, stop_run
from tuitrain.runs import RunDirectory, RunMetadata, Status, create_run_directory, lock_held, read_snapshot

NO_PROCESS = 2**22 + 1
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_machine", lambda: Machine((), Device("cpu", "CPU", 25.3), 2))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A stopped run that can be resumed."""
    return resumable(tmp_path, "gpt2-tiny", "stopped")


def resumable(
    tmp_path: Path, preset: str = "gpt2-tiny", status: str | None = None, info: RunMetadata | None = None
) -> RunDirectory:
    made = write_run(tmp_path, "mine", preset=preset, steps=50, status=status, info=info)
    (made.checkpoints / "step-00000050").mkdir(parents=True)
    (made.checkpoints / "step-00000050" / ".metadata").touch()
    return made


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.d_model=64", "model.d_model = 64 (it was 128)"),
        ("model.n_layers=2", "model.n_layers = 2 (it was 4)"),
        ("model.vocab_size=512", "model.vocab_size = 512 (it was 256)"),
        ("model.vocab_size=none", "model.vocab_size = unset (it was 256)"),
        ("model.norm_position=post", "model.norm_position = post (it was pre)"),
        ("model.tied_embeddings=false", "model.tied_embeddings = false (it was true)"),
        ("model.seq_len=64", "model.seq_len = 64 (it was 128)"),
        ("model.init_from=hf:some/name", "model.init_from = hf:some/name (it was unset)"),
        ("data.tokenizer=char", "data.tokenizer = char (it was byte)"),
        ("data.val_fraction=0.2", "data.val_fraction = 0.2 (it was 0.05), since it could be evaluated on text"),
        ("optim.name=muon", "optim.name = muon (it was adamw)"),
    ],
)
def test_settings_that_contradict_the_checkpoint_are_refused_without_changes(
    run: RunDirectory, override: str, words: str
) -> None:
    before = run.config.read_bytes()
    with pytest.raises(LaunchError, match=r"omit that, or launch a new run\.$") as caught:
        prepare_resume(run, [override])
    assert words in str(caught.value)
    assert caught.value.exit_code == 2
    assert run.config.read_bytes() == before


@pytest.mark.parametrize(
    "override",
    [
        "model.attention_backend=math", "model.dropout=0.1", "model.window=16", "model.d_model=128", "optim.lr=1e-4",
        "train.max_steps=900", "train.seed=3", "parallel.activation_checkpointing=full",
    ],
)  # fmt: skip
def test_settings_that_no_weight_depends_on_may_change(run: RunDirectory, override: str) -> None:
    assert prepare_resume(run, [override])[0] == load_config(str(run.config), [override])


def test_the_context_may_grow_where_positions_are_not_learned(tmp_path: Path) -> None:
    run = resumable(tmp_path, "llama2-tiny", "stopped")
    overrides = ["model.seq_len=512", "model.rope_theta=50000", "model.rope_scaling.factor=4"]
    assert prepare_resume(run, overrides)[0].model.seq_len == 512


def test_different_spellings_of_a_tokenizer_path_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.model").write_bytes(b"pieces")
    run = resumable(tmp_path, "gpt2-tiny", "stopped")
    text = load_config(str(run.config), [f"data.tokenizer={tmp_path / 'a.model'}"]).to_toml()
    run.config.write_text(text, encoding="utf-8")
    assert prepare_resume(run, ["data.tokenizer=a.model"])[1].count == 1


def test_the_run_keeps_its_configuration_until_the_engine_accepts_the_new_one(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(resuming, "start_engine", lambda run, command, *_, **kept: started.append(command))
    first = run.config.read_bytes()
    run.request("eval")
    resume_run(run, ["train.max_steps=400"])
    assert run.config.read_bytes() == first and not list(run.control.iterdir())
    (command,) = started
    assert "--resume" in command
    assert load_config(command[command.index("--config") + 1]).total_steps == 400


@pytest.mark.parametrize(
    ("status", "overrides", "words"),
    [
        ("stopped", ["train.max_steps=10"], "train.max_steps = 10"),
        ("stopped", ["train.max_steps=50"], "train.max_steps = 50"),
        ("completed", ["train.max_steps=50"], "train.max_steps = 50"),
        (None, ["train.max_steps=10"], "train.max_steps = 10"),
        ("stopped", ["train.max_steps=none", "train.token_budget=100"], "train.token_budget = 100"),
        ("failed", ["train.max_steps=50"], "train.max_steps = 50"),
        ("stopped", ["train.max_steps=50", "train.token_budget=100"], "train.max_steps=100 train.token_budget="),
    ],
)
def test_a_resume_without_steps_left_is_refused_without_changes(
    tmp_path: Path, status: str | None, overrides: list[str], words: str
) -> None:
    info = RunMetadata(name="mine", created=1.0, pid=NO_PROCESS, host=socket.gethostname())
    run = resumable(tmp_path, "gpt2-tiny", status, info)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(LaunchError, match="has no steps left: its checkpoint is of step 50") as caught:
        resume_run(run, overrides)
    assert words in str(caught.value) and caught.value.exit_code == 2
    after = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path != run.start_lock}
    assert after == before


def test_a_run_whose_last_checkpoints_are_lost_resumes_from_the_newest_one_left(tmp_path: Path) -> None:
    run = write_run(tmp_path, "mine", preset="gpt2-tiny", overrides=("train.max_steps=100",), status="completed")
    for step in (20, 40, 100_000_000):
        (run.checkpoints / f"step-{step:08d}").mkdir(parents=True)
    for step in (20, 40):
        (run.checkpoints / f"step-{step:08d}" / ".metadata").touch()
    assert complete_checkpoints(run.path)[-1].path == run.checkpoints / "step-00000040"
    assert prepare_resume(run)[0].total_steps == 100
    (run.checkpoints / "step-100000000" / ".metadata").touch()
    assert complete_checkpoints(run.path)[-1].path == run.checkpoints / "step-100000000"


@pytest.mark.parametrize("status", ["failed", None])
def test_a_run_that_died_after_its_last_checkpoint_may_resume_for_missing_records(
    tmp_path: Path, status: str | None
) -> None:
    info = RunMetadata(name="mine", created=1.0, pid=NO_PROCESS, host=socket.gethostname())
    run = resumable(tmp_path, "gpt2-tiny", status, info)
    run.config.write_text(load_config(str(run.config), ["train.max_steps=50"]).to_toml(), encoding="utf-8")
    assert prepare_resume(run)[0].total_steps == 50


def test_the_rest_of_a_token_budget_counts_when_the_batch_changes(run: RunDirectory) -> None:
    per_step = load_config(str(run.config)).tokens_per_step
    budget = ["train.max_steps=none", f"train.token_budget={80 * per_step}"]
    # At the doubled batch the whole budget is 40 steps; 50 smaller steps are done.
    prepare_resume(run, [*budget, "train.global_batch_size=32"])
    with pytest.raises(LaunchError, match="has no steps left"):
        prepare_resume(run, ["train.max_steps=none", f"train.token_budget={50 * per_step}"])


def test_a_stop_ends_an_attempt_that_is_being_started(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    checking, go_on = threading.Event(), threading.Event()

    def slow_check(*arguments: object, **options: object) -> Processes:
        checking.set()
        assert go_on.wait(PATIENCE_S)
        return Processes(1)

    engine = "import sys, time, pathlib\nstop = pathlib.Path(sys.argv[1])\nwhile not stop.exists(): time.sleep(0.02)"
    monkeypatch.setattr(preflight, "check", slow_check)
    monkeypatch.setattr(
        resuming, "train_command", lambda run, **size: [sys.executable, "-c", engine, str(run.control / "stop")]
    )
    with ThreadPoolExecutor() as pool:
        resumed = pool.submit(resume_run, run)
        assert checking.wait(PATIENCE_S)
        messages: list[str] = []
        stopped = pool.submit(stop_run, run, timeout_s=PATIENCE_S, report=messages.append)
        with pytest.raises(LaunchError, match="is being started by another process"):
            resume_run(run)
        assert not stopped.done()
        go_on.set()
        assert resumed.result(PATIENCE_S).process.wait(PATIENCE_S) == 0
        # This stand-in for an engine writes no `end` record.
        assert stopped.result(PATIENCE_S) is Status.CRASHED
    assert "stop requested" in messages[0]


def test_a_run_that_trains_without_its_launcher_is_not_resumed(tmp_path: Path) -> None:
    info = RunMetadata(name="mine", created=1.0, pid=NO_PROCESS, host=socket.gethostname())
    run = resumable(tmp_path, info=info)
    with held(run.lock), pytest.raises(LaunchError, match="still training although its launcher has died") as caught:
        prepare_resume(run)
    assert "`tuitrain stop mine`" in str(caught.value)
    assert "--now" in str(caught.value)
    assert prepare_resume(run)[1].count == 1


def test_a_resume_waits_for_the_process_of_a_run_that_has_just_ended(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(run.lock) as process:
        monkeypatch.setattr(resuming, "EXIT_TIMEOUT_S", 0.0)
        with pytest.raises(LaunchError, match="is stopped, but its process has not exited yet"):
            prepare_resume(run)
        monkeypatch.setattr(resuming, "EXIT_TIMEOUT_S", PATIENCE_S)
        ending = threading.Timer(0.3, process.kill)
        ending.start()
        assert prepare_resume(run)[1].count == 1
        ending.join()


ORPHAN = (
    HOLD.replace("sys.stdin.read()", "")
    + """
import time
from tuitrain.events import EventWriter, End
directory = os.environ["TUITRAIN_RUN_DIR"]
while not os.path.exists(directory + "/control/stop"):
    time.sleep(0.02)
with EventWriter(directory + "/metrics.jsonl") as log:
    log.write(End(status="stopped"))
"""
)


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[tuple[RunDirectory, psutil.Process]]:
    """A run whose launcher was killed while its worker trains."""
    run = create_run_directory(tmp_path / "runs", "lost")
    source = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {ORPHAN!r}, {str(run.lock)!r}], start_new_session=True)\n"
        "time.sleep(600)"
    )
    launcher = start(run, [sys.executable, "-c", source], Label("lost"))
    wait_for(lambda: b"held" in run.console.read_bytes())
    worker = psutil.Process(launcher.pid).children()[0]
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    yield run, worker
    if worker.is_running():
        worker.kill()


def test_an_orphan_receives_a_stop_request(orphan: tuple[RunDirectory, psutil.Process]) -> None:
    run, worker = orphan
    assert read_snapshot(run).status.live
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    psutil.wait_procs([worker], timeout=PATIENCE_S)
    assert lock_held(run.lock) is False


def test_only_the_orphan_is_killed(orphan: tuple[RunDirectory, psutil.Process]) -> None:
    run, worker = orphan
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        # The launcher's pid belongs to another process by now.
        info = run.read_metadata()
        assert info is not None
        info.pid, info.pid_started = bystander.pid, psutil.Process(bystander.pid).create_time() - 3600
        run.write_metadata(info)
        messages: list[str] = []
        assert kill_run(run, grace_s=PATIENCE_S, report=messages.append) is Status.CRASHED
        assert str(worker.pid) in messages[0]
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        assert bystander.poll() is None
        bystander.kill()
