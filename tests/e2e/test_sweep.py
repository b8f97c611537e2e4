"""A sweep through the queue of this machine, with the real engine."""

from __future__ import annotations

from tests.e2e.conftest import PATIENCE_S, Workspace


def test_a_sweep_is_queued_trained_one_after_the_other_and_compared_as_one(workspace: Workspace) -> None:
    values = ("optim.lr=1e-3,1e-2", "optim.betas=[0.9,0.95]")
    launched = workspace("launch", *workspace.micro("gpt2-tiny", 10), *values, "--name", "grid", "--json")
    assert launched.code == 0, launched.err
    sweep = launched.json()
    assert sweep["group"] == "grid" and len(sweep["runs"]) == 2
    assert workspace("ls", "-q", "group:grid").out.split() == [each["run_id"] for each in reversed(sweep["runs"])]
    for each in sweep["runs"]:
        done = workspace("status", each["run_id"], "--wait", "--timeout", str(PATIENCE_S))
        assert done.code == 0, done.out
    assert workspace("queue", "--json").json() == []
    first, second = (workspace("show", each["run_id"], "--json").json() for each in sweep["runs"])
    assert first["last_time"] < second["run"]["time"]
    assert (first["group"], first["tags"]) == ("grid", ["grid"])
    compared = workspace("compare", "group:grid", "--format", "json").json()
    assert list(compared["runs"]) == [each["run_id"] for each in sweep["runs"]]
    assert [row["key"] for row in compared["config"]] == ["optim.lr"]
