"""Synthetic runs for tests, written with the real writer."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuitrain.accounting import count_parameters, flops_per_token
from tuitrain.audit import audit_run
from tuitrain.config import RunConfig, load_config
from tuitrain.events import (
    Alert,
    Architecture,
    Checkpoint,
    End,
    Eval,
    EventWriter,
    Gpu,
    Hardware,
    Parallel,
    Run,
    Sample,
    Software,
    Step,
    System,
)
from tuitrain.runs import RunDirectory, RunHistory, RunMetadata

TINY = "llama2-tiny"
PINNED = ("train.max_steps=300", "train.global_batch_size=16", "train.micro_batch_size=16", "schedule.warmup_steps=20")
"""What the numbers in tests rest on, so that tuning a tiny preset changes none of them."""

DIES_WITH_THE_TESTS = ("setpriv", "--pdeathsig", "KILL")
"""A command prefix: the kernel kills the process when the one that started it ends, even by SIGKILL."""

_CAPABILITIES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def unprivileged(*command: str) -> list[str]:
    """A command prefix that enforces file permissions, also when root runs the tests."""
    capabilities = "-dac_override,-dac_read_search"
    return [*(["setpriv", f"--bounding-set={capabilities}"] if os.geteuid() == 0 else []), *command]


def _capabilities(name: str, sets: Any = None) -> Any:
    """Call capget, which fills the effective, the permitted and the inheritable set of this thread, or capset."""
    kernel, version = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = sets or (ctypes.c_uint32 * 6)()
    assert getattr(kernel, name)(version, sets) == 0, os.strerror(ctypes.get_errno())
    return sets


@contextmanager
def file_permissions() -> Iterator[None]:
    """Enforce file permissions in this thread, and those that it starts, also when root runs the tests.

    Not for os.access, which asks what root could do.
    """
    sets = _capabilities("capget")
    effective = sets[0]
    sets[0] &= ~_CAPABILITIES
    _capabilities("capset", sets)
    try:
        yield
    finally:
        sets[0] = effective
        _capabilities("capset", sets)


def obey_permissions() -> None:
    """For a process that has been forked: enforce them to its end, also for os.access."""
    sets = _capabilities("capget")
    sets[0] &= ~_CAPABILITIES
    sets[1] &= ~_CAPABILITIES
    _capabilities("capset", sets)


def run_record(config: RunConfig, run_id: str, *, at: float, attempt: int = 1, peak: float | None = 312.0) -> Run:
    """The `run` record the engine would write for this configuration."""
    model, counts, flops = config.model, count_parameters(config.model), flops_per_token(config.model)
    shared = ("n_layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "vocab_size", "seq_len")
    words = ("norm", "norm_position", "position", "ffn", "bias", "tied_embeddings")
    return Run(
        time=at,
        run_id=run_id,
        name=config.name,
        attempt=attempt,
        config=config.to_dict(),
        architecture=Architecture(
            name=model.architecture_name,
            params_total=counts.total,
            params_trainable=counts.total,
            params_non_embedding=counts.non_embedding,
            **{key: getattr(model, key) for key in (*shared, *words)},
        ),
        flops_per_token=flops.full,
        flops_per_token_causal=flops.causal,
        tokens_per_step=config.tokens_per_step,
        total_steps=config.total_steps,
        token_budget=config.train.token_budget,
        hardware=Hardware(device="NVIDIA A100-SXM4-80GB", peak_tflops=peak, peak_source="table", memory_gb=85.9),
        parallel=Parallel(strategy="single", world_size=1, accumulation=1),
        attention_backend="flash",
        dtype="bfloat16",
        compile=True,
        software=Software(tuitrain="0.1.0", torch="2.13.0", cuda="13.0", python="3.11.7"),
    )


def loss_at(step: int, floor: float = 2.0) -> float:
    """A loss curve with the usual shape and a repeatable ripple."""
    return floor + 8.0 * (step + 10) ** -0.45 + 0.05 * math.sin(step * 1.7)


def step_record(config: RunConfig, step: int, *, at: float, floor: float = 2.0, tokens_per_sec: float = 4e5) -> Step:
    """A plausible `step` record."""
    flops = flops_per_token(config.model)
    total = config.total_steps
    warm = max(config.schedule.warmup_steps, 1)
    decay = 0.1 + 0.45 * (1 + math.cos(math.pi * min(step / total, 1)))
    speed = tokens_per_sec * (1 + 0.03 * math.sin(step / 3))
    tflops = speed * flops.full / 1e12
    return Step(
        time=at,
        step=step,
        tokens=step * config.tokens_per_step,
        loss=loss_at(step, floor),
        accuracy=0.6 - 0.05 * loss_at(step, floor),
        lr=config.optim.lr * min(step / warm, decay),
        step_time_ms=1000 * config.tokens_per_step / speed,
        data_time_ms=0.4,
        tokens_per_sec=speed,
        tflops=tflops,
        mfu=tflops / 312.0,
        mfu_causal=speed * flops.causal / 1e12 / 312.0,
        mem_allocated_gb=41.2,
        mem_peak_gb=63.1,
        mem_reserved_gb=66.0,
        grad_norm=0.4 + 2.0 / (1 + step / 10) + 0.1 * math.sin(step),
    )


def history_contents(history: RunHistory) -> dict[str, Any]:
    """The content of a history in comparable form; nan equals nan."""
    content: dict[str, Any] = {}
    tables = {"steps": history.steps, "superseded_steps": history.superseded_steps}
    for name, value in {**vars(history), **tables}.items():
        if hasattr(value, "present"):
            rows = {key: (value[key].tolist(), value.present(key).tolist(), value.last(key)) for key in value.keys}
            content[name] = repr(rows)
        elif name != "_step_table":
            content[name] = repr(value)
    return content


def write_run(
    runs_dir: Path,
    run_id: str = "llama2-tiny-20260101-120000-abcd",
    *,
    preset: str = TINY,
    overrides: tuple[str, ...] = (),
    steps: int = 100,
    floor: float = 2.0,
    status: str | None = "completed",
    start: float | None = None,
    info: RunMetadata | None = None,
    tokens_per_sec: float = 4e5,
) -> RunDirectory:
    """A run directory with `steps` steps, evaluations each 25, samples each 50; status None leaves it unfinished."""
    config = load_config(preset, (*PINNED, *overrides) if preset.endswith("-tiny") else overrides)
    run = RunDirectory(runs_dir / run_id)
    run.path.mkdir(parents=True)
    run.control.mkdir()
    run.config.write_text(config.to_toml(), encoding="utf-8")
    begin = time.time() - steps - 5 if start is None else start
    run.write_metadata(info or RunMetadata(name=config.name, created=begin, launcher="local", tags=["test"]))
    run.console.write_text("tuitrain engine\nstep 1\n", encoding="utf-8")
    with EventWriter(run.metrics) as log:
        log.write(run_record(config, run_id, at=begin))
        log.write(
            System(
                time=begin, host="node1", cpu_percent=12.0, ram_used_gb=20.0, ram_total_gb=128.0,
                gpus=[Gpu(index=0, name="NVIDIA A100-SXM4-80GB", util_percent=97.0, mem_used_gb=66.0,
                          mem_total_gb=85.9, power_w=391.0, temp_c=61.0, sm_clock_mhz=1410.0)],
            )
        )  # fmt: skip
        first = loss_at(0, floor)
        log.write(Eval(time=begin, step=0, tokens=0, loss=first, accuracy=0.01, perplexity=300.0,
                       bits_per_byte=first / math.log(2)))  # fmt: skip
        for step in range(1, steps + 1):
            at = begin + step
            log.write(step_record(config, step, at=at, floor=floor, tokens_per_sec=tokens_per_sec))
            if step % 25 == 0:
                loss = loss_at(step, floor) + 0.05
                log.write(
                    Eval(time=at, step=step, tokens=step * config.tokens_per_step, loss=loss, accuracy=0.5,
                         perplexity=math.exp(loss), bits_per_byte=loss / math.log(2), duration_ms=80.0)
                )  # fmt: skip
            if step % 50 == 0:
                log.write(Sample(time=at, step=step, prompt="def ", text=f"main(self):\n    return {step}\n"))
                log.write(Checkpoint(time=at, step=step, path=f"checkpoints/step-{step:08d}", bytes=10**7))
        log.write(Alert(time=begin + steps, level="warning", code="mfu_drop", message="MFU fell by 30 %.", step=steps))
        if status is not None:
            log.write(End(time=begin + steps + 1, status=status, reason="all steps done", step=steps))  # type: ignore[arg-type]
    return run


def check_that_the_log_agrees(path: Path) -> None:
    """The audit of the run in a directory finds nothing, but for steps that are slow after an evaluation: the machine
    may be."""
    found = [each for each in audit_run(RunDirectory(path)).findings if each[0] != "evaluation-time"]
    assert not found, "\n".join(f"{name}: {finding}" for name, finding in found)


def write_own_metrics(
    runs_dir: Path, run_id: str, metrics: Sequence[Mapping[str, float | None]], *, loss: bool = False
) -> RunDirectory:
    """A completed run of a loop of one's own: one step for each of these tables of metrics, from step 1 on."""
    run = RunDirectory(runs_dir / run_id)
    run.path.mkdir(parents=True)
    with EventWriter(run.metrics) as log:
        log.write(Run(time=0.0, run_id=run_id, name=run_id.partition("-")[0]))
        for step, own in enumerate(metrics, start=1):
            values = {"loss": 2.0 + 1 / step} if loss else {}
            log.write(Step(time=float(step), step=step, **values, metrics=dict(own)))
        log.write(End(time=float(len(metrics) + 1), status="completed", reason="done", step=len(metrics)))
    return run
