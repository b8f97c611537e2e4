"""The queue of one machine: its order, what is free, and its runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.support import write_run
from tuitrain.cli.commands.queue import show_queue
from tuitrain.config import load_config
from tuitrain.events import Gpu
from tuitrain.events.lock import exclusive, lock_held
from tuitrain.launch import LaunchError, preflight, queue, queue_runner
from tuitrain.launch.local import Label
from tuitrain.launch.machine import Device, Machine
from tuitrain.launch.metadata_cache import MetadataCache
from tuitrain.launch.queue import enqueue_all, enqueue_command, leave_queue, move, move_by, queued, start_runner
from tuitrain.launch.queue_runner import free_gpus, run_queue
from tuitrain.launch.stop import stop_run
from tuitrain.launch.systemd import check_unit, queue_unit
from tuitrain.runs import RunDirectory, RunMetadata, Status, list_runs, read_snapshot
from tuitrain.runs.editing import edited_metadata

SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Machine((), Device("cpu", "CPU", 25.3), 2)
    for module in (preflight, queue):
        monkeypatch.setattr(module, "find_machine", lambda: here)
    monkeypatch.setattr(queue_runner, "POLL_S", 0.02)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """What the engine's processes run instead; they are killed at the end."""
    words = [sys.executable, "-c", ""]
    monkeypatch.setattr(queue_runner, "train_command", lambda run, processes: words)
    yield words
    for path in tmp_path.glob("*/run.json"):
        info = RunDirectory(path.parent).read_metadata()
        for pid in (info.pid, info.supervisor) if info else ():
            if pid is not None:
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).kill()


def add(runs_dir: Path, name: str, processes: int = 1) -> RunDirectory:
    config = load_config("gpt2-tiny", ["train.device=cpu", "train.micro_batch_size=1", f"name={name}"])
    return enqueue_all([config], runs_dir, Label(name), gpus=processes)[0]


def order(runs_dir: Path) -> list[str]:
    return [each.entry.run_id[0] for each in queued(runs_dir)]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_queue_keeps_its_order_can_be_changed_and_is_no_run(tmp_path: Path) -> None:
    runs = [add(tmp_path, name) for name in "abcd"]
    assert {read_snapshot(run).status for run in runs} == {Status.QUEUED}
    move(runs[2], 1)
    assert order(tmp_path) == ["c", "a", "b", "d"]
    move(runs[0], 99)
    assert order(tmp_path) == ["c", "b", "d", "a"]
    assert (move_by(runs[2], 1), move_by(runs[2], -5), move_by(runs[0], 5)) == (2, 1, 4)
    assert [read_snapshot(run).queue_position for run in runs] == [4, 2, 1, 3]
    assert leave_queue(runs[1], "taken out")
    assert not leave_queue(runs[1], "taken out")
    with pytest.raises(LaunchError, match="is not in the queue"):
        move(runs[1], 1)
    assert stop_run(runs[3], report=lambda _: None) is Status.STOPPED
    assert order(tmp_path) == ["c", "a"]
    assert (read_snapshot(runs[1]).status, read_snapshot(runs[1]).reason) == (Status.STOPPED, "taken out")
    assert len(list_runs(tmp_path)) == 4


def test_a_file_that_is_no_entry_is_said_and_costs_no_other_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # `tuitrain queue` starts the runner where there is none, and it would train.
    monkeypatch.setattr(queue, "start_runner", lambda runs_dir: None)
    runs = [add(tmp_path, name) for name in "abc"]
    damaged, foreign = queued(tmp_path)[1].path, tmp_path / ".queue" / "notes.json"
    damaged.write_bytes(damaged.read_bytes()[:20])
    foreign.write_text("[]")
    again = add(tmp_path, "d")
    move(again, 1)
    assert order(tmp_path) == ["d", "a", "c"]
    assert damaged.exists() and foreign.exists()
    assert [read_snapshot(run).queue_position for run in (*runs, again)] == [2, None, 3, 1]
    show_queue(tmp_path, as_json=True)
    said = capsys.readouterr()
    assert [row["run_id"][0] for row in json.loads(said.out)] == ["d", "a", "c"]
    first, second = said.err.splitlines()
    assert first.startswith(f"{damaged} is not an entry of the queue (Input data was truncated), so {runs[1].run_id} ")
    assert first.endswith(f"does not start: `tuitrain queue rm {runs[1].run_id}` takes it out.")
    assert second.startswith(f"{foreign} is not an entry of the queue (") and second.endswith("passed over: delete it.")
    assert leave_queue(runs[1], "taken out") and not damaged.exists()
    assert read_snapshot(runs[1]).status is Status.STOPPED


def test_the_runner_starts_one_after_the_other_and_ends(tmp_path: Path, commands: list[str]) -> None:
    runs = [add(tmp_path, name) for name in "abc"]
    run_queue(tmp_path)
    assert not queued(tmp_path)
    infos = [run.read_metadata() for run in runs]
    started = [info.started for info in infos if info is not None and info.started is not None]
    assert len(started) == 3 and started == sorted(started)


def test_a_run_waits_until_there_are_slots_and_a_large_one_until_nothing_trains(
    tmp_path: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_runner, "queue_slots", lambda: 2)
    commands[:] = SLEEP
    runs = [add(tmp_path, "a"), add(tmp_path, "b"), add(tmp_path, "c", processes=4), add(tmp_path, "d")]
    seen: list[list[str]] = []

    def look(seconds: float) -> None:
        """In place of the runner's pause: what waits; then the runs that train are ended."""
        if seconds:
            seen.append(order(tmp_path))
            for run in runs:
                info = run.read_metadata()
                if info is not None and info.pid is not None and psutil.pid_exists(info.pid):
                    psutil.Process(info.pid).kill()
                    wait_for(lambda supervisor=info.supervisor: not alive(supervisor))

    monkeypatch.setattr(queue_runner, "time", SimpleNamespace(sleep=look))
    run_queue(tmp_path)
    assert seen == [["c", "d"], ["d"]]


def alive(pid: int | None) -> bool:
    try:
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_free_gpus_are_those_that_no_run_has_and_nobody_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [Gpu(index=index, mem_used_gb=used) for index, used in enumerate([0.4, 30.0, 0.4, None, 0.4])]
    monkeypatch.setattr(queue_runner.GpuReader, "read", lambda self: readings)
    here = psutil.Process()
    own = RunMetadata(
        name="a", created=0.0, pid=here.pid, pid_started=here.create_time(), host=os.uname().nodename, gpus=[2]
    )
    write_run(tmp_path, "live", status=None, info=own)
    write_run(tmp_path, "over", info=RunMetadata(name="b", created=0.0, gpus=[0]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert free_gpus(MetadataCache(tmp_path)) == [0, 3, 4]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,3")
    assert free_gpus(MetadataCache(tmp_path)) == [0, 3]


def test_a_run_that_cannot_be_started_has_failed_and_holds_nobody_up(tmp_path: Path, commands: list[str]) -> None:
    broken, good = add(tmp_path, "a"), add(tmp_path, "b")
    broken.config.write_text("nothing = 1", encoding="utf-8")
    run_queue(tmp_path)
    assert read_snapshot(broken).status is Status.FAILED
    assert "could not be started from the queue" in (read_snapshot(broken).reason or "")
    info = good.read_metadata()
    assert info is not None and info.pid is not None


def test_what_was_started_before_its_entry_was_removed_is_not_started_again(
    tmp_path: Path, commands: list[str]
) -> None:
    run = add(tmp_path, "a")
    entry = queued(tmp_path)[0].path
    kept = entry.read_bytes()
    run_queue(tmp_path)
    before = run.read_metadata()
    entry.write_bytes(kept)
    run_queue(tmp_path)
    assert run.read_metadata() == before
    assert not queued(tmp_path)


def test_a_run_that_was_started_before_its_entry_was_removed_is_not_ended_by_leaving_the_queue(tmp_path: Path) -> None:
    run = add(tmp_path, "a")
    with edited_metadata(run) as facts:
        facts["queued"] = None
    assert not leave_queue(run, "taken out")
    assert not run.metrics.exists() and not queued(tmp_path)


def test_one_runner_at_a_time_which_ends_with_the_queue(tmp_path: Path) -> None:
    """The real process: it waits for a program that trains, and another one returns at once."""
    own = psutil.Process()
    info = RunMetadata(name="a", created=0.0, pid=own.pid, pid_started=own.create_time(), host=os.uname().nodename)
    write_run(tmp_path, "live", status=None, info=info)
    run = add(tmp_path, "a")
    start_runner(tmp_path)
    lock = tmp_path / ".queue" / ".runner.lock"
    wait_for(lambda: lock_held(lock))
    second = subprocess.run([sys.executable, "-m", "tuitrain.launch.queue_runner", str(tmp_path)], timeout=60)
    assert second.returncode == 0
    assert read_snapshot(run).status is Status.QUEUED
    assert leave_queue(run, "enough")
    with exclusive(lock, 30):
        assert not queued(tmp_path)


def test_a_machine_that_is_restarted_goes_on_with_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner and what it started are killed at once; the pid of a dead run is another process's then."""
    monkeypatch.chdir(tmp_path)
    hang, write = "import time; open('started', 'a').write('a'); time.sleep(1000)", "open('started', 'a').write('{}')"
    commands = [hang, *(write.format(name) for name in "bcd")]
    runs = [
        enqueue_command([sys.executable, "-c", source], tmp_path, Label(name))
        for name, source in zip("abcd", commands, strict=True)
    ]
    move(runs[3], 2)
    start_runner(tmp_path)
    lock, started = tmp_path / ".queue" / ".runner.lock", tmp_path / "started"
    wait_for(lambda: started.exists() and started.read_text() == "a" and order(tmp_path) == ["d", "b", "c"])
    info = runs[0].read_metadata()
    assert info is not None and info.pid is not None
    runner = next(each for each in psutil.process_iter() if "tuitrain.launch.queue_runner" in cmdline(each, tmp_path))
    killed = [runner, psutil.Process(info.pid), *psutil.Process(info.pid).children(recursive=True)]
    for each in killed:
        each.kill()
    psutil.wait_procs(killed, timeout=120)
    assert not lock_held(lock)
    with edited_metadata(runs[0]) as facts:
        facts["pid"] = os.getpid()
    assert read_snapshot(runs[0]).status is Status.CRASHED
    start_runner(tmp_path)
    wait_for(lambda: {read_snapshot(run).status for run in runs[1:]} == {Status.COMPLETED})
    assert started.read_text() == "adbc"
    assert read_snapshot(runs[0]).status is Status.CRASHED
    with exclusive(lock, 30):
        assert not queued(tmp_path)


def cmdline(process: psutil.Process, runs_dir: Path) -> list[str]:
    """The command line of a process of this directory."""
    with suppress(psutil.Error):
        words = process.cmdline()
        return words if str(runs_dir) in words else []
    return []


def test_a_queued_command_has_the_gpus_it_was_given_and_the_directory_of_its_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Device("gpu", "NVIDIA H100 80GB HBM3", 85.0)
    monkeypatch.setattr(queue, "find_machine", lambda: Machine((gpu,) * 4, Device("cpu", "CPU", 25.3), 2))
    used = [30.0, 0.4, 0.4, 0.4]
    readings = [Gpu(index=index, mem_used_gb=each) for index, each in enumerate(used)]
    monkeypatch.setattr(queue_runner.GpuReader, "read", lambda self: readings)
    monkeypatch.setattr(queue_runner, "time", SimpleNamespace(sleep=lambda seconds: used.clear()))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    place = tmp_path / "project"
    place.mkdir()
    monkeypatch.chdir(place)
    source = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.getcwd())"
    run = enqueue_command([Path(sys.executable).name, "-c", source], tmp_path, Label("a"), gpus=2)
    with pytest.raises(LaunchError, match="--gpus 5, but this machine has 4"):
        enqueue_command(["true"], tmp_path, Label("b"), gpus=5)
    assert len(list_runs(tmp_path)) == 1 and queued(tmp_path)[0].entry.on_gpu
    monkeypatch.chdir(tmp_path)
    run_queue(tmp_path)
    wait_for(lambda: read_snapshot(run).status is Status.COMPLETED)
    assert f"1,2 {place}" in run.console.read_text()
    info = run.read_metadata()
    assert info is not None and info.gpus == [1, 2]


def test_the_units_keep_words_as_they_are_and_that_of_the_queue_lets_runs_outlive_it(tmp_path: Path) -> None:
    text = check_unit(["/usr/bin/python", "check", "my runs/100%", "$HOME", 'a"b\\'], Path("/here"))
    assert r'ExecStart=/usr/bin/python check "my runs/100%%" $$HOME "a\"b\\"' in text
    text = queue_unit(tmp_path / "my runs")
    assert f'-m tuitrain.launch.queue_runner "{tmp_path}/my runs"' in text
    assert "KillMode=process" in text and "@reboot cd " in text
