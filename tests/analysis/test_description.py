"""What a run trains on, and the differences of its configuration from its preset."""

from __future__ import annotations

import pytest

from tests.support import run_record
from tuitrain.analysis.description import changes_from_preset, machine_text
from tuitrain.config import load_config
from tuitrain.events import Hardware, Parallel


@pytest.mark.parametrize(("nodes", "on"), [(None, ""), (1, ""), (2, "on 2 nodes ")])
def test_what_a_run_trains_on_names_its_nodes(nodes: int | None, on: str) -> None:
    run = run_record(load_config("gpt2-tiny"), "a", at=1.0)
    run.hardware = Hardware(device="NVIDIA H100", count=16)
    run.parallel = Parallel(strategy="fsdp", world_size=16, nodes=nodes)
    assert machine_text(run) == f"16×H100 {on}fsdp bf16 flash compiled"


def test_values_resolved_by_the_run_are_no_difference_from_its_preset() -> None:
    decided = load_config("gpt2-124m", ["train.max_steps=5"]).with_values({"train.micro_batch_size": 32})
    assert changes_from_preset(decided.to_dict()) == {"train.max_steps": (None, 5)}
    named = load_config("gpt2-tiny", ["train.micro_batch_size=4"])
    assert changes_from_preset(named.to_dict()) == {"train.micro_batch_size": (8, 4)}
