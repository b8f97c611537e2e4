"""Mirrors: the same bytes as there, whatever happens to the link and to the file."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.remote.conftest import LocalSsh, shell_with
from tests.support import write_run
from tuitrain.remote.address import Address, AddressError, parse_address
from tuitrain.remote.mirrored_file import Want
from tuitrain.remote.sync import MirrorSync, close, opened, sync_of
from tuitrain.runs.remote import DASHBOARD, find_remote_runs

ALL, NEWEST = Want(), Want(newest_first=True)


def lines(first: int, count: int) -> bytes:
    return b"".join(
        b'{"type":"step","step":%d,"loss":%.17f}\n' % (n, random.Random(n).random())
        for n in range(first, first + count)
    )


def mirror_of(folder: Path, **wants: Want) -> MirrorSync:
    """A mirror of a folder, read as it is now. wants: of each file, by its name without `.log`."""
    sync = opened(Address("here", str(folder)))
    sync.open()
    sync.wants = {f"{name}.log": want for name, want in wants.items()}
    sync.catch_up(sync.wants)
    return sync


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "there" / "a run's $(folder) ; `x`"
    folder.mkdir(parents=True)
    return folder


def test_a_file_is_followed_by_what_is_appended(there: Path, local_ssh: LocalSsh) -> None:
    log = there / "a.log"
    log.write_bytes(lines(0, 50))
    sync = mirror_of(there, a=ALL)
    view = sync.folder / "a.log"
    assert view.read_bytes() == log.read_bytes()
    inode = view.stat().st_ino
    with log.open("ab") as file:
        file.write(lines(50, 3) + b'{"half')
    sync.catch_up(sync.wants)
    assert view.read_bytes() == log.read_bytes()
    assert (view.stat().st_ino, int(view.stat().st_mtime)) == (inode, int(log.stat().st_mtime))


@pytest.mark.parametrize("how", ["shorter", "other file", "rewritten", "same size"])
def test_a_file_that_is_not_the_one_of_before_is_begun_anew(there: Path, local_ssh: LocalSsh, how: str) -> None:
    log = there / "a.log"
    log.write_bytes(lines(0, 50))
    sync = mirror_of(there, a=ALL)
    inode = (sync.folder / "a.log").stat().st_ino
    new = {
        "shorter": lines(100, 3),
        "other file": lines(0, 60),
        "rewritten": lines(100, 90),
        "same size": lines(10, 50),
    }[how]
    if how == "other file":
        (there / "new").write_bytes(new)
        (there / "new").replace(log)
    else:
        log.write_bytes(new)
    sync.catch_up(sync.wants)
    assert (sync.folder / "a.log").read_bytes() == new
    assert (sync.folder / "a.log").stat().st_ino != inode, "whoever follows the file is told by its inode"


def test_a_file_that_goes_is_gone_and_one_that_comes_is_there(there: Path, local_ssh: LocalSsh) -> None:
    sync = mirror_of(there, a=ALL)
    assert not (sync.folder / "a.log").exists()
    (there / "a.log").write_bytes(b"x\n")
    sync.catch_up(sync.wants)
    assert (sync.folder / "a.log").read_bytes() == b"x\n"
    (there / "a.log").unlink()
    sync.catch_up(sync.wants)
    assert not (sync.folder / "a.log").exists()


def test_documents_are_read_whole_when_they_change(there: Path, local_ssh: LocalSsh) -> None:
    (there / "a.json").write_text('{"a": 1, "b": [2]}')
    sync = mirror_of(there)
    sync.wants = {"a.json": ALL}
    sync.catch_up(sync.wants)
    (there / "a.json").write_text('{"a": 7, "b": [2]}')
    os.utime(there / "a.json", (1e9, 1e9))
    sync.catch_up(sync.wants)
    assert (sync.folder / "a.json").read_text() == '{"a": 7, "b": [2]}'


def first_part_of_a_long_log(there: Path) -> tuple[Path, MirrorSync]:
    """A log of 50,000 lines, and the mirror that has its newest part."""
    log = there / "a.log"
    log.write_bytes(lines(0, 50_000))
    sync = opened(Address("here", str(there)))
    sync.open()
    sync.wants = {"a.log": NEWEST}
    sync.first_part(sync.wants)
    return log, sync


def test_the_newest_part_of_a_long_log_comes_first(there: Path, local_ssh: LocalSsh) -> None:
    log, sync = first_part_of_a_long_log(there)
    view = sync.folder / "a.log"
    shown = view.read_bytes()
    assert len(shown) < log.stat().st_size / 4
    assert shown.startswith(lines(0, 5)) and shown.endswith(lines(49_990, 10))
    whole = set(log.read_bytes().split(b"\n"))
    assert set(shown.split(b"\n")) <= whole, "only whole lines are shown"
    with log.open("ab") as file:
        file.write(lines(50_000, 5))
    sync._round(sync.wants)
    assert view.read_bytes().endswith(lines(49_990, 15)), "what is newest does not wait for the part between"
    sync.catch_up(sync.wants)
    assert view.read_bytes() == log.read_bytes()


def test_a_run_with_a_long_log_is_opened_with_one_connection(tmp_path: Path, local_ssh: LocalSsh) -> None:
    run = write_run(tmp_path / "runs", steps=3_000, status=None)
    (there,) = find_remote_runs([f"here:{run.path}"], DASHBOARD)[0]
    shown = there.metrics.read_bytes()
    assert local_ssh.calls == 1 and there.run_id == run.run_id
    assert shown.endswith(run.metrics.read_bytes()[-5_000:])


def test_what_is_here_is_not_read_again_by_the_next_process(there: Path, local_ssh: LocalSsh) -> None:
    log = there / "a.log"
    log.write_bytes(random.Random(0).randbytes(300_000))
    first = mirror_of(there, a=ALL)
    close([first])
    with log.open("ab") as file:
        file.write(b"more\n")
    local_ssh.cut_after(20_000)
    second = mirror_of(there, a=ALL)
    assert (second.folder / "a.log").read_bytes() == log.read_bytes()
    assert local_ssh.cuts_left == 0 and second.link().connected, "20 kB were enough"


def test_a_part_that_is_missing_between_is_read_by_the_next_process(there: Path, local_ssh: LocalSsh) -> None:
    log, first = first_part_of_a_long_log(there)
    close([first])
    second = mirror_of(there, a=ALL)
    assert (second.folder / "a.log").read_bytes() == log.read_bytes()


def test_two_processes_have_mirrors_of_their_own(there: Path, local_ssh: LocalSsh) -> None:
    (there / "a.log").write_bytes(lines(0, 5))
    first, second = mirror_of(there, a=ALL), mirror_of(there, a=ALL)
    assert first.folder != second.folder
    assert (first.folder / "a.log").read_bytes() == (second.folder / "a.log").read_bytes()
    folder = second.folder
    close([second])
    assert not folder.exists() and first.folder.exists()
    assert sync_of(first.folder / "a.log") is first


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox ash"])
@pytest.mark.parametrize("without", ["", "stat", "gzip", "stat gzip", "zstd", "stat gzip zstd"])
def test_a_machine_needs_no_more_than_a_shell(
    there: Path, local_ssh: LocalSsh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell: str, without: str
) -> None:
    names = {"find", "dd", "tail", "head", "ls", "mkdir", "stat", "gzip", "zstd"} - set(without.split())
    environment = shell_with(tmp_path / "tools", shell, *names)
    (there / "sub").mkdir()
    (there / "a.log").write_bytes(random.Random(1).randbytes(200_000))
    (there / "sub" / "b $x.log").write_bytes(b"")
    (there / "bad\nname.log").write_bytes(b"x")
    monkeypatch.setenv("TUITRAIN_SSH", f"{environment} {local_ssh.use(shell)}")
    sync = mirror_of(there, a=ALL)
    assert (sync.folder / "a.log").read_bytes() == (there / "a.log").read_bytes()
    assert {name: file.size for name, file in sync.files.items()} == {"a.log": 200_000, "sub/b $x.log": 0}
    assert sync.request("control/stop")
    assert (there / "control" / "stop").read_bytes() == b""
    assert sync.request("control/stop", "stopped by `id`  $(id) %s 'x'")
    assert (there / "control" / "stop").read_bytes() == b"stopped by `id`  $(id) %s 'x'"


def test_names_that_leave_the_folder_are_no_names(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "fake-ssh"
    fake.write_text(
        "#!/bin/sh\nprintf 'tuitrain remote 1\\nc d\\nl r\\n5 1 0 ./../../x\\n5 1 0 ./a//b\\n5 1 0 ./ok\\n.\\n'\n"
        "exec cat >/dev/null\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("TUITRAIN_SSH", str(fake))
    sync = opened(Address("here", str(there)))
    sync.open()
    assert list(sync.files) == ["ok"]


@settings(max_examples=25)
@given(
    first=st.integers(0, 3000),
    more=st.lists(st.integers(0, 400), max_size=4),
    cuts=st.lists(st.integers(0, 120_000), max_size=6),
    newest_first=st.booleans(),
)
def test_after_any_cuts_the_mirror_is_the_file(
    first: int, more: list[int], cuts: list[int], newest_first: bool
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        local = LocalSsh(folder)
        patch.setenv("TUITRAIN_SSH", local.use())
        patch.setenv("TUITRAIN_CACHE_DIR", str(folder / "cache"))
        patch.setattr("tuitrain.remote.sync._BACK_OFF_S", (0.0,) * 100)
        patch.setattr("tuitrain.remote.sync._TRIES", 100)
        patch.setattr("tuitrain.remote.mirrored_file.TAIL_BYTES", 4 << 10)
        patch.setattr("tuitrain.remote.mirrored_file.SPLIT_BYTES", 8 << 10)
        there = folder / "there"
        there.mkdir()
        (there / "a.log").write_bytes(lines(0, first))
        sync = opened(Address("here", str(there)))
        try:
            sync.open()
            sync.wants = {"a.log": NEWEST if newest_first else ALL}
            local.cut_after(*cuts)
            sync._connection.close()  # type: ignore[union-attr]
            sync.catch_up(sync.wants)
            for number, count in enumerate(more):
                with (there / "a.log").open("ab") as file:
                    file.write(lines(first + number * 1000, count))
                sync.catch_up(sync.wants)
            assert (sync.folder / "a.log").read_bytes() == (there / "a.log").read_bytes()
        finally:
            close([sync])


TEXT = st.text(st.characters(blacklist_characters="\0/\n", blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)
CODE = st.sampled_from(
    ["$(touch x)", "`touch x`", "'; touch x; '", '"', "-exec", "-", "--", "\\", "*", "!", "~", " ", "\r", "%s"]
)
NAMES = st.lists(CODE | TEXT, min_size=1, max_size=3).map("".join).filter(lambda name: name not in (".", ".."))


@settings(max_examples=15, deadline=None)
@given(folder=NAMES, names=st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_files_with_any_name_in_a_folder_with_any_name_are_read(folder: str, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        local = LocalSsh(Path(name))
        patch.setenv("TUITRAIN_SSH", local.use())
        patch.setenv("TUITRAIN_CACHE_DIR", str(Path(name) / "cache"))
        patch.chdir(name)
        there = Path(name) / "there" / folder
        there.mkdir(parents=True)
        for number, each in enumerate(names):
            (there / f"{each}.log").write_bytes(b"%d" % number * 600)
        try:
            address = parse_address(f"here:there/{folder}")
        except AddressError as error:
            assert "control characters" in str(error) and "\r" in folder
            return
        sync = opened(address)
        try:
            sync.open()
            sync.catch_up(dict.fromkeys(sync.files, ALL))
            read = {path.name: path.read_bytes() for path in sync.folder.iterdir()}
        finally:
            close([sync])
        assert read == {path.name: path.read_bytes() for path in there.iterdir()}
        assert not (Path(name) / "x").exists() and not (there / "x").exists()
