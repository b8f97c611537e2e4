"""The report of a run, section by section, and its configuration with the differences from the preset.

`config` and what needs it are imported in the function: pydantic would delay the first frame of the dashboard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tuitrain.analysis import units
from tuitrain.analysis.description import (
    Changes,
    Rows,
    attempt_changes,
    changes_from_preset,
    configuration_of,
    flops_text,
    memory_rows,
    parameter_parts,
)
from tuitrain.analysis.metrics import NOT_AVAILABLE
from tuitrain.events import Run, parent_of
from tuitrain.runs import RunHistory, RunMetadata
from tuitrain.text import clean

_Rows = Sequence[tuple[str, str | None]]
"""Names with texts; None is not available."""


@dataclass(frozen=True)
class Description:
    """What a run is. changed: None where the preset is not known here; report: titles with their rows."""

    values: Mapping[str, Any] = field(default_factory=dict)
    changed: Changes | None = None
    preset: str | None = None
    report: tuple[tuple[str, Rows], ...] = ()


def describe(history: RunHistory, metadata: RunMetadata | None) -> Description:
    """The description of a run from its log and its metadata. Takes a moment: not for every drawing."""
    run = history.run
    if run is None:
        return Description()
    sections: list[tuple[str, _Rows]] = [
        ("architecture", _architecture(run)),
        ("parameters", _parameters(run)),
        ("arithmetic", _arithmetic(run)),
        ("memory on each device", memory_rows(history)),
        ("software", _software(run)),
        ("start", _start(run, metadata, history)),
        ("logged summary", logged_summary_rows(history)),
        ("attempts", _attempts(history.attempts)),
    ]
    # Of a run of another tool whole sections are unknown.
    known = ((title, rows) for title, rows in sections if any(text for _, text in rows))
    report = ((title, [(name, text or NOT_AVAILABLE) for name, text in rows]) for title, rows in known)
    return replace(describe_config(run), report=tuple(report))


def describe_config(run: Run) -> Description:
    """The configuration of a run, without the report."""
    # With pydantic, for which the first frame does not wait.
    from tuitrain.config import flatten

    preset = run.config.get("preset")
    return Description(
        flatten(run.config), changes_from_preset(run.config), preset if isinstance(preset, str) else None
    )


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _architecture(run: Run) -> _Rows:
    shape = run.architecture
    if shape is None:
        return []
    heads = _number(shape.n_heads)
    if heads and shape.n_kv_heads not in (None, shape.n_heads):
        heads += f", {shape.n_kv_heads} of keys and values"
    if heads and shape.head_dim is not None:
        heads += f", {shape.head_dim} wide"
    return [
        ("name", shape.name),
        ("blocks", _number(shape.n_layers)),
        ("width", _number(shape.d_model)),
        ("feed-forward", _number(shape.d_ff)),
        ("vocabulary", _number(shape.vocab_size)),
        ("sequence", _number(shape.seq_len)),
        ("heads", heads),
        ("norm", " ".join(word for word in (shape.norm_position, shape.norm) if word)),
        ("position", shape.position),
        ("activation", shape.ffn),
        ("head", {True: "tied to the embedding", False: "of its own", None: None}[shape.tied_embeddings]),
    ]


def _parameters(run: Run) -> _Rows:
    from tuitrain.accounting import count_parameters

    shape = run.architecture
    total, rest = (shape.params_total, shape.params_non_embedding) if shape is not None else (None, None)
    parts: _Rows = []
    config = configuration_of(run)
    counts = count_parameters(config.model) if config is not None and config.model.vocab_size is not None else None
    if counts is not None and total in (None, counts.total):
        total, rest = counts.total, counts.non_embedding
        parts = [(name, f"{n:,} · {100 * n / counts.total:.1f} %") for name, n in parameter_parts(counts)]
    elif shape is None:
        return []
    return [("total", _number(total)), ("without embeddings", _number(rest)), *parts]


def _arithmetic(run: Run) -> _Rows:
    hardware, parallel = run.hardware, run.parallel
    peak = None
    if hardware is not None and hardware.peak_tflops is not None:
        source = f" ({hardware.peak_source})" if hardware.peak_source else ""
        peak = f"{hardware.peak_tflops:g} TFLOP/s each{source}"
    rows = [
        ("FLOPs per token", flops_text(run.flops_per_token, run.flops_per_token_causal)),
        ("tokens per step", _number(run.tokens_per_step)),
        ("steps", _number(run.total_steps)),
        ("token budget", units.count(run.token_budget) if run.token_budget is not None else None),
        ("device", f"{hardware.count} × {hardware.device}" if hardware else None),
        ("peak", peak),
        ("dtype", run.dtype),
        ("attention", run.attention_backend),
        ("compiled", {True: "yes", False: "no", None: None}[run.compile]),
        ("strategy", None if parallel is None else f"{parallel.strategy}, {_processes(parallel.world_size)}"),
    ]
    if parallel is not None and parallel.accumulation is not None:
        count = parallel.accumulation
        rows.append(("accumulation", f"{count:,} micro-batches" if count > 1 else "1 micro-batch"))
    if parallel is not None and parallel.activation_checkpointing is not None:
        rows.append(("recomputation", parallel.activation_checkpointing))
    return rows


def _processes(count: int) -> str:
    return f"{count:,} processes" if count > 1 else "1 process"


def _software(run: Run) -> _Rows:
    software = run.software
    if software is None:
        return []
    return [
        ("tuitrain", software.tuitrain),
        ("torch", software.torch),
        ("cuda", software.cuda),
        ("python", software.python),
        ("git commit", software.git_commit),
    ]


def logged_summary_rows(history: RunHistory) -> Rows:
    """What the program says of the outcome itself: names of nested values are joined by dots."""
    # With pydantic, for which the first frame does not wait.
    from tuitrain.config import flatten

    return [(clean(key), units.config_value(value)) for key, value in flatten(history.logged_summary).items()]


def _start(run: Run, metadata: RunMetadata | None, history: RunHistory) -> _Rows:
    """Where and how the run was started."""
    host = history.system.host if history.system else None
    rows: list[tuple[str, str | None]] = [("run", run.run_id), ("attempt", f"{run.attempt}")]
    if (parent := parent_of(run)) is not None:
        rows.append(("parent", f"{parent[0]}, step {parent[1]:,}"))
    rows.append(("host", (metadata and metadata.host) or host))
    if history.started is not None:
        rows.append(("started", _clock(history.started)))
    if metadata is not None:
        rows.append(("command", " ".join(metadata.command)))
        on = f" on {metadata.nodes.count} nodes" if metadata.nodes is not None else ""
        rows.append(("launcher", f"{metadata.launcher}, {_processes(metadata.processes)}{on}"))
        rows += [("job", metadata.job_id)] * (metadata.job_id is not None)
        rows += [("tags", ", ".join(metadata.tags))] * bool(metadata.tags)
        rows += [("note", note) for note in metadata.notes]
    return rows


def _attempts(attempts: list[Run]) -> _Rows:
    """Each attempt with the changes of the configuration before it; empty for a single attempt."""
    if len(attempts) < 2:
        return []
    rows = []
    for run, before, changes in zip(attempts, [attempts[0], *attempts], attempt_changes(attempts), strict=False):
        texts = [f"{key} {units.config_value(was)} → {units.config_value(now)}" for key, (was, now) in changes.items()]
        was, now = (each.parallel.world_size if each.parallel is not None else None for each in (before, run))
        if was != now and None not in (was, now):
            texts.append(f"processes {was} → {now}")
        if not texts and run is not attempts[0]:
            texts = ["nothing changed"]
        rows.append((f"{run.attempt}", "\n".join([_clock(run.time), *texts])))
    return rows


def _clock(seconds: float) -> str:
    return units.moment(seconds, "%d %b %Y %H:%M:%S")
