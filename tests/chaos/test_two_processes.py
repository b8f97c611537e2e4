"""One of two processes is killed, under torchrun and in the middle of a checkpoint."""

from __future__ import annotations

import random
import shutil
from functools import partial
from pathlib import Path

import psutil

from tests.chaos.attempts import Attempts
from tests.chaos.kills import Moment, armed
from tests.engine.engine_runs import environment, make_run
from tests.support import check_that_the_log_agrees
from tests.warm_engine import WarmProcess, start_ranks

SEED, STEPS = 20261130, 24


def run_ranks(run: Attempts, moment: Moment | None = None) -> list[int | None]:
    """Run the next attempt; returns the exit codes of its processes. moment: when rank 0 is killed."""
    before = {} if moment is None else {0: partial(armed, moment, run.path.parent / "seen")}
    ranks = start_ranks(run.next(), 2, env=environment(run.path), cwd=run.path, before=before)
    for rank in ranks:
        rank.communicate(timeout=60)
    return [rank.returncode for rank in ranks]


def test_two_processes_go_on_as_if_none_had_been_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    whole = Attempts(
        make_run(
            tmp_path, "run", train={"max_steps": STEPS}, parallel={"strategy": "zero1"}, model={"dropout": 0.1},
            eval={"interval": 8}, sampling={"interval": 0}, checkpoint={"interval": 4},
        )
    )  # fmt: skip
    assert run_ranks(whole) == [0, 0]
    run = Attempts(tmp_path / "killed" / "run")
    run.path.mkdir(parents=True)
    shutil.copy(whole.path / "config.toml", run.path)

    at, moment = chance.randrange(5, 12), Moment("checkpoint", chance.randrange(1, 400))
    print(f"seed {SEED}: rank 1 is killed after step {at}, rank 0 at {moment}")
    torchrun = WarmProcess(
        ["--standalone", "--nproc-per-node", "2", "-m", "tuitrain_engine", *run.next()],
        module="tuitrain_engine.torchrun", cwd=run.path,
        env=environment(run.path) | {"TUITRAIN_RUN_DIR": str(run.path)},
    )  # fmt: skip
    next(line for line in torchrun.stdout if line.startswith("step ") and f" {at}/" in line)
    workers = {worker.environ()["RANK"]: worker for worker in psutil.Process(torchrun.pid).children()}
    workers["1"].kill()
    torchrun.communicate(timeout=60)
    assert torchrun.returncode == 1
    assert run_ranks(run, moment)[0] == -9
    assert run_ranks(run) == [0, 0]

    account = run.account()
    assert account.values() == whole.account().values()
    assert account.torn == 0 and [end["status"] for end in account.ends] == ["failed", "completed"]
    assert "was killed" in account.ends[0]["reason"] or "may have been killed" in account.ends[0]["reason"]
    check_that_the_log_agrees(run.path)
