"""What a fork takes of its parent, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.config import load_config
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.launch import LaunchError, fork, preflight
from tuitrain.launch.fork import fork_run
from tuitrain.launch.machine import Device, Machine
from tuitrain.runs import RunDirectory


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the engines, of which none is started."""
    commands: list[list[str]] = []
    monkeypatch.setattr(preflight, "find_machine", lambda: Machine((), Device("cpu", "CPU", 25.3), 2))
    monkeypatch.setattr(fork, "start_engine", lambda run, command, *_, **kept: commands.append(command))
    return commands


@pytest.fixture
def parent(tmp_path: Path) -> RunDirectory:
    made = write_run(tmp_path, "parent", steps=60, status=None)
    for step in (25, 50):
        path = made.checkpoints / f"step-{step:08d}"
        path.mkdir(parents=True)
        (path / ".metadata").write_bytes(b"index")
        (path / "__0_0.distcp").write_bytes(b"weights")
    (made.path / "tokenizer").mkdir()
    (made.path / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    return made


@pytest.mark.parametrize(("at", "step"), [(25, 25), (None, 50)])
def test_a_fork_has_the_checkpoint_and_the_tokenizer_of_its_parent(
    parent: RunDirectory, tmp_path: Path, started: list[list[str]], at: int | None, step: int
) -> None:
    made = fork_run(parent, at, ["optim.lr=1e-4", "name=other"], tmp_path).run
    assert made.run_id.startswith("other-")
    assert started[0][-3:] == ["--run-dir", str(made.path), "--resume"]
    (saved,) = complete_checkpoints(made.path)
    assert saved.step == step
    # One checkpoint on the disk, of which either run may delete its name.
    assert (saved.path / "__0_0.distcp").samefile(parent.checkpoints / f"step-{step:08d}" / "__0_0.distcp")
    assert (made.path / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8") == "{}"
    info = made.read_metadata()
    assert info is not None and info.parent is not None
    assert (info.parent.run_id, info.parent.step) == ("parent", step)
    assert load_config(str(made.config)).optim.lr == 1e-4


@pytest.mark.parametrize(
    ("at", "override", "words", "code"),
    [
        (30, "optim.lr=1e-4", "has no checkpoint of step 30; it has those of 25, 50.", 3),
        (25, "model.d_model=64", "A fork cannot go on with model.d_model = 64", 2),
        (50, "train.max_steps=50", "tuitrain fork parent --at 50 train.max_steps=100", 2),
    ],
)
def test_what_cannot_be_forked_is_refused_and_leaves_nothing(
    parent: RunDirectory, tmp_path: Path, at: int, override: str, words: str, code: int
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LaunchError) as caught:
        fork_run(parent, at, [override], tmp_path)
    assert words in str(caught.value)
    assert caught.value.exit_code == code
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_without_a_checkpoint_cannot_be_forked(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="no complete checkpoint to fork from"):
        fork_run(write_run(tmp_path, "new"), None, [], tmp_path)
