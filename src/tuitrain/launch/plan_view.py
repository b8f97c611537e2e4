"""A plan as text and as JSON, for `plan`, `launch --dry-run`, `show` and the launch screen."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tuitrain.accounting import MOMENTS, schedule_text, schedule_warnings, size_text
from tuitrain.analysis import units
from tuitrain.analysis.description import flops_text, memory_parts, parameter_parts
from tuitrain.analysis.metrics import NOT_AVAILABLE
from tuitrain.launch.machine import GB
from tuitrain.launch.plan import NOTHING_FITS, Plan

BY_DATA = f"{NOT_AVAILABLE}: the vocabulary is decided by the data; set model.vocab_size to plan with it"


def plan_rows(plan: Plan) -> list[tuple[str, str]]:
    """Named lines of text, from the architecture to the hours."""
    config, steps = plan.config, plan.config.total_steps
    batch = f"{config.train.global_batch_size} sequences × {config.model.seq_len:,} tokens"
    processes = f"{plan.devices.count} process{'es' if plan.devices.count > 1 else ''}"
    passes = f"{config.train.micro_batch} × {plan.accumulation} micro-batches × " if plan.accumulation else ""
    return [
        ("architecture", config.model.architecture_name),
        ("parameters", _parameters(plan)),
        ("FLOPs per token", _flops(plan)),
        ("step", f"{config.tokens_per_step:,} tokens ({batch}; {passes}{processes})"),
        *_micro_batch(plan),
        ("run", f"{steps:,} steps, {units.count(plan.tokens)} tokens"),
        ("schedule", "\n".join([schedule_text(config, steps), *schedule_warnings(config, steps)])),
        ("data", _data(plan)),
        ("device", _device(plan)),
        ("strategy", f"{plan.strategy or NOT_AVAILABLE}: {plan.strategy_reason}"),
        ("memory", _memory(plan)),
        ("time", _time(plan)),
    ]


def _micro_batch(plan: Plan) -> list[tuple[str, str]]:
    """The micro-batch and why, where the configuration leaves it to be chosen."""
    if plan.micro_batch_reason is None:
        return []
    size = f"{plan.config.train.micro_batch}, chosen" if plan.accumulation else NOT_AVAILABLE
    return [("micro-batch", f"{size}: {plan.micro_batch_reason}")]


def _data(plan: Plan) -> str:
    data = plan.config.data
    sources = [source if data.mixture is None else f"{share:.1%} {source}" for source, share in data.shares.items()]
    text = f"{' + '.join(sources)}, tokenizer {data.tokenizer}"
    if plan.data_limit is None or plan.least_epochs is None:
        return text
    return (
        f"{text}\nat most {units.count(plan.data_limit)} tokens of it are read (data.max_tokens): "
        f"the run goes over them {plan.least_epochs:,.1f} times or more"
    )


def _parameters(plan: Plan) -> str:
    counts = plan.parameters
    if counts is None:
        return BY_DATA
    width = len(f"{counts.total:,}")
    lines = [f"{counts.total:>{width},} ({units.count(counts.non_embedding)} without embeddings)"]
    lines += [f"{number:>{width},}  {name}" for name, number in parameter_parts(counts)]
    if not counts.head:
        lines.append(f"{'tied':>{width}}  head")
    return "\n".join(lines)


def _flops(plan: Plan) -> str:
    return BY_DATA if plan.flops is None else flops_text(plan.flops.full, plan.flops.causal) or BY_DATA


def _device(plan: Plan) -> str:
    peak = f"peak {plan.peak_tflops:g} dense TFLOP/s" if plan.peak_tflops is not None else "peak unknown"
    if plan.device.kind != "cpu":
        return f"{_devices(plan)}, {plan.device.memory_gb:.1f} GB memory, {plan.devices.dtype}, {peak}"
    count = plan.devices.count
    where = plan.device.name if count == 1 else f"{count} processes on the CPU that communicate through gloo"
    where += _on_nodes(plan)
    return f"{where}, {plan.device.memory_gb:.1f} GB RAM, {plan.devices.dtype}, {peak}"


def _devices(plan: Plan) -> str:
    if plan.device.kind == "cpu":
        return plan.device.name
    return f"{plan.devices.count} × {plan.device.name}{_on_nodes(plan)}"


def _on_nodes(plan: Plan) -> str:
    return f" on {plan.devices.nodes} nodes" if plan.devices.nodes > 1 else ""


def _memory(plan: Plan) -> str:
    memory = plan.memory
    if memory is None:
        return BY_DATA
    verdict = "fits" if plan.fits else "does NOT fit"
    each = " on each" if plan.devices.count > 1 else ""
    when = MOMENTS[memory.moment]
    lines = [f"about {size_text(memory.total)}{each} {when} (estimate), of {_usable(plan)}: {verdict}"]
    lines += [f"{size_text(size):>9}  {name}" for name, size in memory_parts(memory)]
    if plan.fits is False:
        lines += [f"would fit: {change}" for change in plan.changes()] or [f"{NOTHING_FITS} {_devices(plan)}"]
        lines += [f"would fit on more: {change}" for change in plan.changes(more_gpus=True)]
    return "\n".join(lines)


def _usable(plan: Plan) -> str:
    share = f"{plan.usable_gb / plan.memory_gb:.0%}".replace("%", " %")
    return f"{plan.usable_gb:.1f} GB usable ({share} of {plan.memory_gb:.1f} GB)"


def _time(plan: Plan) -> str:
    if plan.fits is False:
        return f"{NOT_AVAILABLE}: it does not fit"
    if plan.budget is None:
        return f"{NOT_AVAILABLE}: the device's peak is unknown; set hardware.peak_tflops" if plan.flops else BY_DATA
    budget = plan.budget
    hours = f"{budget.gpu_hours:,.0f}" if budget.gpu_hours >= 10 else f"{budget.gpu_hours:.2g}"
    return (
        f"{units.duration(budget.seconds)} at {units.percent(plan.mfu)} MFU ({units.rate(budget.tokens_per_sec)}, "
        f"{hours} GPU-hours)"
    )


def _changes(plan: Plan, *, more_gpus: bool = False) -> list[dict[str, Any]]:
    return [asdict(change) for change in plan.changes(more_gpus=more_gpus)] if plan.fits is False else []


def parameters_json(plan: Plan) -> dict[str, int] | None:
    """Parameters by their parts; null while the vocabulary is unknown."""
    counts = plan.parameters
    return asdict(counts) | {"non_embedding": counts.non_embedding} if counts else None


def memory_json(plan: Plan) -> dict[str, int] | None:
    """Bytes of the estimate by their parts."""
    return plan.memory.parts | {"total": plan.memory.total} if plan.memory else None


def plan_json(plan: Plan) -> dict[str, Any]:
    """The same as plain values; unknown is null, memory is in bytes."""
    flops = plan.flops
    return {
        "name": plan.config.name,
        "architecture": plan.config.model.architecture_name,
        "parameters": parameters_json(plan),
        "flops_per_token": flops.full if flops else None,
        "flops_per_token_causal": flops.causal if flops else None,
        "tokens_per_step": plan.config.tokens_per_step,
        "total_steps": plan.config.total_steps,
        "tokens": plan.tokens,
        "schedule": schedule_text(plan.config, plan.config.total_steps),
        "warnings": schedule_warnings(plan.config, plan.config.total_steps),
        "token_budget": plan.config.train.token_budget,
        "data_token_limit": plan.data_limit,
        "least_epochs": plan.least_epochs,
        "micro_batch_size": plan.config.train.micro_batch_size if plan.accumulation else None,
        "micro_batch_reason": plan.micro_batch_reason,
        "accumulation": plan.accumulation,
        "strategy": plan.strategy,
        "strategy_reason": plan.strategy_reason,
        "device": asdict(plan.device) | {"count": plan.devices.count, "peak_tflops": plan.peak_tflops},
        "dtype": plan.devices.dtype,
        "memory_bytes": memory_json(plan),
        "usable_memory_bytes": round(plan.usable_gb * GB),
        "fits": plan.fits,
        "would_fit": _changes(plan),
        "would_fit_on_more": _changes(plan, more_gpus=True),
        "mfu": plan.mfu,
        "time": asdict(plan.budget) if plan.budget else None,
        "config": plan.config.to_dict(),
    }
