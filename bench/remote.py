"""Runs on another machine over a slow link, beside `ssh HOST tail -F` and beside the dashboard at the far end.

    python bench/remote.py [--rate 50000] [--round-trip 0.2] [--seconds 60] [--size 100]

The other machine is an `sshd` on loopback behind a proxy that lets so many bytes a second through in each direction and
delays each by half of the round trip. A run writes a step a second and a line of its console. Lag: from the write of a
record to the screen, or to when `tail` has it. Bytes: all that passes the proxy in both directions, SSH's own included,
once the first screen is there. Then a log of --size MB: from the start of the command to the first screen that shows
the newest step and curves, without a copy of it here.

Needs openssh-server and openssh-client, and the tests beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.remote.sshd import MISSING, Proxy, Server, running
from tests.support import write_run

from common import print_table
from terminal import Terminal
from tuitrain.runs import RunDirectory

GOAL_LAG_S, GOAL_BYTES, GOAL_OPEN_S = 2.0, 2_000.0, 3.0
FIRST_STEPS = 100
BRAILLE = range(0x2801, 0x2900)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50_000, help="bytes a second in each direction")
    parser.add_argument("--round-trip", type=float, default=0.2, help="seconds")
    parser.add_argument("--seconds", type=float, default=60, help="of each live measurement")
    parser.add_argument("--size", type=float, default=100, help="MB of the long log")
    parser.add_argument("--repeats", type=int, default=3, help="of opening it")
    arguments = parser.parse_args()
    if MISSING:
        sys.exit(MISSING)
    with tempfile.TemporaryDirectory() as name, running(Path(name) / "sshd") as server:
        folder = Path(name)
        with Proxy(server.port, rate=arguments.rate, delay_s=arguments.round_trip / 2) as proxy:
            server.add_host("slow", proxy.port)
            server.add_host(
                "shared", proxy.port, "ControlMaster auto", f"ControlPath {folder}/%C", "ControlPersist 600"
            )
            os.environ |= {"TUITRAIN_SSH": server.ssh, "TUITRAIN_STATE_DIR": str(folder / "state"),
                           "TUITRAIN_CONFIG_DIR": str(folder / "config")}  # fmt: skip
            rows = live(folder, server, proxy, arguments.seconds)
            print(f"a step a second; goal: at most {GOAL_LAG_S:g} s of lag and {GOAL_BYTES:,.0f} bytes a second")
            print_table(["", "lag, median", "lag, largest", "bytes/s"], rows)
            print()
            print(f"a log of {arguments.size:g} MB; goal: the newest charts within {GOAL_OPEN_S:g} s")
            print_table(["", "median", "largest"], opened(folder, arguments.size, arguments.repeats))


def live(folder: Path, server: Server, proxy: Proxy, seconds: float) -> list[list[str]]:
    """Lag and bytes of each way to follow a run."""
    rows = []
    for name, follow in (
        ("tuitrain watch slow:RUN", dashboard_here),
        ("ssh slow tail -F metrics.jsonl", tail),
        ("ssh slow tuitrain watch RUN", dashboard_there),
    ):
        run = write_run(folder / "live", f"live-20260101-120000-{len(rows):04x}", steps=FIRST_STEPS, status=None)
        lags, rate = follow(run, server, proxy, seconds)
        rows.append([name, f"{statistics.median(lags):.2f} s", f"{max(lags):.2f} s", f"{rate:,.0f}"])
    return rows


@contextmanager
def writing(run: RunDirectory) -> Iterator[dict[int, float]]:
    """Append a step a second; yields when each was written."""
    written: dict[int, float] = {}
    stop, template = threading.Event(), json.loads(run.metrics.read_bytes().splitlines()[-2])

    def write() -> None:
        step, chance = FIRST_STEPS, random.Random(0)
        while not stop.wait(1.0):
            step += 1
            record = template | {"type": "step", "step": step, "time": time.time(), "loss": 3 * chance.random()}
            record["grad_norm"], record["step_time_ms"] = chance.random(), 1000 * chance.random()
            with run.metrics.open("a") as log, run.console.open("a") as console:
                written[step] = time.monotonic()
                log.write(json.dumps(record, separators=(",", ":")) + "\n")
                console.write(f"step {step} loss {record['loss']:.4f} grad {record['grad_norm']:.3f}\n")

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def dashboard_here(run: RunDirectory, server: Server, proxy: Proxy, seconds: float) -> tuple[list[float], float]:
    """Our dashboard on this side."""
    command = [sys.executable, "-m", "tuitrain.cli", "watch", f"slow:{run.path}"]
    return on_screen(command, run, proxy, seconds)


def dashboard_there(run: RunDirectory, server: Server, proxy: Proxy, seconds: float) -> tuple[list[float], float]:
    """Our dashboard on the other side, its terminal on this one."""
    variables = " ".join(f"{key}={os.environ[key]}" for key in ("PYTHONPATH", "PATH") if key in os.environ)
    there = (
        f"env {variables} TERM=xterm-256color COLORTERM=truecolor {sys.executable} -m tuitrain.cli watch '{run.path}'"
    )
    return on_screen([*server.ssh.split(), "-tt", "slow", there], run, proxy, seconds)


def on_screen(command: list[str], run: RunDirectory, proxy: Proxy, seconds: float) -> tuple[list[float], float]:
    """Lags from the write of a step to the screen, and bytes a second."""
    lags = []
    with writing(run) as written, Terminal(command, run.path, dict(os.environ)) as terminal:
        terminal.wait_until(lambda lines: step_shown(lines) > FIRST_STEPS + 5, 60)
        begin, before = time.monotonic(), proxy.received + proxy.sent
        shown = step_shown(terminal.lines())
        while time.monotonic() - begin < seconds:
            terminal.wait_until(lambda lines, shown=shown: step_shown(lines) > shown, 60)
            new = step_shown(terminal.lines())
            lags += [time.monotonic() - written[step] for step in range(shown + 1, new + 1)]
            shown = new
        passed = proxy.received + proxy.sent - before
        duration = time.monotonic() - begin
    return lags, passed / duration


def tail(run: RunDirectory, server: Server, proxy: Proxy, seconds: float) -> tuple[list[float], float]:
    """The log alone, as `ssh` sends it."""
    lags = []
    command = [*server.ssh.split(), "slow", f"tail -n 0 -F '{run.metrics}'"]
    with (
        writing(run) as written,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
    ):
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        begin, before = time.monotonic(), proxy.received + proxy.sent
        while time.monotonic() - begin < seconds:
            step = json.loads(process.stdout.readline())["step"]
            lags.append(time.monotonic() - written[step])
        passed, duration = proxy.received + proxy.sent - before, time.monotonic() - begin
        process.terminate()
    return lags, passed / duration


def opened(folder: Path, megabytes: float, repeats: int) -> list[list[str]]:
    """Seconds until the newest charts are there."""
    run = write_run(folder / "long", "long-20260101-120000-0000", steps=5_000)
    lines = [line for line in run.metrics.read_bytes().splitlines() if b'"type":"step"' in line]
    step, begin = 5_000, time.time()
    with run.metrics.open("ab") as log:
        while log.tell() < megabytes * 1e6:
            for line in lines:
                step += 1
                log.write(b'{"type":"step","time":%.3f,"step":%d,' % (begin - 1e6 + step, step))
                log.write(line[line.index(b",", line.index(b'"step":')) + 1 :] + b"\n")
    rows = []
    ssh = os.environ["TUITRAIN_SSH"].split()
    # The shared connection stays open for the rest of the measurements.
    subprocess.run([*ssh, "shared", "true"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for host, name in (("slow", "tuitrain watch HOST:RUN"), ("shared", "the same, through an open ControlMaster")):
        seconds = []
        for number in range(repeats):
            cache = folder / f"cache-{host}-{number}"
            environment = dict(os.environ) | {"TUITRAIN_CACHE_DIR": str(cache)}
            command = [sys.executable, "-m", "tuitrain.cli", "watch", f"{host}:{run.path}"]
            with Terminal(command, run.path, environment) as terminal:
                newest = terminal.wait_until(lambda lines: step_shown(lines) == step and has_curves(lines), 60)
                seconds.append(newest)
            shutil.rmtree(cache, ignore_errors=True)
        rows.append([f"{name}, {step:,} steps", f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s"])
    start = time.monotonic()
    subprocess.run([*ssh, "slow", "true"], check=True)
    return [*rows, ["ssh slow true", f"{time.monotonic() - start:.2f} s", ""]]


def step_shown(lines: list[str]) -> int:
    """The step in the first line of the dashboard; 0 where there is none."""
    words = lines[0].split()
    text = words[words.index("step") + 1].replace(",", "") if "step" in words[:-1] else ""
    return int(text) if text.isdigit() else 0


def has_curves(lines: list[str]) -> bool:
    return sum(ord(sign) in BRAILLE for line in lines for sign in line) > 20


if __name__ == "__main__":
    main()
