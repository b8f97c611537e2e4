"""What a run is: its configuration with the differences from the preset, and the report of its architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuitrain.analysis import units
from tuitrain.analysis.description import (
    Changes,
    Rows,
    attempt_changes,
    changes_from_preset,
    flops_text,
    memory_rows,
    parameter_parts,
)
from tuitrain.analysis.metrics import NOT_AVAILABLE
from tuitrain.events import Run
from tuitrain.runs import RunHistory, RunMetadata


@dataclass(frozen=True)
class Description:
    """All that the screen of the configuration shows of a run. changed: None where the preset is not known here."""

    values: Mapping[str, Any] = field(default_factory=dict)
    changed: Changes | None = None
    preset: str | None = None
    report: tuple[tuple[str, Rows], ...] = ()


def describe(history: RunHistory, info: RunMetadata | None) -> Description:
    """The description of a run from its log and the run's metadata. Takes a moment: not for every drawing."""
    from tuitrain.config import flatten

    run = history.run
    if run is None:
        return Description()
    preset = run.config.get("preset")
    sections = (
        ("architecture", _architecture(run)),
        ("parameters", _parameters(run)),
        ("arithmetic", _arithmetic(run)),
        ("memory on each device", memory_rows(history)),
        ("software", _software(run)),
        ("start", _start(run, info, history)),
        ("attempts", _attempts(history.attempts)),
    )
    return Description(
        values=flatten(run.config),
        changed=changes_from_preset(run.config),
        preset=preset if isinstance(preset, str) else None,
        report=tuple(
            (title, [(name, NOT_AVAILABLE if text is None else text) for name, text in rows])
            for title, rows in sections
            if rows
        ),
    )


_Rows = Sequence[tuple[str, str | None]]
"""Names with texts; None is not available."""


def _config(run: Run) -> Any:
    """The configuration as this version understands it; None where it does not."""
    from tuitrain.config import ConfigError, validate

    try:
        return validate(run.config)
    except ConfigError:
        return None


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _architecture(run: Run) -> _Rows:
    shape = run.architecture
    if shape is None:
        return []
    sizes = [
        ("blocks", shape.n_layers), ("width", shape.d_model), ("feed-forward", shape.d_ff),
        ("vocabulary", shape.vocab_size), ("sequence", shape.seq_len),
    ]  # fmt: skip
    heads = None
    if shape.n_heads is not None:
        groups = f", {shape.n_kv_heads} of keys and values" if shape.n_kv_heads not in (None, shape.n_heads) else ""
        heads = f"{shape.n_heads}{groups}" + (f", {shape.head_dim} wide" if shape.head_dim is not None else "")
    tied = {True: "tied to the embedding", False: "of its own", None: None}[shape.tied_embeddings]
    norm = " ".join(word for word in (shape.norm_position, shape.norm) if word) or None
    return [
        ("name", shape.name),
        *((name, _number(size)) for name, size in sizes),
        ("heads", heads),
        ("norm", norm),
        ("position", shape.position),
        ("activation", shape.ffn),
        ("head", tied),
    ]


def _parameters(run: Run) -> _Rows:
    from tuitrain.accounting import count_parameters

    shape, config = run.architecture, _config(run)
    if config is not None and config.model.vocab_size is not None:
        counts = count_parameters(config.model)
        if shape is None or shape.params_total in (None, counts.total):
            parts = [(name, f"{n:,} · {100 * n / counts.total:.1f} %") for name, n in parameter_parts(counts)]
            return [("total", _number(counts.total)), ("without embeddings", _number(counts.non_embedding)), *parts]
    if shape is None:
        return []
    return [("total", _number(shape.params_total)), ("without embeddings", _number(shape.params_non_embedding))]


def _arithmetic(run: Run) -> _Rows:
    hardware, parallel = run.hardware, run.parallel
    peak = None
    if hardware is not None and hardware.peak_tflops is not None:
        source = f" ({hardware.peak_source})" if hardware.peak_source else ""
        peak = f"{hardware.peak_tflops:g} TFLOP/s each{source}"
    rows: list[tuple[str, str | None]] = [
        ("FLOPs per token", flops_text(run.flops_per_token, run.flops_per_token_causal)),
        ("tokens per step", _number(run.tokens_per_step)),
        ("steps", _number(run.total_steps)),
        ("device", f"{hardware.count} × {hardware.device}" if hardware else None),
        ("peak", peak),
        ("dtype", run.dtype),
        ("attention", run.attention_backend),
        ("compiled", {True: "yes", False: "no", None: None}[run.compile]),
        ("strategy", None if parallel is None else f"{parallel.strategy}, {_processes(parallel.world_size)}"),
    ]
    if parallel is not None and parallel.accumulation is not None:
        rows.append(("accumulation", f"{parallel.accumulation} micro-batches"))
    if parallel is not None and parallel.activation_checkpointing is not None:
        rows.append(("recomputation", parallel.activation_checkpointing))
    return rows


def _processes(count: int) -> str:
    return f"{count:,} processes" if count > 1 else "1 process"


def _software(run: Run) -> _Rows:
    software = run.software
    if software is None:
        return []
    names = ("tuitrain", "torch", "cuda", "python")
    return [*((name, getattr(software, name)) for name in names), ("git commit", software.git_commit)]


def _start(run: Run, info: RunMetadata | None, history: RunHistory) -> _Rows:
    """Where and how the run was started."""
    host = info.host if info is not None and info.host else (history.system.host if history.system else None)
    rows: list[tuple[str, str | None]] = [("run", run.run_id), ("host", host)]
    if history.started is not None:
        rows.append(("started", _clock(history.started)))
    if info is not None:
        rows.append(("command", " ".join(info.command) or None))
        rows.append(("launcher", f"{info.launcher}, {_processes(info.processes)}"))
        if info.job_id is not None:
            rows.append(("job", info.job_id))
        if info.tags:
            rows.append(("tags", ", ".join(info.tags)))
        rows += [("note", note) for note in info.notes]
    return rows


def _attempts(attempts: list[Run]) -> _Rows:
    """Each attempt with the changes of the configuration before it; empty for a single attempt."""
    if len(attempts) < 2:
        return []
    rows = []
    for run, changes in zip(attempts, attempt_changes(attempts), strict=True):
        texts = [f"{key} {units.config_value(was)} → {units.config_value(now)}" for key, (was, now) in changes.items()]
        if not texts and run is not attempts[0]:
            texts = ["nothing changed"]
        rows.append((f"{run.attempt}", "\n".join(filter(None, [_clock(run.time), *texts]))))
    return rows


def _clock(seconds: float) -> str:
    return units.moment(seconds, "%d %b %Y %H:%M:%S")
