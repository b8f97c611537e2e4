"""One `ssh` to another machine, and the answers of the loop that it runs there."""

from __future__ import annotations

import errno
import os
import re
import select
import shlex
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tuitrain.remote import agent
from tuitrain.text import clean

CONNECT_S = 10
"""How long a host may take to answer."""
ALIVE_S, ALIVE_COUNT = 5, 3
"""`ssh` asks a silent host so often whether it is there, and gives up after so many questions without an answer."""
_OPTIONS = {
    "ConnectTimeout": str(CONNECT_S), "ServerAliveInterval": str(ALIVE_S), "ServerAliveCountMax": str(ALIVE_COUNT),
    "Compression": "yes", "RemoteCommand": "none", "RequestTTY": "no", "ClearAllForwardings": "yes",
    "ForwardAgent": "no", "ForwardX11": "no",
}  # fmt: skip
MOST_NOISE = 256 << 10
"""What the start-up files of a login shell may print before the greeting, in bytes."""
_LONGEST_LINE = 64 << 10
_LONGEST_LISTING = 64 << 20
"""Bytes: some half a million files."""
_LISTED = re.compile(rb"^(\d{1,18}) (\d{1,18}) (\S{1,18}) \./(.+)$", re.MULTILINE)
_LARGEST = 1 << 60
"""Bytes of a file."""
_CHUNK = 32 << 10
_LAST_BYTES = 4 << 10


class RemoteError(OSError):
    """A machine cannot be reached, or answers what no version of this program does."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(errno.EHOSTUNREACH, reason, host)


SOCKETS: dict[str, str] = {}
"""Of the connections that are open for all that goes to a host, by its name."""


def ssh_command(host: str = "", *, ask: bool = False) -> list[str]:
    """The words of `ssh` up to the host. ask: whether it may ask for a password or about a host's key."""
    command = shlex.split(os.environ.get("TUITRAIN_SSH") or "ssh") or ["ssh"]
    options = _OPTIONS if ask else {**_OPTIONS, "BatchMode": "yes"}
    options |= {"ControlPath": SOCKETS[host]} if host in SOCKETS else {}
    return [*command, "-T", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def not_started(host: str, command: Sequence[str], error: OSError) -> RemoteError:
    """The error of a command that cannot be started here."""
    return RemoteError(host, f"{command[0]} cannot be started: {error.strerror or error}")


@dataclass(frozen=True)
class RemoteFile:
    """A file there. inode: 0 for no file. mtime: whole Unix seconds; 0 where the machine cannot tell."""

    inode: int = 0
    size: int = 0
    mtime: int = 0


@dataclass(frozen=True)
class ProcessStates:
    """What a machine says of two processes, and of a lock; None: unknown. host: its name.

    started: Unix seconds, to the second; 0 for unknown.
    """

    host: str
    lives: bool | None
    started: int
    supervisor_lives: bool | None
    supervisor_started: int
    locked: bool | None


@dataclass
class Answer:
    """The answer to `get`: the file as it is, and its bytes from `offset` on; they have to be read before the next."""

    file: RemoteFile
    offset: int
    count: int
    data: Iterator[bytes]


class Connection:
    """Requests and answers over one `ssh`. Every method raises RemoteError once the connection is lost.

    ask: whether `ssh` may ask for a password or about a host's key on the terminal.
    """

    def __init__(self, host: str, *, ask: bool = False) -> None:
        self.host = host
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._buffer = bytearray()
        self._greeted = False
        command = ssh_command(host, ask=ask)
        try:
            self._process = subprocess.Popen(
                [*command, "--", host, agent.BOOTSTRAP],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            self._errors.close()
            raise not_started(host, command, error) from error
        self.send(agent.program(zstd=zstd_module() is not None))

    def send(self, requests: bytes) -> None:
        """Send requests: at most as much as fits into a pipe before their answers are read."""
        assert self._process.stdin is not None
        try:
            while requests:
                requests = requests[self._process.stdin.write(requests) or 0 :]
        except (OSError, ValueError):
            raise self._lost() from None

    def change(self) -> str:
        """The answer to `change`: `d`, `f`, or `-`."""
        return self._fields("c", 1)[0]

    def listing(self) -> dict[str, RemoteFile]:
        """The answer to `listing`: files by their names, without those whose names are no plain paths."""
        coding = self._fields("l", 1)[0]
        text = bytearray()
        for piece in self._lines_to_dot() if coding == "r" else self._unpacked(coding):
            text += piece
            if len(text) > _LONGEST_LISTING:
                raise self._unknown("a list of files without end")
        files: dict[str, RemoteFile] = {}
        for inode, size, mtime, name in _LISTED.findall(bytes(text)):
            path = os.fsdecode(name)
            if is_plain(path):
                files[path] = RemoteFile(int(inode), int(size), int(mtime) if mtime.isdigit() else 0)
        return files

    def answer(self) -> Answer:
        """The answer to `get`."""
        inode, *numbers, coding = self._fields("g", 6)
        try:
            size, mtime, offset, count = map(int, numbers)
            file = RemoteFile() if inode == "-" else RemoteFile(int(inode), size, mtime)
        except ValueError:
            raise self._unknown(" ".join(numbers)) from None
        if not 0 <= count <= max(size - offset, 0) or offset < 0 or size > _LARGEST:
            raise self._unknown(f"{count} bytes from {offset} on")
        data = self._exactly(count, self._raw(count) if coding == "r" else self._unpacked(coding))
        return Answer(file, offset, count, data)

    def processes(self) -> ProcessStates:
        """The answer to `processes`."""
        host, *rest = self._fields("p", 6)
        known = {"1": True, "0": False}
        lives, started, supervisor, supervisor_started, locked = rest
        times = [int(text) if text.isdigit() and len(text) < 19 else 0 for text in (started, supervisor_started)]
        return ProcessStates(host, known.get(lives), times[0], known.get(supervisor), times[1], known.get(locked))

    def job(self) -> str | None:
        """The answer to `job`: the line of Slurm, empty for a job that is no longer there; None where it is unknown."""
        line = clean(self._rest("q"))
        return None if line == "-" else line

    def made(self) -> bool:
        """The answer to `make`: whether the file is there."""
        return self._fields("r", 1)[0] == "0"

    def close(self) -> None:
        """End the `ssh`. May be called twice, and by another thread, whose read then fails."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()

    def _fields(self, kind: str, count: int) -> list[str]:
        fields = self._rest(kind).split(" ")
        if len(fields) != count:
            raise self._unknown(" ".join(fields)[:80])
        return fields

    def _rest(self, kind: str) -> str:
        """The line of an answer, without the letter that it begins with."""
        while not self._greeted:
            noise = 0
            while (line := self._line()) != agent.GREETING:
                noise += len(line)
                if noise > MOST_NOISE:
                    raise self._unknown("much, and not the greeting")
            self._greeted = True
        line = self._line()
        text = line.decode("ascii", "replace")
        if not text.startswith(f"{kind} "):
            raise self._unknown(text[:80])
        return text[len(kind) + 1 :]

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise self._unknown("a line without end")
            self._receive()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _lines_to_dot(self) -> Iterator[bytes]:
        while (line := self._line()) != b".":
            yield line + b"\n"

    def _raw(self, count: int) -> Iterator[bytes]:
        while count:
            if not self._buffer:
                self._receive()
            piece = bytes(self._buffer[:count])
            del self._buffer[: len(piece)]
            count -= len(piece)
            yield piece

    def _unpacked(self, coding: str) -> Iterator[bytes]:
        """A stream of gzip or zstd, which says itself where it ends."""
        stream = zlib.decompressobj(wbits=31) if coding == "z" else _zstd_stream()
        while not stream.eof:
            if not self._buffer:
                self._receive()
            data, self._buffer = bytes(self._buffer), bytearray()
            try:
                piece = stream.decompress(data)
            except Exception as error:
                # Of the module of the coding.
                raise self._unknown(str(error)) from None
            if piece:
                yield piece
            self._buffer += stream.unused_data

    def _exactly(self, count: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        if not count:
            return
        for piece in pieces:
            count -= len(piece)
            if count < 0:
                break
            yield piece
        if count:
            raise self._unknown("another number of bytes")

    def _receive(self) -> None:
        assert self._process.stdout is not None
        try:
            # Closing a pipe wakes no thread that reads it.
            while not select.select([self._process.stdout], [], [], 1.0)[0]:
                if self._process.poll() is not None:
                    raise self._lost()
            data = self._process.stdout.read(_CHUNK)
        except (OSError, ValueError) as error:
            raise error if isinstance(error, RemoteError) else self._lost() from None
        if not data:
            raise self._lost()
        self._buffer += data

    def _lost(self) -> RemoteError:
        """The error with what `ssh` said last."""
        self.close()
        code = self._process.returncode
        try:
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, size - _LAST_BYTES))
            lines = [clean(line).strip() for line in self._errors.read().decode("utf-8", "replace").splitlines()]
        except ValueError:
            lines = []
        said = next((line for line in reversed(lines) if line), "")
        return RemoteError(self.host, said or f"the connection was lost (ssh ended with {code})")

    def _unknown(self, what: str) -> RemoteError:
        return RemoteError(self.host, f"it answered what is not understood: {clean(what)}")


_PREPARED: dict[tuple[str, bool], Connection] = {}


def prepare(host: str, *, ask: bool) -> None:
    """Begin a connection that is needed soon: its handshake takes longer than most of what comes before."""
    with suppress(RemoteError):
        _PREPARED[host, ask] = Connection(host, ask=ask)


def connected(host: str, *, ask: bool) -> Connection:
    """The connection that was prepared, once, else a new one. Raises RemoteError."""
    return _PREPARED.pop((host, ask), None) or Connection(host, ask=ask)


def zstd_module() -> str | None:
    """The module that reads zstd, which not every Python has; None for none."""
    if sys.version_info >= (3, 14):
        return "compression.zstd"
    return "zstandard" if find_spec("zstandard") is not None else None


def _zstd_stream() -> Any:
    """An object like those of `zlib.decompressobj`."""
    module = import_module(zstd_module() or "zstandard")
    stream = module.ZstdDecompressor()
    return stream.decompressobj() if module.__name__ == "zstandard" else stream


def is_plain(path: str) -> bool:
    """Whether a relative path from elsewhere stays inside of a folder and can be a path here."""
    parts = path.split("/")
    return (
        len(path) < 1000 and all(part not in ("", ".", "..") and len(part) < 250 for part in parts) and "\0" not in path
    )
