"""Which Hugging Face layout can hold a model, and how its tensors are called and cut there.

One table a layout serves both ways: export cuts our tensors along it, import puts them together again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tuitrain.config import ConfigError, ModelConfig

HEAD = "lm_head.weight"


class Piece(NamedTuple):
    """One parameter of Transformer and the tensors that hold its rows in the layout, in order.

    rows: how many rows of ours each of them holds; empty where there is only one. transposed: theirs is (in, out), as
    in GPT-2's Conv1D, ours (out, in) as in nn.Linear.
    """

    ours: str
    theirs: tuple[str, ...]
    rows: tuple[int, ...] = ()
    transposed: bool = False


@dataclass(frozen=True)
class Layout:
    """A Hugging Face model class. needs: the choices of ModelConfig that it is built on, with their only values."""

    name: str
    model_type: str
    architecture: str
    prefix: str
    embedding: str
    needs: dict[str, object]
    always_biased: bool = False
    """Its linear layers and norms have biases whatever the config says; where ours has none they are zero."""

    def pieces(self, model: ModelConfig) -> Iterator[Piece]:
        """The tensors of a model of this layout. The head comes last; of tied embeddings there is none."""
        names = _gpt2(model) if self is GPT2 else _llama(model)
        yield from (
            Piece(ours, tuple(self.prefix + name for name in theirs), rows, transposed)
            for ours, theirs, rows, transposed in names
        )
        if not model.tied_embeddings:
            yield Piece("head.weight", (HEAD,))

    def with_biases(self, model: ModelConfig) -> ModelConfig:
        """The model as the layout holds it."""
        return model.model_copy(update={"bias": True, "norm_bias": True}) if self.always_biased else model


GPT2 = Layout(
    "GPT-2",
    "gpt2",
    "GPT2LMHeadModel",
    "transformer.",
    "transformer.wte.weight",
    {"norm": "layernorm", "norm_position": "pre", "position": "learned", "ffn": "gelu", "qk_norm": False},
    always_biased=True,
)
_ROTARY = {"norm": "rmsnorm", "norm_position": "pre", "position": "rope", "ffn": "swiglu"}
LLAMA = Layout(
    "Llama", "llama", "LlamaForCausalLM", "model.", "model.embed_tokens.weight", {**_ROTARY, "qk_norm": False}
)
QWEN3 = Layout(
    "Qwen3",
    "qwen3",
    "Qwen3ForCausalLM",
    "model.",
    "model.embed_tokens.weight",
    {**_ROTARY, "qk_norm": True, "bias": False},
)
LAYOUTS = (GPT2, LLAMA, QWEN3)


def layout_for(model: ModelConfig) -> Layout:
    """The layout that holds this architecture. Raises ConfigError naming the first choice that none of them has."""
    if model.position == "none":
        raise ConfigError(
            "model.position = none fits no Hugging Face layout: GPT-2 has learned positions, Llama and Qwen3 have rope."
        )
    layout = GPT2 if model.position == "learned" else QWEN3 if model.qk_norm else LLAMA
    for key, needed in layout.needs.items():
        if getattr(model, key) != needed:
            raise ConfigError(
                f"model.{key} = {_text(getattr(model, key))} fits no Hugging Face layout: that of {layout.name}, the "
                f"nearest with model.position = {model.position}, has {_text(needed)}."
            )
    if layout is GPT2 and model.n_kv_heads != model.n_heads:
        raise ConfigError(
            f"model.n_kv_heads = {model.n_kv_heads} does not fit the GPT-2 layout, which has as many as n_heads."
        )
    if layout is GPT2 and model.n_heads * model.head_dim != model.d_model:
        raise ConfigError(
            f"model.head_dim = {model.head_dim} does not fit the GPT-2 layout, which has d_model / n_heads."
        )
    if layout is not QWEN3 and model.attention_span < model.seq_len:
        raise ConfigError(f"model.window = {model.window} does not fit the {layout.name} layout, which has none.")
    return layout


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _gpt2(model: ModelConfig) -> Iterator[Piece]:
    yield Piece("embedding.token.weight", ("wte.weight",))
    yield Piece("embedding.position.weight", ("wpe.weight",))
    modules = {
        "attention_norm": "ln_1", "attention.qkv": "attn.c_attn", "attention.output": "attn.c_proj",
        "feedforward_norm": "ln_2", "feedforward.up": "mlp.c_fc", "feedforward.down": "mlp.c_proj",
    }  # fmt: skip
    for index in range(model.n_layers):
        for ours, theirs in modules.items():
            conv = not theirs.startswith("ln_")
            yield Piece(f"blocks.{index}.{ours}.weight", (f"h.{index}.{theirs}.weight",), transposed=conv)
            yield Piece(f"blocks.{index}.{ours}.bias", (f"h.{index}.{theirs}.bias",))
    yield Piece("head.norm.weight", ("ln_f.weight",))
    yield Piece("head.norm.bias", ("ln_f.bias",))


def _llama(model: ModelConfig) -> Iterator[Piece]:
    """Llama's names, which Qwen3 shares; its head norms come on top."""
    queries, keys = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    linear = {
        "attention.output": "self_attn.o_proj", "feedforward.gate": "mlp.gate_proj",
        "feedforward.up": "mlp.up_proj", "feedforward.down": "mlp.down_proj",
    }  # fmt: skip
    norms = {"attention_norm": "input_layernorm", "feedforward_norm": "post_attention_layernorm"}
    if model.qk_norm:
        norms |= {"attention.q_norm": "self_attn.q_norm", "attention.k_norm": "self_attn.k_norm"}
    kinds = ("weight", "bias") if model.bias else ("weight",)
    yield Piece("embedding.token.weight", ("embed_tokens.weight",))
    for index in range(model.n_layers):
        ours, theirs = f"blocks.{index}.", f"layers.{index}."
        for kind in kinds:
            fused = tuple(f"{theirs}self_attn.{part}_proj.{kind}" for part in "qkv")
            yield Piece(f"{ours}attention.qkv.{kind}", fused, (queries, keys, keys))
            for left, right in linear.items():
                yield Piece(f"{ours}{left}.{kind}", (f"{theirs}{right}.{kind}",))
        for left, right in norms.items():
            yield Piece(f"{ours}{left}.weight", (f"{theirs}{right}.weight",))
    yield Piece("head.norm.weight", ("norm.weight",))
