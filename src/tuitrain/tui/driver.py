"""The terminal driver, which gives the terminal back when the program is ended, and says each colour once.

Textual names both colours of every piece of text it writes. Over a slow link that is most of
what travels. The picture is the same; `Thrift` is tested against a terminal emulator.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App
    from textual.driver import Driver

# Moving the cursor, hiding and showing it, and synchronised output leave the colours alone.
_TOKEN = re.compile(r"\x1b\[([0-9;]*)m|(\x1b\[\d+;\d+H|\x1b\[\?(?:25|2026)[hl])|([^\x1b]+)|(\x1b)")
LEAVE_S = 5
"""After so many seconds a program that was asked to end is ended."""
_PLAIN: tuple[str, str, tuple[str, ...]] = ("", "", ())

_ENDS = {
    "22": ("1", "2"), "23": ("3",), "24": ("4", "21"), "25": ("5", "6"), "27": ("7",), "28": ("8",), "29": ("9",),
}  # fmt: skip
"""Codes that end a style, and those that begin it."""


class Thrift:
    """Leaves out of a stream of text and escape sequences the colours that the terminal already has."""

    def __init__(self) -> None:
        self._wanted = self._there = _PLAIN

    def __call__(self, text: str) -> str:
        """The same for the eye, in fewer bytes. A sequence that is not known here finds the colours it expects."""
        out: list[str] = []
        for match in _TOKEN.finditer(text):
            if match[1] is not None:
                self._wanted = _read(self._wanted, match[1])
            elif match[2] is not None:
                out.append(match[2])
            elif match[3] is not None:
                out += (self._change(match[3]), match[3])
            else:
                out += (self._change(""), match[4])
        return "".join(out)

    def _change(self, text: str) -> str:
        """The sequence from the colours that are there to those that are wanted; blanks need no foreground."""
        wanted, there = self._wanted, self._there
        if wanted == there:
            return ""
        if text.isspace() and not wanted[2] and not there[2] and "\n" not in text:
            wanted = (there[0], wanted[1], wanted[2])
        fore, back, styles = wanted
        codes: list[str] = []
        if any(style not in styles for style in there[2]):
            codes, there = ["0"], _PLAIN
        codes += [style for style in styles if style not in there[2]]
        if fore != there[0]:
            codes.append(fore or "39")
        if back != there[1]:
            codes.append(back or "49")
        self._there = wanted
        return f"\x1b[{';'.join(codes)}m" if codes else ""


def _read(style: tuple[str, str, tuple[str, ...]], codes: str) -> tuple[str, str, tuple[str, ...]]:
    """The style after a sequence of codes (SGR: ECMA-48 8.3.117)."""
    fore, back, styles = style
    rest = (codes or "0").split(";")
    while rest:
        code = rest.pop(0).lstrip("0") or "0"
        if code in ("38", "48"):
            count = 4 if rest[:1] == ["2"] else 2
            colour = ";".join([code, *rest[:count]])
            rest = rest[count:]
            fore, back = (colour, back) if code == "38" else (fore, colour)
        elif code == "0":
            fore, back, styles = _PLAIN
        elif code == "39" or (code.startswith(("3", "9")) and len(code) == 2):
            fore = "" if code == "39" else code
        elif code == "49" or (code.startswith("4") and len(code) == 2) or code.startswith("10"):
            back = "" if code == "49" else code
        elif code in _ENDS:
            styles = tuple(style for style in styles if style not in _ENDS[code])
        elif code not in styles:
            styles = (*styles, code)
    return fore, back, styles


class ThriftyDriver(LinuxDriver):
    """Textual's driver for terminals, thrifty with colours."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._thrift = Thrift()

    def write(self, data: str) -> None:
        super().write(self._thrift(data))

    def start_application_mode(self) -> None:
        """Take the terminal; from here on a signal that ends the program gives it back first."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` ignores SIGHUP
                self._loop.add_signal_handler(number, self._leave, number)
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def _leave(self, number: signal.Signals) -> None:
        # Writing to a terminal that is gone can block for ever.
        signal.alarm(LEAVE_S)
        self._app.exit(return_code=128 + number)

    def close(self) -> None:
        super().close()
        signal.alarm(0)


def thrifty(driver: type[Driver]) -> type[Driver]:
    """The thrifty driver in place of Textual's for terminals; any other, as for a browser or a test, as it is."""
    return ThriftyDriver if driver is LinuxDriver else driver
