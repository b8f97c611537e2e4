"""Differences of a run's configuration from its preset."""

from __future__ import annotations

from tuitrain.analysis.description import changes_from_preset
from tuitrain.config import load_config


def test_values_resolved_by_the_run_are_no_difference_from_its_preset() -> None:
    decided = load_config("gpt2-124m", ["train.max_steps=5"]).with_values({"train.micro_batch_size": 32})
    assert changes_from_preset(decided.to_dict()) == {"train.max_steps": (None, 5)}
    named = load_config("gpt2-tiny", ["train.micro_batch_size=4"])
    assert changes_from_preset(named.to_dict()) == {"train.micro_batch_size": (8, 4)}
