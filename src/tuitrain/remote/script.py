"""A script of a POSIX shell, run once on another machine. What it works on are its arguments, which are never code."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import IO

from tuitrain.remote import agent
from tuitrain.remote.connection import MOST_NOISE, RemoteError, not_started, ssh_command
from tuitrain.text import clean, clean_lines

_LOST = 255
"""What `ssh` ends with when it is not connected."""
_LAST_BYTES = 16 << 10


class ScriptError(Exception):
    """A script failed there. code: its exit code. text: what it wrote to its standard error, safe to show."""

    def __init__(self, host: str, code: int, text: str) -> None:
        super().__init__(text or f"{host}: it ended with exit code {code}.")
        self.host, self.code, self.text = host, code, text


def run_script(
    host: str,
    script: str,
    words: Sequence[str] = (),
    *,
    data: Iterable[bytes] = (),
    line: Callable[[str], object] | None = None,
    say: Callable[[str], object] | None = None,
    codes: Collection[int] = (0,),
    ask: bool = False,
) -> str:
    """Run a script with these words as `$1`, `$2` and so on, and data as its input; returns what it printed.

    line: called with each line as it comes, safe to show. say: with each that it wrote to its standard error, where it
    did not fail. codes: of an exit that is no failure. ask: whether `ssh` may
    ask questions on the terminal. Raises RemoteError, ScriptError, and ValueError for a word with a NUL.
    """
    command, first = [*ssh_command(host, ask=ask), "--", host, agent.BOOTSTRAP], program(script, words)
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        except OSError as error:
            raise not_started(host, command, error) from error
        assert process.stdin is not None and process.stdout is not None
        problems: list[Exception] = []
        writer = threading.Thread(target=_write, args=(process.stdin, chain([first], data), problems), daemon=True)
        writer.start()
        try:
            greeted = _skip_noise(process.stdout)
            printed = _read(process.stdout, line) if greeted else ""
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
            writer.join()
            process.stdout.close()
        said = _last_text(errors)
    if problems:
        raise problems[0]
    if not greeted or process.returncode == _LOST:
        last = next((clean(each).strip() for each in reversed(said.splitlines()) if each.strip()), "")
        raise RemoteError(host, last or f"the connection was lost (ssh ended with {process.returncode})")
    if process.returncode not in codes:
        raise ScriptError(host, process.returncode, said.strip())
    if say is not None:
        for each in said.splitlines():
            say(f"{host}: {each}")
    return printed


def program(script: str, words: Sequence[str]) -> bytes:
    """The script with its arguments, as `agent.BOOTSTRAP` takes it: a line that reads the rest. Raises ValueError."""
    text = f"set -- {shlex.join(words)}\n{script}" if words else script
    if "\0" in text:
        raise ValueError("a word for the other machine has a NUL")
    code = os.fsencode(text)
    return b"s=$(dd bs=1 count=%d 2>/dev/null); echo '%s'; eval \"$s\"\n%s" % (len(code), agent.GREETING, code)


def _write(pipe: IO[bytes], pieces: Iterable[bytes], problems: list[Exception]) -> None:
    """Write to the process; where that has ended its exit code says why. What cannot be read here is kept."""
    try:
        for piece in pieces:
            try:
                pipe.write(piece)
            except OSError:
                break
    except Exception as error:
        problems.append(error)
    with suppress(OSError):
        pipe.close()


def _skip_noise(pipe: IO[bytes]) -> bool:
    """Read what the start-up files of the login shell print; whether the script began."""
    noise = 0
    while noise <= MOST_NOISE and (line := pipe.readline(MOST_NOISE)):
        if line == agent.GREETING + b"\n":
            return True
        noise += len(line)
    return False


def _read(pipe: IO[bytes], line: Callable[[str], object] | None) -> str:
    if line is None:
        return pipe.read().decode("utf-8", "replace")
    for each in pipe:
        line(clean(each.decode("utf-8", "replace").rstrip("\r\n")))
    return ""


def _last_text(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _LAST_BYTES))
    return clean_lines(errors.read().decode("utf-8", "replace"))
