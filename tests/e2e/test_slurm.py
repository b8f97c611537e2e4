"""Runs as jobs of a real Slurm: preemption, the time limit, arrays, other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import slurm
from tests.e2e.conftest import PATIENCE_S, Completed, Workspace, wait_for
from tests.remote import sshd
from tuitrain.events import End
from tuitrain.events.requests import write_request
from tuitrain.runs import LogFollower, RunDirectory, RunHistory, Status, load_history, read_snapshot
from tuitrain.runs import slurm as queue

ASKING_S = 0.5
"""Between two questions to Slurm, each of which is a process."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[slurm.Cluster]:
    if slurm.MISSING:
        pytest.skip(f"Slurm is not installed: {slurm.MISSING} is missing (Debian: slurm-wlm, munge)")
    with slurm.running() as cluster:
        yield cluster


@dataclass(frozen=True)
class Site:
    """A workspace whose commands reach the cluster."""

    cluster: slurm.Cluster
    workspace: Workspace

    def __call__(self, *arguments: str, **variables: str) -> Completed:
        return self.workspace(*arguments, **{**self.cluster.environment, **variables})

    def launch(self, *arguments: str, **variables: str) -> RunDirectory:
        """The run of `launch --slurm --detach`."""
        done = self("launch", "--slurm", "--detach", *arguments, **variables)
        assert done.code == 0, done.err
        return self.run(done.out.strip())

    def run(self, run_id: str) -> RunDirectory:
        return RunDirectory(self.workspace.path / "runs" / run_id)

    def state(self, run: RunDirectory) -> str:
        """Slurm's word for the state of the job."""
        return self.cluster.ask("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job_of(run)}")

    def preempt(self, run: RunDirectory) -> None:
        """Send the signal that Slurm sends before it takes the nodes away, and wait until the job is queued again."""
        self.cluster.ask("scancel", "--signal=TERM", job_of(run))
        self.start_queued(run)

    def start_queued(self, run: RunDirectory) -> None:
        """Wait until the job of a run was requeued, and let Slurm start it soon: it would do so after 2 minutes."""
        waiting = ("squeue", "--noheader", "--format=%T %r", f"--jobs={job_of(run)}")
        # Before it has this reason it is still being requeued. Within a second its old credential is in the way.
        wait_for(lambda: self.cluster.ask(*waiting) == "PENDING BeginTime", ASKING_S)
        wait_for(lambda: read_snapshot(run).status is Status.QUEUED, ASKING_S)
        self.cluster.ask("scontrol", "update", f"JobId={job_of(run)}", "StartTime=now+5")

    def wait(self, run: RunDirectory) -> None:
        """Wait for the end of a run, which has to be a good one."""
        done = self("status", run.run_id, "--wait", "--timeout", str(PATIENCE_S))
        assert done.code == 0, done.out + run.console.read_text()[-2000:]


@pytest.fixture
def site(cluster: slurm.Cluster, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Site:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(queue, "TTL_S", 0.2)
    return Site(cluster, workspace)


def curve(run: RunDirectory) -> tuple[list[float], list[float]]:
    history = load_history(run)
    return history.steps["step"].tolist(), history.steps["loss"].tolist()


def attempts(run: RunDirectory) -> list[int]:
    history: RunHistory = load_history(run)
    return [each.attempt for each in history.attempts]


def job_of(run: RunDirectory) -> str:
    info = run.read_metadata()
    assert info is not None and info.job_id is not None
    return info.job_id


def test_a_preempted_run_on_two_nodes_goes_on_as_if_nothing_had_been(site: Site) -> None:
    arguments = site.workspace.micro("llama2-tiny", 16, "train.micro_batch_size=auto", "checkpoint.interval=1000")
    run = site.launch(*arguments, "--nodes", "2", "--gpus", "1", "--name", "two")
    wait_for(lambda: run.metrics.exists())
    # In a pause it is known where it is preempted.
    write_request(run.path, "pause")
    wait_for(lambda: read_snapshot(run).status is Status.PAUSED)
    assert site.cluster.ask("squeue", "--noheader", "--format=%D %T", f"--jobs={job_of(run)}") == "2 RUNNING"
    site.preempt(run)
    site.wait(run)
    record = load_history(run).run
    assert attempts(run) == [1, 2] and record is not None and record.parallel is not None
    assert record.parallel.world_size == 2
    console = run.console.read_text()
    assert "stopped by SIGTERM" in console and "is the newest undamaged" in console
    whole = site("launch", *arguments, "--gpus", "2", "--foreground", "--json", "--name", "whole")
    assert whole.code == 0, whole.err
    assert curve(run) == curve(site.run(whole.json()["run_id"]))


def test_a_run_that_waits_shows_why_and_is_cancelled(site: Site) -> None:
    run = site.launch(*site.workspace.micro("gpt2-tiny", 10), "--sbatch=--begin=now+1hour", "--name", "later")
    row = next(row for row in site("ls", "--json").json() if row["run_id"] == run.run_id)
    assert (row["status"], row["job_id"], row["job_state"]) == ("queued", job_of(run), "PENDING")
    assert row["job_reason"] == "BeginTime"
    assert row["job_start"] > row["created"] + 3000
    assert "BeginTime" in site("status", run.run_id).out
    assert "BeginTime" in site("show", run.run_id).out
    # Of a Slurm that does not answer nothing is known, and nothing fails.
    silent = site("ls", "--json", "later", SLURM_CONF="/nowhere/slurm.conf").json()[0]
    assert (silent["status"], silent["job_state"], silent["job_reason"]) == ("queued", None, None)
    assert site("stop", run.run_id).code == 0
    snapshot = read_snapshot(run)
    assert (snapshot.status, snapshot.reason) == (Status.STOPPED, "its job was cancelled while it waited")
    assert site.state(run) == "CANCELLED"


def test_a_sweep_is_an_array_of_jobs(site: Site) -> None:
    values = ("optim.lr=1e-3,1e-2", "optim.betas=[0.9,0.95]")
    launched = site("launch", "--slurm", *site.workspace.micro("gpt2-tiny", 5), *values, "--name", "grid", "--json")
    assert launched.code == 0, launched.err
    sweep = launched.json()
    runs = [site.run(each["run_id"]) for each in sweep["runs"]]
    assert [job_of(run) for run in runs] == [f"{sweep['job_id']}_0", f"{sweep['job_id']}_1"]
    for run in runs:
        site.wait(run)
        assert (run.path / "submit.sh").exists() and "step" in run.console.read_text()
    listed = site("ls", "-q", "group:grid").out.split()
    assert sorted(listed) == sorted(run.run_id for run in runs)


@pytest.mark.skipif(bool(sshd.MISSING), reason=sshd.MISSING)
def test_runs_of_another_machine_are_jobs_of_its_slurm(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Slurm says is asked there: this machine has none."""
    monkeypatch.delenv("SLURM_CONF")
    tools = sshd.with_tuitrain(tmp_path)
    there = tools | {"PATH": f"{tmp_path}/bin:{slurm.PATH}", "SLURM_CONF": site.cluster.environment["SLURM_CONF"]}
    with sshd.running(tmp_path / "sshd", there) as server:
        monkeypatch.setenv("TUITRAIN_SSH", server.ssh)
        here, runs = site.workspace, f"far:{tmp_path}/runs"
        launch = ("launch", "--host", runs, "--slurm", "--no-sync")
        sweep = ("gpt2-tiny", "train.device=cpu", "optim.lr=1e-3,1e-2", "--sbatch=--begin=now+1hour")
        launched = here(*launch, *sweep)
        assert launched.code == 0, launched.err
        first, second = launched.out.split()
        assert "waits: BeginTime" in here("status", second).out
        assert here("stop", first).code == 0
        listed = {row["path"]: (row["status"], row["job_reason"]) for row in here("ls", runs, "--json").json()}
        assert listed == {first: ("stopped", None), second: ("queued", "BeginTime")}
        program = "for step in range(3): print(f'step {step}: loss {4 - step}')"
        done = here(*launch, "--name", "other", "--", "python3", "-c", program)
        assert done.code == 0, done.err
        address, *console = done.out.splitlines()
        assert console == ["step 0: loss 4", "step 1: loss 3", "step 2: loss 2"]
        assert here("status", address).code == 0


PROGRAM = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
saved = pathlib.Path(sys.argv[1])
first = 4 if saved.exists() else 1
for step in range(first, first + 3):
    print(f"step {step}: loss {4 / step:.4f}, lr 1e-3", flush=True)
saved.touch()
time.sleep(1000)
"""
TEMPLATE = """\
#!/bin/bash
{{directives}}
#SBATCH --comment=special

echo "of the site: {{nodes}} node"
{{body}}
"""


def test_another_program_goes_on_after_its_time_limit_until_it_is_stopped(site: Site, tmp_path: Path) -> None:
    """Its script is that of the site. Slurm sends the signal up to half a minute early."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "site template.sh").write_text(TEMPLATE)
    command = ["--time", "1", "--name", "other", "--", "python", str(tmp_path / "program.py"), str(tmp_path / "it's")]
    variables = {"TUITRAIN_SLURM_STOP_S": "10", "TUITRAIN_SLURM_TEMPLATE": str(tmp_path / "site template.sh")}
    run = site.launch(*command, **variables)
    wait_for(lambda: curve(run)[0] == [1, 2, 3] if run.metrics.exists() else False)
    assert site.cluster.ask("squeue", "--noheader", "--format=%k", f"--jobs={job_of(run)}") == "special"
    site.start_queued(run)
    wait_for(lambda: curve(run) == ([1, 2, 3, 4, 5, 6], [4.0, 2.0, 1.3333, 1.0, 0.8, 0.6667]))
    assert attempts(run) == [1, 2]
    (end,) = (each for each in LogFollower(run.metrics).poll().records if isinstance(each, End))
    assert re.fullmatch(r"stopped by SIGTERM, \d+ s before the time limit of its Slurm job", end.reason)
    assert run.console.read_text().count("of the site: 1 node") == 2
    assert site("stop", run.run_id).code == 0
    wait_for(lambda: site.state(run) == "COMPLETED", ASKING_S)
    assert (read_snapshot(run).status, read_snapshot(run).reason) == (Status.STOPPED, "stopped by `tuitrain stop`")
