"""`launch --host`: what is sent, and what is started there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.remote import sshd
from tests.remote.conftest import LocalSsh
from tests.remote.test_ssh import output
from tuitrain import __version__
from tuitrain.cli.app import command_line
from tuitrain.cli.errors import explain
from tuitrain.launch import LaunchError
from tuitrain.launch.host.install import install
from tuitrain.launch.host.machine import RemoteMachine, probe
from tuitrain.launch.host.send import send
from tuitrain.launch.host.start import RemoteDirectory, run_tuitrain
from tuitrain.launch.host.tree import Tree, read_tree
from tuitrain.remote import connection
from tuitrain.remote.address import AddressError, checked_host, parse_address
from tuitrain.remote.connection import RemoteError
from tuitrain.remote.script import ScriptError, run_script
from tuitrain.remote.sharing import share
from tuitrain.runs import RunDirectory, read_snapshot

ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> None:
    own = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *own, "-C", folder, *words], check=True, capture_output=True)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working tree with a commit, as the working directory: files that are changed, new, ignored, deleted."""
    folder = tmp_path / "work tree"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / ".gitignore").write_text("*.bin\n")
    (folder / "train.py").write_text("import sys\nprint('step 1 loss 2.5')\nprint(sys.argv[1:])\n")
    (folder / "sub" / "it's $(touch x);\n`x`.txt").write_text("text")
    (folder / "gone.txt").write_text("x")
    (folder / "-run.sh").write_text("#!/bin/sh\n")
    (folder / "-run.sh").chmod(0o755)
    (folder / "link").symlink_to("train.py")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    (folder / "gone.txt").unlink()
    (folder / "new.txt").write_text("new")
    (folder / "large.bin").write_text("ignored")
    (folder / "runs" / "a").mkdir(parents=True)
    (folder / "runs" / "a" / "metrics.jsonl").write_text("{}\n")
    monkeypatch.chdir(folder)
    return folder


def machine_with(folder: Path, *tools: str) -> RemoteMachine:
    """A machine that has these programs. Its data lie in a folder with a name that shells read as more than one."""
    for name in tools:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    return RemoteMachine("here", {"home": "/", "data": f"{folder}/its $(data); 'x'"}, dict.fromkeys(tools, ""))


def contents(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Of each file its mode and its bytes, or where it points to."""
    return {
        str(path.relative_to(folder)): (0, str(path.readlink())) if path.is_symlink()
        else (path.stat().st_mode & 0o100, path.read_bytes())
        for path in folder.rglob("*") if path.is_symlink() or path.is_file()
    }  # fmt: skip


def sent_files(tree: Tree) -> dict[str, tuple[int, bytes | str]]:
    return {name: each for name, each in contents(tree.root).items() if name in tree.files}


def test_a_command_runs_there_in_its_working_tree(there: RemoteMachine, work: Path, tmp_path: Path) -> None:
    """Its words arrive as they are, and what was sent is in its metadata."""
    words = ["a\nb", "$(touch x)", "it's", "-x", "", "\\n %s", "ü"]
    started = json.loads(output("launch", "--host", f"far:{tmp_path}/there", "--detach", "--json", "--note", "a 'b' $c",
                                "--name", "mine", "--", sys.executable, "train.py", *words))  # fmt: skip
    address = started["path"]
    assert address.startswith(f"far:{tmp_path}/there/mine-")
    run, wake = RunDirectory(Path(address.removeprefix("far:"))), threading.Event()
    while read_snapshot(run).status.live:
        wake.wait(0.05)
    assert str(words) in run.console.read_text()
    info = json.loads(run.info.read_text())
    assert info["notes"] == ["a 'b' $c"]
    sent, tree = info["sent"], read_tree(work, without=[work / "runs"])
    assert (sent["commit"], sent["digest"], sent["files"]) == (tree.commit, tree.digest, len(tree.files))
    assert sent["dirty"] == 2 and sent["source"].endswith(f":{work}")
    assert contents(Path(sent["destination"])) == sent_files(tree)
    assert not {"gone.txt", "large.bin", "runs/a/metrics.jsonl"} & set(tree.files)


@pytest.mark.parametrize("method", ["rsync", "git", "tar"])
def test_a_tree_is_sent_once_and_then_what_changes(
    local_ssh: LocalSsh, work: Path, tmp_path: Path, method: str
) -> None:
    there = machine_with(tmp_path, method, "gzip")
    (work / "large.txt").write_bytes(os.urandom(200_000))
    git(work, "add", "large.txt")
    first = read_tree(work)
    sent = send(first, there)
    assert (sent.method, sent.dirty) == (method, 4) and sent.bytes > 200_000
    assert contents(Path(sent.destination)) == sent_files(first)
    again = send(read_tree(work), there)
    assert (again.method, again.bytes, again.destination) == ("none", 0, sent.destination)
    git(work, "add", "-A")
    git(work, "commit", "-qm", "two")
    base = send(read_tree(work), there)
    (work / "new.txt").write_text("changed")
    second = read_tree(work)
    changed = send(second, there)
    assert contents(Path(changed.destination)) == sent_files(second)
    assert contents(Path(sent.destination))["new.txt"][1] == b"new"
    if method != "tar":
        assert changed.bytes < 20_000 and base.destination != changed.destination
    assert not list(Path(there.data, "trees").glob("*.new"))


def test_a_directory_without_git_and_a_repository_in_another_are_sent(
    local_ssh: LocalSsh, work: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    (plain / "__pycache__").mkdir(parents=True)
    (plain / "__pycache__" / "x.pyc").write_text("x")
    (plain / ".gitignore").write_text("no*\n")
    (plain / "no.txt").write_text("x")
    shutil.copytree(work, plain / "inner", symlinks=True)
    tree = read_tree(plain)
    assert tree.commit is None and tree.nested
    assert {"inner/train.py", ".gitignore"} <= set(tree.files)
    assert not {"no.txt", "__pycache__/x.pyc", "inner/large.bin", "inner/.git/HEAD"} & set(tree.files)
    sent = send(tree, machine_with(tmp_path, "git", "tar"))
    assert sent.method == "tar" and contents(Path(sent.destination)) == sent_files(tree)


def test_tuitrain_is_installed_into_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the sources, with `venv`; what it needs is there already, and a second time nothing is done."""
    if sshd.MISSING:
        pytest.skip(sshd.MISSING)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    # pip is that of this environment, which saves seconds.
    python.write_text(f'#!/bin/sh\n[ "$2" = venv ] && exec {sys.executable} -m venv --without-pip "$3"\n'
                      f'exec {sys.executable} "$@"\n')  # fmt: skip
    python.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": tmp_path, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_COMPILE": "1",
        "PYTHONPATH": sysconfig.get_path("purelib"),
    }  # fmt: skip
    said: list[str] = []
    with sshd.running(tmp_path / "sshd", environment) as server:
        monkeypatch.setenv("TUITRAIN_SSH", server.ssh)
        before = probe("far")
        assert before.tuitrain == "" and before.python == f"{tmp_path}/bin/python3"
        there = install(before, said.append)
        assert there.tuitrain == f"{tmp_path}/.local/share/tuitrain/env/bin/tuitrain" and there.version == __version__
        assert "with venv" in said[0] and len(said) == 1
        assert install(there, said.append) is there


def test_a_run_is_started_in_a_session_of_tmux(there: RemoteMachine, tmp_path: Path) -> None:
    if "tmux" not in there.tools:
        pytest.skip("tmux is not installed")
    program = tmp_path / "tuitrain"
    program.write_text(
        '#!/bin/sh\n[ "$1" = logs ] && { echo "$@" >"$PWD/shown"; exit; }\nfor w; do printf "%s|" "$w"; done >words\n'
        '[ -t 1 ] && exit 9\necho "$TUITRAIN_SENT" >sent\n[ "$2" = bad ] && { echo "no such key" >&2; exit 2; }\n'
        'printf "{\\"path\\": \\"/runs/a\\"}\\n"\n'
    )
    program.chmod(0o755)
    at = RemoteDirectory(RemoteMachine("far", there.facts | {"tuitrain": str(program)}, there.tools), str(tmp_path))
    words = ["launch", "a b", "$(touch x)", "it's", "#{pid}"]
    assert json.loads(run_tuitrain(at, words, tmux="tuitrain-test")) == {"path": "/runs/a"}
    assert (tmp_path / "words").read_text() == "".join(f"{word}|" for word in words)
    wake = threading.Event()
    while not (tmp_path / "shown").exists():
        wake.wait(0.02)
    assert not (tmp_path / "x").exists()
    with pytest.raises(LaunchError, match="far: no such key") as error:
        run_tuitrain(at, ["launch", "bad"], tmux="tuitrain-test-2")
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--host", "-oProxyCommand=touch x", "gpt2-tiny"], 2, "is not the name of a host"),
        (["--host", "far;touch x", "gpt2-tiny"], 2, "is not the name of a host"),
        (["--host", "far", "gpt2-tiny", "train.max_stepz=3"], 2, "train.max_stepz is not a key"),
        (["--host", "far", "--runs-dir", "x", "gpt2-tiny"], 2, "--host HOST:DIR"),
        (["--host", "far", "--sync", "nowhere", "gpt2-tiny"], 3, "there is no directory"),
        (["--tmux", "gpt2-tiny"], 2, "--tmux: only with --host"),
        (["--host", "silent", "gpt2-tiny"], 1, "silent: "),
        (["--host", "far", "gpt2-tiny"], 3, "--install makes that environment"),
    ],
)
def test_what_cannot_be_started_is_said_in_a_sentence(
    far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as raised:
        command_line()(["launch", *words], prog_name="tuitrain", standalone_mode=False)
    failure = explain(raised.value)
    assert failure is not None and failure.exit_code == code
    assert sentence in failure.message and len(failure.message.splitlines()) == 1
    assert not (tmp_path / "x").exists()


TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)
CODE = st.sampled_from(["$(touch x)", "`touch x`", "'; touch x; '", '"; touch x; "', "-oProxyCommand=touch x", "\n",
                        "\\", "%s", "#", "!!", "~", "*", "\r", "$x", "${x}", "--", "-"])  # fmt: skip
WORDS = st.lists(TEXT | st.lists(CODE | TEXT, max_size=4).map("".join), max_size=6)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "busybox ash", "zsh", "fish", "tcsh"])
def test_words_for_the_other_machine_are_never_code(tmp_path: Path, shell: str) -> None:
    """Whatever the login shell is: they come as they are."""
    if shutil.which(shell.split()[0]) is None:
        pytest.skip(f"{shell} is not installed")
    folder = tmp_path / "here"
    folder.mkdir()
    command = LocalSsh(folder).use(shell)
    script = 'cd "$0" 2>/dev/null; for w; do printf "%s\\0" "$w"; done; cat'

    @settings(max_examples=20, deadline=None)
    @given(words=WORDS, data=st.binary(max_size=200))
    def check(words: list[str], data: bytes) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TUITRAIN_SSH", command)
            patch.chdir(tmp_path)
            printed = run_script("here", script, words, data=[data])
        assert printed == "".join(f"{word}\0" for word in words) + data.decode("utf-8", "replace")

    check()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


@settings(max_examples=100)
@given(text=TEXT | st.tuples(CODE | TEXT, st.sampled_from(["@", ":", "", "[", "]"]), CODE | TEXT).map("".join))
def test_a_host_is_never_an_option_or_code(text: str) -> None:
    """What is taken for a host has only letters, digits and signs that no shell knows, and begins with no dash."""
    for parse in (checked_host, lambda name: parse_address(name).host):
        try:
            host = parse(text)
        except AddressError:
            continue
        assert host and not host.startswith("-")
        assert all((sign.isalnum() and sign.isascii()) or sign in "@.-_+:%" for sign in host)


def test_a_password_is_asked_for_once(server: sshd.Server, far: str) -> None:
    """All goes over one connection; where that is lost, over new ones; and none is made beside the user's own."""
    log = server.folder / "sshd.log"

    def accepted() -> int:
        return log.read_text().count("Accepted publickey")

    before = accepted()
    share(far)
    assert [run_script(far, f"echo {number}") for number in range(3)] == ["0\n", "1\n", "2\n"]
    assert accepted() == before + 1
    Path(connection.SOCKETS[far]).unlink()
    assert run_script(far, "echo on") == "on\n" and accepted() == before + 2
    server.add_host("own", server.port, "ControlPath /nowhere/%C")
    share("own")
    assert "own" not in connection.SOCKETS


def test_a_script_that_fails_and_a_host_that_is_lost_are_told_apart(there: RemoteMachine) -> None:
    with pytest.raises(ScriptError, match="why") as error:
        run_script("far", "echo 'why\033[31m' >&2; exit 7")
    assert (error.value.code, error.value.text) == (7, "why")
    with pytest.raises(RemoteError):
        run_script("far", "kill -9 $PPID")
    assert probe("far").tools.keys() == there.tools.keys()
