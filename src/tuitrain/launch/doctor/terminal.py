"""The terminal that the dashboard would be drawn on."""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import suppress

from tuitrain.launch.doctor.finding import Finding

SAMPLE = "⣀⣤⣶⣿ ▁▂▃▅▇█ ●▲◆ ─│╭╯"
"""Characters of every kind that the dashboard draws with."""
ANSWER_S = 0.5


def examine_terminal() -> Iterator[Finding]:
    """Size, colours and characters, as far as a terminal tells."""
    if not sys.stdout.isatty():
        yield Finding("terminal", "ok", "none: output is plain text")
        return
    yield _size()
    yield _colours()
    yield _characters()


def _size() -> Finding:
    size, kind = shutil.get_terminal_size(), os.environ.get("TERM", "unknown")
    where = "".join(
        f", {text}" for text, variable in (("over ssh", "SSH_CONNECTION"), ("in tmux", "TMUX"), ("in screen", "STY"))
        if os.environ.get(variable)
    )  # fmt: skip
    detail = f"{size.columns}×{size.lines}, {kind}{where}"
    if kind == "dumb":
        return Finding("terminal", "warning", detail, "it cannot move its cursor: use `watch --once`, or another TERM")
    if size.columns < 80 or size.lines < 24:
        return Finding("terminal", "warning", detail, "the dashboard needs at least 80×24: enlarge the window")
    return Finding("terminal", "ok", detail)


def _colours() -> Finding:
    if os.environ.get("NO_COLOR"):
        return Finding("colours", "ok", "none, as NO_COLOR asks")
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return Finding("colours", "ok", "24-bit")
    kind = os.environ.get("TERM", "")
    fix = "export COLORTERM=truecolor where the terminal has 24-bit colours"
    if os.environ.get("TMUX"):
        fix += ", and in ~/.tmux.conf: set -as terminal-features ',*:RGB'"
    if "256color" in kind:
        return Finding("colours", "ok", f"256 (TERM={kind})", fix)
    return Finding("colours", "warning", f"16 or fewer (TERM={kind})", f"export TERM=xterm-256color, or {fix}")


def _characters() -> Finding:
    """Whether it shows braille, blocks and lines. Of its font it tells only how wide a character is."""
    if "utf" not in (sys.stdout.encoding or "").lower():
        fix = "set a UTF-8 locale, such as LC_ALL=C.UTF-8, or use --ascii"
        return Finding("characters", "warning", f"{sys.stdout.encoding}: no braille and no blocks", fix)
    if os.environ.get("TERM") == "linux":
        fix = "use --ascii there, or a terminal in a window"
        return Finding("characters", "warning", "the console of Linux has a font without braille", fix)
    width = _measured_width("⣿█●")
    if width is not None and width != 3:
        fix = "tell the terminal that ambiguous characters are narrow, or use --ascii"
        return Finding("characters", "warning", f"⣿█● take {width} cells in place of 3", fix)
    detail = f"{SAMPLE}{'' if width is None else ' of one cell each'}"
    return Finding("characters", "ok", detail, "where boxes or ? stand there: use a font with braille, or --ascii")


def _measured_width(text: str) -> int | None:
    """The cells that a text takes, by the position of the cursor after it; None where the terminal does not say."""
    if not sys.stdin.isatty():
        return None
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    stream = getattr(sys.stdout, "exact", sys.stdout)
    try:
        tty.setcbreak(file)
        stream.write(f"\r{text}\x1b[6n")
        stream.flush()
        answer, deadline = b"", time.monotonic() + ANSWER_S
        while not answer.endswith(b"R") and (left := deadline - time.monotonic()) > 0:
            if select.select([file], [], [], left)[0]:
                answer += os.read(file, 64)
        found = re.search(rb"\x1b\[\d+;(\d+)R", answer)
        return int(found[1]) - 1 if found else None
    except (OSError, ValueError):
        return None
    finally:
        with suppress(OSError, ValueError, termios.error):
            stream.write("\r\x1b[K")
            stream.flush()
            termios.tcsetattr(file, termios.TCSANOW, before)
