"""Programs of other people as runs: what they print or log is in the log of the run, and so is how they ended."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.launch import programs
from tests.launch.test_local import PATIENCE_S, wait_for
from tests.warm_engine import WarmProcess, lead_session_into
from tuitrain.events import EventWriter, Run, Step, System
from tuitrain.events.lock import exclusive
from tuitrain.files import FollowedDirectory
from tuitrain.launch import local, program_log
from tuitrain.launch.ending import end_of
from tuitrain.launch.local import Label, start, wrapped_command
from tuitrain.launch.program_log import ProgramLog
from tuitrain.launch.stop import kill_run, stop_run
from tuitrain.readers.model import Reading, Row, RunInfo
from tuitrain.runs import RunDirectory, RunHistory, Status, create_run_directory, load_history, read_snapshot
from tuitrain.runs import status as status_module
from tuitrain.runs.follow import LineParser
from tuitrain.runs.followed import FollowedRun
from tuitrain.runs.foreign import Given, keep
from tuitrain.runs.loading import open_follower

SLOW_S = 180.0
"""Importing torch and transformers in several processes of a busy machine."""
Start = Callable[..., WarmProcess]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "config"))
    return create_run_directory(tmp_path / "runs", "mine")


@pytest.fixture
def begin(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a command as the run, by a warm process; what is left of it at the end of the test is killed."""
    started: list[WarmProcess] = []

    def spawn(run: RunDirectory, command: Sequence[str], *_: object) -> WarmProcess:
        run.console.touch()
        return WarmProcess(
            command[3:], module=command[2], env=local.process_environment(run), cwd=Path.cwd(),
            before=partial(lead_session_into, run.console),
        )  # fmt: skip

    monkeypatch.setattr(local, "spawn", spawn)

    def begin(command: Sequence[str], log: Path | None = None, grace_s: float | None = None) -> WarmProcess:
        started.append(start(run, wrapped_command(run, command, log, grace_s), Label("mine")))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            kill_run(run, grace_s=0, report=lambda text: None)
        process.wait(PATIENCE_S)


def python(source: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", source, *arguments]


def summary(run: RunDirectory) -> dict[str, object]:
    end = read_snapshot(run).end
    assert end is not None
    return end.summary


def losses(history: RunHistory) -> list[float]:
    return [loss for loss in history.steps["loss"].tolist() if loss == loss]


def test_the_lines_of_nanogpt_are_steps_and_evaluations(run: RunDirectory, begin: Start) -> None:
    assert begin(python(programs.NANOGPT, "31")).wait(PATIENCE_S) == 0
    history = load_history(run)
    assert history.run is not None
    assert (history.run.run_id, history.run.name, history.run.config) == (run.run_id, "mine", {"max_iters": 40})
    assert (history.step, history.steps.last("loss"), history.run.total_steps) == (30, 2.5, 40)
    assert history.steps.last("mfu") == pytest.approx(0.33)
    assert [each.loss for each in history.evaluations_of("val")] == [4.2, 3.7, 3.2, 2.7]
    snapshot = read_snapshot(run)
    assert (snapshot.status, snapshot.name) == (Status.COMPLETED, "mine")
    assert summary(run)["exit_code"] == 0


def test_a_run_that_reaches_its_last_step_ends_once(run: RunDirectory, begin: Start) -> None:
    begin(python(programs.NANOGPT, "41")).wait(PATIENCE_S)
    assert run.metrics.read_bytes().count(b'"type":"end"') == 1


def test_records_are_written_while_the_program_runs(run: RunDirectory, begin: Start) -> None:
    process = begin(python(programs.NANOGPT + "\nsys.stdin.close()\nimport signal; signal.pause()", "5"))
    wait_for(lambda: run.metrics.exists() and load_history(run).step == 4)
    assert read_snapshot(run).status is Status.RUNNING
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)


def test_a_program_that_hangs_is_stalled_although_its_heartbeat_goes_on(run: RunDirectory, begin: Start) -> None:
    process = begin(python(programs.NANOGPT + "\nsys.stdout.flush()\nimport signal; signal.pause()", "9"))
    wait_for(lambda: run.metrics.exists() and load_history(run).step == 8)
    now = time.time()

    def status_after(seconds: float) -> tuple[Status, Status | None]:
        """Both ways of reading it, with a heartbeat of that moment."""
        with EventWriter(run.metrics) as log:
            log.write(System(time=now + seconds, host="here"))
        followed = FollowedRun(run, open_follower(run))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(status_module.time, "time", lambda: now + seconds)
            followed.poll()
        return read_snapshot(run, now + seconds).status, followed.status

    assert status_after(100) == (Status.RUNNING, Status.RUNNING)
    assert status_after(200) == (Status.STALLED, Status.STALLED)
    # A line on its console is a sign of life.
    os.utime(run.console, (now + 150, now + 150))
    assert status_after(210) == (Status.RUNNING, Status.RUNNING)
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)


def test_the_log_has_readings_of_the_machine_before_the_program_says_anything(run: RunDirectory, begin: Start) -> None:
    process = begin(python("import signal; signal.pause()"))
    wait_for(lambda: run.metrics.exists() and load_history(run).system is not None)
    (system,) = load_history(run).systems
    assert system.host == socket.gethostname()
    assert system.ram_total_gb == pytest.approx(psutil.virtual_memory().total / 1e9)
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)


def test_the_log_of_a_loop_with_init_has_the_readings_of_the_loop_alone(run: RunDirectory, begin: Start) -> None:
    assert begin(python(programs.OWN_LOOP)).wait(PATIENCE_S) == 0, run.console.read_text()
    records, _ = LineParser().feed(run.metrics.read_bytes())
    kinds = [type(record) for record in records]
    assert kinds.count(Run) == 1
    assert System not in kinds[kinds.index(Run) :]
    assert kinds.count(Step) == 3


class Rows:
    """A reader of a log with readings of the machine in it, of which each poll gives more."""

    info = RunInfo("rows")

    def __init__(self) -> None:
        self.count = 0

    def poll(self) -> Reading:
        self.count += 1
        return Reading([Row(self.count, {"loss": 1.0}), System(host="elsewhere")])

    def finish(self) -> None: ...


def test_readings_of_the_machine_go_on_until_the_program_writes_the_log(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_log, "SYSTEM_INTERVAL_S", 0.01)
    log = ProgramLog(FollowedDirectory(run.path), Rows(), "mine", 0.0, Given({}, {}))  # type: ignore[arg-type]

    def polled() -> RunHistory:
        log.poll()
        return load_history(run)

    wait_for(lambda: len(polled().systems) > 3)
    history = load_history(run)
    assert {system.host for system in history.systems} == {socket.gethostname()}
    assert history.step is not None
    with exclusive(run.lock, 1):
        before = run.metrics.read_bytes()
        log.poll()
        assert run.metrics.read_bytes() == before
    assert not any(thread.name == "system-monitor" for thread in threading.enumerate())


def test_readings_of_the_machine_can_be_turned_off(
    run: RunDirectory, begin: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUITRAIN_SYSTEM", "0")
    begin(python(programs.NANOGPT, "3")).wait(PATIENCE_S)
    assert load_history(run).system is None


def test_the_postfix_of_a_progress_bar_is_read(run: RunDirectory, begin: Start) -> None:
    assert begin(python(programs.TQDM)).wait(PATIENCE_S) == 0
    history = load_history(run)
    assert (history.step, history.steps.last("loss")) == (20, 0.15)
    assert history.steps.last("lr") == 1e-3


def test_the_console_of_the_trainer_is_read(run: RunDirectory, begin: Start, tmp_path: Path) -> None:
    assert begin(python(programs.TRAINER, str(tmp_path / "out"))).wait(SLOW_S) == 0, run.console.read_text()
    history = load_history(run)
    # The step is that of the progress bar, which is behind where steps are quick.
    assert len(losses(history)) == 4
    assert history.step is not None and history.step <= 8
    assert history.steps.last("grad_norm") is not None
    assert history.steps.last("lr") == pytest.approx(6.25e-6)


def test_several_processes_of_torchrun_print_into_one_run(run: RunDirectory, begin: Start, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(programs.TWO_RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert begin([*command, str(script)]).wait(SLOW_S) == 0, run.console.read_text()
    assert losses(load_history(run)) == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_what_the_program_logs_itself_is_read_in_place_of_its_console(
    run: RunDirectory, begin: Start, tmp_path: Path
) -> None:
    log = tmp_path / "out" / "metrics.csv"
    assert begin(python(programs.CSV_WRITER, str(log)), log=log.parent).wait(PATIENCE_S) == 0
    history = load_history(run)
    assert history.step == 30
    assert losses(history) == pytest.approx([3 / step for step in range(1, 31)])
    assert history.steps.last("mine/score") == 60


def test_logs_from_before_the_start_are_not_the_runs(run: RunDirectory, begin: Start, tmp_path: Path) -> None:
    old = tmp_path / "out" / "a_old.csv"
    old.parent.mkdir()
    old.write_text("step,loss\n1,50\n2,50\n")
    os.utime(old, (1e9, 1e9))
    log = tmp_path / "out" / "metrics.csv"
    assert begin(python(programs.CSV_WRITER, str(log)), log=tmp_path / "out").wait(PATIENCE_S) == 0
    assert max(losses(load_history(run))) == 3


def test_a_program_with_a_log_of_its_own_has_no_rows_of_its_console_in_it(run: RunDirectory, begin: Start) -> None:
    assert begin(python(programs.OWN_LOG)).wait(PATIENCE_S) == 0
    history = load_history(run)
    assert losses(history) == [1.0] * 10
    assert not history.steps.has("other")
    assert run.metrics.read_bytes().count(b'"type":"run"') == 1
    assert read_snapshot(run).status is Status.COMPLETED


def test_a_program_that_holds_the_lock_of_its_run_writes_the_log_alone(run: RunDirectory, begin: Start) -> None:
    assert begin(python(programs.LOCKING)).wait(PATIENCE_S) == 0
    assert losses(load_history(run)) == [1.0]


def test_names_and_facts_that_the_user_supplied_count(run: RunDirectory, begin: Start) -> None:
    keep(run, Given({"objective": "loss"}, {"tokens_per_step": "1k"}))
    source = "for step in range(1, 4): print(f'step {step} objective {5 - step}')"
    assert begin(python(source)).wait(PATIENCE_S) == 0
    history = load_history(run)
    assert (losses(history), history.tokens) == ([4, 3, 2], 3000)


def test_a_format_that_shows_late_replaces_what_was_read_before(run: RunDirectory, begin: Start) -> None:
    source = "import time\nprint('step 7: warm 1.5'); print('step 8: warm 1.5'); time.sleep(1)\n" + programs.NANOGPT
    assert begin(python(source, "11")).wait(PATIENCE_S) == 0
    history = load_history(run)
    assert history.steps["step"].tolist() == list(range(11))
    assert not history.broken
    assert len(history.systems) == 1
    assert history.run is not None and history.run.attempt == 1


def test_a_crash_leaves_its_exit_code_and_last_lines(run: RunDirectory, begin: Start) -> None:
    assert begin(python(programs.CRASHING)).wait(PATIENCE_S) == 1
    snapshot = read_snapshot(run)
    assert snapshot.status is Status.FAILED
    assert snapshot.end is not None
    assert (snapshot.end.reason, snapshot.end.step) == ("exit code 1: ValueError: the batch is empty", 2)
    last = snapshot.end.summary
    assert last["exit_code"] == 1
    assert last["last_lines"][:2] == ["step 1 loss 3.0", "step 2 loss 2.0"]
    assert last["last_lines"][-1] == "ValueError: the batch is empty"


def test_the_reason_is_the_error_of_the_worker_and_not_that_of_torchrun(
    run: RunDirectory, begin: Start, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(programs.CRASHING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", str(script)]
    assert begin(command).wait(SLOW_S) == 1
    end = read_snapshot(run).end
    assert end is not None
    assert end.reason == "exit code 1: ValueError: the batch is empty"


def test_a_program_that_a_signal_ended_has_failed(run: RunDirectory, begin: Start) -> None:
    begin(python("import os, signal; print('bye', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")).wait(PATIENCE_S)
    end = read_snapshot(run).end
    assert end is not None
    assert (end.status, end.reason) == ("failed", "signal 11 (SIGSEGV) ended the command: bye")
    assert (end.summary["signal"], end.summary["exit_code"]) == ("SIGSEGV", None)


def test_a_program_that_fails_after_it_said_that_it_completed_has_failed(run: RunDirectory, begin: Start) -> None:
    source = (
        "import os; from tuitrain.events import EventWriter, End\n"
        "with EventWriter(os.environ['TUITRAIN_RUN_DIR'] + '/metrics.jsonl') as log:\n"
        "    log.write(End(status='completed'))\n"
        "raise SystemExit(3)"
    )
    assert begin(python(source)).wait(PATIENCE_S) == 3
    assert read_snapshot(run).status is Status.FAILED


def test_a_program_may_save_when_it_is_asked_to_stop(run: RunDirectory, begin: Start) -> None:
    process = begin(python(programs.SAVING))
    wait_for(lambda: b"up" in run.console.read_bytes())
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)
    assert summary(run) == {"exit_code": 0, "signal": None, "last_lines": ["up", "saved"]}


def test_what_does_not_stop_is_killed_after_the_grace_period(run: RunDirectory, begin: Start) -> None:
    process = begin(python(programs.DEAF), grace_s=0.5)
    wait_for(lambda: b"up" in run.console.read_bytes())
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)
    assert summary(run)["signal"] == "SIGKILL"


def test_now_kills_the_program_and_its_end_is_still_logged(run: RunDirectory, begin: Start) -> None:
    process = begin(python(programs.DEAF))
    wait_for(lambda: b"up" in run.console.read_bytes())
    assert kill_run(run, grace_s=0.3, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)
    end = read_snapshot(run).end
    assert end is not None
    assert end.reason == "stopped by SIGTERM; it was killed after the grace period"


def test_a_stop_reaches_what_a_script_started(run: RunDirectory, begin: Start, tmp_path: Path) -> None:
    script = f"{shlex.join(python(programs.SAVING))} & {shlex.join(python(programs.DEAF))} & wait"
    process = begin(["bash", "-c", script], grace_s=1.0)
    wait_for(lambda: run.console.read_bytes().count(b"up") == 2)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 3
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)
    assert b"saved" in run.console.read_bytes()
    wait_for(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))


def test_a_signal_to_save_does_not_reach_the_group(run: RunDirectory, begin: Start) -> None:
    begin(["bash", "-c", "trap 'echo saving' USR1; echo up; while :; do sleep 0.1; done"])
    wait_for(lambda: b"up" in run.console.read_bytes())
    info = run.read_metadata()
    assert info is not None and info.pid is not None
    os.kill(info.pid, signal.SIGUSR1)
    wait_for(lambda: b"saving" in run.console.read_bytes())


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("", "")])
def test_output_is_unbuffered_unless_the_user_says_otherwise(
    run: RunDirectory, begin: Start, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    if given is None:
        monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    else:
        monkeypatch.setenv("PYTHONUNBUFFERED", given)
    begin(python("import os; print('<' + os.environ['PYTHONUNBUFFERED'] + '>')")).wait(PATIENCE_S)
    assert run.console.read_text().strip() == f"<{expected}>"


def test_a_program_that_prints_anything_is_a_run(run: RunDirectory, begin: Start) -> None:
    source = "import os, sys\nfor _ in range(50): os.write(1, os.urandom(2000))"
    assert begin(python(source)).wait(PATIENCE_S) == 0
    assert read_snapshot(run).status is Status.COMPLETED


@pytest.mark.parametrize(("out_of_memory", "more"), [(True, ", from the out-of-memory killer"), (False, "")])
def test_a_program_that_was_killed_for_want_of_memory_says_so(tmp_path: Path, out_of_memory: bool, more: str) -> None:
    end = end_of(-9, None, tmp_path / "console.log", None, out_of_memory=out_of_memory)
    assert (end.status, end.reason) == ("failed", f"signal 9 (SIGKILL) ended the command{more}")
