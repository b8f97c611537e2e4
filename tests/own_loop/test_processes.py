"""Loops in processes of their own: how they end, forks, ranks, threads, launchers, requests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.own_loop.loops import environment, of_type, only_run, records, run_program, runs_of, start_program, wait_for
from tests.warm_engine import WarmProcess
from tuitrain import events
from tuitrain.runs import RunDirectory, Status, load_history, read_snapshot


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def end_of(run: RunDirectory) -> events.End:
    (end,) = of_type(run, events.End)
    return end


@pytest.mark.parametrize(
    ("last_line", "status", "reason"),
    [
        ("", "completed", None),
        ("raise ValueError('no more data')", "failed", "ValueError: no more data"),
        ("import sys; sys.exit(3)", "failed", "exit code 3"),
        ("import sys; sys.exit(0)", "completed", None),
        ("raise KeyboardInterrupt", "stopped", "interrupted (Ctrl-C)"),
        ("wandb.finish(exit_code=1)", "failed", "exit code 1"),
    ],
)
def test_every_end_of_a_program_is_in_the_log(runs_dir: Path, last_line: str, status: str, reason: str | None) -> None:
    run_program(runs_dir, f"import tuitrain as wandb\nwandb.init()\nwandb.log({{'loss': 1.0}})\n{last_line}\n")
    end = end_of(only_run(runs_dir))
    assert (end.status, end.reason, end.step) == (status, reason, 0)


def test_a_killed_program_is_seen_crashed_and_its_log_is_whole(runs_dir: Path) -> None:
    program = start_program(
        runs_dir,
        """
        import time, tuitrain
        run = tuitrain.init()
        for step in range(10**6):
            run.log({"loss": 1.0})
            time.sleep(0.001)
        """,
    )
    wait_for(lambda: runs_of(runs_dir) and of_type(only_run(runs_dir), events.Step))
    program.kill()
    program.communicate()
    run = only_run(runs_dir)
    assert read_snapshot(run).status is Status.CRASHED
    assert [each.step for each in of_type(run, events.Step)] == list(range(len(of_type(run, events.Step))))


def test_a_script_written_for_wandb_runs_as_it_is(runs_dir: Path) -> None:
    done = run_program(
        runs_dir,
        """
        import tuitrain as wandb

        wandb.login()
        run = wandb.init(project="llm", entity="team", group="sweep", job_type="train", tags=["a"], name="mine",
                         notes="first", config={"learning_rate": 0.1}, save_code=True, reinit=True, dir="/nowhere")
        wandb.config.update({"epochs": 2})
        wandb.config.batch_size = 8
        wandb.config["seed"] = 1
        wandb.define_metric("val/*", step_metric="epoch", summary="min")
        wandb.watch(object(), log="all", log_freq=10)
        for epoch in range(wandb.config.epochs):
            wandb.log({"loss": 1 / (epoch + 1), "epoch": epoch, "val/loss": 2.0, "val/kl": 0.5})
        wandb.run.summary["best_loss"] = 0.5
        wandb.summary.update({"state": "done"})
        wandb.alert(title="Done", text="all of it")
        assert wandb.config.batch_size == 8 and dict(wandb.config)["seed"] == 1
        assert wandb.run is run and run.name == "mine"
        wandb.finish()
        """,
    )
    assert done.returncode == 0, done.stderr
    run = only_run(runs_dir)
    metadata = run.read_metadata()
    assert metadata is not None
    assert (metadata.name, metadata.tags, metadata.notes) == ("mine", ["a", "sweep", "train"], ["first"])
    assert [each.loss for each in of_type(run, events.Step)] == [1.0, 0.5]
    assert end_of(run).summary.items() >= {"best_loss": 0.5, "state": "done"}.items()
    record = load_history(run).run
    assert record is not None
    assert record.config == {"learning_rate": 0.1, "epochs": 2, "batch_size": 8, "seed": 1}
    assert record.logged_summary == {"best_loss": 0.5, "state": "done"}
    assert record.x_axes == {"val_loss": "epoch", "val/kl": "epoch"}


def test_an_attribute_that_is_not_offered_is_refused_with_those_that_are(runs_dir: Path) -> None:
    done = run_program(runs_dir, "import tuitrain as wandb\nwandb.Artifact\n")
    assert "AttributeError: tuitrain has no 'Artifact'" in done.stderr
    assert "finish, init, log" in done.stderr


def test_a_log_before_init_says_what_is_missing(runs_dir: Path) -> None:
    done = run_program(runs_dir, "import tuitrain\ntuitrain.log({'loss': 1})\n")
    assert "tuitrain.log needs a run: call tuitrain.init() first." in done.stderr


def test_the_subpackage_of_configurations_stays_what_it_is_without_a_run() -> None:
    source = "import tuitrain\nfrom tuitrain.config import RunConfig\nprint(tuitrain.config.RunConfig is RunConfig)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_a_full_disk_warns_once_and_the_loop_goes_on(runs_dir: Path) -> None:
    done = run_program(
        runs_dir,
        """
        import resource, signal, time, tuitrain
        run = tuitrain.init()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for step in range(300):
            run.log({"loss": 1.0})
            time.sleep(0.002)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        run.log({"loss": 2.0})
        print("went on")
        """,
    )
    assert done.stdout == "went on\n", done.stderr
    assert done.stderr.count("cannot be written") == 1
    run = only_run(runs_dir)
    lines = run.metrics.read_bytes().splitlines()
    # The line at which the disk was full is torn; those after it are whole.
    assert sum(not line.endswith(b"}") for line in lines) <= 1
    assert json.loads(lines[-1])["type"] == "end"


def test_a_forked_process_writes_nothing_and_ends_nothing(runs_dir: Path) -> None:
    done = run_program(
        runs_dir,
        """
        import os, tuitrain
        run = tuitrain.init()
        run.log({"loss": 1.0})
        child = os.fork()
        if child == 0:
            run.log({"loss": 9.0})
            tuitrain.finish()
            raise SystemExit(1)
        os.waitpid(child, 0)
        run.log({"loss": 2.0})
        """,
    )
    assert done.returncode == 0, done.stderr
    run = only_run(runs_dir)
    assert [each.loss for each in of_type(run, events.Step)] == [1.0, 2.0]
    assert end_of(run).status == "completed"


def test_workers_that_outlive_the_loop_do_not_keep_its_lock(runs_dir: Path) -> None:
    done = run_program(
        runs_dir,
        """
        import os, subprocess, tuitrain
        run = tuitrain.init(id="one")
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            os.execlp("sleep", "sleep", "5")
        os.kill(os.getpid(), 9)
        """,
    )
    assert done.returncode == -signal.SIGKILL
    assert read_snapshot(only_run(runs_dir)).status is Status.CRASHED


def test_threads_log_to_one_run(runs_dir: Path) -> None:
    run_program(
        runs_dir,
        """
        import threading, tuitrain
        run = tuitrain.init()
        def work(name):
            for _ in range(200):
                run.log({name: 1.0})
        threads = [threading.Thread(target=work, args=(f"t{index}",)) for index in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        """,
    )
    steps = of_type(only_run(runs_dir), events.Step)
    assert [each.step for each in steps] == list(range(800))


def test_under_torchrun_only_rank_0_writes(runs_dir: Path) -> None:
    program = runs_dir.parent / "train.py"
    program.write_text(
        "import tuitrain\nrun = tuitrain.init(config={'x': 1})\nrun.log({'loss': 1.0})\n"
        "assert run.config.x == 1 and not run.should_stop\nrun.finish()\n"
    )
    torchrun = WarmProcess(
        ["--standalone", "--nproc-per-node", "3", str(program)], module="torch.distributed.run",
        env=environment(runs_dir), cwd=runs_dir.parent,
    )  # fmt: skip
    _, errors = torchrun.communicate(240)
    assert torchrun.returncode == 0, errors
    assert [each.loss for each in of_type(only_run(runs_dir), events.Step)] == [1.0]


STOPPABLE = """
import time, tuitrain
with tuitrain.init() as run:
    for step in range(10**6):
        run.log({"loss": 1.0}, step=step)
        if run.checkpoint_requested:
            run.saved("checkpoints/one.pt")
        if run.should_stop:
            break
        time.sleep(0.005)
"""


def tuitrain_command(runs_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = WarmProcess(arguments, module="tuitrain.cli", env=environment(runs_dir), cwd=runs_dir.parent)
    output, errors = process.communicate(240)
    return subprocess.CompletedProcess(arguments, process.returncode or 0, output, errors)


def test_requests_reach_a_loop(runs_dir: Path) -> None:
    program = start_program(runs_dir, STOPPABLE)
    wait_for(lambda: runs_of(runs_dir) and of_type(only_run(runs_dir), events.Step))
    listed = tuitrain_command(runs_dir, "ls", "--json")
    assert [each["status"] for each in json.loads(listed.stdout)] == ["running"]
    saved = tuitrain_command(runs_dir, "checkpoint", "latest")
    assert saved.returncode == 0, saved.stderr
    run = only_run(runs_dir)
    wait_for(lambda: of_type(run, events.Checkpoint))
    stopped = tuitrain_command(runs_dir, "stop", "latest")
    assert stopped.returncode == 0, stopped.stderr
    assert "should_stop" in stopped.stdout + stopped.stderr
    program.communicate()
    assert program.returncode == 0
    end = end_of(run)
    assert (end.status, end.reason) == ("stopped", "stopped by `tuitrain stop`")
    assert [each.request for each in of_type(run, events.Control)] == ["checkpoint"]


def launched(runs_dir: Path, source: str) -> RunDirectory:
    """Launch a program detached, with its first step made."""
    (runs_dir.parent / "train.py").write_text(source)
    done = tuitrain_command(runs_dir, "launch", "--detach", "--name", "given", "--", sys.executable, "train.py")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: of_type(only_run(runs_dir), events.Step))
    return only_run(runs_dir)


def test_a_launched_loop_continues_the_run_of_its_launcher(runs_dir: Path) -> None:
    run = launched(runs_dir, STOPPABLE)
    stopped = tuitrain_command(runs_dir, "stop", "latest")
    assert stopped.returncode == 0, stopped.stderr
    (record,) = of_type(run, events.Run)
    assert (record.run_id, record.name, record.attempt) == (run.run_id, "given", 1)
    assert end_of(run).status == "stopped"
    metadata = run.read_metadata()
    assert metadata is not None
    assert metadata.pid != os.getpid()
    assert records(run)[-1] == end_of(run)


def test_a_launched_loop_that_never_looks_ends_at_sigterm(runs_dir: Path) -> None:
    run = launched(
        runs_dir,
        "import time, tuitrain\nrun = tuitrain.init()\nwhile True:\n    run.log({'loss': 1.0})\n    time.sleep(0.01)\n",
    )
    stopped = tuitrain_command(runs_dir, "stop", "latest")
    assert stopped.returncode == 0, stopped.stderr
    assert end_of(run).status == "stopped"


def test_a_second_process_of_a_launch_is_warned_and_a_second_run_has_its_own_directory(runs_dir: Path) -> None:
    run = RunDirectory(runs_dir / "launched")
    run.control.mkdir(parents=True)
    done = run_program(
        runs_dir,
        """
        import subprocess, sys, tuitrain
        if len(sys.argv) > 1:
            tuitrain.init().log({"loss": 9.0})
        else:
            run = tuitrain.init()
            subprocess.run([sys.executable, __file__, "child"], check=True)
            run.log({"loss": 1.0})
            tuitrain.init(name="second").log({"loss": 2.0})
        """,
        TUITRAIN_RUN_DIR=str(run.path),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Another process writes the log") == 1
    assert [each.loss for each in of_type(run, events.Step)] == [1.0]
    assert [each.loss for each in of_type(only_run(runs_dir), events.Step)] == [2.0]
