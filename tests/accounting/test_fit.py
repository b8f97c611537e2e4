"""Memory fit: the chosen strategy and the suggested settings."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.accounting import (
    Devices,
    choose_micro_batch,
    choose_strategy,
    estimate_memory,
    fitting_changes,
    fitting_sentence,
)
from tuitrain.config import RunConfig, load_config

GB = 10**9


ONE = "train.micro_batch_size=1"


def needed(name: str, world_size: int, *overrides: str) -> int:
    return estimate_memory(load_config(name, [ONE, *overrides]), Devices(dtype="bfloat16", count=world_size)).total


def choose(capacity: float | None, *, world_size: int = 8, nodes: int = 1, device: str = "cuda") -> tuple[str, str]:
    return choose_strategy(load_config("llama3-8b", [ONE]), Devices(device, "bfloat16", world_size, nodes, capacity))


def test_the_first_strategy_that_leaves_a_tenth_free_is_chosen() -> None:
    for strategy in ("ddp", "zero1", "fsdp"):
        enough = needed("llama3-8b", 8, f"parallel.strategy={strategy}") / 0.9
        chosen, reason = choose(enough * 1.001)
        assert chosen == strategy
        assert f"{strategy} needs {0.9 * enough / GB:.1f} GB" in reason
        assert choose(enough * 0.999)[0] != strategy or strategy == "fsdp"


def test_one_process_unknown_memory_and_no_fit_have_separate_reasons() -> None:
    assert choose(None, world_size=1) == ("single", "one process")
    assert choose(None) == ("ddp", "the device's memory is unknown")
    chosen, reason = choose(5 * GB)
    assert chosen == "fsdp"
    assert reason.startswith("none fits")


def test_several_nodes_shard_within_a_node_when_that_fits() -> None:
    inside = needed("llama3-8b", 16, "parallel.strategy=hsdp", "parallel.shard_size=8") / 0.9
    assert choose(inside * 1.001, world_size=16, nodes=2)[0] == "hsdp"
    assert choose(inside * 0.98, world_size=16, nodes=2)[0] == "fsdp"


def test_processes_on_a_cpu_share_its_memory() -> None:
    config = load_config("gpt2-124m", [ONE, "parallel.strategy=ddp"])
    each = estimate_memory(config, Devices("cpu", count=4)).total
    config = load_config("gpt2-124m", [ONE])
    assert choose_strategy(config, Devices("cpu", count=4, memory_bytes=4 * each / 0.89))[0] == "ddp"
    assert choose_strategy(config, Devices("cpu", count=4, memory_bytes=2 * each))[0] != "ddp"


def applied(config: RunConfig, settings: tuple[str, ...]) -> tuple[RunConfig, int]:
    count = next((int(text.removeprefix("--gpus ")) for text in settings if text.startswith("--gpus ")), 1)
    settings = (f"train.micro_batch_size={config.train.micro_batch}", *settings)
    return load_config(config.preset or "", [text for text in settings if not text.startswith("--gpus ")]), count


@pytest.mark.parametrize(("name", "micro"), [("qwen3-1.8b", 2), ("llama3-8b", 1), ("gpt2-1.3b", 4)])
@pytest.mark.parametrize("capacity", [24 * GB, 48 * GB, 80 * GB])
def test_every_suggestion_fits_and_changes_the_configuration(name: str, micro: int, capacity: int) -> None:
    config = load_config(name, [f"train.micro_batch_size={micro}"])
    now = estimate_memory(config, Devices(dtype="bfloat16")).total
    for change in fitting_changes(config, Devices(dtype="bfloat16", memory_bytes=capacity)):
        changed, count = applied(config, change.settings)
        assert estimate_memory(changed, Devices(dtype="bfloat16", count=count)).total == change.bytes
        assert change.bytes <= 0.9 * min(capacity, now)
        changed.accumulation(count)


def test_out_of_memory_where_the_estimate_says_it_fits_still_gets_advice() -> None:
    config = load_config("qwen3-1.8b", ["train.micro_batch_size=2"])
    changes = fitting_changes(config, Devices(dtype="bfloat16", memory_bytes=1000 * GB))
    assert changes[0].settings[0].startswith("train.micro_batch_size=")
    assert any("parallel.activation_checkpointing=selective" in change.settings for change in changes)


def test_the_sentence_names_settings_and_sizes_cheapest_first() -> None:
    config = load_config("llama2-1.3b", ["train.micro_batch_size=8", "train.global_batch_size=64"])
    text = fitting_sentence(config, Devices(dtype="bfloat16", memory_bytes=40 * GB))
    assert re.search(r"train\.micro_batch_size=\d \(\d+\.\d GB\)", text)
    assert text.count(" or ") == 1
    assert fitting_sentence(load_config("llama3-8b", [ONE]), Devices("cpu", "bfloat16", memory_bytes=GB)) == ""


def test_more_processes_are_not_suggested_on_a_cpu() -> None:
    config = load_config("qwen3-0.6b", ["train.micro_batch_size=4"])
    for change in fitting_changes(config, Devices("cpu", memory_bytes=16 * GB)):
        assert not any(setting.startswith("--gpus") for setting in change.settings)


@given(
    batch=st.integers(1, 300),
    world_size=st.sampled_from([1, 2, 3, 4]),
    strategy=st.sampled_from(["ddp", "zero1", "fsdp", "auto"]),
    device=st.sampled_from(["cpu", "cuda"]),
    capacity=st.floats(1e6, 4e9),
)
def test_auto_is_the_largest_micro_batch_that_divides_and_fits(
    batch: int, world_size: int, strategy: str, device: str, capacity: float
) -> None:
    overrides = [f"train.global_batch_size={batch}", f"parallel.strategy={strategy if world_size > 1 else 'single'}"]
    config = load_config("llama2-tiny", [*overrides, "train.micro_batch_size=auto"])
    devices = Devices(device, count=world_size, memory_bytes=capacity)
    size, reason = choose_micro_batch(config, devices)
    usable = 0.9 * (capacity / world_size if device == "cpu" else capacity)
    dividing = [each for each in range(1, batch + 1) if batch % (each * world_size) == 0]
    allowed = [each for each in dividing if device == "cuda" or each <= 16]

    def needed(micro: int, name: str) -> int:
        changed = load_config(
            "llama2-tiny", [overrides[0], f"train.micro_batch_size={micro}", f"parallel.strategy={name}"]
        )
        return estimate_memory(changed, devices).total

    chosen = "single" if world_size == 1 else strategy
    if chosen == "auto":
        one = config.with_least_micro_batch()
        chosen, _ = choose_strategy(one, devices)
        decided, _ = choose_strategy(config.with_values({"train.micro_batch_size": size}), devices)
        assert decided == chosen
    assert not any(needed(each, chosen) <= usable for each in allowed if each > size)
    if reason.startswith("the largest"):
        assert size in allowed
        assert needed(size, chosen) <= usable
    else:
        assert reason.startswith("not even one sequence fits 90 % of ")
        assert size == 1


def test_an_enormous_batch_does_not_slow_the_choice() -> None:
    config = load_config("llama2-tiny", ["train.global_batch_size=1000000000000", "train.micro_batch_size=auto"])
    assert choose_micro_batch(config, Devices(memory_bytes=1e18))[0] == 4096
