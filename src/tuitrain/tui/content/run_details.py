"""What a run is: its configuration with the differences from the preset, and the report of its architecture."""

from __future__ import annotations

from collections.abc import Mapping
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
        report=tuple((title, facts) for title, facts in sections if facts),
    )


def _config(run: Run) -> Any:
    """The configuration as this version understands it; None where it does not."""
    from tuitrain.config import ConfigError, validate

    try:
        return validate(run.config)
    except ConfigError:
        return None


def _known(facts: list[tuple[str, str | None]]) -> Rows:
    return [(name, NOT_AVAILABLE if text is None else text) for name, text in facts]


def _architecture(run: Run) -> Rows:
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
    return _known(
        [
            ("name", shape.name),
            *((name, None if number is None else f"{number:,}") for name, number in sizes),
            ("heads", heads),
            ("norm", norm),
            ("position", shape.position),
            ("activation", shape.ffn),
            ("head", tied),
        ]
    )


def _parameters(run: Run) -> Rows:
    from tuitrain.accounting import count_parameters

    shape, config = run.architecture, _config(run)
    facts: list[tuple[str, str | None]] = []
    if config is not None and config.model.vocab_size is not None:
        counts = count_parameters(config.model)
        if shape is None or shape.params_total in (None, counts.total):
            facts = [("total", f"{counts.total:,}"), ("without embeddings", f"{counts.non_embedding:,}")]
            parts = [(name, f"{n:,} · {100 * n / counts.total:.1f} %") for name, n in parameter_parts(counts)]
            return _known([*facts, *parts])
    if shape is None:
        return []
    numbers = [("total", shape.params_total), ("without embeddings", shape.params_non_embedding)]
    return _known([(name, None if number is None else f"{number:,}") for name, number in numbers])


def _arithmetic(run: Run) -> Rows:
    hardware, parallel = run.hardware, run.parallel
    peak = None
    if hardware is not None and hardware.peak_tflops is not None:
        source = f" ({hardware.peak_source})" if hardware.peak_source else ""
        peak = f"{hardware.peak_tflops:g} TFLOP/s each{source}"
    facts: list[tuple[str, str | None]] = [
        ("FLOPs per token", flops_text(run.flops_per_token, run.flops_per_token_causal)),
        ("tokens per step", None if run.tokens_per_step is None else f"{run.tokens_per_step:,}"),
        ("steps", None if run.total_steps is None else f"{run.total_steps:,}"),
        ("device", f"{hardware.count} × {hardware.device}" if hardware else None),
        ("peak", peak),
        ("dtype", run.dtype),
        ("attention", run.attention_backend),
        ("compiled", {True: "yes", False: "no", None: None}[run.compile]),
        ("strategy", None if parallel is None else f"{parallel.strategy}, {_processes(parallel.world_size)}"),
    ]
    if parallel is not None and parallel.accumulation is not None:
        facts.append(("accumulation", f"{parallel.accumulation} micro-batches"))
    if parallel is not None and parallel.activation_checkpointing is not None:
        facts.append(("recomputation", parallel.activation_checkpointing))
    return _known(facts)


def _processes(count: int) -> str:
    return f"{count:,} processes" if count > 1 else "1 process"


def _software(run: Run) -> Rows:
    software = run.software
    if software is None:
        return []
    names = ("tuitrain", "torch", "cuda", "python")
    return _known([*((name, getattr(software, name)) for name in names), ("git commit", software.git_commit)])


def _start(run: Run, info: RunMetadata | None, history: RunHistory) -> Rows:
    """Where and how it was started."""
    host = info.host if info is not None and info.host else (history.system.host if history.system else None)
    facts: list[tuple[str, str | None]] = [("run", run.run_id), ("host", host)]
    if history.started is not None:
        facts.append(("started", _clock(history.started)))
    if info is not None:
        facts.append(("command", " ".join(info.command) or None))
        facts.append(("launcher", f"{info.launcher}, {_processes(info.processes)}"))
        if info.job_id is not None:
            facts.append(("job", info.job_id))
        if info.tags:
            facts.append(("tags", ", ".join(info.tags)))
        facts += [("note", note) for note in info.notes]
    return _known(facts)


def _attempts(attempts: list[Run]) -> Rows:
    """Each attempt with what was changed for it; nothing for a run of one."""
    if len(attempts) < 2:
        return []
    facts: Rows = []
    for run, changed in zip(attempts, attempt_changes(attempts), strict=True):
        told = [f"{key} {units.config_value(was)} → {units.config_value(now)}" for key, (was, now) in changed.items()]
        said = "\n".join(told) if told else ("" if run is attempts[0] else "nothing changed")
        facts.append((f"{run.attempt}", "\n".join(part for part in (_clock(run.time), said) if part)))
    return facts


def _clock(seconds: float) -> str:
    return units.moment(seconds, "%d %b %Y %H:%M:%S")
