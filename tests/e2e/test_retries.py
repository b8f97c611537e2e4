"""A run that crashes goes on by itself."""

from __future__ import annotations

import os
import signal

from tests.e2e.conftest import PATIENCE_S, Workspace, wait_for
from tuitrain.events.requests import write_request
from tuitrain.runs import Status, load_history, read_snapshot


def test_a_killed_run_goes_on_from_its_checkpoint_as_if_nothing_had_been(workspace: Workspace) -> None:
    arguments = workspace.micro("gpt2-tiny", 12)
    run_id = workspace("launch", *arguments, "--detach", "--retries", "1").out.strip()
    run = next(each for each in workspace.runs if each.run_id == run_id)
    # In a pause it is known where it is killed: after the first steps, which have no checkpoint.
    write_request(run.path, "pause")
    wait_for(lambda: read_snapshot(run).status in (Status.PAUSED, Status.COMPLETED))
    info = run.read_metadata()
    assert info is not None and info.pid is not None and info.supervisor is not None
    os.kill(info.pid, signal.SIGKILL)
    waited = workspace("status", run_id, "--wait", "--timeout", str(PATIENCE_S))
    assert waited.code == 0, waited.out
    history = load_history(run)
    assert [each.attempt for each in history.attempts] == [1, 2]
    restart = next(each for each in history.alerts if each.code == "restart")
    assert "killed by SIGKILL" in restart.message and "0 more restarts are possible" in restart.message
    whole = workspace("launch", *arguments, "--foreground", "--json").json()["run_id"]
    of_both = [workspace("show", each, "--json").json() for each in (run_id, whole)]
    assert [(each["step"], each["loss"], each["val_loss"]) for each in of_both] == [
        (12, of_both[0]["loss"], of_both[0]["val_loss"])
    ] * 2


BAD_BATCH = """
import importlib.abc, importlib.util, sys

def wrapped(train_step):
    def with_bad_batch(t, batches):
        skips = t.progress.step + 1 in t.config.train.skip_steps
        if t.progress.sequences + 4 * skips == 28:
            raise RuntimeError("the batch is bad")
        train_step(t, batches)
    return with_bad_batch

class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "tuitrain_engine.trainer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            module.train_step = wrapped(module.train_step)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Hook())
"""


def test_a_bad_batch_is_passed_over_and_the_log_says_so(workspace: Workspace) -> None:
    """The batch of step 8 ends the engine, whichever attempt reads it."""
    folder = workspace.path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BAD_BATCH, encoding="utf-8")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    options = ("--foreground", "--json", "--retries", "5", "--skip-bad-batch")
    done = workspace("launch", *workspace.micro("gpt2-tiny", 12), *options, PYTHONPATH=path)
    assert done.code == 0, done.err
    run = next(each for each in workspace.runs if each.run_id == done.json()["run_id"])
    history = load_history(run)
    assert history.run is not None and history.run.config["train"]["skip_steps"] == [8]
    messages = {each.code: each.message for each in history.alerts}
    assert [each.code for each in history.alerts if each.code == "restart"] == ["restart"] * 2
    assert "the batch is bad" in messages["restart"]
    assert "the batch of step 8" in messages["batch_skipped"]
    assert history.steps["step"].tolist() == list(range(1, 13))
