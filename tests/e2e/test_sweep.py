"""A sweep through the queue of this machine, with the real engine."""

from __future__ import annotations

from tests.e2e.conftest import PATIENCE_S, Workspace, wait_for


def test_a_sweep_is_queued_halved_and_compared_as_one(workspace: Workspace) -> None:
    """The first run is the only one at its rung and goes on until it is stopped; the second is worse there."""
    steps = ("eval.interval=50", "sampling.interval=0", "checkpoint.interval=0")
    values = ("optim.lr=1e-2,1e-6", "optim.betas=[0.9,0.95]", "--halving", "--first-rung", "0.001")
    launched = workspace("launch", *workspace.micro("gpt2-tiny", 50_000, *steps), *values, "--name", "grid", "--json")
    assert launched.code == 0, launched.err
    sweep = launched.json()
    assert sweep["group"] == "grid" and len(sweep["runs"]) == 2
    first, second = (each["run_id"] for each in sweep["runs"])
    assert set(workspace("ls", "-q", "group:grid").out.split()) == {first, second}
    wait_for(lambda: "rank 1 of 1: goes on" in workspace("show", first).out)
    assert "1 in the queue" in workspace("status", second).out
    assert workspace("stop", first).code == 0
    waited = workspace("status", second, "--wait", "--timeout", str(PATIENCE_S), "--json")
    assert (waited.code, waited.json()["status"]) == (103, "stopped")
    assert waited.json()["reason"] == "stopped by halving at step 50: rank 2 of 2"
    assert workspace("queue", "--json").json() == []
    shown = [workspace("show", each, "--json").json() for each in (first, second)]
    assert shown[0]["last_time"] < shown[1]["run"]["time"]
    assert (shown[0]["group"], shown[0]["tags"]) == ("grid", ["grid"])
    assert 50 <= shown[1]["step"] < 50_000
    compared = workspace("compare", "group:grid", "--format", "json").json()
    assert list(compared["runs"]) == [first, second]
    assert [row["key"] for row in compared["config"]] == ["optim.lr"]
