"""Alerts: false alarms on healthy logs, delays on broken ones, and the cost of `tuitrain check --follow`.

    python bench/alerts.py [--corpus DIR ...] [--runs DIR ...] [--only healthy broken real cost]

healthy: logs of the corpus that `truth.json` calls neither failed nor interrupted and whose metrics are all finite,
runs of our own in DIR, and synthetic logs. broken: synthetic logs, each with one fault from a step on. real: an engine
that is stopped with SIGSTOP or SIGKILL, whose learning rate is 100, or whose disk is full (as root: on a small
tmpfs). cost: CPU of `check --follow` over live runs that log once a second, without the first reading of their logs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from socket import gethostname

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]
from tests.alerts.alert_logs import FAULT_STEP, FAULTS, START, broken, healthy  # noqa: E402

from common import print_table  # noqa: E402
from tuitrain.alerts import AlertMonitor, Rules  # noqa: E402
from tuitrain.checks.watched_run import WatchedRun  # noqa: E402
from tuitrain.events import Alert, AnyRecord, EventWriter, Step  # noqa: E402
from tuitrain.runs import RunDirectory, RunMetadata, RunNotFoundError, find_runs, list_runs  # noqa: E402

PARTS = ("healthy", "broken", "real", "cost")
SEEDS = 30
SYNTHETIC: dict[str, dict[str, object]] = {
    "synthetic, noise 2 %": {},
    "synthetic, noise 20 %": {"noise": 0.2},
    "synthetic, every 10th step, noise 5 %": {"every": 10, "steps": 20_000, "noise": 0.05, "eval_every": 200},
    "synthetic, 8,000 steps": {"steps": 8000},
    "synthetic, heavy tails (t, 4 degrees), 5 %": {"noise": 0.05, "heavy": True},
}
TINY = ("train.max_steps=100000", "eval.interval=100000", "sampling.interval=0", "checkpoint.interval=0",
        "telemetry.log_interval=1", "telemetry.system_interval_s=1")  # fmt: skip


def warnings_of(alerts: Sequence[Alert]) -> list[str]:
    """The codes of those that are more than information."""
    return [alert.code for alert in alerts if alert.level != "info"]


def check(run: RunDirectory) -> list[str]:
    """What `tuitrain check` would warn of."""
    return warnings_of([alert for _, alert in WatchedRun(run, Rules()).poll()])


def healthy_cases(corpus: Path) -> Iterator[Path]:
    """The data of the cases of a corpus that are healthy."""
    for case in sorted(path.parent for path in corpus.glob("*/truth.json")):
        truth = json.loads((case / "truth.json").read_text())
        runs = truth.get("runs", [])
        metrics = [metric for run in runs for metric in run.get("metrics", {}).values()]
        sick = any(run.get("status") in ("failed", "interrupted", "running") for run in runs)
        if not sick and not any(metric.get("non_finite") for metric in metrics):
            yield case / "data"


def false_alarms(corpora: Sequence[Path], folders: Sequence[Path]) -> None:
    """The table of healthy logs."""
    rows = []

    def row(name: str, alarms: Sequence[Sequence[str]]) -> None:
        counts = Counter(code for codes in alarms for code in codes)
        text = ", ".join(f"{count} {code}" for code, count in counts.items()) or "none"
        rows.append([name, str(len(alarms)), str(sum(bool(codes) for codes in alarms)), text])

    for corpus in corpora:
        alarms = []
        for data in healthy_cases(corpus):
            with suppress(RunNotFoundError):
                alarms += [check(run) for run in find_runs(str(data), data)]
        row(f"corpus {corpus.name}", alarms)
    for folder in folders:
        row("own runs", [check(run) for run in list_runs(folder) if run.source is None])
    for name, options in SYNTHETIC.items():
        logs = (healthy(seed=seed, **options) for seed in range(SEEDS))  # type: ignore[arg-type]
        row(name, [warnings_of(AlertMonitor(Rules()).absorb(log)) for log in logs])
    print_table(["healthy logs", "runs", "with an alarm", "alarms"], rows)


def delays() -> None:
    """The table of synthetic faults."""
    rows = []
    for fault, (code, _) in FAULTS.items():
        found, early = [], 0
        for seed in range(SEEDS):
            alerts = AlertMonitor(Rules()).absorb(broken(fault, 1600, seed=seed))
            first = next((alert for alert in alerts if alert.code == code), None)
            if first is not None and first.step is not None:
                found.append((first.step - FAULT_STEP, first.time - START - FAULT_STEP))
            early += sum((alert.step or 0) < FAULT_STEP for alert in alerts if code != "leak")
        steps, seconds = (sorted(column) for column in zip(*found, strict=True)) if found else ([], [])
        since = 0 if code != "leak" else -FAULT_STEP
        middle = len(found) // 2
        rows.append([
            fault, code, f"{len(found)} of {SEEDS}",
            f"{steps[middle] - since:,}" if found else "", f"{steps[-1] - since:,}" if found else "",
            f"{seconds[middle] - since:,.0f}" if found else "", str(early),
        ])  # fmt: skip
    print_table(["fault (synthetic, 1 step/s)", "rule", "found", "steps", "most", "seconds", "before it"], rows)


@contextmanager
def engine(runs_dir: Path, *overrides: str) -> Iterator[tuple[RunDirectory, Callable[[signal.Signals], None]]]:
    """A live run of the engine, and what signals the process that trains; all of it is ended afterwards."""
    command = [sys.executable, "-m", "tuitrain.cli", "launch", "gpt2-tiny", "--detach", "--json", "--runs-dir"]
    started = json.loads(subprocess.run([*command, str(runs_dir), *TINY, *overrides], capture_output=True).stdout)
    launched = psutil.Process(started["pid"])

    def send(number: signal.Signals) -> None:
        for process in launched.children(recursive=True) or [launched]:
            process.send_signal(number)

    try:
        yield RunDirectory(Path(started["path"])), send
    finally:
        with suppress(psutil.NoSuchProcess):
            processes = [*launched.children(recursive=True), launched]
            for process in processes:
                process.kill()
            psutil.wait_procs(processes, timeout=30)


def steps_of(run: RunDirectory) -> int:
    """How many steps its log has."""
    return run.metrics.read_bytes().count(b'"type":"step"') if run.metrics.exists() else 0


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until it holds; returns whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def real_faults() -> None:
    """The table of faults of a real engine, watched each second from when they were made."""
    rows = []

    def row(name: str, codes: str, run: RunDirectory, least: int, break_it: Callable[[], object]) -> None:
        watched = WatchedRun(run, Rules())
        begun = until(lambda: steps_of(run) >= least, 240)
        step, at = steps_of(run), time.time()
        break_it()
        alerts: list[Alert] = []

        def told() -> bool:
            alerts[:] = [alert for _, alert in watched.poll() if alert.code in codes.split()] or alerts
            return bool(alerts)

        found = begun and until(told, 400)
        late = f"{(alerts[0].step or 0) - step:,}" if found else ""
        code = alerts[0].code if found else codes
        print(f"{name}: {code} {alerts[0].message if found else ''}", file=sys.stderr)
        rows.append([name, code, "yes" if found else "NO", late, f"{time.time() - at:.0f}" if found else ""])

    with tempfile.TemporaryDirectory() as folder:
        with engine(Path(folder)) as (run, send):
            row("SIGKILL", "crash", run, 40, partial(send, signal.SIGKILL))
        with engine(Path(folder)) as (run, send):
            row("SIGSTOP: a stall", "stall", run, 40, partial(send, signal.SIGSTOP))
        with engine(Path(folder), "optim.lr=100", "optim.name=sgd", "train.grad_clip=0") as (run, _):
            row("sgd with a learning rate of 100", "failed", run, 1, lambda: None)
        if os.geteuid() == 0:
            disk = Path(folder) / "disk"
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m", "none", str(disk)], check=True)
            try:
                with engine(disk) as (run, _):
                    row("full disk", "disk", run, 5, lambda: fill(disk))
                    row("the run that it ends", "failed crash", run, 5, lambda: None)
            finally:
                until(lambda: subprocess.run(["umount", str(disk)], capture_output=True).returncode == 0, 30)
    print_table(["fault (real engine, watched each second)", "rule", "found", "steps", "seconds"], rows)


def fill(disk: Path) -> None:
    """Fill a file system."""
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 10))


def cost(runs: int, seconds: float) -> None:
    """CPU of a watcher of this many live runs."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {
            **os.environ,
            "TUITRAIN_STATE_DIR": str(home / "state"),
            "TUITRAIN_CONFIG_DIR": str(home / "config"),
        }
        now = time.time()
        logs = []
        for number in range(runs):
            directory = home / "runs" / f"run-{number:03}"
            directory.mkdir(parents=True)
            info = RunMetadata(name=directory.name, created=now, launcher="local", pid=os.getpid(), host=gethostname())
            RunDirectory(directory).write_metadata(info)
            log = EventWriter(directory / "metrics.jsonl")
            for record in shifted(healthy(300, seed=number), now - 300 - START):
                log.write(record)
            logs.append(log)
        command = [sys.executable, "-m", "tuitrain.cli", "check", "--follow", str(home / "runs")]
        watching = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert watching.stdout is not None and watching.stderr is not None
        said = watching.stderr.readline()
        process = psutil.Process(watching.pid)
        first, begun, step = sum(process.cpu_times()[:2]), time.monotonic(), 300
        while time.monotonic() - begun < seconds:
            step += 1
            for log in logs:
                log.write(Step(time=time.time(), step=step, loss=2.3, grad_norm=0.4, tokens_per_sec=1e3, lr=1e-3))
            time.sleep(max(0.0, begun + step - 300 - time.monotonic()))
        used, elapsed = sum(process.cpu_times()[:2]) - first, time.monotonic() - begun
        memory = process.memory_info().rss / 1e6
        watching.terminate()
        alerts = watching.communicate()[0].splitlines()
    print(said.strip())
    rows = [
        [
            f"{runs} live runs, 1 step/s each",
            f"{100 * used / elapsed:.2f} %",
            f"{first:.2f} s",
            f"{memory:.0f} MB",
            str(len(alerts)),
        ]
    ]
    print_table(["check --follow", "of a core", "first look", "memory", "alerts"], rows)


def shifted(records: list[AnyRecord], seconds: float) -> list[AnyRecord]:
    """The records at another time."""
    for record in records:
        record.time += seconds
    return records


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, nargs="*", default=[ROOT / "tests" / "data" / "corpus"])
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--count", type=int, default=100, help="live runs of the cost")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the cost")
    options = parser.parse_args()
    if "healthy" in options.only:
        false_alarms(options.corpus, options.runs)
    if "broken" in options.only:
        delays()
    if "real" in options.only:
        real_faults()
    if "cost" in options.only:
        cost(options.count, options.seconds)


if __name__ == "__main__":
    main()
