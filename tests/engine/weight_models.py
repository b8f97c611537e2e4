"""Tiny models of every layout for tests of import and export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tuitrain.config import ModelConfig, validate
from tuitrain_engine import weights
from tuitrain_engine.data.tokenizers import ByteTokenizer
from tuitrain_engine.model import Transformer, initialise

if TYPE_CHECKING:
    import transformers

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
    """A model whose parameters are all far from their initial values, including norms and biases."""
    torch.manual_seed(11)
    model = Transformer(config)
    initialise(model, 0)
    for name, parameter in model.named_parameters():
        parameter.copy_(0.3 * torch.randn_like(parameter) + (1.0 if "norm.weight" in name else 0.0))
    return model.eval()


def export(model: Transformer, out: Path, *, split: bool = False, dtype: str = "float32") -> list[Path]:
    """Export a model as a run with a byte tokenizer does."""
    tree = {"model": model.config.model_dump(exclude_none=True), "train": {"max_steps": 1}}
    return weights.export_weights(model, validate(tree), ByteTokenizer(), out, dtype=dtype, split=split)


def theirs(directory: Path) -> transformers.PreTrainedModel:
    """The model as transformers reads it; missing and unexpected keys are errors."""
    import transformers

    model, info = transformers.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval()


def tokens(config: ModelConfig) -> torch.Tensor:
    """Two sequences of the full context length."""
    return torch.randint(0, VOCABULARY, (2, config.seq_len), generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def logits_of(model: torch.nn.Module, config: ModelConfig) -> torch.Tensor:
    """Logits of those sequences, from our model or transformers'."""
    output = model(tokens(config))
    return output if isinstance(output, torch.Tensor) else output.logits


def assert_same(left: torch.Tensor, right: torch.Tensor) -> None:
    """Equal but for rounding."""
    torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)


def load(config: ModelConfig, origin: Path | str) -> Transformer:
    """Our model with imported weights."""
    config = config.model_copy(update={"init_from": str(origin)})
    model = Transformer(config)
    initialise(model, 5)
    weights.load_pretrained(model, config)
    return model.eval()
