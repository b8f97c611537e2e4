"""The sections of a run's configuration.

Every key has a type, bounds and a docstring; `tuitrain schema` prints them all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tuitrain.config.errors import SectionError
from tuitrain.config.numbers import Count, CountOrAuto


class Section(BaseModel):
    """A table of the configuration file: closed (an unknown key is an error) and immutable."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


def _default_d_ff(data: dict[str, Any]) -> int:
    """4 × d_model, or for gated units 8/3 × d_model (as many weights), rounded up to a multiple of 128."""
    d_model: int = data["d_model"]
    if data["ffn"] in ("swiglu", "geglu"):
        return -(-8 * d_model // 3 // 128) * 128
    return 4 * d_model


class RopeScaling(Section):
    """Slower rotary frequencies for contexts longer than the pretraining one, as in Llama 3.1."""

    factor: float = Field(default=8.0, ge=1)
    """How many times longer the context becomes; wavelengths too long for the original context grow by it."""
    low_freq_factor: float = Field(default=1.0, gt=0)
    """Frequencies that turn fewer times than this in the original context are divided by factor."""
    high_freq_factor: float = Field(default=4.0, gt=0)
    """Frequencies that turn more often than this stay; those between are blended."""
    original_seq_len: int = Field(default=8192, ge=2)
    """Context the frequencies were made for; Hugging Face's original_max_position_embeddings."""

    @model_validator(mode="after")
    def _consistent(self) -> RopeScaling:
        if self.high_freq_factor <= self.low_freq_factor:
            low, high = self.low_freq_factor, self.high_freq_factor
            raise SectionError("high_freq_factor", f"({high:g}) must be above low_freq_factor ({low:g})")
        return self


class ModelConfig(Section):
    """The shape of the network, and the weights it starts from."""

    n_layers: int = Field(default=12, ge=1, le=1024)
    """Number of transformer blocks."""
    d_model: int = Field(default=768, ge=8)
    """Width of the residual stream."""
    n_heads: int = Field(default=12, ge=1)
    """Number of query heads."""
    n_kv_heads: int = Field(default_factory=lambda data: data["n_heads"], ge=1)
    """Number of key and value heads; fewer than n_heads is grouped-query attention. Default: n_heads."""
    head_dim: int = Field(default_factory=lambda data: max(data["d_model"] // data["n_heads"], 1), ge=2)
    """Width of one head. Default: d_model / n_heads."""
    ffn: Literal["gelu", "swiglu", "geglu", "relu2"] = "gelu"
    """Feed-forward unit. swiglu and geglu are gated (three matrices), gelu and relu2 have two."""
    d_ff: int = Field(default_factory=_default_d_ff, ge=8)
    """Inner width of the feed-forward unit. Default: 4 × d_model, or 8/3 × d_model rounded up for gated units."""
    vocab_size: int | None = Field(default=None, ge=2)
    """Rows of the embedding table. Unset: the tokenizer's size."""
    seq_len: int = Field(default=1024, ge=2)
    """Tokens in a training sequence."""
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    """Normalisation layer."""
    norm_bias: bool = Field(default_factory=lambda data: data["norm"] == "layernorm")
    """Whether layernorm has a bias; rmsnorm never has one. Default: true for layernorm."""
    norm_eps: float = Field(default=1e-5, gt=0, lt=1)
    """Added to the variance inside the norm."""
    norm_position: Literal["pre", "post"] = "pre"
    """pre: x + f(norm(x)), with a final norm; post: norm(x + f(x)), as in the original transformer."""
    position: Literal["learned", "rope", "none"] = "learned"
    """Encoding of the token positions."""
    rope_theta: float = Field(default=10000.0, gt=1)
    """Base of the rotary frequencies; used with position = rope."""
    rope_scaling: RopeScaling | None = None
    """Llama 3 scaling of the rotary frequencies; used with position = rope. Unset: none."""
    bias: bool = False
    """Whether the linear layers of attention and feed-forward have biases."""
    tied_embeddings: bool = False
    """Whether the output head shares the embedding table."""
    qk_norm: bool = False
    """RMS normalisation of each query and key head before the rotation, as in Qwen3."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability after the embedding, attention and feed-forward."""
    window: int | None = Field(default=None, ge=1)
    """Sliding attention window in tokens. Unset: attend to the whole sequence."""
    document_mask: bool = False
    """Whether attention stays within each packed document. Needs a tokenizer that ends documents with a token."""
    attention_backend: Literal["auto", "flash", "cudnn", "efficient", "math", "flex"] = "auto"
    """Kernel of the attention product. flex (FlexAttention) skips what a window or document mask hides; CUDA only."""
    init_from: str | None = Field(default=None, min_length=1)
    """Start from these weights: a directory in Hugging Face layout (config.json and safetensors) of a GPT-2, Llama or
    Qwen3 model, or hf:NAME on the Hub. Unset: random ones."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if "head_dim" not in self.model_fields_set and (self.d_model % self.n_heads or self.d_model < 2 * self.n_heads):
            raise SectionError(
                "n_heads",
                f"({self.n_heads}) must divide d_model ({self.d_model}) into heads at least 2 wide, unless head_dim is "
                "set",
            )
        if self.n_heads % self.n_kv_heads:
            raise SectionError("n_heads", f"({self.n_heads}) must be a multiple of n_kv_heads ({self.n_kv_heads})")
        if self.position == "rope" and self.head_dim % 2:
            raise SectionError("head_dim", f"({self.head_dim}) must be even for position = rope")
        if self.position != "rope" and self.rope_scaling is not None:
            raise SectionError("rope_scaling", f"needs position = rope, not {self.position}")
        if self.norm == "rmsnorm" and self.norm_bias:
            raise SectionError("norm_bias", "must be false for norm = rmsnorm")
        return self

    @property
    def gated(self) -> bool:
        """Whether the feed-forward unit has a gate (three matrices instead of two)."""
        return self.ffn in ("swiglu", "geglu")

    @property
    def attention_span(self) -> int:
        """T_att: how many positions a token can attend to, min(window, seq_len)."""
        return min(self.window or self.seq_len, self.seq_len)

    @property
    def masks(self) -> list[str]:
        """The keys that make attention need more of a mask than plain causality."""
        windowed = self.attention_span < self.seq_len
        return ["model.window"] * windowed + ["model.document_mask"] * self.document_mask

    @property
    def architecture_name(self) -> str:
        """Short name such as `12L-12H-768D-RoPE-RMS-SwiGLU-PreNorm`; grouped queries read `16H/8KV`."""
        heads = f"{self.n_heads}H" if self.n_kv_heads == self.n_heads else f"{self.n_heads}H/{self.n_kv_heads}KV"
        norm = "RMS" if self.norm == "rmsnorm" else "LN" if self.norm_bias else "LN-NB"
        parts = [
            f"{self.n_layers}L",
            heads,
            f"{self.d_model}D",
            {"learned": "AbsPos", "rope": "RoPE", "none": "NoPos"}[self.position],
            norm,
            *(["QKNorm"] if self.qk_norm else []),
            {"gelu": "GELU", "swiglu": "SwiGLU", "geglu": "GeGLU", "relu2": "ReLU2"}[self.ffn],
            {"pre": "PreNorm", "post": "PostNorm"}[self.norm_position],
        ]
        return "-".join(parts)


def _default_source(data: dict[str, Any]) -> str:
    return "mixture" if data.get("mixture") else "stdlib"


class DataConfig(Section):
    """The source of the text, and its tokens."""

    mixture: dict[str, Annotated[float, Field(gt=0, le=1e9)]] | None = None
    """Sources by the weight of each, its share of the training sequences: {"stdlib" = 0.7, "notes.jsonl" = 0.3}. Used
    with source = mixture; every other key of this section holds for each of the sources. Unset: one source."""
    source: str = Field(default_factory=_default_source, min_length=1)
    """stdlib (the source code of Python's standard library) · shakespeare · a file or glob (.txt .jsonl .gz .zst
    .parquet …) · bin:DIR (nanoGPT's train.bin and val.bin) · hf:NAME[:CONFIG] on the Hub, or hf:DIR: streamed while
    training, or with max_tokens once into shards · mixture. Default: stdlib, or mixture where that is set."""
    tokenizer: str = Field(default="byte", min_length=1)
    """byte · char · sentencepiece:N (trained on the corpus) · a SentencePiece .model or a tokenizer.json · hf:NAME."""
    packing: Literal["packed", "sample"] = "packed"
    """packed: sequences are cut from the stream of documents; sample: one document a sequence, padded."""
    val_fraction: float = Field(default=0.05, gt=0, lt=0.5)
    """Share of the documents held out for evaluation (where the source has no split of its own)."""
    val_bytes: Count = Field(default=4_000_000, ge=1)
    """Bytes of text held out of a source that is streamed: its first documents, the same for any tokenizer. Where that
    would be more than a tenth of the source, val_fraction of it is held out instead."""
    text_column: str = "text"
    """Field that holds the text in .jsonl, .parquet and Hugging Face sources."""
    split: str = "train"
    """Split of a Hugging Face source."""
    max_tokens: Count | None = Field(default=None, ge=1)
    """Stop tokenizing after about this many tokens. Unset: the whole source."""
    stall_timeout_s: float = Field(default=120.0, gt=0, le=86400)
    """Seconds without a row from a streamed source after which it is opened again at its position."""
    max_retries: int = Field(default=5, ge=0, le=100)
    """How often in a row a streamed source that fails or stalls is opened again: after 1, 2, 4 … seconds, up to 60."""
    bin_dtype: Literal["uint16", "uint32"] = "uint16"
    """Type of the ids in bin:DIR; vocabularies above 65,536 need uint32."""

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        if self.mixture is not None and self.source != "mixture":
            problem = f"is set, but source = {self.source!r}: set source = mixture, or unset mixture"
            raise SectionError("mixture", problem)
        if self.source == "mixture" and not self.mixture:
            raise SectionError("source", '= mixture needs mixture, such as {"stdlib" = 0.7, "notes.jsonl" = 0.3}')
        if "mixture" in (self.mixture or {}):
            raise SectionError("mixture", "cannot hold a source named 'mixture'")
        if self.tokenizer.startswith("sentencepiece:"):
            size = self.tokenizer.removeprefix("sentencepiece:")
            if not size.isdigit() or not 300 <= int(size) <= 1_000_000:
                problem = f"= {self.tokenizer!r}: sentencepiece:N takes a vocabulary size from 300 to 1000000"
                raise SectionError("tokenizer", problem)
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Each source with its share of the training sequences; the shares sum to 1."""
        weights = self.mixture or {self.source: 1.0}
        total = sum(weights.values())
        return {source: weight / total for source, weight in weights.items()}

    def streams(self, source: str) -> bool:
        """Whether this source is read while training, rather than tokenized once into shards."""
        return source.startswith("hf:") and self.max_tokens is None


class OptimConfig(Section):
    """The optimizer."""

    name: Literal["adamw", "muon", "sgd"] = "adamw"
    """adamw · muon (matrices by Muon, the rest by AdamW) · sgd."""
    lr: float = Field(default=3e-4, gt=0, le=100)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.1, ge=0, le=10)
    """Weight decay, on matrices only: decoupled, but for sgd part of the gradient."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay rates of the first and second moment."""
    eps: float = Field(default=1e-8, gt=0, lt=1)
    """Added to the root of the second moment."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of sgd and muon."""

    @model_validator(mode="after")
    def _consistent(self) -> OptimConfig:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise SectionError("betas", f"must both lie in [0, 1), not {list(self.betas)}")
        return self


class ScheduleConfig(Section):
    """The learning rate over the steps."""

    name: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    """Decay after the warmup; wsd stays constant and decays linearly at the end."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps of linear warmup from 0 to the peak."""
    min_lr_ratio: float = Field(default=0.1, ge=0, le=1)
    """Final learning rate as a share of the peak."""
    decay_fraction: float = Field(default=0.2, gt=0, le=1)
    """Share of all steps in which wsd decays."""


class TrainConfig(Section):
    """The loop."""

    max_steps: Count | None = Field(default=None, ge=1)
    """Stop after this many optimizer steps."""
    token_budget: Count | None = Field(default=None, ge=1)
    """Stop after this many tokens; `81.7B` is understood. With max_steps set too, whichever comes first."""
    global_batch_size: int = Field(default=32, ge=1)
    """Sequences in one optimizer step, over all processes."""
    micro_batch_size: CountOrAuto = 8
    """Sequences in one forward pass of one process; accumulation follows from it. auto: as many as fit by the memory
    estimate, on a CPU at most 16; a run decides once, and its configuration then holds the number."""
    grad_clip: float = Field(default=1.0, ge=0)
    """Largest allowed global gradient norm; 0 switches clipping off."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the matrix products. auto: bfloat16 on CUDA, float32 on CPU."""
    compile: bool = True
    """torch.compile. On CPU used only where a C++ compiler is found."""
    float8: bool = False
    """Matrix products of the blocks in float8 through torchao; CUDA from compute capability 8.9, and bfloat16."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Device to train on. auto: CUDA when there is one."""
    seed: int = Field(default=1337, ge=0, lt=2**63)
    """Seed of initialisation, data order, dropout and sampling."""
    skip_steps: tuple[int, ...] = ()
    """Steps that pass over their batch and take the next one: `launch --retries --skip-bad-batch` sets them."""

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.max_steps is None and self.token_budget is None:
            raise SectionError("max_steps", "or token_budget must be set")
        if self.micro_batch_size != "auto" and self.global_batch_size % self.micro_batch_size:
            problem = f"({self.global_batch_size}) must be a multiple of micro_batch_size ({self.micro_batch_size})"
            raise SectionError("global_batch_size", problem)
        return self

    @property
    def micro_batch(self) -> int:
        """micro_batch_size, once it is a number. Raises ValueError while it is auto."""
        if self.micro_batch_size == "auto":
            raise ValueError("train.micro_batch_size is auto and has not been decided")
        return self.micro_batch_size


class ParallelConfig(Section):
    """How the work is spread over processes."""

    strategy: Literal["auto", "single", "ddp", "zero1", "fsdp", "hsdp"] = "auto"
    """single: one process · ddp: replicas · zero1: sharded optimizer · fsdp: all sharded · hsdp: sharded in a node.
    auto: by what fits the devices; the reason is printed."""
    shard_size: int | None = Field(default=None, ge=1)
    """With hsdp the processes that hold one copy of the model; it must divide all. Unset: the processes of a node."""
    activation_checkpointing: Literal["none", "selective", "full"] = "none"
    """Which activations are computed again in the backward pass instead of being held."""
    timeout_s: float = Field(default=900.0, gt=0, le=86400)
    """Seconds a process waits for the others in a step, from the second on. 900 exceeds the stall of a stream."""

    def shard_processes(self, processes: int, nodes: int = 1) -> int:
        """Processes that hold one copy of the model together under hsdp: shard_size, by default those of a node."""
        return self.shard_size or max(processes // nodes, 1)


class EvalConfig(Section):
    """Evaluation on the held-out split."""

    interval: int = Field(default=250, ge=0)
    """Steps between evaluations; one is also made before the first step and after the last. 0: never."""
    steps: int = Field(default=20, ge=1)
    """Global batches of one evaluation: it covers this many times train.global_batch_size sequences of the held-out
    split, at most all of it, and always the same ones. A resume keeps their number unless this is changed."""


class SamplingConfig(Section):
    """Text generated during training."""

    interval: int = Field(default=500, ge=0)
    """Steps between samples. 0: never."""
    prompt: str = "def "
    """Text the model continues."""
    max_tokens: int = Field(default=128, ge=1)
    """Tokens to generate."""
    temperature: float = Field(default=0.8, ge=0, le=10)
    """Softmax temperature; 0 takes the most likely token."""
    top_k: int = Field(default=50, ge=0)
    """Draw from the k most likely tokens; 0: from all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw from the fewest tokens whose probabilities reach this sum; 1: from all."""


class CheckpointConfig(Section):
    """Checkpoints of the training state."""

    interval: int = Field(default=1000, ge=0)
    """Steps between checkpoints; one is also written at the end. 0: only at the end and on request."""
    keep_last: int = Field(default=2, ge=1)
    """Number of newest checkpoints to keep."""
    keep_best: bool = True
    """Whether the checkpoint with the lowest validation loss is kept too."""
    async_save: bool = True
    """Write in the background while training goes on; the state is copied to host memory first."""


class TelemetryConfig(Section):
    """What is written to the log, and how often."""

    log_interval: int = Field(default=1, ge=1)
    """Steps between `step` records."""
    grad_stats_interval: int = Field(default=50, ge=0)
    """Steps between gradient mean, standard deviation and maximum. 0: never."""
    system_interval_s: float = Field(default=5.0, gt=0, le=3600)
    """Seconds between `system` records, which are also the heartbeat."""
    profile_steps: str = Field(default="", pattern=r"^(\d{1,9}-\d{1,9})?$")
    """Range of steps to profile, such as 10-15, both included: each process writes a trace for Perfetto to profile/
    in the run directory. Empty: none."""
    memory_history: bool = False
    """Whether memory snapshots, on CUDA, contain the stack of each allocation; costs a little speed."""

    @model_validator(mode="after")
    def _consistent(self) -> TelemetryConfig:
        steps = self.profiled_steps
        if steps is not None and not 1 <= steps[0] <= steps[1]:
            problem = f"= {self.profile_steps!r}: the first step must be at least 1 and not after the last"
            raise SectionError("profile_steps", problem)
        return self

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """First and last step to profile, None for none."""
        if not self.profile_steps:
            return None
        first, last = self.profile_steps.split("-")
        return int(first), int(last)


class HardwareConfig(Section):
    """Properties of the machine, where they are not detected."""

    peak_tflops: float | None = Field(default=None, gt=0)
    """Dense peak of one device in the training dtype, TFLOP/s. Unset: from the table of known GPUs."""
