"""Proving a configuration before it is queued: ten steps that also evaluate, sample, save, load and draw."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuitrain.config import RunConfig, validate
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label, follow, new_run, process_environment, start, train_command
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
    """The checklist, and the run directory, which is kept only when something failed."""

    checks: tuple[Check, ...]
    kept: Path | None

    @property
    def ok(self) -> bool:
        """Whether everything worked."""
        return all(check.ok for check in self.checks)


def smoke_config(config: RunConfig) -> RunConfig:
    """The same run cut down to ten steps, with an evaluation, a sample and a checkpoint each five."""
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
    tell: Callable[[Check], object],
    *,
    processes: int = 1,
) -> SmokeResult:
    """Run the checklist, telling each line as it is known. draw makes the figures of a run into its directory.

    The training takes `processes` processes; what looks at the checkpoint afterwards takes one.
    """
    runs_dir = Path(tempfile.mkdtemp(prefix="tuitrain-smoke-"))
    run = new_run(runs_dir, smoke_config(config))
    checks: list[Check] = []

    def note(check: Check) -> bool:
        checks.append(check)
        tell(check)
        return check.ok

    if note(_train(run, processes)):
        history = load_history(run)
        for check in (_losses(history), _evaluation(history), _sample(history), _checkpoint(history)):
            note(check)
        note(_engine(run, "checkpoint loads again", "check-checkpoint"))
        note(
            _engine(run, "text from the checkpoint", "sample", "--prompt", config.sampling.prompt, "--max-tokens", "8")
        )
        note(_figure(run, draw))
    result = SmokeResult(tuple(checks), kept=None if all(check.ok for check in checks) else run.path)
    if result.kept is None:
        shutil.rmtree(runs_dir)
    return result


def _train(run: RunDirectory, processes: int) -> Check:
    began = time.monotonic()
    process = start(run, train_command(run, processes=processes), Label("smoke"), processes=processes)
    code = follow(run, process, lambda text: None, foreground=True)
    seconds = time.monotonic() - began
    if code == 130:
        shutil.rmtree(run.path.parent)
        raise KeyboardInterrupt
    done = f"{STEPS} steps" if processes == 1 else f"{STEPS} steps on {processes} processes"
    detail = done if code == 0 else _reason(run.console, code)
    return Check("training", code == 0, detail, seconds)


def _losses(history: RunHistory) -> Check:
    losses = history.steps.series("loss")[1].tolist()
    ok = len(losses) == STEPS and all(map(math.isfinite, losses))
    detail = f"{losses[0]:.3f} → {losses[-1]:.3f}" if losses else "no step was logged"
    return Check("losses are finite", ok, detail)


def _evaluation(history: RunHistory) -> Check:
    loss = history.evals.last("loss")
    return Check("evaluation", loss is not None, f"loss {loss:.3f}" if loss is not None else "none in the log")


def _sample(history: RunHistory) -> Check:
    count = len(history.samples)
    return Check("text samples", count > 0, f"{count} in the log" if count else "none in the log")


def _checkpoint(history: RunHistory) -> Check:
    if not history.checkpoints:
        return Check("checkpoints", False, "none in the log")
    newest = history.checkpoints[-1]
    size = f", {newest.bytes / 1e6:.1f} MB" if newest.bytes is not None else ""
    return Check("checkpoints", True, f"{len(history.checkpoints)} written{size}")


def _engine(run: RunDirectory, name: str, *arguments: str) -> Check:
    """Call the engine on the finished run; what it prints last is the reason when it fails."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tuitrain_engine", arguments[0], "--run-dir", str(run.path), *arguments[1:]]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=process_environment(run),
    )
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines() or ["nothing printed"]
    return Check(name, done.returncode == 0, lines[-1][:100], time.monotonic() - began)


def _figure(run: RunDirectory, draw: Callable[[RunDirectory], Sequence[Path]]) -> Check:
    began = time.monotonic()
    try:
        paths = draw(run)
    except (OSError, ValueError, LookupError, LaunchError) as error:
        return Check("figure", False, str(error), time.monotonic() - began)
    return Check("figure", bool(paths), ", ".join(path.name for path in paths), time.monotonic() - began)


def _reason(console: Path, code: int) -> str:
    last = ConsoleFile(console).last_lines(20)
    lines = [line.text for line in last if line.text.strip()]
    return lines[-1] if lines else f"exit code {code}"
