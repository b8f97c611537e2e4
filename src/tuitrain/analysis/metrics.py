"""The metric registry: each metric is declared once, and every table, chart, figure and report reads it here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tuitrain.analysis import units
from tuitrain.text import clean, shortened

NOT_AVAILABLE = units.UNKNOWN
_MOST_CHARACTERS = 24
"""Of a value in full; a larger number is written with a power of ten."""
_LONGEST_TITLE = 60
"""Characters of the title of a metric that nobody declared: its name may be of any length."""


@dataclass(frozen=True)
class Metric:
    """A number that runs report.

    key is the column of `RunHistory.steps` (or for source "eval" of `.evals`, for "system" of `.system_columns`, for
    "summary" the field of `Summary`; for "derived" it is made of others); a stored value times `factor` is in `unit`,
    which is what axes show; `format` renders the stored value with its unit. better: which way is good; panel: the
    panel of the dashboard it belongs to, where `legend` is its name beside others.
    """

    key: str
    title: str
    unit: str
    format: Callable[[float], str]
    better: Literal["lower", "higher"] | None = None
    scale: Literal["linear", "log"] = "linear"
    panel: str = ""
    factor: float = 1.0
    source: Literal["step", "eval", "system", "summary", "derived"] = "step"
    legend: str = ""

    def text(self, value: float | None) -> str:
        """The value with its unit; unknown is `n/a`, and nan and inf are themselves."""
        if value is None:
            return NOT_AVAILABLE
        text = self.format(value) if math.isfinite(value) else str(value)
        if len(text) > _MOST_CHARACTERS:
            text = f"{value * self.factor:.3g} {self.unit}".rstrip()
        return units.with_minus(text)

    @property
    def column(self) -> str:
        """Its column in the table of its source."""
        return "loss" if self.key == "val_loss" else self.key

    @property
    def label(self) -> str:
        """Title and unit, as an axis or a panel is headed."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


METRICS: tuple[Metric, ...] = (
    Metric("loss", "loss", "", units.loss, "lower", panel="loss"),
    Metric("val_loss", "validation loss", "", units.loss, "lower", panel="val_loss", source="eval"),
    Metric("perplexity", "perplexity", "", "{:.4g}".format, "lower", "log", panel="perplexity", source="eval"),
    Metric("bits_per_byte", "bits per byte", "", units.loss, "lower", panel="bits_per_byte", source="eval"),
    Metric("accuracy", "accuracy", "%", units.percent, "higher", panel="accuracy", factor=100),
    Metric("mfu", "MFU", "%", units.percent, "higher", panel="mfu", factor=100),
    Metric("mfu_causal", "MFU (causal)", "%", units.percent, "higher", panel="mfu", factor=100),
    Metric("tokens_per_sec", "throughput", "tok/s", units.rate, "higher", panel="throughput"),
    Metric("tflops", "achieved", "TFLOP/s", "{:.3g} TFLOP/s".format, "higher", panel="throughput"),
    Metric("step_time_ms", "step time", "ms", units.milliseconds, "lower", panel="step_time", legend="step"),
    Metric("data_time_ms", "data time", "ms", units.milliseconds, "lower", panel="step_time", legend="data"),
    Metric("compute_time_ms", "compute time", "ms", units.milliseconds, "lower", panel="step_time", source="derived",
           legend="compute"),
    Metric("mem_allocated_gb", "memory allocated", "GB", units.gigabytes, None, panel="memory", legend="allocated"),
    Metric("mem_peak_gb", "peak memory", "GB", units.gigabytes, "lower", panel="memory", legend="peak"),
    Metric("mem_reserved_gb", "memory reserved", "GB", units.gigabytes, None, panel="memory", legend="reserved"),
    Metric("grad_norm", "gradient norm", "", "{:.3g}".format, None, panel="grad_norm"),
    Metric("grad_mean", "gradient mean", "", units.scientific, None, panel="grad_stats", legend="|mean|"),
    Metric("grad_std", "gradient std", "", units.scientific, None, panel="grad_stats", legend="std"),
    Metric("grad_max", "gradient max", "", units.scientific, None, panel="grad_stats", legend="max"),
    Metric("grad_nonfinite", "non-finite gradient elements", "", "{:.0f}".format, "lower", panel="grad_stats"),
    Metric("param_norm", "parameter norm", "", "{:.4g}".format, None, panel="update"),
    Metric("update_norm", "update norm", "", units.scientific, None, panel="update"),
    Metric("update_ratio", "update-to-weight ratio", "", units.scientific, None, "log", panel="update",
           source="derived"),
    Metric("step_time_max_ms", "longest step time of a rank", "ms", units.milliseconds, "lower", panel="ranks",
           legend="longest"),
    Metric("rank_skew_ms", "wait for the slowest rank", "ms", units.milliseconds, "lower", panel="ranks",
           legend="skew"),
    Metric("slowest_rank", "slowest rank", "", "{:.0f}".format, None, panel="ranks"),
    Metric("lr", "learning rate", "", units.scientific, None, panel="lr"),
    Metric("tokens", "tokens", "", units.count, None, panel="tokens"),
    Metric("gpu_util_percent", "GPU utilisation", "%", "{:.0f} %".format, "higher", panel="gpu_util", source="system"),
    Metric("gpu_power_w", "GPU power", "W", "{:,.0f} W".format, None, panel="gpu_power", source="system"),
    Metric("gpu_temp_c", "GPU temperature", "°C", "{:.0f} °C".format, "lower", panel="gpu_temp", source="system"),
    Metric("gpu_mem_used_gb", "GPU memory", "GB", units.gigabytes, None, panel="gpu_memory", source="system"),
    Metric("cpu_percent", "CPU", "%", "{:.0f} %".format, None, panel="cpu", source="system"),
    Metric("ram_used_gb", "RAM", "GB", units.gigabytes, None, panel="ram", source="system"),
)  # fmt: skip

# Of a whole run: means, totals and newest values, as `summarize` defines them.
SUMMARY_METRICS: tuple[Metric, ...] = (
    Metric("final_loss", "loss, mean of the end", "", units.loss, "lower", source="summary"),
    # One record is too noisy to rank runs by.
    Metric("last_loss", "last loss", "", units.loss, None, source="summary"),
    Metric("final_val_loss", "final validation loss", "", units.loss, "lower", source="summary"),
    Metric("best_val_loss", "best validation loss", "", units.loss, "lower", source="summary"),
    Metric("final_perplexity", "validation perplexity", "", "{:.4g}".format, "lower", source="summary"),
    Metric("final_bits_per_byte", "final bits per byte", "", units.loss, "lower", source="summary"),
    Metric("best_bits_per_byte", "best bits per byte", "", units.loss, "lower", source="summary"),
    # A model that has learned nothing has none.
    Metric("generalization_gap", "train–validation gap", "%", units.percent, None, source="summary", factor=100),
    Metric("final_accuracy", "accuracy at the end", "%", units.percent, "higher", source="summary", factor=100),
    Metric("mean_mfu", "mean MFU", "%", units.percent, "higher", source="summary", factor=100),
    Metric("mean_tokens_per_sec", "mean throughput", "tok/s", units.rate, "higher", source="summary"),
    Metric("mean_step_time_ms", "mean step time", "ms", units.milliseconds, None, source="summary"),
    Metric("peak_memory_gb", "peak memory", "GB", units.gigabytes, "lower", source="summary"),
    Metric("training_time_s", "training time", "s", units.duration, None, source="summary"),
    Metric("total_tokens", "tokens trained on", "", units.count, None, source="summary"),
    Metric("total_flops", "compute", "FLOP", units.compute, None, source="summary"),
    Metric("tokens_per_parameter", "tokens per parameter", "", "{:.3g}".format, None, source="summary"),
    Metric("tokens_per_hour", "tokens per hour", "", units.count, None, source="summary"),
    Metric("effective_batch_sequences", "sequences per step", "", "{:,.0f}".format, None, source="summary"),
    Metric("effective_batch_tokens", "tokens per step", "", "{:,.0f}".format, None, source="summary"),
    Metric("gpu_hours", "GPU-hours", "h", units.hours, None, source="summary"),
    Metric("energy_kwh", "energy of one machine", "kWh", units.kilowatt_hours, None, source="summary"),
    Metric("cost_usd", "cost", "USD", "{:,.2f} USD".format, None, source="summary"),
    Metric("params_total", "parameters", "", units.count, None, source="summary"),
)

# Of a run when its loss comes down to a target: the key is that of the axis.
TARGET_METRICS: tuple[Metric, ...] = (
    Metric("step", "steps", "", "{:,.0f}".format, "lower", source="summary"),
    Metric("tokens", "tokens", "", units.count, "lower", source="summary"),
    Metric("time", "training time", "s", units.duration, "lower", source="summary"),
    Metric("flops", "compute", "FLOP", units.compute, "lower", source="summary"),
    Metric("gpu_hours", "GPU-hours of training", "h", units.hours, "lower", source="summary"),
    Metric("cost_usd", "cost of training", "USD", "{:,.2f} USD".format, "lower", source="summary"),
)

# What the speed of a run is made of: the key is that of `Account`.
SPEED_METRICS: tuple[Metric, ...] = (
    Metric("flops_per_token", "FLOPs per token", "FLOP", units.flop, None, source="summary"),
    Metric("blocks_share", "of these in the blocks", "%", units.percent, None, source="summary", factor=100),
    Metric("head_share", "in the output head", "%", units.percent, None, source="summary", factor=100),
    Metric("attention_share", "in attention over the context", "%", units.percent, None, source="summary", factor=100),
    Metric("vocabulary_share", "parameters of the vocabulary", "%", units.percent, None, source="summary", factor=100),
    Metric("layers", "layers", "", "{:,.0f}".format, None, source="summary"),
    Metric("width", "width", "", "{:,.0f}".format, None, source="summary"),
    Metric("vocabulary", "vocabulary", "", "{:,.0f}".format, None, source="summary"),
    Metric("seq_len", "tokens of a sequence", "", "{:,.0f}".format, None, source="summary"),
    Metric("micro_batch", "sequences of a micro-batch", "", "{:,.0f}".format, None, source="summary"),
    Metric("accumulation", "micro-batches of a step", "", "{:,.0f}".format, None, source="summary"),
    Metric("devices", "devices", "", "{:,.0f}".format, None, source="summary"),
    Metric("peak_tflops", "peak of a device", "TFLOP/s", "{:,.4g} TFLOP/s".format, None, source="summary"),
    Metric("achieved_tflops", "delivered by all devices", "TFLOP/s", "{:,.3g} TFLOP/s".format, None, source="summary"),
    Metric("data_share", "step time that waits for data", "%", units.percent, None, source="summary", factor=100),
)

BY_KEY: dict[str, Metric] = {metric.key: metric for metric in (*METRICS, *SUMMARY_METRICS)}


def metric(key: str) -> Metric:
    """The declaration of a metric; raises KeyError for a key nobody declared."""
    return BY_KEY[key]


def metric_of(name: str) -> Metric:
    """The declaration of a metric; of a name that nobody declared a plain one: no unit, a linear scale."""
    return BY_KEY.get(name) or Metric(name, shortened(clean(name), _LONGEST_TITLE), "", units.plain)
