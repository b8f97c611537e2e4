"""Weights in and out: equal to transformers, refused where they cannot be, never unpickled."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_runs import command, environment, make_run, of_type, read_log, run_engine
from safetensors.torch import load_file, save_file
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from tuitrain import events
from tuitrain.config import ConfigError, ModelConfig, validate
from tuitrain_engine import weights
from tuitrain_engine.data.tokenizers import ByteTokenizer, HuggingFaceTokenizer
from tuitrain_engine.model import Transformer, initialise

VOCABULARY = 61
SHAPE = {"n_layers": 2, "d_model": 32, "n_heads": 4, "vocab_size": VOCABULARY, "seq_len": 48}
GPT2 = {"position": "learned", "norm": "layernorm", "ffn": "gelu", "bias": True, "tied_embeddings": True}
LLAMA = {"position": "rope", "norm": "rmsnorm", "ffn": "swiglu"}
# Of the frequencies of a head 8 wide at theta 500, one stays, one is blended and two are divided.
SCALING = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_seq_len": 16}
QWEN3 = {**LLAMA, "qk_norm": True, "head_dim": 16, "n_kv_heads": 2, "rope_theta": 1e6, "norm_eps": 1e-6}
MODELS = {
    "gpt2": GPT2,
    "gpt2-untied": {**GPT2, "tied_embeddings": False, "d_ff": 96},
    "llama": LLAMA,
    "llama-gqa-llama3": {**LLAMA, "n_kv_heads": 2, "rope_theta": 500.0, "rope_scaling": SCALING},
    "llama-biases-tied": {**LLAMA, "bias": True, "tied_embeddings": True},
    "qwen3-tied": {**QWEN3, "tied_embeddings": True},
    "qwen3-untied": QWEN3,
    "qwen3-window": {**QWEN3, "window": 7},
}


def make_config(**keys: object) -> ModelConfig:
    """A tiny model, keys updated."""
    return ModelConfig.model_validate({**SHAPE, **keys})


@torch.no_grad()
def make_model(config: ModelConfig) -> Transformer:
    """A model whose every parameter matters: values far from their initial ones, norms and biases too."""
    torch.manual_seed(11)
    model = Transformer(config)
    initialise(model, 0)
    for name, parameter in model.named_parameters():
        parameter.copy_(0.3 * torch.randn_like(parameter) + (1.0 if "norm.weight" in name else 0.0))
    return model.eval()


def export(model: Transformer, out: Path, *, split: bool = False, dtype: str = "float32") -> list[Path]:
    """Export a model as the run of a byte tokenizer would."""
    tree = {"model": model.config.model_dump(exclude_none=True), "train": {"max_steps": 1}}
    return weights.export_weights(model, validate(tree), ByteTokenizer(), out, dtype=dtype, split=split)


def theirs(directory: Path) -> PreTrainedModel:
    """The model as transformers reads it; anything missing or left over is an error."""
    model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval()


def tokens(config: ModelConfig) -> torch.Tensor:
    """Two whole sequences."""
    return torch.randint(0, VOCABULARY, (2, config.seq_len), generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def logits_of(model: torch.nn.Module, config: ModelConfig) -> torch.Tensor:
    """Logits of those sequences, ours or theirs."""
    output = model(tokens(config))
    return output if isinstance(output, torch.Tensor) else output.logits


def assert_same(left: torch.Tensor, right: torch.Tensor) -> None:
    """Equal but for rounding."""
    torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)


def load(config: ModelConfig, origin: Path | str) -> Transformer:
    """Our model started from weights."""
    config = config.model_copy(update={"init_from": str(origin)})
    model = Transformer(config)
    initialise(model, 5)
    weights.load_pretrained(model, config)
    return model.eval()


def refusal(config: ModelConfig, origin: Path | str) -> str:
    """The sentence with which weights are refused."""
    with pytest.raises(ConfigError) as error:
        load(config, origin)
    text = str(error.value)
    assert text.startswith(f"model.init_from = {origin}: ") and "\n" not in text
    return text


# ── equal to transformers ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", MODELS)
def test_exported_logits_equal_those_of_transformers(tmp_path: Path, name: str) -> None:
    config = make_config(**MODELS[name])
    model = make_model(config)
    export(model, tmp_path / "out")
    expected = logits_of(theirs(tmp_path / "out"), config)
    assert expected.std() > 0.5
    assert_same(logits_of(model, config), expected)


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_a_model_started_from_transformers_equal_its_own(tmp_path: Path, name: str) -> None:
    config = make_config(**MODELS[name])
    export(make_model(config), tmp_path / "shape")
    torch.manual_seed(23)
    original = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path / "shape")).eval()
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    original.save_pretrained(tmp_path / "saved")

    described = weights.config_from_hf(tmp_path / "saved")
    assert all(getattr(make_config(**described), key) == getattr(config, key) for key in ModelConfig.model_fields)
    expected = logits_of(original, config)
    assert expected.std() > 0.5
    model = load(config, tmp_path / "saved")
    assert_same(logits_of(model, config), expected)


def test_rope_scaling_matters_and_is_the_one_of_llama3(tmp_path: Path) -> None:
    scaled = make_config(**MODELS["llama-gqa-llama3"])
    plain = scaled.model_copy(update={"rope_scaling": None})
    model = make_model(scaled)
    assert (logits_of(model, scaled) - logits_of(make_model(plain), plain)).abs().max() > 0.1
    export(model, tmp_path / "out")
    rotary = theirs(tmp_path / "out").model.rotary_emb
    angles = torch.outer(torch.arange(scaled.seq_len).float(), rotary.inv_freq)
    torch.testing.assert_close(model.rotary.cos[:, 0, : angles.shape[1]], angles.cos())


@pytest.mark.parametrize("keys", [{"bias": False}, {"norm_bias": False}, {"bias": False, "norm_bias": False}])
def test_a_gpt2_without_biases_goes_out_with_zeros_and_comes_back(tmp_path: Path, keys: dict[str, bool]) -> None:
    config = make_config(**{**GPT2, **keys})
    model = make_model(config)
    export(model, tmp_path / "out")
    assert_same(logits_of(model, config), logits_of(theirs(tmp_path / "out"), config))
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3-tied"])
def test_three_files_are_one_model(tmp_path: Path, name: str) -> None:
    config = make_config(**MODELS[name])
    model = make_model(config)
    paths = export(model, tmp_path / "out", split=True)
    assert {path.name for path in paths if path.suffix == ".safetensors"} == {
        "body.safetensors", "embeddings.safetensors", "head.safetensors"
    }  # fmt: skip
    assert all(path.is_file() for path in paths)
    head = load_file(tmp_path / "out" / "head.safetensors")
    assert list(head) == ["lm_head.weight"] and torch.equal(head["lm_head.weight"], model.head.weight)
    embeddings = load_file(tmp_path / "out" / "embeddings.safetensors")
    assert any(torch.equal(tensor, model.embedding.token.weight) for tensor in embeddings.values())
    assert len(embeddings) == (2 if name == "gpt2" else 1)
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert_same(logits_of(model, config), logits_of(read, config))
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))


def test_bfloat16_is_half_the_size_and_nearly_the_same(tmp_path: Path) -> None:
    model = make_model(make_config(**LLAMA))
    whole, half = (export(model, tmp_path / dtype, dtype=dtype)[0] for dtype in ("float32", "bfloat16"))
    left, right = load_file(whole), load_file(half)
    assert left.keys() == right.keys() and all(tensor.dtype == torch.bfloat16 for tensor in right.values())
    assert all(torch.equal(left[name].bfloat16(), right[name]) for name in left)
    assert theirs(tmp_path / "bfloat16").dtype == torch.bfloat16


def test_a_tokenizer_json_comes_along(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["<|endoftext|>", "def", "return", "x"])}
    original = Tokenizer(models.WordLevel(words, unk_token="x"))
    original.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = HuggingFaceTokenizer(original.to_str())
    model = make_model(make_config(**LLAMA))
    config = validate({"model": model.config.model_dump(exclude_none=True), "train": {"max_steps": 1}})
    paths = weights.export_weights(model, config, tokenizer, tmp_path / "out", dtype="float32", split=False)
    assert tmp_path / "out" / "tokenizer.json" in paths
    assert len({path.stat().st_mode for path in paths}) == 1
    read = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert read("def x return")["input_ids"] == tokenizer.encode("def x return").tolist()
    assert read.eos_token == "<|endoftext|>" and read.eos_token_id == 0
    assert theirs(tmp_path / "out").generation_config.eos_token_id == 0


# ── older files ──────────────────────────────────────────────────────────────────────────────────────────


def test_names_without_their_prefix_and_stored_tables_are_understood(tmp_path: Path) -> None:
    config = make_config(**GPT2)
    model = make_model(config)
    path = export(model, tmp_path / "out")[0]
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 48, 48)
    tensors["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(tensors, path)
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))


def test_a_head_stored_beside_tied_embeddings_is_no_surprise_unless_it_differs(tmp_path: Path) -> None:
    config = make_config(**MODELS["qwen3-tied"])
    model = make_model(config)
    path = export(model, tmp_path / "out")[0]
    tensors = load_file(path)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, path)
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"] + 1}, path)
    assert "set model.tied_embeddings=false" in refusal(config, tmp_path / "out")


@pytest.mark.parametrize("style", ["rope_scaling", "rope_parameters"])
def test_rotary_settings_are_read_in_both_styles(tmp_path: Path, style: str) -> None:
    config = make_config(**MODELS["llama-gqa-llama3"])
    export(make_model(config), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    tree = json.loads(path.read_text())
    rope = tree.pop("rope_scaling") | ({"rope_theta": tree.pop("rope_theta")} if style == "rope_parameters" else {})
    path.write_text(json.dumps({**tree, style: rope}))
    described = weights.config_from_hf(tmp_path / "out")
    assert described["rope_scaling"] == SCALING and described["rope_theta"] == 500.0


def test_learned_positions_may_be_fewer_but_not_more(tmp_path: Path) -> None:
    config = make_config(**GPT2)
    model = make_model(config)
    export(model, tmp_path / "out")
    shorter = config.model_copy(update={"seq_len": 20})
    assert_same(logits_of(load(shorter, tmp_path / "out"), shorter), logits_of(model, shorter))
    assert "only 48 learned positions" in refusal(config.model_copy(update={"seq_len": 49}), tmp_path / "out")


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({**LLAMA, "position": "none"}, "model.position = none"),
        ({**LLAMA, "norm": "layernorm", "ffn": "gelu"}, "model.norm = layernorm"),
        ({**LLAMA, "ffn": "geglu"}, "model.ffn = geglu"),
        ({**LLAMA, "norm_position": "post"}, "model.norm_position = post"),
        ({**LLAMA, "window": 8}, "model.window = 8"),
        ({**QWEN3, "bias": True}, "model.bias = true"),
        ({**GPT2, "ffn": "relu2"}, "model.ffn = relu2"),
        ({**GPT2, "qk_norm": True}, "model.qk_norm = true"),
        ({**GPT2, "n_kv_heads": 2}, "model.n_kv_heads = 2"),
        ({**GPT2, "head_dim": 16}, "model.head_dim = 16"),
    ],
)
def test_what_no_layout_holds_is_refused_by_name(tmp_path: Path, keys: dict[str, object], named: str) -> None:
    model = make_model(make_config(**keys))
    with pytest.raises(ConfigError) as error:
        export(model, tmp_path / "out")
    assert str(error.value).startswith(named) and "layout" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ConfigError, match="not an empty directory"):
        export(make_model(make_config(**LLAMA)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


class Evil:
    """An object whose unpickling creates a directory."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.mkdir, (self.target,)


def test_a_pickle_is_refused_and_not_opened(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    path = export(make_model(config), tmp_path / "out")[0]
    path.unlink()
    (tmp_path / "out" / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "executed")))
    assert "pytorch_model.bin is a pickle" in refusal(config, tmp_path / "out")
    assert not (tmp_path / "executed").exists()


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    path = export(make_model(config), tmp_path / "out")[0]
    tensors = load_file(path)
    up = "model.layers.1.mlp.up_proj.weight"
    cases = {
        "has no place in this model": {**tensors, "model.layers.1.extra.weight": torch.zeros(2)},
        "is missing (and 1 more": {name: value for name, value in tensors.items() if "up_proj" not in name},
        f"{up} has shape [3, 32], this model needs [128, 32]": {**tensors, up: torch.zeros(3, 32)},
        f"{up} holds I8": {**tensors, up: torch.zeros(128, 32, dtype=torch.int8)},
    }
    for sentence, changed in cases.items():
        save_file(changed, path)
        assert sentence in refusal(config, tmp_path / "out")
    path.write_bytes(b"not safetensors")
    assert "not a readable safetensors file" in refusal(config, tmp_path / "out")
    path.unlink()
    assert "there is no model.safetensors" in refusal(config, tmp_path / "out")


def test_weights_of_another_model_say_what_to_set(tmp_path: Path) -> None:
    export(make_model(make_config(**LLAMA)), tmp_path / "out")
    other = make_config(**LLAMA, n_layers=3, n_kv_heads=1, tied_embeddings=True)
    assert "set model.n_layers=2 model.n_kv_heads=4 model.tied_embeddings=false." in refusal(other, tmp_path / "out")


def test_biases_that_are_not_zero_are_not_dropped(tmp_path: Path) -> None:
    export(make_model(make_config(**GPT2)), tmp_path / "out")
    assert "set model.bias=true" in refusal(make_config(**{**GPT2, "bias": False}), tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model_type": "mistral"}, "model_type = 'mistral' is not one of gpt2, llama, qwen3"),
        ({"hidden_act": "gelu"}, 'hidden_act = "gelu"'),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, 'rope_type = "yarn"'),
        ({"attention_bias": True}, "biases in only one"),
        ({"hidden_size": "wide"}, "a value is not what it should be"),
    ],
)
def test_a_foreign_config_is_refused(tmp_path: Path, changed: dict[str, object], sentence: str) -> None:
    config = make_config(**LLAMA)
    export(make_model(config), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert sentence in refusal(config, tmp_path / "out")
    path.write_text("{")
    assert "cannot be read" in refusal(config, tmp_path / "out")


def test_an_index_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    export(make_model(config), tmp_path / "other")
    export(make_model(config), tmp_path / "out", split=True)
    index = tmp_path / "out" / "model.safetensors.index.json"
    for name in ("../other/model.safetensors", "gone.safetensors"):
        index.write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
        assert "does not hold" in refusal(config, tmp_path / "out")


def test_a_setting_that_may_differ_is_stated(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    export(make_model(config), tmp_path / "out")
    changed = config.model_copy(update={"rope_theta": 5e5, "init_from": str(tmp_path / "out")})
    reason = weights.load_pretrained(Transformer(changed), changed).reason
    assert "rope_theta is 500000.0, theirs was 10000.0" in reason and "norm_eps" not in reason


# ── sharded, and in whole runs ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def second_of_two() -> Iterator[None]:
    """The second of two processes; the first never answers, so that any communication would be seen in the values."""
    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("second_of_two")
def test_a_process_fills_its_part_of_a_sharded_model_without_the_others(tmp_path: Path) -> None:
    config = make_config(**MODELS["qwen3-tied"], init_from=str(tmp_path))
    expected = make_model(config)
    export(expected, tmp_path)
    model = Transformer(config)
    mesh = dist.init_device_mesh("cpu", (2,))
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh)
    weights.load_pretrained(model, config)
    whole = expected.state_dict()
    for name, parameter in model.state_dict().items():
        assert isinstance(parameter, DTensor), name
        assert torch.equal(parameter.to_local(), whole[name].chunk(2)[1]), name


RUN = {"norm": "rmsnorm", "ffn": "swiglu", "position": "rope", "n_kv_heads": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory after a short training run."""
    run_dir = make_run(tmp_path_factory.mktemp("weights"), model=RUN)
    process = run_engine(run_dir)
    assert process.returncode == 0, process.stderr
    return run_dir


def losses(run_dir: Path) -> dict[int, float]:
    """Validation losses by step."""
    return {record.step: record.loss for record in of_type(read_log(run_dir), events.Eval)}


def test_a_run_goes_on_from_the_exported_weights_of_another(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = [sys.executable, "-m", "tuitrain.cli", "export", "weights", str(finished), "--out", str(out)]
    process = subprocess.run(
        [*exported, "--step", "4", "--split", "--json"],
        env=environment(finished), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert all(Path(path).is_file() for path in json.loads(process.stdout))
    before = losses(finished)
    run_dir = make_run(
        tmp_path, model={**RUN, "init_from": str(out)}, data={"source": str(finished.parent / "corpus.txt")}
    )
    started = run_engine(run_dir)
    assert started.returncode == 0, started.stderr
    assert f"from {out}" in " ".join(started.stdout.split())
    assert losses(run_dir)[0] == pytest.approx(before[4], rel=1e-6) and before[4] < before[0]

    # The weights are needed once: a resume starts from the run's own checkpoint.
    (out / "config.json").unlink()
    assert run_engine(run_dir, "train", "--resume").returncode == 0


def test_export_says_in_one_sentence_what_is_wrong(finished: Path) -> None:
    process = run_engine(finished, "export-weights", "--out", str(finished))
    assert process.returncode == 2
    assert "not an empty directory" in process.stderr and process.stderr.strip().count("\n") == 0


def test_a_hub_name_without_a_network_is_one_sentence(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, model={**RUN, "init_from": "hf:nobody/nothing"})
    offline = {**environment(run_dir), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    process = subprocess.run(
        command("train", "--run-dir", str(run_dir)), env=offline, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 2
    assert "model.init_from = hf:nobody/nothing: could not be fetched" in process.stderr
    assert "Without a network" in process.stderr and "Traceback" not in process.stderr
    assert process.stderr.strip().count("\n") == 0
