"""The comparison file: hyperparameters, curves and outcomes of several runs in one JSON object."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuitrain.analysis.compare import compare_runs, display_names
from tuitrain.analysis.own_metrics import newest_own, own_metrics
from tuitrain.analysis.summary import Summary
from tuitrain.config import flatten
from tuitrain.events import Run
from tuitrain.export.documents import json_text, open_text, renamed, without_none
from tuitrain.export.errors import ExportError
from tuitrain.export.rows import table
from tuitrain.export.selection import Runs
from tuitrain.export.tables import render_comparison
from tuitrain.runs import RunHistory

# The names of this file for keys of the configuration.
_HYPERPARAMETERS = {
    "learning_rate": "optim.lr",
    "batch_size": "train.micro_batch_size",
    "global_batch_size": "train.global_batch_size",
    "max_seq_length": "model.seq_len",
    "num_layers": "model.n_layers",
    "steps_per_eval": "eval.interval",
    "steps_per_report": "telemetry.log_interval",
    "save_every": "checkpoint.interval",
}
_CURVES = {
    "iterations": "step",
    "train_loss": "loss",
    "val_loss": "val_loss",
    "tokens_per_sec": "tokens_per_sec",
    "learning_rate": "lr",
}


def export_comparison(runs: Runs, out: Path | None = None, *, usd_per_gpu_hour: float | None = None) -> str:
    """The comparison file as text, also written to `out` if given. Raises ExportError for no runs."""
    text = json_text(comparison_document(runs, usd_per_gpu_hour))
    if out is not None:
        with open_text(out) as file:
            file.write(text)
    return text


def comparison_document(runs: Runs, usd_per_gpu_hour: float | None = None) -> dict[str, Any]:
    """The comparison as plain data. Unknown values are left out.

    The final values are those of the newest records; the means are those of `Summary`.
    """
    if not runs:
        raise ExportError("There is nothing to compare: name at least one run.")
    names = display_names(runs)
    named = list(zip(names, (history for _, history in runs), strict=True))
    comparison = compare_runs(named, usd_per_gpu_hour=usd_per_gpu_hour)
    now = datetime.now(UTC).isoformat()
    return {
        "timestamp": now,
        "runs": [
            {
                "run_name": name,
                "run_path": str(directory.path.absolute()),
                "timestamp": now,
                "hyperparameters": _hyperparameters(history.run),
                "training_metrics": _curves(history),
                "broken_lines": history.broken_count,
                "final_metrics": _final_metrics(history, summary),
            }
            for name, (directory, history), summary in zip(names, runs, comparison.summaries, strict=True)
        ],
        "verdict": comparison.verdict,
        "findings": comparison.findings,
        "comparison_table": render_comparison(comparison, "table"),
    }


def _hyperparameters(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    config = flatten(run.config)
    checkpointing = config.get("parallel.activation_checkpointing")
    parallel = run.parallel
    ours = {
        "model": (run.architecture.name or None) if run.architecture else None,
        "iters": run.total_steps,
        **renamed(config, _HYPERPARAMETERS),
        "grad_accumulation_steps": parallel.accumulation if parallel else None,
        "grad_checkpoint": None if checkpointing is None else checkpointing != "none",
    }
    # Another tool's log may hold them under the names of this file.
    theirs = {key: config.get(key) for key in (*ours, *_HYPERPARAMETERS, "lora_rank")}
    theirs["lora_rank"] = theirs["lora_rank"] or config.get("lora_parameters.rank")
    return {**without_none(theirs), **without_none(ours), "config": config}


def _curves(history: RunHistory) -> dict[str, list[Any]]:
    """Arrays of one length, an element for each step with a record or an evaluation; null where there is no value."""
    columns = table(history)
    return {name: columns[key].tolist() for name, key in _CURVES.items() if key in columns}


def _final_metrics(history: RunHistory, summary: Summary) -> dict[str, Any]:
    steps, evaluation = history.steps, history.evaluation
    step_ms, eval_ms = steps.last("step_time_ms"), evaluation.duration_ms if evaluation is not None else None
    train, validation = summary.last_loss, summary.final_val_loss
    values = without_none(
        {
            "final_iteration": summary.step,
            "final_train_loss": train,
            "mean_train_loss_at_end": summary.final_loss,
            "final_val_loss": validation,
            "train_val_gap": validation - train if train is not None and validation is not None else None,
            "generalization_gap": summary.generalization_gap,
            "best_val_loss": summary.best_val_loss,
            "final_learning_rate": steps.last("lr"),
            "final_tokens_per_sec": steps.last("tokens_per_sec"),
            "final_iterations_per_sec": 1000 / step_ms if step_ms else None,
            "total_trained_tokens": summary.total_tokens,
            "peak_memory_gb": summary.peak_memory_gb,
            "final_val_time_sec": eval_ms / 1000 if eval_ms is not None else None,
            "mean_tokens_per_sec": summary.mean_tokens_per_sec,
            "mean_mfu": summary.mean_mfu,
            "training_time_sec": summary.training_time_s,
            "gpu_hours": summary.gpu_hours,
            "energy_kwh": summary.energy_kwh,
            "cost_usd": summary.cost_usd,
        }
    )
    # What such a file of another tool held and no key of ours stands for.
    theirs = {name: newest_own(history, name) for name in own_metrics([history]) if name.startswith("final_")}
    return {**without_none(theirs), **values}
