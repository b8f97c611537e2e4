"""A program on a real pseudo-terminal: its screen as pyte shows it, and every byte that it sent."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pexpect
import pyte

PATIENCE_S = 60
_CSI = re.compile(r"\x1b\[[<-?]?[0-9;:]*[ -/]*[@-~]")


class Terminal:
    """A terminal of 120 by 35 cells on which a command runs."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        # readline, which pytest imports, leaves another size in the environment of pytest's workers.
        inherited = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.child = pexpect.spawn(
            command[0], list(command[1:]), dimensions=(35, 120),
            env={**inherited, "TERM": "xterm-256color", **(environment or {})},
        )  # fmt: skip
        self.raw = b""
        self._drawn = 0
        self._screen = pyte.Screen(120, 35)
        self._stream = pyte.ByteStream(self._screen)

    @classmethod
    def of(cls, *arguments: str, environment: Mapping[str, str] | None = None) -> Terminal:
        """A terminal on which `tuitrain ARG …` runs."""
        return cls([sys.executable, "-m", "tuitrain.cli", *arguments], environment)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.child.close(force=True)

    @property
    def screen(self) -> str:
        """The text of the screen."""
        self._stream.feed(self.raw[self._drawn :])
        self._drawn = len(self.raw)
        return "\n".join(self._screen.display)

    def wait_for(self, condition: Callable[[str], object]) -> None:
        """Read until the condition holds for the screen."""
        for _ in range(PATIENCE_S * 10):
            if condition(self.screen):
                return
            self._read(0.1)
        raise AssertionError(f"waited in vain; on the screen:\n{self.screen}")

    def see(self, *words: str) -> None:
        """Read until the screen shows all of these words."""
        self.wait_for(lambda screen: all(word in screen for word in words))

    def press(self, keys: str, *words: str, gone: str = "") -> None:
        """Press keys and read until the screen shows these words, and no longer shows another."""
        self.child.send(keys)
        self.wait_for(lambda screen: all(word in screen for word in words) and not (gone and gone in screen))

    def end(self) -> int:
        """Read until the program has ended; its exit code."""
        while self._read(PATIENCE_S):
            pass
        self.child.close()
        assert isinstance(self.child.exitstatus, int), f"ended by signal {self.child.signalstatus}"
        return self.child.exitstatus

    def _read(self, seconds: float) -> bool:
        try:
            self.raw += self.child.read_nonblocking(1 << 16, seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True


def obeyed(raw: bytes, allowed: str = "\r\n\t") -> list[str]:
    """The control sequences in these bytes other than `ESC [`, each with the bytes that follow."""
    text = _CSI.sub("", raw.decode("utf-8", "surrogateescape"))
    return [text[at : at + 20] for at, sign in enumerate(text) if sign not in allowed and _is_obeyed(sign)]


def _is_obeyed(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(sign) in _BIDI


_BIDI = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
