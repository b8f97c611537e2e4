"""A program in a pseudo-terminal: what it sent and when, what its screen shows, what its processes cost.

Each piece of output is kept with the time it arrived. The screen is emulated from these pieces only when someone asks,
so that what is measured is not slowed by the measuring, and a moment is exact however late one looks.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import math
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from types import TracebackType

import psutil
import pyte

COLUMNS, ROWS = 200, 50
POLL_S = 0.05
# Output within this time is one look at the screen.
BURST_S = 0.02
QUIET_S, QUIET_BYTES = 3.0, 1000
# What another terminal, or a developer's habits, would change: without bytecode each start compiles the program anew.
FOREIGN = ("NO_COLOR", "COLUMNS", "LINES", "TMUX", "STY", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
# What programs ask a terminal when they start, with what an xterm would say; some wait for the answer.
ANSWERS: tuple[tuple[bytes, bytes], ...] = (
    (b"\x1b[c", b"\x1b[?62;22c"),
    (b"\x1b[0c", b"\x1b[?62;22c"),
    (b"\x1b[6n", b"\x1b[1;1R"),
    (b"\x1b]10;?", b"\x1b]10;rgb:dddd/dddd/dddd\x1b\\"),
    (b"\x1b]11;?", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
    (b"\x1b[?2027$p", b"\x1b[?2027;0$y"),
    (b"\x1b[?2048$p", b"\x1b[?2048;0$y"),
    (b"\x1b[?u", b"\x1b[?0u"),
    (b"\x1b[>q", b"\x1bP>|XTerm(390)\x1b\\"),
    (b"\x1b[>0q", b"\x1bP>|XTerm(390)\x1b\\"),
)
# Sequences that the emulator would take for text or for something else, and that change no cell.
INVISIBLE = re.compile(rb"\x1b[P_^X].*?\x1b\\|\x1b\[[>=<][0-9;:]*[a-zA-Z]|\x1b\[[?>]?[0-9;]*\$[a-z]", re.DOTALL)
# The beginning of a sequence whose rest has not come yet.
TORN = re.compile(rb"\x1b(?:[P_^X\]](?:(?!\x1b\\|\x07).)*|\[[?>=<]?[0-9;:$]*)?\Z", re.DOTALL)


class Emulator(pyte.Screen):
    """The screen of an xterm, with what pyte leaves out and full-screen programs use: REP, CBT, CHT, SU and SD."""

    def __init__(self) -> None:
        self._drawn = " "
        super().__init__(COLUMNS, ROWS)

    @property
    def display(self) -> list[str]:
        """The lines. Quicker than pyte's own, which measures each character."""
        return ["".join([row[x].data for x in range(COLUMNS)]) for row in (self.buffer[y] for y in range(ROWS))]

    def draw(self, data: str) -> None:
        self._drawn = data[-1:] or self._drawn
        super().draw(data)

    def repeat(self, count: int = 1) -> None:
        """Draw the character before once more, `count` times."""
        super().draw(self._drawn * (count or 1))

    def back_tab(self, count: int = 1) -> None:
        """The cursor to the tab stop before."""
        for _ in range(count or 1):
            self.cursor.x = max((stop for stop in self.tabstops if stop < self.cursor.x), default=0)

    def forward_tab(self, count: int = 1) -> None:
        """The cursor to the next tab stop."""
        for _ in range(count or 1):
            self.tab()

    def scroll_up(self, count: int = 1) -> None:
        """The lines of the scrolling region up; the cursor stays."""
        self._at_top(self.delete_lines, count)

    def scroll_down(self, count: int = 1) -> None:
        """The lines of the scrolling region down; the cursor stays."""
        self._at_top(self.insert_lines, count)

    def _at_top(self, shift: Callable[[int], None], count: int) -> None:
        x, y = self.cursor.x, self.cursor.y
        self.cursor.y = self.margins.top if self.margins else 0
        shift(count or 1)
        self.cursor.x, self.cursor.y = x, y


class Stream(pyte.ByteStream):
    """pyte's parser with the further sequences of `Emulator`."""

    csi = pyte.ByteStream.csi | {
        "b": "repeat", "Z": "back_tab", "I": "forward_tab", "S": "scroll_up", "T": "scroll_down",
    }  # fmt: skip
    events = pyte.ByteStream.events | frozenset(("repeat", "back_tab", "forward_tab", "scroll_up", "scroll_down"))


class Terminal:
    """A program on a terminal of 200×50, from its start until the end of the `with` block.

    Times are those of `time.time()`, so that they compare with what other processes note.
    """

    def __init__(self, command: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self._screen = Emulator()
        self._stream = Stream(self._screen)
        self._shown = 0
        self._torn = b""
        self._ended = threading.Event()
        full_env = {**os.environ, **env, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in FOREIGN:
            full_env.pop(name, None)
        argv = [str(part) for part in command]
        self.started = time.time()
        self.pid, self._file = pty.fork()
        if not self.pid:
            _become(argv, cwd, full_env)
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._file], [], [], POLL_S)[0]:
                continue
            try:
                data = os.read(self._file, 1 << 16)
            except OSError:
                break
            if not data:
                break
            self.pieces.append((time.time(), data))
            answer = b"".join(said for asked, said in ANSWERS if asked in data)
            if answer:
                os.write(self._file, answer)
        self._ended.set()

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._file, keys.encode())

    def frames(self) -> Iterator[tuple[float, list[str]]]:
        """The screen after each burst of output that was not yet looked at: seconds since the start, and its lines."""
        began = -math.inf
        while self._shown < len(self.pieces):
            at, data = self.pieces[self._shown]
            self._shown += 1
            self._show(data)
            began = at if math.isinf(began) else began
            if self._shown == len(self.pieces) or self.pieces[self._shown][0] - began > BURST_S:
                began = -math.inf
                yield at - self.started, self.lines()

    def _show(self, data: bytes) -> None:
        data = self._torn + data
        torn = TORN.search(data)
        self._torn = data[torn.start() :] if torn else b""
        self._stream.feed(INVISIBLE.sub(b"", data[: len(data) - len(self._torn)]))

    def lines(self) -> list[str]:
        """The screen as emulated so far."""
        return self._screen.display

    def wait_until(self, shows: Callable[[list[str]], bool], timeout_s: float) -> float:
        """Look now and then until the screen passes the test; returns when it first did, seconds since the start.

        Raises TimeoutError, and ChildProcessError when the program ends before.
        """
        while True:
            ended = self._ended.is_set()
            for at, lines in self.frames():
                if shows(lines):
                    return at
            self._check(ended, timeout_s)
            time.sleep(POLL_S)

    def wait_until_quiet(self, timeout_s: float) -> None:
        """Wait, without looking, until next to nothing was sent for a while. Raises as `wait_until` does."""
        while True:
            ended, now = self._ended.is_set(), time.time()
            if self.pieces and now - self.started > QUIET_S and self.sent_between(now - QUIET_S, now) < QUIET_BYTES:
                return
            self._check(ended, timeout_s)
            time.sleep(POLL_S)

    def _check(self, ended: bool, timeout_s: float) -> None:
        if not ended and time.time() - self.started < timeout_s:
            return
        for _ in self.frames():
            pass
        seen = "\n".join(line.rstrip() for line in self.lines() if line.strip())
        if ended:
            raise ChildProcessError(f"the program ended; its screen:\n{seen}")
        raise TimeoutError(f"not within {timeout_s:g} s; the screen:\n{seen}")

    def sent_between(self, begin: float, end: float) -> int:
        """Bytes that came to the terminal between two times."""
        first = bisect.bisect_left(self.pieces, begin, key=itemgetter(0))
        return sum(len(data) for at, data in self.pieces[first:] if at < end)

    def peak_memory(self) -> int:
        """Sum of the largest resident sizes of the program's processes so far, bytes."""
        return sum(_peak(process.pid) for process in self.processes())

    def cpu_seconds(self) -> float:
        """User and system time of the program's processes so far."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def processes(self) -> list[psutil.Process]:
        """The program and everything it started that still runs."""
        try:
            program = psutil.Process(self.pid)
            return [program, *program.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def close(self) -> None:
        """End the program, by asking first."""
        processes = self.processes()
        for keys in ("q", "\x03"):
            with contextlib.suppress(OSError):
                self.send(keys)
            if self._ended.wait(2.0):
                break
        psutil.wait_procs(processes, timeout=1.0)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self._ended.set()
        self._reader.join()
        os.close(self._file)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _become(argv: list[str], cwd: Path, env: dict[str, str]) -> None:
    """In the child: wait until the terminal has its size, then be the program."""
    try:
        while struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[1] != COLUMNS:
            time.sleep(0.0005)
        os.chdir(cwd)
        os.execvpe(argv[0], argv, env)
    finally:
        os._exit(127)


def _peak(pid: int) -> int:
    """VmHWM of a process, bytes; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
