"""Sending a working tree to another machine: with `rsync`, else as objects of git, else as an archive."""

from __future__ import annotations

import io
import os
import re
import secrets
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from socket import gethostname

from tuitrain.events.layout import Sent
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.host.machine import RemoteMachine
from tuitrain.launch.host.tree import Tree
from tuitrain.remote.address import Address
from tuitrain.remote.connection import ssh_command
from tuitrain.remote.script import ScriptError, run_script
from tuitrain.text import clean

_BEGIN = r"""
umask 077; mkdir -p "$1" && cd "$1" || exit 1
if [ -d "$2" ]; then echo there; exit 0; fi
find . ! -name . -prune -name '*.new' -mtime +1 -exec rm -rf {} +
mkdir "$4" || exit 1
ls -td "$3"-* 2>/dev/null | grep -v '\.new$' | head -n 1
"""
"""In `$1`: `there` where the tree `$2` is there; else the newest one whose name begins with `$3`, and `$4` is made."""
_END = 'cd "$1" || exit 1; if [ -d "$2" ]; then rm -rf "$3"; else mv "$3" "$2"; fi'
_UNPACK = 'cd "$1" && if [ "$2" = z ]; then gzip -dc | tar -xpf -; else tar -xpf -; fi'
_COMMITS = r"""
umask 077; cd "$1" || exit 1
[ -d "$2.git" ] || git init -q --bare "$2.git" || exit 1
git --git-dir="$2.git" for-each-ref --format='%(refname)'
"""
_CHECK_OUT = r"""
umask 077; cd "$1" || exit 1
GIT_DIR=$1/$2.git; GIT_WORK_TREE=$1/$3; GIT_INDEX_FILE=$1/$3.index.new; b=$1/$3.bundle.new
export GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
cat >"$b" && git fetch -q "$b" '+refs/heads/*:refs/heads/*' && cd "$3" && git checkout -q -f "$4" -- . || exit 1
rm -f "$b" "$GIT_INDEX_FILE"
"""
_NO_FILTER = ("-c", "filter.lfs.clean=cat", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false")
"""Files of Git LFS are sent, and not the pointers to them."""
_BLOCK = 64 << 10
_BASE = "refs/heads/base-"
_RSYNC_UNABLE = (1, 2, 4, 12, 126, 127)
"""Exit codes of `rsync` where one of the two is too old, or the other login shell prints text."""


def send(tree: Tree, machine: RemoteMachine, *, ask: bool = False) -> Sent:
    """Send a tree into a directory of its own there, called after what it holds: what is there already is not sent.

    Raises LaunchError, RemoteError.
    """
    trees = f"{machine.data}/trees"
    destination, method, count = f"{trees}/{tree.name}", "none", 0
    try:
        new = f"{tree.name}.{secrets.token_hex(4)}.new"
        before = run_script(machine.host, _BEGIN, [trees, tree.name, tree.family, new], ask=ask).strip()
        if before != "there":
            method, count = _send(tree, machine, trees, new, before, ask)
            run_script(machine.host, _END, [trees, tree.name, new], ask=ask)
    except ScriptError as error:
        raise LaunchError(
            f"{machine.host}: the working tree cannot be sent: {clean(error.text)}", exit_code=1
        ) from None
    except subprocess.CalledProcessError as error:
        said = os.fsdecode(error.stderr or b"").strip()
        raise LaunchError(f"{tree.root}: git: {clean(said) or error.returncode}", exit_code=1) from None
    return Sent(
        source=f"{gethostname()}:{tree.root}", commit=tree.commit, dirty=len(tree.dirty), digest=tree.digest,
        method=method, files=len(tree.files), bytes=count, destination=destination,
    )  # fmt: skip


def _send(tree: Tree, machine: RemoteMachine, trees: str, new: str, before: str, ask: bool) -> tuple[str, int]:
    """The method and the bytes that it took. new, before: names of directories, of the tree and of another state."""
    if "rsync" in machine.tools and (count := _with_rsync(tree, machine, f"{trees}/{new}", before, ask)) is not None:
        return "rsync", count
    if "git" in machine.tools and tree.commit is not None and not tree.nested:
        return "git", _with_git(tree, machine, trees, new, ask)
    if "tar" in machine.tools:
        return "tar", _with_tar(tree, machine, f"{trees}/{new}", ask)
    raise LaunchError(f"{machine.host} has neither rsync nor git nor tar: install one of them there.", exit_code=3)


def _with_rsync(tree: Tree, machine: RemoteMachine, to: str, before: str, ask: bool) -> int | None:
    """The bytes that were sent; None where `rsync` cannot be used."""
    copied = [f"--copy-dest=../{before}"] if before else []
    command = [
        "rsync", "-lptzc", "-s", "--stats", "--files-from=-", "--from0", *copied,
        "-e", shlex.join(ssh_command(machine.host, ask=ask)), "--",
        f"{tree.root}/", f"{Address(machine.host, to)}/",
    ]  # fmt: skip
    names = b"".join(os.fsencode(name) + b"\0" for name in tree.files)
    try:
        done = subprocess.run(command, input=names, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        return None
    if done.returncode in _RSYNC_UNABLE:
        return None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise LaunchError(f"{machine.host}: rsync: {clean(lines[0] if lines else str(done.returncode))}", exit_code=1)
    found = re.search(rb"Total bytes sent: ([\d,.]+)", done.stdout)
    return int(re.sub(rb"\D", b"", found[1])) if found else 0


def _with_git(tree: Tree, machine: RemoteMachine, trees: str, new: str, ask: bool) -> int:
    """Send commits without history: of what is committed, and of the tree on it; of both only what is new there."""
    listed = run_script(machine.host, _COMMITS, [trees, tree.family], ask=ask).splitlines()
    bases = [line.removeprefix(_BASE) for line in listed if re.fullmatch(rf"{_BASE}[0-9a-f]{{40,64}}", line)]
    with tempfile.TemporaryDirectory() as name:
        objects = _Objects(tree, Path(name))
        commit, base = objects.commits()
        known = [each for each in map(objects.base_of, bases) if each]
        bundle = objects.bundle(commit, base, known)
        run_script(machine.host, _CHECK_OUT, [trees, tree.family, new, commit], data=_blocks(bundle), ask=ask)
        return bundle.stat().st_size


class _Objects:
    """Objects of git for a tree, made beside those of its repository, in which nothing is written."""

    def __init__(self, tree: Tree, folder: Path) -> None:
        self._tree, self._folder = tree, folder
        own = self._git("rev-parse", "--path-format=absolute", "--git-path", "objects", plain=True)
        subprocess.run(["git", "init", "-q", "--bare", folder / "git"], check=True, capture_output=True)
        nobody = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                  for what, value in (("NAME", "tuitrain"), ("EMAIL", "tuitrain"), ("DATE", "@0 +0000"))}  # fmt: skip
        self._environment = nobody | {
            "GIT_DIR": str(folder / "git"), "GIT_WORK_TREE": str(tree.root), "GIT_INDEX_FILE": str(folder / "index"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": own,
        }  # fmt: skip
        self._prefix = self._git("rev-parse", "--show-prefix", plain=True)

    def commits(self) -> tuple[str, str]:
        """The commit of the tree as it is, and the one below it of what is committed."""
        base = self.base_of(self._tree.commit or "")
        names = b"".join(os.fsencode(name) + b"\0" for name in self._tree.files)
        self._git("update-index", "-z", "--add", "--stdin", data=names)
        tree = self._git("write-tree")
        return self._git("commit-tree", tree, *(["-p", base] if base else []), "-m", "tree"), base

    def base_of(self, commit: str) -> str:
        """The commit without history that has the files of one here; empty where that is not known here."""
        try:
            tree = self._git("rev-parse", "--verify", "-q", f"{commit}:{self._prefix}".removesuffix("/"))
            return self._git("commit-tree", tree, "-m", "base")
        except subprocess.CalledProcessError:
            return ""

    def bundle(self, commit: str, base: str, known: Iterable[str]) -> Path:
        """A file with what leads to both commits from those that are known."""
        self._git("update-ref", "refs/heads/tree", commit)
        references = ["refs/heads/tree"]
        if base and base not in known:
            self._git("update-ref", f"{_BASE}{self._tree.commit}", base)
            references.append(f"{_BASE}{self._tree.commit}")
        path = self._folder / "bundle"
        self._git("bundle", "create", "-q", str(path), *references, *(f"^{each}" for each in known))
        return path

    def _git(self, *words: str, data: bytes = b"", plain: bool = False) -> str:
        environment = os.environ if plain else {**os.environ, **self._environment}
        command = ["git", *_NO_FILTER, "-C", str(self._tree.root), *words]
        done = subprocess.run(command, input=data, check=True, capture_output=True, env=environment)
        return os.fsdecode(done.stdout).removesuffix("\n")


def _with_tar(tree: Tree, machine: RemoteMachine, to: str, ask: bool) -> int:
    coding = "z" if "gzip" in machine.tools else "r"
    pieces = _Counted(_archive(tree, coding))
    run_script(machine.host, _UNPACK, [to, coding], data=pieces, ask=ask)
    return pieces.count


def _archive(tree: Tree, coding: str) -> Iterator[bytes]:
    """The files as an archive, piece by piece; coding: `z` with gzip."""
    out = io.BytesIO()

    def taken() -> bytes:
        piece = out.getvalue()
        out.seek(0)
        out.truncate()
        return piece

    with tarfile.open(fileobj=out, mode="w|gz" if coding == "z" else "w|", format=tarfile.GNU_FORMAT) as archive:
        for name in tree.files:
            with suppress(FileNotFoundError):
                archive.add(tree.root / name, name, recursive=False, filter=_without_owner)
            yield taken()
    yield taken()


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


class _Counted(Iterator[bytes]):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self.count = pieces, 0

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.count += len(piece)
        return piece
