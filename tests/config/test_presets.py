from __future__ import annotations

import pytest

from tuitrain.accounting import count_parameters
from tuitrain.config import UnknownPresetError, all_presets, find_preset, load_config

FAMILIES = {"gpt2": "gpt2-124m", "llama2": "llama2-1.3b", "llama3": "llama3-2.2b", "qwen3": "qwen3-1.8b"}


@pytest.mark.parametrize("name", list(all_presets()))
def test_every_preset_is_a_valid_configuration_with_a_description(name: str) -> None:
    config = load_config(name)
    assert (config.name, config.preset) == (name, name)
    assert config.total_steps > 0
    assert config.with_least_micro_batch().accumulation() >= 1
    small = name.endswith("-tiny") or name == "shakespeare-char"
    assert (config.train.micro_batch_size == "auto") is not small
    assert all_presets()[name].title


@pytest.mark.parametrize(("alias", "name"), FAMILIES.items())
def test_a_family_name_alone_is_a_preset_of_full_size(alias: str, name: str) -> None:
    assert find_preset(alias).name == name
    assert load_config(alias).name == name


@pytest.mark.parametrize("family", ["gpt2", "llama2", "llama3", "qwen3", "hybrid"])
def test_each_family_has_a_tiny_preset_with_its_architectural_choices(family: str) -> None:
    large = load_config({**FAMILIES, "hybrid": "hybrid-124m"}[family]).model
    tiny = load_config(f"{family}-tiny").model
    for key in ("norm", "norm_bias", "norm_position", "position", "ffn", "bias", "tied_embeddings", "qk_norm"):
        assert getattr(tiny, key) == getattr(large, key), key
    assert (tiny.n_kv_heads < tiny.n_heads) == (large.n_kv_heads < large.n_heads)
    assert count_parameters(tiny).total < 5e6


def test_preset_names_are_unique() -> None:
    names = [name for preset in all_presets().values() for name in (preset.name, *preset.aliases)]
    assert len(names) == len(set(names))


def test_an_unknown_preset_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UnknownPresetError, match=r"'llama2-tinny'.*Did you mean 'llama2-tiny'\?"):
        find_preset("llama2-tinny")
