"""A working tree as it is sent to another machine: its files without those that git ignores, and their fingerprint."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tuitrain.launch.errors import LaunchError
from tuitrain.remote.agent import SKIPPED

MOST_BYTES = 2 << 30
"""Of a tree that the user has not named: more is a data set that should be ignored, or the wrong directory."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Tree:
    """root: of the tree; files: below it, as git names them. commit: of git; None where it is no repository.

    dirty: the files that differ from the commit or are not in it. digest: of what the tree holds. nested: whether
    repositories lie in it, such as submodules.
    """

    root: Path
    files: tuple[str, ...]
    commit: str | None
    dirty: tuple[str, ...]
    digest: str
    nested: bool = False

    @property
    def name(self) -> str:
        """A name for directories: that of the root in plain letters, and the beginning of the digest."""
        return f"{self.family}-{self.digest[:12]}"

    @property
    def family(self) -> str:
        """What the names of all states of this tree begin with."""
        return re.sub(r"[^A-Za-z0-9_.]+", "-", self.root.name).strip("-.") or "tree"

    def size(self) -> int:
        """Bytes of all files. Raises OSError."""
        return sum((self.root / name).lstat().st_size for name in self.files)


def root_of_repository(directory: Path) -> Path | None:
    """The root of the git work tree that a directory lies in; None where it lies in none."""
    try:
        found = _git(directory, "rev-parse", "--show-toplevel")
    except (OSError, subprocess.CalledProcessError):
        return None
    return Path(os.fsdecode(found).removesuffix("\n")) if found.strip() else None


def read_tree(root: Path, *, without: Sequence[Path] = (), below: Sequence[str] = ()) -> Tree:
    """The working tree of a directory. without: directories that are left out, such as that of the runs.

    below: only these files and directories of it. Raises LaunchError.
    """
    root = root.resolve()
    if not root.is_dir():
        raise LaunchError(f"--sync: there is no directory {root}.", exit_code=3)
    left_out = [str(each.resolve().relative_to(root)) for each in without if each.resolve().is_relative_to(root)]
    try:
        commit, listed, changed, nested = _read(root)
        names = [name for name in listed if _is_wanted(name, left_out, below)]
        dirty = [name for name in changed if _is_wanted(name, left_out, below)]
        # A deleted file is one that differs, and none that is sent.
        files = [name for name in names if (root / name).is_symlink() or (root / name).is_file()]
        digest = _digest(root, commit, files if commit is None else dirty)
    except subprocess.CalledProcessError as error:
        said = os.fsdecode(error.stderr or b"").strip().splitlines()
        raise LaunchError(f"{root}: git: {said[-1] if said else error}", exit_code=1) from None
    return Tree(root, tuple(sorted(files)), commit, tuple(sorted(dirty)), digest, nested)


def check_size(tree: Tree) -> None:
    """Raise LaunchError for a tree that is too large to be sent without being asked for."""
    if (size := tree.size()) <= MOST_BYTES:
        return
    largest = max(tree.files, key=lambda name: (tree.root / name).lstat().st_size)
    raise LaunchError(
        f"The working tree {tree.root} has {size / 1e9:.1f} GB, the largest file being {largest}: put what the run "
        f"does not need into .gitignore, give the directory with --sync, or send nothing with --no-sync."
    )


def _is_wanted(name: str, left_out: Sequence[str], below: Sequence[str]) -> bool:
    path = PurePosixPath(name)
    return not any(path.is_relative_to(each) for each in left_out) and (
        not below or any(path.is_relative_to(each) for each in below)
    )


def _read(root: Path) -> tuple[str | None, list[str], list[str], bool]:
    """The commit, the files that git does not ignore, those that differ from the commit, and whether any is nested."""
    commit: str | None = None
    if root_of_repository(root) is not None:
        try:
            commit = os.fsdecode(_git(root, "rev-parse", "--verify", "-q", "HEAD")).strip()
        except subprocess.CalledProcessError:
            commit = None  # Before the first commit.
        listed = _names(_git(root, "ls-files", "-z", "-co", "--exclude-standard", "--deduplicate"))
        changed = [name for _, name in _states(root)]
    else:
        listed, changed = list(_without_git(root)), []
    files, nested = [], False
    for name in listed:
        if name.endswith("/") or ((root / name).is_dir() and not (root / name).is_symlink()):
            # A repository of its own: a submodule, or one that lies there.
            nested = True
            prefix = name.rstrip("/")
            _, inside, dirty, _ = _read(root / prefix)
            files += [f"{prefix}/{each}" for each in inside]
            changed += [f"{prefix}/{each}" for each in (dirty if name in changed else inside)]
        else:
            files.append(name)
    return commit, files, [name for name in changed if not (root / name).is_dir()], nested


def _states(root: Path) -> Iterator[tuple[str, str]]:
    """What `git status` says of each file below the directory that differs."""
    prefix = os.fsdecode(_git(root, "rev-parse", "--show-prefix")).removesuffix("\n")
    for entry in _names(_git(root, "status", "--porcelain", "-z", "-uall", "--no-renames", "--", ".")):
        yield entry[:2], entry[3:].removeprefix(prefix)


def _without_git(root: Path) -> Iterator[str]:
    """The files of a directory that is no repository, as its .gitignore would have them."""
    with tempfile.TemporaryDirectory() as name:
        try:
            subprocess.run(["git", "init", "-q", "--bare", name], check=True, capture_output=True)
            excluded = [word for each in SKIPPED for word in ("-x", each)]
            where = f"--git-dir={name}", f"--work-tree={root}"
            yield from _names(_git(root, *where, "ls-files", "-z", "-o", "--exclude-standard", *excluded))
            return
        except FileNotFoundError:
            pass  # There is no git here.
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if each not in SKIPPED]
        yield from (str((Path(folder) / each).relative_to(root)) for each in names)


def _git(directory: Path, *words: str) -> bytes:
    command = ["git", "--no-optional-locks", "-C", str(directory), *words]
    return subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(each) for each in output.split(b"\0") if each]


def _digest(root: Path, commit: str | None, names: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{commit or ''}\n".encode())
    for name in sorted(names):
        path = root / name
        digest.update(os.fsencode(name) + b"\0")
        if path.is_symlink():
            digest.update(b"link\0" + os.fsencode(path.readlink()) + b"\0")
        elif path.is_file():
            digest.update(b"%d\0" % (path.stat().st_mode & 0o100) + _content(path))
        else:
            digest.update(b"deleted\0")
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = hashlib.sha256()
        while block := file.read(_BLOCK):
            content.update(block)
    return content.digest()
