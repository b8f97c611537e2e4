"""The nested run file of older training systems: one JSON object for a whole run."""

from __future__ import annotations

from typing import Any

import msgspec

from tuitrain.analysis.summary import Summary, summarize
from tuitrain.events import Run
from tuitrain.export.rows import iterate, table
from tuitrain.runs import RunHistory

_MEMORY = {"allocated_gb": "mem_allocated_gb", "peak_gb": "mem_peak_gb", "reserved_gb": "mem_reserved_gb"}
_GRADIENTS = {"global_norm": "grad_norm", "grad_mean": "grad_mean", "grad_std": "grad_std", "grad_max": "grad_max"}
_PLAIN = {"lr": "lr", "accuracy": "accuracy", "tokens": "tokens", "val_loss": "val_loss"}


def nested_run(history: RunHistory) -> dict[str, Any]:
    """run_name, startup_info, training_iterations and summary; what is not known is left out.

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
    parts = {
        "model": run.architecture,
        "hardware": run.hardware,
        "parallel": run.parallel,
        "software": run.software,
    }
    info: dict[str, Any] = {name: _known(msgspec.to_builtins(part)) for name, part in parts.items() if part is not None}
    info["training"] = _known(
        {
            "flops_per_token": run.flops_per_token,
            "tokens_per_step": run.tokens_per_step,
            "total_steps": run.total_steps,
            "token_budget": run.token_budget,
            "dtype": run.dtype,
            "compile": run.compile,
            "attention_backend": run.attention_backend,
        }
    )
    return info | {"config": run.config}


def _iteration(row: dict[str, int | float], run: Run | None) -> dict[str, Any]:
    iteration: dict[str, Any] = {"iter": row["step"]}
    if "loss" in row:
        iteration["loss"] = row["loss"]
    if "step_time_ms" in row:
        iteration["time_ms"] = row["step_time_ms"]
    iteration |= _renamed(row, _PLAIN)
    groups = {"mfu": _mfu(row, run), "memory": _renamed(row, _MEMORY), "gradients": _renamed(row, _GRADIENTS)}
    return iteration | {name: group for name, group in groups.items() if group}


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
    return _known(
        {
            "mfu_percent": 100 * row["mfu"] if "mfu" in row else None,
            "achieved_tflops": achieved,
            "hardware_peak_tflops": peak * devices if peak is not None else None,
            "tokens_per_sec": row.get("tokens_per_sec"),
            "flops_per_token": flops,
        }
    )


def _summary(summary: Summary) -> dict[str, Any]:
    return _known(
        {
            "total_iterations": summary.step,
            "total_tokens": summary.total_tokens,
            "final_loss": summary.final_loss,
            "final_val_loss": summary.final_val_loss,
            "best_val_loss": summary.best_val_loss,
            "avg_mfu": None if summary.mean_mfu is None else 100 * summary.mean_mfu,
            "avg_time_ms": summary.mean_step_time_ms,
            "avg_tokens_per_sec": summary.mean_tokens_per_sec,
            "peak_memory_gb": summary.peak_memory_gb,
            "training_time_s": summary.training_time_s,
        }
    )


def _renamed(row: dict[str, int | float], names: dict[str, str]) -> dict[str, Any]:
    return {name: row[key] for name, key in names.items() if key in row}


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
