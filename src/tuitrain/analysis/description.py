"""Descriptions of a run as rows of a name and a text: the same for `show`, `plan` and the dashboard.

`config` and what needs it are imported in the functions: pydantic would delay the first frame of the dashboard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tuitrain.analysis import units
from tuitrain.analysis.job_text import job_text
from tuitrain.text import clean

if TYPE_CHECKING:
    from tuitrain.accounting import MemoryEstimate, ParameterCounts
    from tuitrain.config import RunConfig
    from tuitrain.events import Run
    from tuitrain.runs import RunHistory, RunSnapshot

Rows = list[tuple[str, str]]
Changes = dict[str, tuple[Any, Any]]


def unread_lines(count: int, every_line_read: bool = True) -> str:
    """How many lines of a log could not be read, as a clause; empty for none."""
    if not count:
        return ""
    least = "" if every_line_read else "at least "
    return f"{least}{count:,} line{'s' if count > 1 else ''} of the log cannot be read"


def machine_text(run: Run | None) -> str:
    """Devices, nodes, strategy, dtype and attention backend: `16×H100 on 2 nodes fsdp bf16 flash`."""
    if run is None:
        return ""
    words = []
    if run.hardware is not None:
        device = run.hardware.device.removeprefix("NVIDIA ").removeprefix("AMD ")
        words.append(f"{run.hardware.count}×{device}" if run.hardware.count > 1 else device)
    if run.parallel is not None:
        nodes = run.parallel.nodes or 1
        words += [f"on {nodes} nodes" if nodes > 1 else "", run.parallel.strategy]
    if run.dtype is not None:
        words.append(run.dtype.replace("bfloat16", "bf16").replace("float32", "fp32").replace("float16", "fp16"))
    words += [run.attention_backend or "", "compiled" if run.compile else ""]
    return clean(" ".join(word for word in words if word))


def snapshot_rows(snapshot: RunSnapshot) -> Rows:
    """What a run in a list is: model, steps, preset, machine, launch."""
    run, step, info = snapshot.run, snapshot.step, snapshot.info
    shape, preset = (run.architecture, run.config.get("preset")) if run is not None else (None, None)
    tokens = units.count(step.tokens) if step is not None and step.tokens is not None else ""
    if tokens and run is not None and run.token_budget:
        tokens += f" of {units.count(run.token_budget)}"
    steps = f"{step.step:,}" + (f" of {run.total_steps:,}" if run and run.total_steps else "") if step else ""
    launched = units.moment(info.created, "%d %b %Y %H:%M") + (f" on {info.host}" if info.host else "") if info else ""
    texts = {
        "model": shape.name if shape else "",
        "parameters": "" if snapshot.params is None else units.count(snapshot.params),
        "steps": steps,
        "tokens": tokens,
        "preset": preset if isinstance(preset, str) else "",
        "machine": machine_text(run),
        "launched": launched,
    }
    if snapshot.job is not None:
        texts["queue"] = job_text(snapshot.job)
    return [(name, text or units.UNKNOWN) for name, text in texts.items()]


def flops_text(full: float | None, causal: float | None) -> str | None:
    """FLOPs per token in both conventions; None where unknown."""
    if full is None:
        return None
    masked = f" ({units.flop(causal)} with the mask counted)" if causal is not None else ""
    return f"{units.flop(full)}{masked}"


def parameter_parts(counts: ParameterCounts) -> list[tuple[str, int]]:
    """Parameters by what they are for, without the parts that a model does not have."""
    parts = [
        ("embedding", counts.embedding),
        ("positions", counts.positions),
        ("attention", counts.attention),
        ("feed-forward", counts.feedforward),
        ("norms", counts.norms),
        ("head", counts.head),
    ]
    return [(name, number) for name, number in parts if number]


def memory_parts(memory: MemoryEstimate) -> list[tuple[str, int]]:
    """Bytes by what they are for, without the parts that are not there at the peak.

    Before the update only some gradients are there, and they are called so.
    """
    some = "gradients so far" if memory.moment != "update" else "gradients"
    return [(some if name == "gradients" else name, size) for name, size in memory.parts.items() if size]


def configuration_of(run: Run) -> RunConfig | None:
    """The configuration, where it is one of ours."""
    from tuitrain.config import ConfigError, validate

    if not isinstance(run.config.get("model"), dict):
        # To explain what is wrong with that of another tool takes a while.
        return None
    try:
        return validate(run.config)
    except ConfigError:
        return None


def estimated_memory(run: Run) -> MemoryEstimate | None:
    """What the accounting says of a run that has begun; None where its configuration or its vocabulary is unknown."""
    from tuitrain.accounting import Devices, estimate_memory, on_cpu

    config = configuration_of(run)
    if config is None or config.model.vocab_size is None or config.train.micro_batch_size == "auto":
        return None
    parallel = run.parallel
    if parallel is not None and config.parallel.strategy == "auto":
        config = config.with_values({"parallel.strategy": parallel.strategy})
    processes = parallel.world_size if parallel is not None else 1
    return estimate_memory(config, Devices("cpu" if on_cpu(run) else "cuda", run.dtype or "float32", processes))


def memory_rows(history: RunHistory) -> Rows:
    """The estimate by its parts, what was measured, and what there is; each called what it is."""
    from tuitrain.accounting import MOMENTS, on_cpu, size_text

    run, rows = history.run, list[tuple[str, str]]()
    estimate = estimated_memory(run) if run is not None else None
    if estimate is not None:
        rows.append(("estimate for a step", f"{size_text(estimate.total)}, {MOMENTS[estimate.moment]}"))
        rows += [(f"  {name}", size_text(size)) for name, size in memory_parts(estimate)]
    if (measured := history.steps.last("mem_peak_gb")) is not None:
        whose = "the process, measured peak" if on_cpu(run) else "GPU, measured peak"
        rows.append((whose, units.gigabytes(measured)))
    if run is not None and run.hardware is not None and run.hardware.memory_gb is not None:
        rows.append(("the machine has" if on_cpu(run) else "the GPU has", units.gigabytes(run.hardware.memory_gb)))
    return rows


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """Dotted keys of two configuration trees whose values differ, with both values; None is unset.

    Left out: the names, and what was left to be decided and now is: the vocabulary size and the micro-batch.
    """
    from tuitrain.config import flatten

    left, right = flatten(before), flatten(after)
    keys = [*left, *(key for key in right if key not in left)]
    return {
        key: (left.get(key), right.get(key))
        for key in keys
        if left.get(key) != right.get(key)
        and key not in ("name", "preset")
        and (key, left.get(key)) not in (("model.vocab_size", None), ("train.micro_batch_size", "auto"))
    }


def changes_from_preset(config: Mapping[str, Any]) -> Changes | None:
    """How a run's configuration differs from the preset it names; None where this version has no such preset."""
    preset = config.get("preset")
    tree = preset_tree(preset) if isinstance(preset, str) else None
    return None if tree is None else changes(tree, config)


@lru_cache(maxsize=16)
def preset_tree(name: str) -> Mapping[str, Any] | None:
    """The resolved configuration of a preset; None for one that this version does not have.

    The name comes from a log: unlike one on a command line it is never the path of a file.
    """
    from tuitrain.config import UnknownPresetError, find_preset, load_config

    try:
        return load_config(find_preset(name).name).to_dict()
    except UnknownPresetError:
        return None


def attempt_changes(attempts: Sequence[Run]) -> list[Changes]:
    """For each attempt how its configuration differs from the attempt before; the first one has no changes."""
    before = [attempts[0], *attempts] if attempts else []
    return [changes(one.config, other.config) for one, other in zip(before, attempts, strict=False)]
