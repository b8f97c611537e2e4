"""A run that crashes at a batch goes on without it. `tests/chaos` has those that are killed."""

from __future__ import annotations

import os

from tests.e2e.conftest import Workspace
from tuitrain.runs import load_history

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
