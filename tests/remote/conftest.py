"""Other machines for the tests: a real `sshd` on loopback, and shells without one where the link is not the subject."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote import sshd
from tuitrain.launch.host.machine import TOOLS, RemoteMachine
from tuitrain.remote import connection, sync


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    """A running `sshd`."""
    if sshd.MISSING:
        pytest.skip(sshd.MISSING)
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        server.add_host("silent", sshd.free_port())
        yield server


@pytest.fixture
def far(server: sshd.Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a host that `ssh` reaches."""
    monkeypatch.setenv("TUITRAIN_SSH", server.ssh)
    return "far"


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[sshd.Server, Path]]:
    """An `sshd` whose sessions have this tuitrain in their PATH, and their data directory."""
    if sshd.MISSING:
        pytest.skip(sshd.MISSING)
    folder = tmp_path_factory.mktemp("machine")
    with sshd.running(folder / "sshd", sshd.with_tuitrain(folder)) as server:
        yield server, folder / "data"


@pytest.fixture
def there(machine: tuple[sshd.Server, Path], monkeypatch: pytest.MonkeyPatch) -> RemoteMachine:
    """That machine, as host `far`."""
    server, data = machine
    monkeypatch.setenv("TUITRAIN_SSH", server.ssh)
    tools = {name: path for name in TOOLS if (path := shutil.which(name))}
    return RemoteMachine("far", {"home": "/", "data": str(data / "tuitrain")}, tools)


_LOCAL_SSH = """#!/bin/sh
# In place of ssh: the command, in a shell here. Of the answers of each connection only as many bytes come as its line
# in the file `cuts` says.
while :; do case $1 in -o) shift 2;; -T) shift;; --) shift; break;; *) break;; esac; done
shift
command=$*
echo "$command" >>"${0%/*}/calls"
cuts=${0%/*}/cuts
if [ -s "$cuts" ]; then
  read -r bytes <"$cuts"
  sed 1d "$cuts" >"$cuts.new" && mv "$cuts.new" "$cuts"
  SHELL_HERE -c "$command" | { dd bs=1 count="$bytes" 2>/dev/null; kill -9 $$; }
else
  exec SHELL_HERE -c "$command"
fi
"""


class LocalSsh:
    """A shell on this machine in place of `ssh`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def use(self, shell: str = "sh") -> str:
        """The command; shell: what the user's login shell is."""
        path = self.folder / "local-ssh"
        path.write_text(_LOCAL_SSH.replace("SHELL_HERE", shell))
        path.chmod(0o755)
        return str(path)

    def cut_after(self, *bytes_received: int) -> None:
        """Cut the next connections after so many bytes each."""
        (self.folder / "cuts").write_text("".join(f"{count}\n" for count in bytes_received))

    @property
    def calls(self) -> int:
        """Connections that were made."""
        return len((self.folder / "calls").read_text().splitlines())

    @property
    def cuts_left(self) -> int:
        """Connections that are still to be cut."""
        path = self.folder / "cuts"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def local_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalSsh:
    """A shell here that answers as host `here`, at once and as often as it is cut off."""
    folder = tmp_path / "local-ssh"
    folder.mkdir()
    local = LocalSsh(folder)
    monkeypatch.setenv("TUITRAIN_SSH", local.use())
    monkeypatch.setattr(sync, "_BACK_OFF_S", (0.0,) * 1000)
    monkeypatch.setattr(sync, "_TRIES", 1000)
    return local


def shell_with(folder: Path, shell: str, *tools: str) -> str:
    """The words of `env` for a PATH with these programs and a shell only, all of busybox where that is the shell."""
    program = shell.partition(" ")[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    folder.mkdir()
    for name in {"sh", "sed", "mv", "cat", program, *tools}:
        path = shutil.which(program if program == "busybox" else name)
        if path is not None:
            (folder / name).symlink_to(path)
    return f"{shutil.which('env')} PATH={folder}"


@pytest.fixture(autouse=True)
def closed_mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has mirrors and connections of its own, which it leaves closed."""
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    yield
    sync.close(sync._OPEN)
    connection.SOCKETS.clear()


def as_root() -> bool:
    """Whether no permission is refused."""
    return os.geteuid() == 0
