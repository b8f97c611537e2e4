"""Configurations that are refused before any process starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuitrain.cli.errors import explain
from tuitrain.config import ConfigError, load_config
from tuitrain.launch import LaunchError, preflight
from tuitrain.launch.machine import Device, Machine
from tuitrain.launch.plan import make_plan

CPU = Device("cpu", "CPU", 25.3)
H100 = Device("gpu", "NVIDIA H100 80GB HBM3", 85.0)


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preflight, "require_engine", lambda: None)
    monkeypatch.setattr(preflight, "find_machine", lambda: Machine((), CPU, 2))


def refusal(*overrides: str) -> tuple[str, int]:
    """The error message and the exit code of the command."""
    with pytest.raises((LaunchError, ConfigError)) as caught:
        preflight.check(load_config("gpt2-tiny", overrides))
    explained = explain(caught.value)
    assert explained is not None
    return str(caught.value), explained.exit_code


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ("data.tokenizer=sentencepeice:300", 2, "Did you mean 'sentencepiece:300'?"),
        ("data.tokenizer=bite", 2, "Did you mean 'byte'?"),
        ("data.tokenizer=gpt2", 2, "is none of byte, char, sentencepiece:N, hf:NAME"),
        ("data.tokenizer=missing.model", 3, "missing.model does not exist"),
        ("data.tokenizer=some/tokenizer.json", 3, "tokenizer.json does not exist"),
        ("data.source=nowhere.txt", 3, "data.source = 'nowhere.txt'"),
        ("model.vocab_size=100", 2, "model.vocab_size = 100 is smaller than the vocabulary of data.tokenizer = 'byte'"),
        ("train.device=cuda", 2, "this machine has no CUDA device"),
        ("model.attention_backend=flex", 2, "needs CUDA: on CPU use auto, flash, math"),
        ("train.float8=true", 2, "this run trains on the CPU"),
        ("model.attention_backend=cudnn", 2, "needs CUDA: on CPU use auto, flash, math"),
        ("model.attention_backend=efficient", 2, "needs CUDA"),
        (
            "parallel.strategy=fsdp",
            2,
            "needs several processes, and this run has one: set it to 'auto' (--strategy auto)",
        ),
    ],
)
def test_configurations_that_the_engine_refuses_are_refused_before_it_starts(
    override: str, code: int, words: str
) -> None:
    message, exit_code = refusal(override)
    assert exit_code == code
    assert override.split("=")[0] in message
    assert words in message


def test_each_source_of_a_mixture_must_exist() -> None:
    message, code = refusal("data.source=mixture", 'data.mixture={"stdlib"=1,"nowhere.txt"=2}')
    assert code == 3
    assert "data.mixture: 'nowhere.txt': no such file" in message
    message, code = refusal("data.source=hf:./nowhere")
    assert code == 3


def test_a_trained_vocabulary_needs_its_rows() -> None:
    message, code = refusal("data.tokenizer=sentencepiece:5000", "model.vocab_size=4999")
    assert code == 2
    assert "(5,000)" in message
    preflight.check(load_config("gpt2-tiny", ["data.tokenizer=sentencepiece:5000", "model.vocab_size=5000"]))


def test_external_ids_have_their_own_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "bins").mkdir()
    (tmp_path / "bins" / "train.bin").write_bytes(bytes(100_000))
    config = load_config("gpt2-tiny", ["data.source=bin:bins", "model.vocab_size=65"])
    preflight.check(config)
    unset = load_config("gpt2-tiny", ["data.source=bin:bins", "model.vocab_size=none"])
    assert make_plan(unset, CPU).parameters is None


@pytest.mark.parametrize("name", ["a.model", "dir/tokenizer.json", "saved/tokenizer_info.json"])
def test_an_existing_tokenizer_is_accepted(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"model": {}, "kind": "byte"}')
    given = file if file.parent == tmp_path else file.parent
    assert preflight.check(load_config("gpt2-tiny", [f"data.tokenizer={given}"])).count == 1


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message, code = refusal(f"data.tokenizer={tmp_path / 'empty'}")
    assert code == 3
    assert "tokenizer.json does not exist" in message


def test_a_gpu_runs_its_kernels_but_flash_takes_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_machine", lambda: Machine((H100,), CPU, 2))
    monkeypatch.setattr(preflight, "torch_is_cpu_only", lambda: False)
    preflight.check(load_config("gpt2-tiny", ["train.device=cuda", "model.attention_backend=cudnn"]))
    message, _ = refusal("train.device=cuda", "model.attention_backend=flash", "model.window=16")
    assert "model.window" in message
    message, _ = refusal("train.device=cuda", "model.attention_backend=flash", "model.document_mask=true")
    assert "model.document_mask" in message
    flex = ("train.device=cuda", "model.attention_backend=flex")
    preflight.check(load_config("gpt2-tiny", [*flex, "model.window=16", "model.document_mask=true"]))
    assert "model.dropout" in refusal(*flex, "model.dropout=0.1")[0]
    assert "model.head_dim" in refusal(*flex, "model.head_dim=8")[0]
    monkeypatch.setattr(preflight, "torch_is_cpu_only", lambda: True)
    assert "without CUDA" in refusal("train.device=cuda")[0]


def test_float8_needs_its_package_and_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_machine", lambda: Machine((H100,), CPU, 2))
    monkeypatch.setattr(preflight, "torch_is_cpu_only", lambda: False)
    assert "train.dtype = bfloat16" in refusal("train.device=cuda", "train.float8=true", "train.dtype=float32")[0]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'tuitrain[float8]'" in refusal("train.device=cuda", "train.float8=true")[0]


def test_a_plan_states_how_much_of_a_hub_dataset_is_read() -> None:
    cut = ["data.source=hf:some/name", "data.max_tokens=200M", "train.token_budget=10B"]
    long = make_plan(load_config("gpt2-124m", cut), H100)
    assert long.data_limit == 200_000_000
    assert long.least_epochs == pytest.approx(long.tokens / (200e6 * (1 - long.config.data.val_fraction)))
    streamed = make_plan(load_config("gpt2-124m", ["data.source=hf:some/name", "train.token_budget=10B"]), H100)
    assert (streamed.data_limit, streamed.least_epochs) == (None, None)
    two = ['data.mixture={"stdlib"=2,"shakespeare"=1}', "data.source=mixture", "data.max_tokens=1000"]
    assert make_plan(load_config("gpt2-tiny", two), CPU).data_limit == 2000
    own = make_plan(load_config("gpt2-tiny", ["data.source=stdlib", "data.max_tokens=1000"]), CPU)
    assert own.data_limit == 1000
    whole = make_plan(load_config("gpt2-tiny", ["data.source=stdlib", "data.max_tokens=none"]), CPU)
    assert whole.data_limit is None
