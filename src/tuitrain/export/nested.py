"""The nested run file of older training systems: one JSON object for a whole run."""

from __future__ import annotations

from typing import Any

import msgspec

from tuitrain.analysis.summary import Summary, summarize
from tuitrain.events import Run
from tuitrain.export.documents import renamed, without_none
from tuitrain.export.rows import iterate, table
from tuitrain.runs import RunHistory

# The names of this file, by group of a step, for the keys of a row.
_ITERATION = {"iter": "step", "loss": "loss", "time_ms": "step_time_ms", "lr": "lr", "accuracy": "accuracy",
              "tokens": "tokens", "val_loss": "val_loss"}  # fmt: skip
_GROUPS = {
    "memory": {"allocated_gb": "mem_allocated_gb", "peak_gb": "mem_peak_gb", "reserved_gb": "mem_reserved_gb"},
    "gradients": {"global_norm": "grad_norm", "grad_mean": "grad_mean", "grad_std": "grad_std", "grad_max": "grad_max"},
}
_SUMMARY = {
    "total_iterations": "step",
    "total_tokens": "total_tokens",
    "final_loss": "final_loss",
    "final_val_loss": "final_val_loss",
    "best_val_loss": "best_val_loss",
    "avg_mfu": "mean_mfu",
    "avg_time_ms": "mean_step_time_ms",
    "avg_tokens_per_sec": "mean_tokens_per_sec",
    "peak_memory_gb": "peak_memory_gb",
    "training_time_s": "training_time_s",
}
_TRAINING = ("flops_per_token", "tokens_per_step", "total_steps", "token_budget", "dtype", "compile",
             "attention_backend")  # fmt: skip


def nested_run(history: RunHistory) -> dict[str, Any]:
    """run_name, startup_info, training_iterations and summary; unknown values are left out.

    achieved_tflops and hardware_peak_tflops are of all devices together, so that achieved_tflops is tokens_per_sec
    times flops_per_token and mfu_percent their quotient.
    """
    run = history.run
    return {
        "run_name": run.run_id if run else None,
        "startup_info": _startup(run),
        "training_iterations": [_iteration(row, run) for row in iterate(table(history))],
        "summary": _summary(summarize(history)),
    }


def _startup(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    parts = {"model": run.architecture, "hardware": run.hardware, "parallel": run.parallel, "software": run.software}
    return {
        **{name: without_none(msgspec.to_builtins(part)) for name, part in without_none(parts).items()},
        "training": without_none({key: getattr(run, key) for key in _TRAINING}),
        "config": run.config,
    }


def _iteration(row: dict[str, int | float], run: Run | None) -> dict[str, Any]:
    groups = {"mfu": _mfu(row, run)} | {name: renamed(row, names) for name, names in _GROUPS.items()}
    return renamed(row, _ITERATION) | {name: group for name, group in groups.items() if group}


def _mfu(row: dict[str, int | float], run: Run | None) -> dict[str, Any]:
    if "tokens_per_sec" not in row and "mfu" not in row:
        return {}
    devices = run.parallel.world_size if run and run.parallel else run.hardware.count if run and run.hardware else 1
    peak = run.hardware.peak_tflops if run and run.hardware else None
    flops = run.flops_per_token if run else None
    if flops is not None and "tokens_per_sec" in row:
        achieved: float | None = row["tokens_per_sec"] * flops / 1e12
    else:
        achieved = row["tflops"] * devices if "tflops" in row else None
    return without_none(
        {
            "mfu_percent": 100 * row["mfu"] if "mfu" in row else None,
            "achieved_tflops": achieved,
            "hardware_peak_tflops": peak * devices if peak is not None else None,
            "tokens_per_sec": row.get("tokens_per_sec"),
            "flops_per_token": flops,
        }
    )


def _summary(summary: Summary) -> dict[str, Any]:
    values = renamed(vars(summary), _SUMMARY)
    if "avg_mfu" in values:
        values["avg_mfu"] *= 100
    return values
