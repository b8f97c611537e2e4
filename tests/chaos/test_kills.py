"""The engine killed with SIGKILL at random moments and resumed: the run is the one that nothing interrupted."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path

import torch

from tests.chaos.attempts import Attempts
from tests.chaos.kills import PHASES, Moment, armed
from tests.chaos.logs import Account
from tests.engine.engine_runs import environment, make_run, model_tensors
from tests.support import check_that_the_log_agrees
from tests.warm_engine import WarmProcess
from tuitrain.runs import RunDirectory, load_history

KILLS, MOST_IN_A_RUN, SEED, STEPS = 50, 9, 20261130, 12
DURING_STEPS = ("training", "evaluation", "checkpoint", "record")
"""The phases that come again and again until the last step."""
SECTIONS = {
    "model": {"n_layers": 1, "dropout": 0.1},
    "train": {"max_steps": STEPS},
    "eval": {"interval": 3, "steps": 1},
    "sampling": {"interval": 4, "max_tokens": 2},
    "checkpoint": {"interval": 2},
    "telemetry": {"grad_stats_interval": 4},
}


def attempt(run: Attempts, moment: Moment | None, seen: Path) -> str | None:
    """Start the next attempt and wait for its end: returns where it was killed, None where it was not."""
    process = WarmProcess(
        run.next(), env=environment(run.path), cwd=run.path, before=partial(armed, moment, seen),
    )  # fmt: skip
    _, errors = process.communicate(timeout=60)
    if process.returncode == -signal.SIGKILL:
        return seen.read_text(encoding="utf-8")
    assert process.returncode == 0, errors
    return None


def choose(chance: random.Random, calls: dict[str, int], hit: Counter[str], run: Attempts) -> Moment:
    """A moment of the next attempt, in the phase that was hit least so far; calls: those of a whole run by phase."""
    left = 1 - max(run.checkpoint, 0) / STEPS
    possible = {"resume" if run.checkpoint >= 0 else "start", "shutdown", *(DURING_STEPS if left else ())}
    phase = min((each for each in PHASES if each in possible), key=hit.__getitem__)
    most = calls["start" if phase == "resume" else phase] * (left if phase in DURING_STEPS else 1)
    return Moment(phase, chance.randint(1, max(1, round(most))))


def test_fifty_kills_leave_no_trace(tmp_path: Path) -> None:
    chance, hit, seen = random.Random(SEED), Counter[str](), tmp_path / "seen"
    whole = Attempts(make_run(tmp_path, "run", **SECTIONS))
    attempt(whole, None, seen)
    calls = json.loads(seen.read_bytes()) | {"record": whole.log.count(b"\n")}
    expected = whole.account()
    print(f"seed {SEED}; calls in a whole run: {calls}")
    for number in count(1):
        if hit.total() == KILLS:
            break
        run = Attempts(tmp_path / str(number) / "run")
        run.path.mkdir(parents=True)
        shutil.copy(whole.path / "config.toml", run.path)
        torn = 0
        while not run.has_ended:
            again = hit.total() < KILLS and len(run.starts) < MOST_IN_A_RUN
            moment = choose(chance, calls, hit, run) if again else None
            killed = attempt(run, moment, seen)
            print(f"run {number}, attempt {len(run.starts)}, {moment}: killed in {killed}")
            if moment is not None and killed is not None:
                hit[moment.phase] += 1
                torn += moment.phase == "record"
        account = run.account()
        assert account.torn == torn
        check_equal(run.path, account, whole.path, expected)
    print(hit)
    assert hit.keys() == set(PHASES) and min(hit.values()) >= KILLS // len(PHASES) - 2


def check_equal(path: Path, account: Account, whole: Path, expected: Account) -> None:
    """A run that was killed again and again is, to the last bit, the one that was not, in its log and on disk."""
    assert account.values() == expected.values()
    assert [end["status"] for end in account.ends] == ["completed"]
    left, right = model_tensors(path, STEPS), model_tensors(whole, STEPS)
    assert left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
    assert names(path) == names(whole)
    # The readers of the application say the same.
    history = load_history(RunDirectory(path))
    assert history.broken_count == account.torn
    for kind, table in (("step", history.steps), ("eval", history.evals)):
        records = [record for (each, _), record in sorted(account.results.items()) if each == kind]
        assert table["step"].tolist() == [record["step"] for record in records]
        assert table["loss"].tolist() == [record["loss"] for record in records]
    again = history.superseded_steps
    assert again["loss"].tolist() == [record["loss"] for record in account.superseded]
    assert [each.step for each in history.samples] == [4, 8, 12]
    assert [each.step for each in history.checkpoints] == [2, 4, 6, 8, 10, 12]
    check_that_the_log_agrees(path)


def names(folder: Path) -> list[str]:
    """The files and folders in a folder, at any depth."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
