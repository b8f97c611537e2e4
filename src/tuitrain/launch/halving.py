"""Successive halving of a sweep, asynchronous: its runs need not train at the same time.

A run that reaches a rung goes on only if its loss is among the best 1/factor of those of its group that have reached
this rung so far, or the best of all; else it is stopped, with a checkpoint. So the first run always goes on, and one
that was stopped is not started again when later ones are worse (the stopping rule of ASHA, Li et al., 2020). The rungs
are at a share of the steps, and at factor times the one before. The queue's runner judges; the results are in run.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import numpy as np

from tuitrain.analysis.smoothing import mean_of_last
from tuitrain.config import ConfigError, RunConfig, flatten
from tuitrain.events.layout import Halving, RungResult, RunMetadata
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.metadata_cache import MetadataCache
from tuitrain.launch.stop import stop_run
from tuitrain.runs import LogFollower, RunDirectory, RunHistory
from tuitrain.runs.editing import EditError, edited_metadata
from tuitrain.runs.loading import drain
from tuitrain.runs.status import process_alive, supervisor_alive

FACTOR, FIRST = 2, 0.125
MEAN_SHARE = 0.1
"""Of the steps up to a rung: the training loss there is the mean over so many of the newest."""
_ELSEWHERE = ("stall_timeout_s", "max_retries")
"""Keys of `data` that change nothing about what a loss measures."""


def halvings(configs: Sequence[RunConfig], factor: int = FACTOR, first: float = FIRST) -> list[Halving]:
    """The rungs of each run of a sweep. first: the share of its steps at which the first one is.

    The loss is that of the validation split where every run evaluates it by the first rung, and the rungs are at steps
    of an evaluation; else the training loss. Raises ConfigError where losses are not comparable, or no rung is left.
    """
    _check_comparable(configs)
    every = [config.eval.interval for config in configs]
    by_evaluation = all(0 < each <= first * config.total_steps for each, config in zip(every, configs, strict=True))
    rungs: list[list[int]] = [[] for _ in configs]
    share = first
    while share < 1:
        steps = []
        for config, between in zip(configs, every, strict=True):
            multiple = between if by_evaluation else config.telemetry.log_interval
            steps.append(math.ceil(share * config.total_steps / multiple - 1e-9) * multiple)
        # Of each rung there is a step in every run, so that the nth of one is comparable with the nth of another.
        if all(
            (known[-1] if known else 0) < step < config.total_steps
            for known, step, config in zip(rungs, steps, configs, strict=True)
        ):
            for known, step in zip(rungs, steps, strict=True):
                known.append(step)
        share *= factor
    if not rungs[0]:
        raise ConfigError("--halving has no rung before the last step: train longer, or evaluate more often.")
    metric = "val_loss" if by_evaluation else "loss"
    return [Halving(factor=factor, metric=metric, rungs=steps) for steps in rungs]  # type: ignore[arg-type]


def _check_comparable(configs: Sequence[RunConfig]) -> None:
    """Raise ConfigError where the runs differ in what their losses measure."""
    keys = ["model.vocab_size", "model.seq_len"]
    keys += [f"data.{key}" for key in type(configs[0].data).model_fields if key not in _ELSEWHERE]
    values = [flatten(config.to_dict()) for config in configs]
    for key in keys:
        if any(each.get(key) != values[0].get(key) for each in values):
            raise ConfigError(f"--halving compares losses, and runs with another {key} do not measure the same.", key)


def goes_on(rank: int, of: int, factor: int) -> bool:
    """Whether a run with this rank, the best being 1, among so many is to train on."""
    return rank == 1 or rank * factor <= of


@dataclass
class _Followed:
    """A run whose next rung is waited for."""

    follower: LogFollower
    history: RunHistory = field(default_factory=RunHistory)

    def read(self) -> None:
        with suppress(OSError):
            self.history = drain(self.follower, self.history)

    def reached(self, step: int, metric: str) -> tuple[float, float] | None:
        """Time and loss at a step, inf for one that is not finite; None before it is reached."""
        table = self.history.evals if metric == "val_loss" else self.history.steps
        at = int(np.searchsorted(table["step"], step)) if len(table) else 0
        if at >= len(table):
            return None
        losses = table["loss"]
        if metric == "loss":
            losses = mean_of_last(table["step"][: at + 1], losses[: at + 1], max(1, round(step * MEAN_SHARE)))
        loss = float(losses[at])
        return float(table["time"][at]), loss if math.isfinite(loss) else math.inf


class Judge:
    """Judges the runs of a directory at their rungs."""

    def __init__(self, runs: MetadataCache) -> None:
        self._runs = runs
        self._followed: dict[RunDirectory, _Followed] = {}
        self._over: set[RunDirectory] = set()
        """Runs that had ended when their logs were read last."""
        self._asked: set[RunDirectory] = set()
        """Runs that were asked to stop."""

    def poll(self) -> bool:
        """Judge the runs that have reached a rung; returns whether one that trains may still reach one."""
        waiting = False
        reached: list[tuple[float, RunDirectory, float]] = []
        for run, info, halving in self._halved():
            if info.queued is not None or len(halving.results) == len(halving.rungs):
                continue
            # Before the log is read: what it says after the end is all.
            alive = process_alive(info) is True or supervisor_alive(info)
            if halving.results and not halving.results[-1].goes_on:
                # One that was started again since was meant to go on; another runner may have died before it asked.
                if alive and halving.results[-1].time > (info.started or 0.0):
                    waiting = True
                    self._stop(run, halving.results[-1])
                continue
            if not alive and run in self._over:
                continue
            followed = self._followed.setdefault(run, _Followed(LogFollower(run.metrics)))
            followed.read()
            found = followed.reached(halving.rungs[len(halving.results)], halving.metric)
            if found is not None:
                reached.append((found[0], run, found[1]))
                waiting = True
            elif not alive:
                self._over.add(run)
                self._followed.pop(run, None)
            waiting = waiting or alive
        for _, run, loss in sorted(reached, key=lambda each: each[0]):
            self._judge(run, loss)
        return waiting

    def _halved(self) -> Iterator[tuple[RunDirectory, RunMetadata, Halving]]:
        for run, info in self._runs.read():
            if info.halving is not None:
                yield run, info, info.halving

    def _judge(self, run: RunDirectory, loss: float) -> None:
        """Write down how a run stands at its next rung, and stop it where it does not go on."""
        halved = list(self._halved())
        info, halving = next((info, halving) for each, info, halving in halved if each == run)
        rung = len(halving.results)
        others = [
            math.inf if each.results[rung].loss is None else each.results[rung].loss
            for other, its, each in halved
            if other != run and its.group == info.group and len(each.results) > rung
        ]
        rank, of = 1 + sum(each <= loss for each in others), 1 + len(others)  # type: ignore[operator]
        result = RungResult(
            step=halving.rungs[rung], time=time.time(), loss=loss if math.isfinite(loss) else None, rank=rank, of=of,
            goes_on=goes_on(rank, of, halving.factor),
        )  # fmt: skip
        with suppress(EditError):
            with edited_metadata(run) as facts:
                facts["halving"]["results"].append(msgspec.to_builtins(result))
            if not result.goes_on:
                self._stop(run, result)

    def _stop(self, run: RunDirectory, result: RungResult) -> None:
        """Request the end of a run once, unless it has ended by itself."""
        if run not in self._asked:
            self._asked.add(run)
            with suppress(LaunchError, EditError, OSError):
                stop_run(run, wait=False, timeout_s=0.0, report=lambda _: None, reason=reason_of(result))


def reason_of(result: RungResult) -> str:
    """Why a run was stopped at a rung."""
    return f"stopped by halving at step {result.step}: rank {result.rank} of {result.of}"
