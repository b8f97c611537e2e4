"""The built wheel, installed in a clean environment outside the checkout, launches a run."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, Workspace

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, workspace: Workspace) -> str:
    """stdout of a command that must succeed; the checkout is not on its path."""
    environment = {key: value for key, value in workspace.environment.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=workspace.path, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(workspace: Workspace) -> Path:
    """The scripts directory of a new environment with the wheel and the libraries of this environment."""
    call(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        workspace.path / "dist",
        ROOT,
        workspace=workspace,
    )
    (wheel,) = (workspace.path / "dist").glob("*.whl")
    environment = workspace.path / "clean"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    call(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        workspace=workspace,
    )
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    # A path in a .pth file is searched, but .pth files in there are not read: the editable install stays out.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + os.linesep, encoding="utf-8")
    return environment / "bin"


@pytest.mark.slow
def test_the_wheel_holds_both_packages_and_the_presets(workspace: Workspace, installed: Path) -> None:
    source = "import tuitrain, tuitrain_engine; print(tuitrain.__file__); print(tuitrain_engine.__file__)"
    for line in call(installed / "python", "-c", source, workspace=workspace).splitlines():
        assert Path(line).is_relative_to(installed.parent)
    listed = call(installed / "tuitrain", "presets", workspace=workspace)
    assert all(path.stem in listed for path in (ROOT / "presets").glob("*.toml"))


@pytest.mark.slow
def test_the_installed_program_launches_a_run(workspace: Workspace, installed: Path) -> None:
    out = call(installed / "tuitrain", "launch", *workspace.micro("llama2-tiny", 5), workspace=workspace)
    assert "5/5" in out
    assert "completed" in call(installed / "tuitrain", "status", "latest", workspace=workspace)
    assert "loss" in call(installed / "tuitrain", "watch", "latest", "--once", workspace=workspace)
