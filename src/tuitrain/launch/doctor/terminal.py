"""The terminal that the dashboard would be drawn on."""

from __future__ import annotations

import os
import shutil
import sys

from tuitrain.launch.doctor.finding import Finding


def examine_terminal() -> Finding:
    """Size, kind, colours and encoding."""
    if not sys.stdout.isatty():
        return Finding("terminal", "ok", "none: output is plain text")
    size = shutil.get_terminal_size()
    kind = os.environ.get("TERM", "unknown")
    colours = "24-bit colour" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "256 colours or fewer"
    detail = f"{size.columns}×{size.lines}, {kind}, {colours}, {sys.stdout.encoding}"
    if "utf" not in sys.stdout.encoding.lower():
        return Finding("terminal", "warning", detail, "charts are drawn with braille: set a UTF-8 locale")
    if kind == "dumb" or size.columns < 80 or size.lines < 24:
        fix = "the dashboard needs at least 80×24 and a terminal that moves its cursor"
        return Finding("terminal", "warning", detail, fix)
    return Finding("terminal", "ok", detail)
