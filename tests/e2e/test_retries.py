"""A run that crashes at a batch goes on without it. `tests/chaos` has those that are killed."""

from __future__ import annotations

from tests.e2e.conftest import Workspace, with_steps
from tuitrain.runs import load_history


def test_a_bad_batch_is_passed_over_and_the_log_says_so(workspace: Workspace) -> None:
    """The batch of step 8 ends the engine, whichever attempt reads it."""
    options = ("--foreground", "--json", "--retries", "5", "--skip-bad-batch")
    done = workspace("launch", *workspace.micro("gpt2-tiny", 12), *options, **with_steps("bad"))
    assert done.code == 0, done.err
    run = next(each for each in workspace.runs if each.run_id == done.json()["run_id"])
    history = load_history(run)
    assert history.run is not None and history.run.config["train"]["skip_steps"] == [8]
    messages = {each.code: each.message for each in history.alerts}
    assert [each.code for each in history.alerts if each.code == "restart"] == ["restart"] * 2
    assert "the batch is bad" in messages["restart"]
    assert "the batch of step 8" in messages["batch_skipped"]
    assert history.steps["step"].tolist() == list(range(1, 13))
