"""Mutated logs of every format, console lines, configurations, settings, indices of checkpoints and answers over SSH,
shown as the commands show them: without a crash, a hang, or a control character on the screen.

    python bench/fuzz.py OUT [--cases 100000] [--seed 1] [--workers 2] [--only NAME …] [--seconds S]
    python bench/fuzz.py OUT --case NAME NUMBER
    python bench/fuzz.py OUT --screens 1000

Every target gets the same share of the cases. A case is a finding when it raises what no command explains, takes a
second of CPU time or a minute, needs 2 GB more memory, ends the process, or prints a control character. OUT keeps what
was done, in chunks: with --seconds it ends after about so long, and the next call goes on. --case shows one case.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]
from tests.fuzz.logs import log_targets  # noqa: E402
from tests.fuzz.others import checkpoint_target, other_targets  # noqa: E402
from tests.fuzz.screens import NAME as SCREENS  # noqa: E402
from tests.fuzz.screens import screen_target  # noqa: E402
from tests.fuzz.target import Target, foreign  # noqa: E402

from common import print_table  # noqa: E402

CHUNK, SCREENS_CHUNK = 250, 25
WALL_S = 60.0
MORE_MEMORY = 2 << 30
CHECKPOINTS = "checkpoint index"


class Hang(BaseException):
    """A case that takes too long."""


def main() -> None:
    """Run the cases that are not done yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--screens", type=int, help="only so many mutated logs, on the screens of the dashboard")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--case", nargs=2, metavar=("NAME", "NUMBER"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.worker:
        return work(options.out, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        targets = all_targets(Path(folder))
        if options.case:
            name, number = options.case
            (Path(folder) / "work").mkdir()
            print(targets[name].run(Path(folder) / "work", options.seed, int(number)))
            return None
    if options.screens:
        options.only, options.cases = [SCREENS], options.screens
    names = options.only or list(targets)
    Runner(options.out, options.seed, names, -(-options.cases // len(names))).run(options.workers, options.seconds)
    return None


def all_targets(folder: Path) -> dict[str, Target]:
    """Every target by its name; the environment is one of its own."""
    os.environ |= {f"TUITRAIN_{name}_DIR": str(folder / name) for name in ("CACHE", "CONFIG", "STATE", "RUNS")}
    os.environ |= {"COLUMNS": "160", "LINES": "40"}
    kept = folder / "seeds"
    kept.mkdir()
    logs = list(log_targets(kept))
    every = [*logs, *other_targets(kept), checkpoint_target(kept), screen_target(logs, folder / "RUNS")]
    return {target.name: target for target in every}


# ── a worker ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def work(out: Path, seed: int) -> None:
    """Run the chunks that come on standard input, one a line, and answer each with a line."""
    warnings.simplefilter("ignore", RuntimeWarning)
    signal.signal(signal.SIGPROF, _stop)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        targets = all_targets(Path(name))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MORE_MEMORY, resource.RLIM_INFINITY))
        at = os.open(out / f"at-{os.getpid()}", os.O_RDWR | os.O_CREAT)
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            chunk = json.loads(line)
            print(
                json.dumps(run_chunk(targets[chunk["target"]], Path(name), out, seed, chunk, at)),
                file=answers,
                flush=True,
            )


def run_chunk(target: Target, folder: Path, out: Path, seed: int, chunk: dict[str, Any], at: int) -> dict[str, Any]:
    """Run the cases of a chunk; its result."""
    directory = folder / "work" / target.name
    directory.mkdir(parents=True, exist_ok=True)
    began, worst, worst_case, findings = time.perf_counter(), 0.0, 0, []
    for number in range(chunk["start"], chunk["start"] + chunk["count"]):
        os.pwrite(at, f"{number:<12}".encode(), 0)
        cpu = time.process_time()
        problem = problem_of(target, directory, seed, number)
        if problem is not None:
            # On a busy machine CPU time is longer, and the first case of a kind imports modules.
            cpu = time.process_time()
            problem = problem_of(target, directory, seed, number)
        seconds = time.process_time() - cpu
        if seconds > worst:
            worst, worst_case = seconds, number
        if problem is not None:
            findings.append({"case": number, "problem": problem})
    return {
        **chunk, "seconds": time.perf_counter() - began, "worst": worst, "worst_case": worst_case, "findings": findings,
    }  # fmt: skip


def problem_of(target: Target, directory: Path, seed: int, number: int) -> str | None:
    """What is wrong with a case; None: nothing."""
    signal.setitimer(signal.ITIMER_PROF, target.cpu_s)
    try:
        text = target.run(directory, seed, number)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sign = foreign(text)
        return None if sign is None else f"on the screen: {sign!r}"
    except Hang:
        return f"more than {target.cpu_s:g} s of CPU time: {_where(sys.exc_info()[2])}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]} ({_where(error.__traceback__)})"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Hang


def _where(trace: Any) -> str:
    """The places of a traceback in our code, the innermost first."""
    frames = [frame for frame in traceback.extract_tb(trace) if str(ROOT) in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))


# ── the runner ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Runner:
    """Hands chunks to workers and keeps the results in OUT/results.jsonl."""

    def __init__(self, out: Path, seed: int, names: list[str], cases: int) -> None:
        self._out, self._seed, self._names = out, seed, names
        self._results = out / f"results-{seed}.jsonl"
        lines = self._results.read_text().splitlines() if self._results.exists() else []
        self._done = [each for each in map(json.loads, lines) if each["target"] in names and each["start"] < cases]
        known = {
            (each["target"], number)
            for each in self._done
            for number in range(each["start"], each["start"] + each["count"])
        }
        self._chunks: SimpleQueue[dict[str, Any]] = SimpleQueue()
        size = SCREENS_CHUNK if names == [SCREENS] else CHUNK
        for start in range(0, cases, size):
            for name in names:
                if (name, start) not in known:
                    self._chunks.put({"target": name, "start": start, "count": min(size, cases - start)})
        self._lock = threading.Lock()

    def run(self, workers: int, seconds: float) -> None:
        """Run what is left, for so long at most, and print the table."""
        deadline = time.monotonic() + seconds
        threads = [threading.Thread(target=self._drive, args=(deadline,)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._print()

    def _drive(self, deadline: float) -> None:
        worker: Worker | None = None
        while time.monotonic() < deadline:
            try:
                chunk = self._chunks.get_nowait()
            except Empty:
                break
            worker = worker or Worker(self._out, self._seed)
            result = worker.run(chunk)
            if result is None:
                # The case ended the process, or it hangs where no signal reaches it.
                number, how = worker.end()
                worker = None
                done = number - chunk["start"] + 1
                result = {
                    **chunk, "count": done, "seconds": 0.0, "worst": WALL_S, "worst_case": number,
                    "findings": [{"case": number, "problem": how}],
                }  # fmt: skip
                if done < chunk["count"]:
                    self._chunks.put({**chunk, "start": number + 1, "count": chunk["count"] - done})
            with self._lock, self._results.open("a") as file:
                file.write(json.dumps(result) + "\n")
                self._done.append(result)
        if worker is not None:
            worker.end()

    def _print(self) -> None:
        rows, findings = [], []
        for name in [*self._names, None]:
            done = [each for each in self._done if name in (None, each["target"])]
            found = [{"target": each["target"], **one} for each in done for one in each["findings"]]
            findings += found if name is not None else []
            worst = max(done, key=lambda each: each["worst"], default=None)
            cases, seconds = (sum(each[key] for each in done) for key in ("count", "seconds"))
            slowest = "" if worst is None else f"{worst['worst'] * 1e3:,.0f}"
            rows.append([name or "all", f"{cases:,}", f"{seconds:,.0f}", slowest, f"{len(found):,}"])
        print_table(["", "cases", "s", "worst, ms of CPU", "findings"], rows)
        for each in findings[:60]:
            print(f"{each['target']} {each['case']}: {each['problem']}")


class Worker:
    """A process that runs chunks."""

    def __init__(self, out: Path, seed: int) -> None:
        command = [sys.executable, __file__, str(out), "--seed", str(seed), "--worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._at = out / f"at-{self._process.pid}"
        self._answers: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._answers.get(timeout=120) == "ready\n"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in iter(self._process.stdout.readline, ""):
            self._answers.put(line)
        self._answers.put("")

    def run(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        """The result of a chunk; None where a case ended the process or hangs."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(chunk) + "\n")
        self._process.stdin.flush()
        before = ""
        while True:
            try:
                answer = self._answers.get(timeout=WALL_S)
            except Empty:
                at = self._at.read_text()
                if at == before:
                    return None
                before = at
                continue
            result: dict[str, Any] | None = json.loads(answer) if answer else None
            return result

    def end(self) -> tuple[int, str]:
        """End the process; the case that it was at, and how it ended."""
        how = "the process hung" if self._process.poll() is None else f"the process ended with {self._process.wait()}"
        self._process.kill()
        self._process.wait()
        number = int(self._at.read_text().strip() or 0)
        self._at.unlink()
        return number, how


if __name__ == "__main__":
    main()
