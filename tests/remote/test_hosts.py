"""Several machines at once: `hosts` of the settings, `ls --all`, the list of runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.remote.conftest import LocalSsh
from tests.remote.test_ssh import output, tuitrain
from tests.support import write_run
from tuitrain.cli.commands.ls import _is_address
from tuitrain.cli.lookup import find_one
from tuitrain.remote import sync
from tuitrain.remote.hosts import hosts_of_settings
from tuitrain.runs import RunMetadata, RunNotFoundError, find_runs, read_snapshot
from tuitrain.runs.remote import ENDS, find_remote_runs
from tuitrain.settings import SettingsError
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.content.headline import header
from tuitrain.tui.screens.runs import RunsScreen


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's settings file; the working directory has no runs."""
    (tmp_path / "config").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "config" / "config.toml"


def test_the_runs_of_every_host_are_listed_and_a_silent_one_delays_nothing(
    local_ssh: LocalSsh, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One host refuses; its sentence comes after the runs of the others."""
    here = write_run(tmp_path / "work" / "runs", "here-20260101-120000-0001", steps=5)
    first = write_run(tmp_path / "one", "first-20260101-120000-0002", steps=5, status=None)
    second = write_run(tmp_path / "two", "second-20260101-120000-0003", steps=5)
    refuse = '#!/bin/sh\nfor a; do case $a in refuses) echo "no route" >&2; exit 255;; esac; done\n'
    wrapper = tmp_path / "ssh-of-hosts"
    wrapper.write_text(f'{refuse}exec {local_ssh.use()} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("TUITRAIN_SSH", str(wrapper))
    settings.write_text(f'hosts = ["a:{tmp_path}/one", "refuses:runs", "me@b:{tmp_path}/two"]\n')
    done = tuitrain("ls", "--all")
    assert done.returncode == 0
    assert done.stdout.index(here.run_id) < min(done.stdout.index(first.run_id), done.stdout.index(second.run_id))
    assert "refuses:runs: no route" in done.stderr
    rows = json.loads(output("ls", "--all", "--json"))
    assert {row["path"] for row in rows} == {str(here.path), f"a:{first.path}", f"me@b:{second.path}"}
    names = output("ls", "--all", "-q", "status:running").split()
    assert names == [f"a:{first.path}"]
    assert first.run_id in output("show", names[0])
    assert output("ls", "-q", f"a:{tmp_path}/one").split() == names


def test_a_host_alone_is_the_folder_of_its_runs_and_not_its_home(
    local_ssh: LocalSsh, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login shell starts in the home directory, which has another log beside `runs`."""
    home = tmp_path / "home"
    other, usual = write_run(home, "other", steps=5), write_run(home / "runs", "usual", steps=5)
    elsewhere = write_run(tmp_path / "data", "elsewhere", steps=5)
    local_ssh.use(f"sh -c 'cd {home}; exec sh \"$@\"' -")
    assert output("ls", "-q", "a:").split() == [f"a:runs/{usual.run_id}"]
    assert output("status", "a:").startswith(f"completed  {usual.run_id}")
    assert output("status", "a:other").startswith(f"completed  {other.run_id}")
    settings.write_text(f'hosts = ["a:{tmp_path}/data", "b:"]\n')
    assert output("ls", "-q", "a:").split() == [f"a:{elsewhere.path}"]
    assert sorted(output("ls", "-q", "--all").split()) == [f"a:{elsewhere.path}", f"b:runs/{usual.run_id}"]
    shutil.rmtree(home / "runs")
    gone = tuitrain("show", "b:")
    assert gone.returncode == 3 and gone.stderr.startswith("tuitrain: b:runs")


def test_a_run_there_is_found_by_what_names_one_here(
    local_ssh: LocalSsh, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prefix, `latest` and a group after the folder of the runs, or alone after the host; one connection each."""
    home = tmp_path / "home"
    for number, group in (("1", None), ("2", "sweep"), ("3", "sweep")):
        info = RunMetadata(name="base", created=float(number), group=group)
        write_run(home / "runs", f"base-20260101-12000{number}-000{number}", steps=5, info=info)
    write_run(home / "runs", "other-20260101-120000-0004", steps=5, info=RunMetadata(name="other", created=0.5))
    local_ssh.use(f"sh -c 'cd {home}; exec sh \"$@\"' -")

    def named(name: str) -> list[str]:
        (runs,) = find_remote_runs([name], ENDS)
        assert all(read_snapshot(run).step is not None for run in runs)
        return [run.remote for run in runs]

    ids = [f"a:runs/base-20260101-12000{number}-000{number}" for number in "123"]
    for where in ("a:runs/", "a:", f"a:{home}/runs/"):
        full = [each.replace("a:runs/", f"a:{home}/runs/" if "/home" in where else "a:runs/") for each in ids]
        assert named(f"{where}latest") == full[2:]
        assert named(f"{where}base-20260101-120001") == full[:1]
        assert named(f"{where}group:sweep") == full[1:]
    assert named("a:other") == ["a:runs/other-20260101-120000-0004"]
    assert local_ssh.calls == 10
    settings.write_text(f'hosts = ["a:{tmp_path}/data"]\n')
    elsewhere = write_run(tmp_path / "data", "elsewhere", steps=5)
    assert named("a:else") == [f"a:{elsewhere.path}"]


def test_what_names_no_run_there_or_several_is_said_as_here(
    local_ssh: LocalSsh, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in "12":
        info = RunMetadata(name="base", created=float(number), group="sweep")
        write_run(tmp_path / "runs", f"base-20260101-12000{number}-000{number}", steps=5, info=info)
    (tmp_path / "empty").mkdir()

    def sentence(find: Callable[[], object]) -> str:
        with pytest.raises(RunNotFoundError) as refused:
            find()
        return str(refused.value)

    for folder, name in (("runs", "base"), ("runs", "bose"), ("runs", "x"), ("runs", "group:y"), ("empty", "latest")):
        there = sentence(lambda: find_remote_runs([f"a:{folder}/{name}"], ENDS))  # noqa: B023
        here = sentence(lambda: find_runs(name, Path(folder)))  # noqa: B023
        assert there.replace("ls a:runs", "ls").replace(f"a:{folder}", folder) == here
    several = sentence(lambda: find_one("a:runs/group:sweep", None, "ENDS"))
    assert several.endswith("such as a:runs/base-20260101-120001-0001.")
    for name in ("a:nosuch/base", "a:runs/base-20260101-120001-0001/metrics.jsonl/x"):
        with pytest.raises(FileNotFoundError) as gone:
            find_remote_runs([name], ENDS)
        assert gone.value.filename == name


def test_a_machine_without_a_run_yet_lists_none(
    local_ssh: LocalSsh, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    settings.write_text('hosts = ["a"]\n')
    for words, where in ((["a:"], "a:runs"), (["a:empty"], "a:empty"), ([], "runs")):
        listed = tuitrain("ls", *words)
        host = "--host a " if words else ""
        said = f"There are no runs in {where}. Start one: tuitrain launch {host}gpt2-tiny\n"
        assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", said)
    every = tuitrain("ls", "--all")
    assert (every.returncode, every.stdout, every.stderr) == (0, "runs: no runs\na:runs: no runs\n", "")
    assert tuitrain("ls", "a:nosuch").returncode == 3


def test_a_host_that_never_answers_is_given_up(local_ssh: LocalSsh, settings: Path, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    monkeypatch.setenv("TUITRAIN_SSH", str(hangs))
    settings.write_text('hosts = ["a"]\n')
    code = (
        "import sys; from tuitrain.cli.commands import ls; ls.PATIENCE_S = 0.2; from tuitrain.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "ls", "--all"], capture_output=True, text=True, timeout=60)
    assert "a:runs: no answer within 0.2 s" in done.stderr


@pytest.mark.parametrize("text", ["hosts = 3", 'hosts = ["-oProxyCommand=x"]', 'hosts = ["a b"]', 'hosts = ["a:x\\n"]'])
def test_hosts_that_are_none_are_said(settings: Path, text: str) -> None:
    settings.write_text(text)
    with pytest.raises(SettingsError, match="hosts"):
        hosts_of_settings()


@pytest.mark.parametrize(
    ("word", "address"),
    [("stat:live", False), ("tag:old", False), ("-tag:old", False), ("host:a1", False), ("host1:runs", True),
     ("me@node:runs", True), ("gpubox:runs", True), ("node:/data", True)],
)  # fmt: skip
def test_a_word_of_a_query_is_no_host(word: str, address: bool) -> None:
    assert _is_address(word) is address


def lines_of_header(app: TuitrainApp, cells: int) -> list[str]:
    return ["".join(span.text for span in line) for line in header(app.state, cells)]


async def until(pilot: object, condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await pilot.pause(0.05)  # type: ignore[attr-defined]


async def test_the_list_of_runs_shows_every_host_and_opens_its_runs(
    local_ssh: LocalSsh, settings: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "one", "far-20260101-120000-0002", steps=30, status=None)
    settings.write_text(f'hosts = ["a:{tmp_path}/one"]\n')
    app = TuitrainApp("runs", [], tmp_path / "work" / "runs")
    async with app.run_test(size=(160, 45)) as pilot:
        screen = app.screen
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.listed)
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        assert [each.directory.remote for each in screen.listed] == [f"a:{run.path}"]
        await pilot.press("enter")
        await until(pilot, lambda: app.state.run is not None and app.state.run.history.step == 30)
        with run.metrics.open("ab") as log:
            log.write(b'{"type":"step","time":%.1f,"step":31,"loss":1.5}\n' % time.time())
        await until(pilot, lambda: app.state.run.history.step == 31)
        link = app.state.run.link
        assert link is not None and link.connected and link.host == "a"
        assert "a ≤ 2 s" in lines_of_header(app, 160)[0]
        (local_ssh.folder / "local-ssh").write_text("#!/bin/sh\necho 'ssh: connect to host a: refused' >&2; exit 255\n")
        for each in sync._OPEN:
            each._connection.close()  # type: ignore[union-attr]
        await until(pilot, lambda: "a not connected" in lines_of_header(app, 160)[0])
        await until(pilot, lambda: "behind" in lines_of_header(app, 160)[0])
        assert lines_of_header(app, 160)[1].startswith(" connect to host a: refused │ loss 1.5")
        assert lines_of_header(app, 60)[1].strip() == "connect to host a: refused"
