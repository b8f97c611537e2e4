"""The smoke test of a configuration: ten steps that also evaluate, sample, save, load and draw."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuitrain.accounting import size_text
from tuitrain.config import RunConfig, validate
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.following import follow
from tuitrain.launch.local import Label, new_run, process_environment, start, train_command
from tuitrain.runs import RunDirectory, RunHistory, load_history
from tuitrain.runs.console import ConsoleFile

STEPS = 10
INTERVAL = 5


@dataclass(frozen=True)
class Check:
    """One line of the checklist. seconds is None for what was only read from the log."""

    name: str
    ok: bool
    detail: str
    seconds: float | None = None


@dataclass(frozen=True)
class SmokeResult:
    """The checklist, and the run directory, which is kept only when a check failed."""

    checks: tuple[Check, ...]
    kept: Path | None

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return all(check.ok for check in self.checks)


def smoke_config(config: RunConfig) -> RunConfig:
    """The same run cut down to ten steps, with an evaluation, a sample and a checkpoint every five."""
    tree = config.to_dict()
    tree["train"].pop("token_budget", None)
    tree["train"]["max_steps"] = STEPS
    tree["eval"] |= {"interval": INTERVAL, "steps": min(config.eval.steps, 2)}
    tree["sampling"] |= {"interval": INTERVAL, "max_tokens": min(config.sampling.max_tokens, 32)}
    tree["checkpoint"] |= {"interval": INTERVAL}
    tree["telemetry"] |= {"log_interval": 1, "system_interval_s": 1.0}
    return validate(tree)


def run_smoke(
    config: RunConfig,
    draw: Callable[[RunDirectory], Sequence[Path]],
    report: Callable[[Check], object],
    *,
    processes: int = 1,
) -> SmokeResult:
    """Run the checklist and report each check as it ends. draw writes the figures of a run and returns their paths.

    The training takes `processes` processes; the checks of the checkpoint take one.
    """
    runs_dir = Path(tempfile.mkdtemp(prefix="tuitrain-smoke-"))
    run = new_run(runs_dir, smoke_config(config))
    checks = []
    for check in _checks(run, config.sampling.prompt, draw, processes):
        checks.append(check)
        report(check)
    result = SmokeResult(tuple(checks), kept=None if all(check.ok for check in checks) else run.path)
    if result.ok:
        shutil.rmtree(runs_dir)
    return result


def _checks(
    run: RunDirectory, prompt: str, draw: Callable[[RunDirectory], Sequence[Path]], processes: int
) -> Iterator[Check]:
    training = _train(run, processes)
    yield training
    if not training.ok:
        return
    yield from _log_checks(load_history(run))
    yield _engine_check(run, "checkpoint loads again", "check-checkpoint")
    yield _engine_check(run, "text from the checkpoint", "sample", "--prompt", prompt, "--max-tokens", "8")
    yield _figure(run, draw)


def _train(run: RunDirectory, processes: int) -> Check:
    start_time = time.monotonic()
    process = start(run, train_command(run, processes=processes), Label("smoke"), processes=processes)
    code = follow(run, process, lambda text: None, foreground=True)
    if code == 130:
        shutil.rmtree(run.path.parent)
        raise KeyboardInterrupt
    steps = f"{STEPS} steps" if processes == 1 else f"{STEPS} steps on {processes} processes"
    detail = steps if code == 0 else _last_line(run.console) or f"exit code {code}"
    return Check("training", code == 0, detail, time.monotonic() - start_time)


def _log_checks(history: RunHistory) -> Iterator[Check]:
    """Whether the log has what such a run writes."""
    losses = history.steps.series("loss")[1].tolist()
    finite = len(losses) == STEPS and all(map(math.isfinite, losses))
    detail = f"{losses[0]:.3f} → {losses[-1]:.3f}" if losses else "no step was logged"
    yield Check("losses are finite", finite, detail)
    missing = "none in the log"
    loss, samples, checkpoints = history.evals.last("loss"), len(history.samples), history.checkpoints
    yield Check("evaluation", loss is not None, missing if loss is None else f"loss {loss:.3f}")
    yield Check("text samples", samples > 0, f"{samples} in the log" if samples else missing)
    size = checkpoints[-1].bytes if checkpoints else None
    written = f"{len(checkpoints)} written{'' if size is None else f', {size_text(size)}'}"
    yield Check("checkpoints", bool(checkpoints), written if checkpoints else missing)


def _engine_check(run: RunDirectory, name: str, command: str, *arguments: str) -> Check:
    """Run a command of the engine on the finished run; the detail is the last line that it prints."""
    start_time = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tuitrain_engine", command, "--run-dir", str(run.path), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=process_environment(run),
    )
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines() or ["nothing printed"]
    return Check(name, done.returncode == 0, lines[-1][:100], time.monotonic() - start_time)


def _figure(run: RunDirectory, draw: Callable[[RunDirectory], Sequence[Path]]) -> Check:
    start_time = time.monotonic()
    try:
        paths = draw(run)
    except (OSError, ValueError, LookupError, LaunchError) as error:
        return Check("figure", False, str(error), time.monotonic() - start_time)
    return Check("figure", bool(paths), ", ".join(path.name for path in paths), time.monotonic() - start_time)


def _last_line(console: Path) -> str | None:
    """The last line of a console that has text."""
    return next((line.text for line in reversed(ConsoleFile(console).last_lines(20)) if line.text.strip()), None)
