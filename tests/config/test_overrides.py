from __future__ import annotations

import pytest

from tuitrain.config import ConfigError, load_config, validate


def failure(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config("llama2-tiny", ["train.global_batch_size=16", "train.micro_batch_size=16", *overrides])
    return str(caught.value)


def test_overrides_replace_values_of_every_kind() -> None:
    config = load_config(
        "llama2-tiny",
        [
            "train.max_steps=200",
            "model.norm=layernorm",
            "optim.lr=3e-4",
            "train.compile=true",
            "optim.betas=[0.8, 0.9]",
        ],
    )
    assert (config.train.max_steps, config.model.norm, config.optim.lr) == (200, "layernorm", 3e-4)
    assert (config.train.compile, config.optim.betas) == (True, (0.8, 0.9))


def test_the_last_override_of_a_key_wins() -> None:
    assert load_config("llama2-tiny", ["train.seed=1", "train.seed=2"]).train.seed == 2


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("81.7B", 81_700_000_000), ("300M", 300_000_000), ("1_000", 1000), ("2.5k", 2500), ("1e9", 10**9)],
)
def test_token_counts_accept_suffixes_and_separators(text: str, tokens: int) -> None:
    assert load_config("llama2-tiny", [f"train.token_budget={text}"]).train.token_budget == tokens


@pytest.mark.parametrize("text", ["2026-01-01", "true", "1e5", "007", "none", "1 # x", "a = b", ""])
def test_a_text_is_kept_verbatim_even_where_toml_would_parse_it(text: str) -> None:
    assert load_config("llama2-tiny", [f"sampling.prompt={text}"]).sampling.prompt == text


def test_a_quoted_text_loses_its_quotes() -> None:
    assert load_config("llama2-tiny", ['sampling.prompt="a \\"b\\""']).sampling.prompt == 'a "b"'


def test_none_unsets_an_optional_key() -> None:
    config = load_config("llama2-tiny", ["train.token_budget=1M", "train.max_steps=none"])
    assert config.train.max_steps is None
    assert config.total_steps == -(-1_000_000 // config.tokens_per_step)


def test_the_rest_of_a_token_budget_decides_the_remaining_steps() -> None:
    tree = {"token_budget": 1000, "global_batch_size": 10, "micro_batch_size": 10}
    config = validate({"model": {"seq_len": 10}, "train": tree})
    assert config.total_steps == config.total_steps_from(5, 500) == 10
    assert config.total_steps_from(20, 500) == 25
    assert config.total_steps_from(3, 999) == 4
    assert config.total_steps_from(3, 1000) == config.total_steps_from(3, 5000) == 3
    bounded = validate({"model": {"seq_len": 10}, "train": tree | {"max_steps": 7}})
    assert (bounded.total_steps_from(5, 500), bounded.total_steps_from(4, 900)) == (7, 5)


def test_defaults_follow_the_keys_they_depend_on() -> None:
    model = load_config("gpt2-tiny", ["model.d_model=256", "model.n_heads=8"]).model
    assert (model.n_kv_heads, model.head_dim) == (8, 32)


@pytest.mark.parametrize(
    ("override", "key", "advice"),
    [
        ("model.norm=layrnorm", "model.norm", "layernorm, rmsnorm. Did you mean 'layernorm'?"),
        ("model.n_layer=3", "model.n_layer", "Did you mean 'model.n_layers'?"),
        ("n_layers=3", "n_layers", "Did you mean 'model.n_layers'?"),
        ("optim.n_layers=3", "optim.n_layers", "Did you mean 'model.n_layers'?"),
        ("model.n_heads=0", "model.n_heads = 0", "greater than or equal to 1"),
        ("optim.lr=abc", "optim.lr = 'abc'", "be a number."),
        ("optim.lr=nan", "optim.lr", "a finite number"),
        ("train.compile=maybe", "train.compile = 'maybe'", "true or false"),
        ("train.token_budget=1e999B", "train.token_budget", "a whole number"),
        ("train.max_steps=1.5", "train.max_steps", "a whole number"),
        ("optim.betas=0.9,0.95", "optim.betas", "2 numbers, such as [0.9, 0.95]"),
        ("optim.betas=[0.9]", "optim.betas = [0.9]", "2 numbers, such as [0.9, 0.95]"),
        ("optim.betas=[0.9, 0.9, 0.9]", "optim.betas = [0.9, 0.9, 0.9]", "2 numbers, such as [0.9, 0.95]"),
        ("optim.betas=[0.9, 2]", "betas", "[0, 1)"),
        ("model=5", "model", "set one of its keys, such as model.n_layers"),
        ("train.max_steps.x=5", "max_steps", "is a value, not a section"),
        ("model.head_dim=33", "head_dim (33)", "must be even"),
        ("model.n_kv_heads=3", "n_kv_heads (3)", "must be a multiple"),
        ("model.n_heads=3", "n_heads (3) must divide d_model (128)", "unless head_dim is set"),
        ("model.n_heads=128", "n_heads (128) must divide d_model (128)", "at least 2 wide"),
        ("train.global_batch_size=7", "global_batch_size (7)", "must be a multiple of micro_batch_size (16)"),
        ("train.micro_batch_size=autoo", "train.micro_batch_size: 'autoo'", "neither auto nor a whole number of 1"),
        ("train.micro_batch_size=0", "train.micro_batch_size: 0", "neither auto nor a whole number of 1 or more."),
        ("data.tokenizer=sentencepiece:5", "sentencepiece:5", "from 300 to 1000000"),
        ("train.max_steps=none", "train", "max_steps or token_budget must be set"),
        ("telemetry.profile_steps=x", "telemetry.profile_steps = 'x'", "such as 10-15"),
        ("telemetry.profile_steps=15-10", "profile_steps = '15-10'", "not after the last"),
        ("name=a b", "name = 'a b'", "letters, digits"),
        ("foo", "'foo'", "write KEY=VALUE"),
        ("=3", "'=3'", "write KEY=VALUE"),
        ("model..x=3", "model..x", "write KEY=VALUE"),
    ],
)
def test_an_error_is_one_sentence_with_the_key_and_a_remedy(override: str, key: str, advice: str) -> None:
    message = failure(override)
    assert key in message
    assert advice in message
    assert "\n" not in message


def test_each_error_has_its_own_sentence() -> None:
    message = failure("model.norm=x", "optim.lr=-1", "model.d_modell=5")
    assert len(message.splitlines()) == 3


def test_each_problem_carries_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("llama2-tiny", ["model.n_heads=3", "optim.lr=-1", "data.mixture=5", "model.d_modell=5"])
    keys = [problem.key for problem in caught.value.problems]
    assert sorted(map(str, keys)) == ["data.mixture", "model.d_modell", "optim.lr"]
    assert caught.value.key == "model.d_modell"
    for overrides, key in (
        (["model.n_heads=3"], "model.n_heads"),
        (["train.max_steps=none"], "train.max_steps"),
        (["model.rope_scaling.high_freq_factor=0.5"], "model.rope_scaling.high_freq_factor"),
        (["model=5"], "model"),
        (["foo"], None),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config("llama2-tiny", overrides)
        assert caught.value.key == key


def test_errors_caused_by_another_error_are_not_reported() -> None:
    assert failure("model.d_model=abc").splitlines() == [
        "model.d_model = 'abc' is not valid: it should be a whole number."
    ]
