from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.config import ConfigError, all_presets, difference, flatten, known_keys, load_config, validate
from tuitrain.config.keys import field_at
from tuitrain.config.run_config import RunConfig

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "model.n_layers": st.integers(1, 1024),
    "model.norm": st.sampled_from(["layernorm", "rmsnorm"]),
    "model.ffn": st.sampled_from(["gelu", "swiglu", "geglu", "relu2"]),
    "model.dropout": st.floats(0, 0.99),
    "model.window": st.integers(1, 10**6),
    "data.text_column": TEXT,
    "optim.lr": st.floats(1e-30, 100),
    "optim.betas": st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)).map(list),
    "schedule.warmup_steps": st.integers(0, 2**40),
    "train.token_budget": st.integers(1, 2**62),
    "train.seed": st.integers(0, 2**63 - 1),
    "sampling.prompt": TEXT,
    "hardware.peak_tflops": st.floats(1e-6, 1e6),
}


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {"train": {"max_steps": 10}}
    for key, value in flat.items():
        section, name = key.split(".")
        tree.setdefault(section, {})[name] = value
    return tree


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_a_configuration_survives_toml(flat: dict[str, Any]) -> None:
    config = validate(nested(flat))
    assert validate(tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize("name", list(all_presets()))
def test_the_resolved_file_of_a_preset_loads_as_the_same_configuration(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    file = tmp_path / "config.toml"
    file.write_text(config.to_toml(), encoding="utf-8")
    assert load_config(str(file)) == config
    assert load_config(f"{tmp_path}/") == config


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "nested more than 20 levels deep"),
        ("x = " + "{a=" * 5000 + "1" + "}" * 5000, "nested more than 20 levels deep"),
        ("a." * 50_000 + "a = 1", "a key has more than 20 parts"),
        ("a . " * 50_000 + "a = 1", "a key has more than 20 parts"),
        ("[" + "a." * 50_000 + "a]", "a key has more than 20 parts"),
        ("x = " + "[[" * 15 + "]]" * 15, "nested more than 20 levels deep"),
        ("x = " + "9" * 5000, "digits"),
        ("a" * 100_000 + " = 1", "is not a key of the configuration"),
        ("[train]\nmax_steps = '" + "a" * 100_000 + "'", "train.max_steps = 'aaa"),
    ],
)
def test_an_oversized_file_is_one_short_sentence(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_config(str(file))
    assert words in str(caught.value)
    assert all(len(line) < 1500 for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    "override",
    ["a." * 50_000 + "a=1", "a" * 100_000 + "=1", "train.max_steps=" + "[" * 5000, "train.max_steps=" + "9" * 5000,
     "model.n_layers." + "a." * 10 + "a=1", "x" * 100_000],
)  # fmt: skip
def test_an_oversized_override_is_one_short_sentence(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("gpt2-tiny", [override])
    assert len(str(caught.value)) < 1500
    assert "\n" not in str(caught.value)


def test_tables_of_a_log_are_flattened_at_any_depth() -> None:
    tree: dict[str, Any] = {"leaf": 1}
    for _ in range(3000):
        tree = {"a": tree, "b": 2}
    flat = flatten(tree)
    assert len(flat) == 3001
    assert flat["a." * 3000 + "leaf"] == 1
    assert flatten({"a": {"x": 1, "y": {}}, "b": 2}) == {"a.x": 1, "b": 2}
    assert list(flatten({"b": {"z": 1, "y": 2}, "a": 3})) == ["b.z", "b.y", "a"]


def test_a_file_without_a_name_gets_a_safe_name(tmp_path: Path) -> None:
    file = tmp_path / "my run é.toml"
    file.write_text("[train]\nmax_steps = 5\n", encoding="utf-8")
    assert load_config(str(file)).name == "my-run--"


def test_broken_toml_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[train]\nmax_steps = \n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.toml: not valid TOML: .*line 2"):
        load_config(str(file))


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(str(file))


def test_a_missing_file_is_distinguished_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_config(str(tmp_path / "none.toml"))


def test_a_difference_lists_changed_set_and_unset_keys_without_names() -> None:
    before = load_config("llama2-tiny", ["data.max_tokens=8M", "optim.lr=0.002"])
    after = load_config("llama2-tiny", ["name=other", "model.window=64", "data.max_tokens=none", "optim.lr=0.1"])
    assert difference(before, after) == {
        "model.window": (None, 64),
        "data.max_tokens": (8_000_000, None),
        "optim.lr": (0.002, 0.1),
    }


def test_every_key_has_a_docstring() -> None:
    for key in known_keys(RunConfig):
        field = field_at(RunConfig, key)
        assert field is not None
        assert field.description, key


def test_steps_follow_from_the_token_budget_or_the_step_limit_whichever_ends_first() -> None:
    tree: dict[str, dict[str, Any]] = {
        "model": {"seq_len": 128},
        "train": {"token_budget": "10k", "global_batch_size": 16},
    }
    assert validate(tree).total_steps == math.ceil(10_000 / (16 * 128))
    tree["train"]["max_steps"] = 3
    assert validate(tree).total_steps == 3


def test_accumulation_follows_from_the_processes_and_must_divide() -> None:
    config = load_config("llama2-tiny", ["train.global_batch_size=32", "train.micro_batch_size=4"])
    assert [config.accumulation(world) for world in (1, 2, 8)] == [8, 4, 1]
    with pytest.raises(ConfigError, match=r"\(32\) must be a multiple of .*\(4 × 3\)"):
        config.accumulation(3)


def test_the_architecture_name_lists_its_components() -> None:
    config = load_config("llama-124m")
    assert config.model.architecture_name == "12L-12H-768D-RoPE-RMS-SwiGLU-PreNorm"
    assert load_config("qwen3").model.architecture_name == "24L-16H/8KV-2048D-RoPE-RMS-QKNorm-SwiGLU-PreNorm"


def test_an_unknown_section_is_named_first_without_errors_of_missing_keys(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[model]\nn_layers = "x"\n[trian]\nmax_steps = 3\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(str(file))
    assert str(caught.value).splitlines() == [
        f"{file}: trian is not a key of the configuration. Did you mean 'train'?",
        f"{file}: model.n_layers = 'x' is not valid: it should be a whole number.",
    ]
    assert caught.value.key == "trian"


def test_errors_in_a_file_name_the_file_and_errors_of_overrides_do_not(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[train]\nmax_steps = 3\n[model]\nnorm = "none"\nn_heads = "x"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(str(file), ["model.n_heads=y", "optim.betas=[1]"])
    assert sorted(str(caught.value).splitlines()) == [
        f"{file}: model.norm = 'none' is not one of layernorm, rmsnorm.",
        "model.n_heads = 'y' is not valid: it should be a whole number.",
        "optim.betas = [1] is not valid: it should be 2 numbers, such as [0.9, 0.95].",
    ]
