"""A real `sshd` on loopback with keys of its own, and a proxy before it that cuts, delays and throttles."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.support import DIES_WITH_THE_TESTS

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
ROOT = Path(__file__).parents[2]
MISSING = (
    "" if SSHD and shutil.which("ssh") else "sshd or ssh is not installed (Debian: openssh-server, openssh-client)"
)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running `sshd`. `ssh`: the command that reaches it as host `far`, and through the proxy as `slow`."""

    port: int
    folder: Path
    config: Path
    inside: tuple[str, ...] = ()

    @property
    def ssh(self) -> str:
        return shlex.join([*self.inside, "ssh", "-F", str(self.config)])

    def add_host(self, name: str, port: int, *lines: str) -> None:
        """One more host of the client's configuration."""
        own = "".join(f"    {line}\n" for line in lines)
        text = (
            f"Host {name}\n    HostName 127.0.0.1\n    Port {port}\n    IdentityFile {self.folder / 'client'}\n"
            f"    IdentitiesOnly yes\n    UserKnownHostsFile {self.folder / 'known_hosts'}\n"
            f"    StrictHostKeyChecking no\n    LogLevel ERROR\n{own}"
        )
        with self.config.open("a") as file:
            file.write(text)


def with_tuitrain(folder: Path) -> dict[str, str | Path]:
    """Variables of sessions that have this tuitrain in their PATH, and their data in a folder."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "tuitrain"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tuitrain.cli "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{folder}/bin:/usr/bin:/bin", "XDG_DATA_HOME": folder / "data", "TMUX_TMPDIR": folder,
        "PYTHONPATH": f"{ROOT}/src:{ROOT}/engine", "TUITRAIN_CONFIG_DIR": folder / "config",
    }  # fmt: skip


@contextlib.contextmanager
def running(
    folder: Path, environment: Mapping[str, str | Path] = MappingProxyType({}), inside: Sequence[str] = ()
) -> Iterator[Server]:
    """Start `sshd`, as whoever runs this. environment: variables of its sessions.

    inside: words before every command, here and of the client, as of a network namespace.
    """
    assert SSHD is not None
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "client.pub", folder / "authorized_keys")
    port = free_port()
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "PidFile": "none",
        "AuthorizedKeysFile": folder / "authorized_keys", "StrictModes": "no", "UsePAM": "no",
        "PasswordAuthentication": "no", "PermitRootLogin": "prohibit-password", "MaxStartups": "100",
        "Subsystem": "sftp internal-sftp",
    }  # fmt: skip
    # At the second level bash does not read the user's start-up file, which may take longer than all else of a session.
    variables = {"SHLVL": 1, **environment}
    settings["SetEnv"] = " ".join(f'"{key}={value}"' for key, value in variables.items())
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "sshd.log").open("wb") as log:
        command = [*DIES_WITH_THE_TESTS, *inside, SSHD, "-D", "-e", "-f", folder / "sshd_config"]
        process = subprocess.Popen(command, stderr=log)
    try:
        _wait_for(process, folder / "sshd.log")
        server = Server(port, folder, folder / "ssh_config", tuple(inside))
        server.add_host("far", port)
        yield server
    finally:
        process.terminate()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if "Server listening on" in log.read_text():
            return
        time.sleep(0.02)
    raise RuntimeError(f"sshd does not answer: {log.read_text()[-500:]}")


@dataclass
class Proxy:
    """A TCP proxy. rate: bytes a second in each direction; delay_s: of each byte, one way; it counts what passes.

    cut_after: bytes towards the client after which a connection is cut, once for each number in the list.
    """

    target: int
    rate: float | None = None
    delay_s: float = 0.0
    cut_after: list[int] = field(default_factory=list)
    received: int = 0
    sent: int = 0
    connections: int = 0
    refuse: bool = False
    port: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def __enter__(self) -> Proxy:
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                self._loop.run_until_complete(task)
        self._loop.close()

    def cut(self) -> None:
        """Cut every connection now."""
        assert self._loop is not None
        done = threading.Event()

        def abort() -> None:
            for writer in self._writers:
                writer.transport.abort()
            self._writers.clear()
            done.set()

        self._loop.call_soon_threadsafe(abort)
        done.wait(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers += [writer, far_writer]
        limit = self.cut_after.pop(0) if self.cut_after else None
        both = self._pass(reader, far_writer, None, False), self._pass(far_reader, writer, limit, True)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*both, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None, inwards: bool
    ) -> None:
        assert self._loop is not None
        free_at, passed = 0.0, 0
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(8 if self.rate else 0)

        async def deliver() -> None:
            while True:
                at, data = await queue.get()
                await asyncio.sleep(max(0.0, at - self._loop.time()))
                if writer.transport.is_closing():
                    return
                writer.write(data)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
                if not data:
                    writer.transport.abort()
                    return

        delivery = asyncio.ensure_future(deliver())
        while data := await reader.read(1400 if self.rate else 65536):
            if limit is not None and passed + len(data) >= limit:
                writer.write(data[: limit - passed])
                await writer.drain()
                writer.transport.abort()
                delivery.cancel()
                return
            passed += len(data)
            if inwards:
                self.received += len(data)
            else:
                self.sent += len(data)
            now = self._loop.time()
            free_at = max(free_at, now) + (len(data) / self.rate if self.rate else 0.0)
            await queue.put((free_at + self.delay_s, data))
        await queue.put((0.0, b""))
        await delivery
