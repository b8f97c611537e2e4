"""A run that is killed from outside and restarted by its supervisor."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from pathlib import Path

from tests.chaos.logs import account_for, starts_of
from tests.e2e.conftest import PATIENCE_S, Workspace, wait_for, workspace
from tests.engine.engine_runs import environment
from tests.warm_engine import WarmProcess
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.events.requests import write_request
from tuitrain.runs import RunDirectory, Status, read_snapshot

__all__ = ["workspace"]
KILLS, SEED, STEPS, APART = 3, 20261130, 500, 120


def newest_step(run: RunDirectory) -> int:
    """The step of the newest record of a step; 0 without one."""
    step = read_snapshot(run).step
    return step.step if step is not None else 0


def test_a_run_that_is_killed_again_and_again_goes_on_by_itself(workspace: Workspace) -> None:
    chance = random.Random(SEED)
    at = [0, *(number * APART + chance.randrange(APART // 2) for number in range(1, KILLS))]
    print(f"seed {SEED}: killed in a pause, then after the steps {at[1:]}")
    settings = ("checkpoint.interval=50", "eval.interval=50", "sampling.interval=0", "telemetry.grad_stats_interval=50")
    arguments = workspace.micro("gpt2-tiny", STEPS, *settings)
    run_id = workspace("launch", *arguments, "--queue", "--retries", str(KILLS)).out.strip()
    run = next(each for each in workspace.runs if each.run_id == run_id)
    # The first time before there is a checkpoint.
    write_request(run.path, "pause")
    wait_for(lambda: read_snapshot(run).status in (Status.PAUSED, Status.COMPLETED))
    checkpoints = [-1]
    for step in at:
        wait_for(lambda step=step: newest_step(run) >= step or not read_snapshot(run).status.live)
        info = run.read_metadata()
        assert info is not None and info.pid is not None
        os.kill(info.pid, signal.SIGKILL)
        wait_for(lambda pid=info.pid: not Path(f"/proc/{pid}").exists())
        checkpoints.append(max((each.step for each in complete_checkpoints(run.path)), default=-1))
    waited = workspace("status", run_id, "--wait", "--timeout", str(PATIENCE_S))
    assert waited.code == 0, waited.out

    whole = RunDirectory(workspace.path / "whole" / run_id)
    whole.path.mkdir(parents=True)
    shutil.copy(run.config, whole.config)
    process = WarmProcess(["train", "--run-dir", str(whole.path)], env=environment(whole.path), cwd=whole.path)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors

    log, straight = run.metrics.read_bytes(), whole.metrics.read_bytes()
    account = account_for(log, starts_of(log, checkpoints))
    assert account.values() == account_for(straight, starts_of(straight, [-1])).values()
    assert account.torn == 0 and [end["status"] for end in account.ends] == ["completed"]
    alerts = [record for line in log.splitlines() if (record := json.loads(line))["type"] == "alert"]
    assert [alert["code"] for alert in alerts] == ["restart"] * KILLS
    assert all("killed by SIGKILL" in alert["message"] for alert in alerts)
    assert checkpoints[:2] == [-1, -1] and "0 more restarts are possible" in alerts[-1]["message"]
    assert read_snapshot(run).status is Status.COMPLETED
