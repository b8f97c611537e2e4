"""What a log says of a run, attempt by attempt: sizes, hardware, batch and schedule, under our names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from tuitrain.accounting import Gpu, find_gpu
from tuitrain.analysis.run_settings import positive, settings_of, whole
from tuitrain.config import ConfigError, ModelConfig, RunConfig, validate
from tuitrain.events import Run
from tuitrain.runs import Columns

_SHAPE = ("n_layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "vocab_size", "seq_len")
_KINDS = ("norm", "norm_position", "position", "ffn", "bias", "tied_embeddings")
_NEEDED = ("n_layers", "d_model", "n_heads")
_UNKNOWN_KINDS: dict[str, tuple[Any, ...]] = {
    "ffn": ("gelu", "swiglu"), "position": ("rope", "learned"), "norm": ("rmsnorm", "layernorm"),
    "norm_position": ("pre", "post"), "bias": (False, True), "tied_embeddings": (False, True),
}  # fmt: skip
"""What else may differ, such as norms of queries and keys, is less than any tolerance."""
_DTYPES = {"bf16": "bfloat16", "bf16_mixed": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32"}
_PEAKS_KNOWN = ("bfloat16", "float16")
"""Training dtypes whose dense peak is the one in the table; None, unknown, is taken for one of them."""


@dataclass(frozen=True)
class Claims:
    """What the log says in the `run` record of one attempt, and in columns that repeat a setting at each step.

    Unknown is None.
    """

    run: Run | None
    repeated: Mapping[str, float]
    """Settings that stand in the steps: their value in the middle."""

    @cached_property
    def config(self) -> RunConfig | None:
        """The configuration, where it is one of ours."""
        if self.run is None or "train" not in self.run.config:
            return None
        try:
            return validate(self.run.config)
        except ConfigError:
            return None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The configuration of another tool, or of a loop of one's own, by our names."""
        return settings_of(self.run.config) if self.run is not None and self.config is None else {}

    @property
    def is_exact(self) -> bool:
        """Whether the engine wrote the log, so that the numbers of one record follow from each other.

        Another tool's may be means over different steps, of one device or of all, and rounded.
        """
        return self.run is not None and self.run.parallel is not None

    def _stated(self, key: str) -> float | None:
        """A number of the `run` record, else of the settings, else of the steps."""
        recorded = positive(getattr(self.run, key, None))
        return recorded or positive(self.settings.get(key)) or self.repeated.get(key)

    @cached_property
    def params(self) -> float | None:
        """Parameters of the model."""
        shape = self.run.architecture if self.run is not None else None
        return positive(shape.params_total if shape is not None else None) or positive(self.settings.get("params"))

    @property
    def flops(self) -> float | None:
        """FLOPs per token."""
        return self._stated("flops_per_token")

    @property
    def flops_causal(self) -> float | None:
        """The same with the mask counted."""
        return self._stated("flops_per_token_causal")

    @property
    def tokens_per_step(self) -> int | None:
        """Tokens of an optimizer step, of all processes."""
        return whole(self._stated("tokens_per_step"))

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run."""
        return whole(self._stated("total_steps"))

    @property
    def processes(self) -> int | None:
        """Processes, one a device."""
        run = self.run
        if run is not None and run.parallel is not None:
            return run.parallel.world_size
        if run is not None and run.hardware is not None:
            return run.hardware.count
        return whole(self.settings.get("processes"))

    @property
    def micro_batch(self) -> int | None:
        """Sequences of a forward pass of one process."""
        return whole(self.config.train.micro_batch_size if self.config else self.settings.get("micro_batch_size"))

    @property
    def accumulation(self) -> int | None:
        """Micro-batches of a process in a step."""
        parallel = self.run.parallel if self.run is not None else None
        return whole(parallel.accumulation if parallel is not None else self.settings.get("accumulation"))

    @property
    def global_batch(self) -> int | None:
        """Sequences of a step, of all processes."""
        return self.config.train.global_batch_size if self.config else whole(self.settings.get("global_batch_size"))

    @property
    def seq_len(self) -> int | None:
        """Tokens of a sequence."""
        return whole(self.shape.get("seq_len"))

    @property
    def vocab_size(self) -> int | None:
        """Rows of the embedding table."""
        return whole(self.shape.get("vocab_size"))

    @property
    def dropout(self) -> float | None:
        """Its probability."""
        return self.config.model.dropout if self.config else positive(self.settings.get("dropout"))

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from trained weights."""
        if self.config is not None:
            return self.config.model.init_from is not None
        return self.settings.get("pretrained", "scratch") not in ("", "scratch")

    @property
    def device(self) -> str | None:
        """What it trains on."""
        if self.run is not None and self.run.hardware is not None:
            return self.run.hardware.device
        device = self.settings.get("device")
        return device if isinstance(device, str) else None

    @cached_property
    def gpu(self) -> Gpu | None:
        """The same in the table of peaks; None where it is not in it."""
        return find_gpu(self.device) if self.device is not None else None

    @property
    def peak_stated(self) -> float | None:
        """Peak of one device, TFLOP/s."""
        hardware = self.run.hardware if self.run is not None else None
        return positive(hardware.peak_tflops if hardware is not None else self.settings.get("peak_tflops"))

    @property
    def peak(self) -> float | None:
        """The same, else that of the table."""
        known = self.gpu.bf16_tflops if self.gpu is not None and self.has_known_peaks else None
        return self.peak_stated or known

    @property
    def has_known_peaks(self) -> bool:
        """Whether the table of peaks is of the dtype it trains in, as far as the log says."""
        dtype = (self.run.dtype if self.run is not None else None) or self.settings.get("dtype")
        if dtype is None:
            return True
        name = str(dtype).lower().replace("-", "_")
        return _DTYPES.get(name, name) in _PEAKS_KNOWN

    @cached_property
    def shape(self) -> dict[str, Any]:
        """What is known of the architecture, by the keys of the section `model`."""
        known: dict[str, Any] = {}
        if self.config is not None:
            known |= {key: value for key, value in self.config.model.model_dump().items() if value is not None}
        elif self.run is not None:
            known |= {key: number for key in _SHAPE if (number := whole(self.settings.get(key))) is not None}
            tied = self.settings.get("tied_embeddings")
            known |= {"tied_embeddings": tied} if isinstance(tied, bool) else {}
        recorded = self.run.architecture if self.run is not None else None
        if recorded is not None:
            known |= {key: v for key in (*_SHAPE, *_KINDS) if (v := getattr(recorded, key)) is not None}
        return known

    @cached_property
    def models(self) -> tuple[ModelConfig, ...]:
        """The architectures that the log may mean: all combinations of what it leaves open.

        Empty where layers, width or heads are unknown, or with experts, of which a token takes only some. Without a
        vocabulary theirs is as small as can be.
        """
        known = self.shape
        if any(key not in known for key in _NEEDED) or (whole(self.settings.get("experts")) or 1) > 1:
            return ()
        open_keys = [key for key in _UNKNOWN_KINDS if key not in known]
        return tuple(self._variants({"vocab_size": 2, **known}, open_keys))

    def _variants(self, known: dict[str, Any], open_keys: list[str]) -> Iterator[ModelConfig]:
        for values in product(*(_UNKNOWN_KINDS[key] for key in open_keys)):
            try:
                yield ModelConfig(**{**known, **dict(zip(open_keys, values, strict=True))})
            except ValueError:
                # Not every combination exists.
                continue


_REPEATED = ("flops_per_token",)


def claims_of(run: Run | None, steps: Columns) -> Claims:
    """The claims of an attempt. steps: those of the whole run."""
    repeated = {}
    for key in steps.keys:
        name = key.rpartition(".")[2].rpartition("/")[2]
        if name in _REPEATED:
            values = steps.points(key)[1]
            finite = values[np.isfinite(values) & (values > 0)]
            if len(finite):
                repeated[name] = float(np.median(finite))
    return Claims(run, repeated)
