"""Waits for the engine and writes down how it ended: `python -m tuitrain.launch.supervise RUN_DIR COMMAND …`.

Only the parent of a process learns its exit code or signal, and `tuitrain launch` may be gone by then. This process has
a session of its own, and so has the engine. It passes on the signals that it gets, starts a crashed run again where
run.json says so, and needs little memory: what takes longer to import is imported when the engine has ended.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)


def main(arguments: list[str]) -> int:
    """Run the command, again where it crashes and may; return the last exit code, 1 after a signal."""
    options = _parser().parse_args(arguments)
    received: list[int] = []
    engine: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if engine is not None:
            engine.send_signal(number)

    for each in (*_STOPS, signal.SIGUSR1):
        # One that is ignored, as under nohup, stays ignored; the engine inherits that.
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, pass_on)
    engine = subprocess.Popen(options.command, start_new_session=True)
    for number in tuple(received):
        engine.send_signal(number)
    with os.fdopen(options.pid_to, "w") as pipe:
        pipe.write(f"{engine.pid}\n")
    restarts = None
    while True:
        kills, printed = oom_kills(), _size(options.run_dir / "console.log")
        code = engine.wait()
        # After the last restart it is still to say why there is no other.
        if code and (_write_exit(options.run_dir, code, kills, printed) or restarts is not None):
            # With pydantic, which a run that is not restarted does without.
            from tuitrain.launch.restart import Restarts
            from tuitrain.runs import RunDirectory

            restarts = restarts or Restarts(RunDirectory(options.run_dir), lambda: any(n in _STOPS for n in received))
            following = restarts.next_attempt(code)
            if following is not None:
                engine = following
                continue
        return code if code >= 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuitrain.launch.supervise")
    parser.add_argument("--pid-to", type=int, required=True, help="a file descriptor that gets the engine's pid")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def oom_kills(root: Path = Path("/")) -> dict[Path, int]:
    """How many processes the out-of-memory killer has killed: of this control group (v2, v1), and of the machine.

    Counters that cannot be read are left out.
    """
    paths = [root / "proc/vmstat"]
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                paths.append(root / "sys/fs/cgroup" / group.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                paths.append(root / "sys/fs/cgroup/memory" / group.lstrip("/") / "memory.oom_control")
    counts = {}
    for path in paths:
        with suppress(OSError, ValueError):
            lines = path.read_text(encoding="utf-8").splitlines()
            counts[path] = next(int(line.split()[1]) for line in [*lines, "oom_kill none"] if line[:9] == "oom_kill ")
    return counts


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _write_exit(run_dir: Path, code: int, kills: dict[Path, int], printed: int) -> bool:
    """Write to run.json how the engine ended; returns whether it may be started again.

    kills: those of the out-of-memory killer before; printed: bytes on the console before.
    """
    import msgspec

    from tuitrain.events.layout import Exit
    from tuitrain.runs import RunDirectory
    from tuitrain.runs.crash import last_lines, signal_name
    from tuitrain.runs.editing import EditError, edited_metadata

    run, now = RunDirectory(run_dir), oom_kills()
    ended = Exit(
        time=time.time(), code=code if code >= 0 else None, signal=signal_name(-code) if code < 0 else None,
        out_of_memory=any(count > kills.get(path, count) for path, count in now.items()) if now else None,
        last_lines=last_lines(run.console, printed),
    )  # fmt: skip
    try:
        with edited_metadata(run) as facts:
            facts["exit"] = msgspec.to_builtins(ended)
            return bool(facts.get("retries"))
    except EditError as error:
        print(error, file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
