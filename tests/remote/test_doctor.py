"""`doctor --host`: what another machine has, with a fix for what is wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.remote.conftest import LocalSsh
from tuitrain import __version__
from tuitrain.launch import LaunchError
from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.doctor.host import examine_host


def found(host: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine_host(host)}


def test_a_machine_with_tuitrain_is_examined_by_that_too(
    local_ssh: LocalSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "tuitrain"
    program.parent.mkdir()
    there = [Finding("torch", "wrong", "not installed", "pip install it"), Finding("runs", "ok", "of there")]
    program.write_text(
        f"#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'tuitrain {__version__}'; exit; }}\n"
        f"[ \"$1 $2\" = 'doctor --json' ] && echo '{json.dumps([asdict(each) for each in there])}'\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("TUITRAIN_SSH", f"{shutil.which('env')} PATH={program.parent}:/usr/bin:/bin {local_ssh.use()}")
    findings = found(f"here:{tmp_path}/runs")
    assert findings["tuitrain"].state == "ok" and __version__ in findings["tuitrain"].detail
    assert findings["torch"] == there[0]
    assert f"{tmp_path}/runs" in findings["runs"].detail
    assert {"SSH", "reading runs", "clock", "logout", "sending code"} <= findings.keys()
    assert all(finding.fix for finding in findings.values() if finding.state != "ok")


def test_what_a_machine_lacks_has_a_fix(local_ssh: LocalSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dd", "tail", "head", "ls", "find", "df", "uname", "id", "tar", "cat"):
        (tools / name).symlink_to(str(shutil.which(name)))
    date, driver, bus, login = (tools / name for name in ("date", "nvidia-smi", "busctl", "loginctl"))
    date.write_text("#!/bin/sh\necho 1000\n")
    driver.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB'\n")
    bus.write_text("#!/bin/sh\necho 'b true'\n")
    login.write_text("#!/bin/sh\necho Linger=no\n")
    for each in (date, driver, bus, login):
        each.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TUITRAIN_SSH", f"{shutil.which('env')} PATH={tools} {local_ssh.use()}")
    findings = found("me@here:/nowhere/runs")
    states = {name: finding.state for name, finding in findings.items()}
    assert states["reading runs"] == states["sending code"] == states["clock"] == "warning"
    assert states["tuitrain"] == "missing" and states["logout"] == "wrong"
    assert "H200" in findings["GPU 0"].detail
    assert "gzip" in findings["reading runs"].fix and "rsync" in findings["sending code"].fix
    assert "enable-linger" in findings["logout"].fix and "uv" in findings["tuitrain"].fix
    (tools / "find").unlink()
    assert found("here:x")["reading runs"].state == "wrong"


def test_a_machine_that_is_not_reached_is_wrong(
    local_ssh: LocalSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = tmp_path / "refuses"
    refuses.write_text("#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n")
    refuses.chmod(0o755)
    monkeypatch.setenv("TUITRAIN_SSH", str(refuses))
    (finding,) = examine_host("here")
    assert finding.state == "wrong" and "Permission denied" in finding.detail and "ssh here" in finding.fix
    with pytest.raises(LaunchError, match="is not the name of a host"):
        list(examine_host("-oProxyCommand=x"))
