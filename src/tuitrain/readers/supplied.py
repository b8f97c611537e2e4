"""What no log of another tool says and the user supplies, and the metrics that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tuitrain.accounting import achieved_tflops, find_gpu, mfu
from tuitrain.events import Architecture, Hardware

_FLOPS_PER_PARAMETER = 6
"""Per token, forward and backward, without attention (Kaplan et al. 2020, section 2.1)."""


@dataclass(frozen=True)
class Supplied:
    """Facts of a run. gpus: how many; params: parameters of the model; peak_tflops: of one device, dense.

    flops_per_token counts the whole training step; without it it is 6 for each parameter. None is unknown.
    """

    gpu: str | None = None
    gpus: int | None = None
    peak_tflops: float | None = None
    params: int | None = None
    flops_per_token: float | None = None
    tokens_per_step: int | None = None
    total_steps: int | None = None
    token_budget: int | None = None

    @property
    def flops(self) -> float | None:
        """FLOPs per token."""
        return self.flops_per_token or (_FLOPS_PER_PARAMETER * self.params if self.params else None)

    @property
    def peak(self) -> float | None:
        """Peak of one device in TFLOP/s: the one supplied, else that of the GPU in bfloat16."""
        known = find_gpu(self.gpu) if self.gpu is not None else None
        return self.peak_tflops or (known.bf16_tflops if known is not None else None)

    def of_run(self) -> dict[str, Any]:
        """Fields of a `run` record."""
        architecture = Architecture(name="", params_total=self.params) if self.params else None
        hardware = None
        if self.gpu is not None or self.peak is not None or self.gpus is not None:
            hardware = Hardware(device=self.gpu or "GPU", count=self.gpus or 1, peak_tflops=self.peak)
        values = {
            "architecture": architecture, "hardware": hardware, "flops_per_token": self.flops,
            "tokens_per_step": self.tokens_per_step, "total_steps": self.total_steps, "token_budget": self.token_budget,
        }  # fmt: skip
        return {key: value for key, value in values.items() if value is not None}

    def add_to(self, step: int, values: dict[str, float]) -> None:
        """Add to the values of a step what follows: tokens, tokens/s, TFLOP/s and MFU, where the log has none."""
        if self.tokens_per_step:
            values.setdefault("tokens", step * self.tokens_per_step)
            if (step_time := values.get("step_time_ms", 0.0)) > 0:
                values.setdefault("tokens_per_sec", self.tokens_per_step / step_time * 1000)
        speed = values.get("tokens_per_sec")
        if speed is not None and self.flops:
            values.setdefault("tflops", achieved_tflops(speed, self.flops, self.gpus or 1))
            share = mfu(speed, self.flops, self.gpus or 1, self.peak)
            if share is not None:
                values.setdefault("mfu", share)


_KINDS = {"gpu": str, "peak_tflops": float, "flops_per_token": float}
_FACTORS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def supplied_of(values: Mapping[str, Any]) -> Supplied:
    """The facts of a table; numbers may be texts such as 1.8B. Raises ValueError with a sentence that names the key."""
    known = [field.name for field in fields(Supplied)]
    facts: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{key} is nothing that can be supplied. Known: {', '.join(known)}.")
        kind = _KINDS.get(key, int)
        facts[key] = str(value) if kind is str else kind(_amount(key, value))
    supplied = Supplied(**facts)
    if supplied.gpu is not None and supplied.peak is None:
        raise ValueError(f"the peak of gpu = {supplied.gpu!r} is not known: give peak_tflops as well.")
    return supplied


def _amount(key: str, value: Any) -> float:
    text = str(value).replace("_", "").strip()
    factor = _FACTORS.get(text[-1:].lower(), 1.0)
    try:
        amount = float(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        amount = 0.0
    if not 0 < amount < 1e30:
        raise ValueError(f"{key} = {value!r} is not valid: it should be a number above 0, such as 1.8B.")
    return amount
