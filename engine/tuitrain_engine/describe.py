"""Describes a run: its `run` record, and the sentences of the startup report."""

from __future__ import annotations

import math
import platform
import subprocess
from pathlib import Path

import msgspec
import torch
from torch.optim import Optimizer

import tuitrain
from tuitrain import accounting, events
from tuitrain.config import RunConfig
from tuitrain.events.layout import RunFiles
from tuitrain_engine.building import Built
from tuitrain_engine.checkpoint import SavedCheckpoint
from tuitrain_engine.decision import Decision
from tuitrain_engine.hardware import Machine
from tuitrain_engine.parallel import World


def run_record(
    run_dir: Path,
    config: RunConfig,
    machine: Machine,
    world: World,
    built: Built,
    *,
    attempt: int,
    total_steps: int,
) -> events.Run:
    """The first record of an attempt."""
    metadata = RunFiles(run_dir).read_metadata()
    parent = metadata.parent if metadata is not None else None
    flops = accounting.flops_per_token(config.model)
    return events.Run(
        run_id=run_dir.name,
        name=config.name,
        attempt=attempt,
        config=config.to_dict(),
        architecture=architecture(config),
        flops_per_token=flops.full,
        flops_per_token_causal=flops.causal,
        tokens_per_step=config.tokens_per_step,
        total_steps=total_steps,
        token_budget=config.train.token_budget,
        hardware=machine.record(world.size),
        parallel=events.Parallel(
            strategy=built.decisions["strategy"].value,
            world_size=world.size,
            nodes=world.nodes,
            accumulation=config.accumulation(world.size),
            activation_checkpointing=config.parallel.activation_checkpointing,
        ),
        attention_backend=built.decisions["attention"].value,
        dtype=machine.dtype,
        compile=built.compiled,
        software=software(),
        parent=msgspec.UNSET if parent is None else parent.run_id,
        parent_step=msgspec.UNSET if parent is None else parent.step,
    )


def architecture(config: RunConfig) -> events.Architecture:
    """The network and its parameter counts."""
    m, counts = config.model, accounting.count_parameters(config.model)
    return events.Architecture(
        name=m.architecture_name,
        params_total=counts.total,
        params_trainable=counts.total,
        params_non_embedding=counts.non_embedding,
        n_layers=m.n_layers,
        d_model=m.d_model,
        n_heads=m.n_heads,
        n_kv_heads=m.n_kv_heads,
        head_dim=m.head_dim,
        d_ff=m.d_ff,
        vocab_size=m.vocab_size,
        seq_len=m.seq_len,
        norm=m.norm,
        norm_position=m.norm_position,
        position=m.position,
        ffn=m.ffn,
        bias=m.bias,
        tied_embeddings=m.tied_embeddings,
    )


def software() -> events.Software:
    """Versions, and the commit of the directory the run was started in, where that is a git checkout."""
    return events.Software(
        tuitrain=tuitrain.__version__,
        torch=str(torch.__version__),
        cuda=torch.version.cuda,
        python=platform.python_version(),
        git_commit=_git_commit(),
    )


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def routine_decisions(
    config: RunConfig, optimizer: Optimizer, machine: Machine, evaluated_sequences: int, total_steps: int
) -> list[Decision]:
    """Settings of optimizer, clipping, evaluation, samples, checkpoints and log."""
    optim, train = config.optim, config.train
    fused = "fused kernels" if optimizer.defaults.get("fused") else "torch's default kernels"
    decay = f"weight decay {optim.weight_decay:g} on matrices only"
    evaluation, sampling, saving = config.eval, config.sampling, config.checkpoint
    when = "first, last and in between" if evaluation.interval else "only on request"
    text = f"{sampling.max_tokens} tokens after {sampling.prompt!r}" if sampling.interval else "sampling.interval = 0"
    best = ", and the best of those evaluated" if saving.keep_best and evaluation.interval else ""
    return [
        Decision("optimizer", optim.name, f"{fused}, {decay}, betas {optim.betas[0]:g} and {optim.betas[1]:g}"),
        Decision("clipping", f"{train.grad_clip:g}" if train.grad_clip else "off", "global norm of all gradients"),
        Decision(
            "evaluation",
            _every(evaluation.interval),
            f"{when}; always the same {evaluated_sequences:,} held-out sequences",
        ),
        Decision("samples", _every(sampling.interval), text),
        Decision("checkpoints", _every(saving.interval, "at the end"), f"the last {saving.keep_last} stay{best}"),
        Decision("log", _every(config.telemetry.log_interval), _log_reason(machine)),
        *_gradients_decision(config),
        *_profile_decision(config, total_steps),
    ]


def _gradients_decision(config: RunConfig) -> list[Decision]:
    """How often gradients are measured, where the log interval makes it less frequent than configured."""
    telemetry = config.telemetry
    configured, interval = (
        telemetry.grad_stats_interval,
        math.lcm(telemetry.grad_stats_interval, telemetry.log_interval),
    )
    if interval == configured:
        return []
    reason = f"telemetry.grad_stats_interval = {configured} and only logged steps have them"
    return [Decision("gradients", _every(interval), reason)]


def _profile_decision(config: RunConfig, total_steps: int) -> list[Decision]:
    """The traced steps, if any are configured, or that the run ends before them."""
    configured = config.telemetry.profiled_steps
    if configured is None:
        return []
    steps = f"steps {configured[0]} to {configured[1]}"
    if configured[0] > total_steps:
        return [Decision("profile", "never", f"telemetry.profile_steps is {steps}, the run has {total_steps}")]
    return [Decision("profile", steps, "telemetry.profile_steps; a trace of each process in profile/")]


def _log_reason(machine: Machine) -> str:
    if machine.device.type == "cuda":
        return "numbers are read one step late, so that the device never waits"
    return "numbers are read at once: the CPU has no queue to wait for"


def _every(interval: int, never: str = "never") -> str:
    return never if interval == 0 else "every step" if interval == 1 else f"every {interval} steps"


def resume_decision(checkpoint: SavedCheckpoint, *, compared: bool) -> Decision:
    """The decision on the step at which a resumed attempt starts.

    compared: whether its evaluations are of the same sequences as those before.
    """
    reason = f"{checkpoint.path.name} is the newest undamaged checkpoint"
    if not compared:
        reason += "; other held-out sequences than before, so the best validation loss starts again"
    return Decision("resume", f"step {checkpoint.step}", reason)


def config_alerts(config: RunConfig, total_steps: int, step: int) -> list[events.Alert]:
    """A warning for each part of the schedule that the run is too short for, and for batches that it will pass over."""
    warnings = [("schedule", sentence) for sentence in accounting.schedule_warnings(config, total_steps)]
    skipped = ", ".join(f"{each:,}" for each in sorted(config.train.skip_steps) if each > step)
    if skipped:
        sentence = f"Passes over the batch of step {skipped} and takes the next one, as train.skip_steps says."
        warnings.append(("batch_skipped", sentence))
    return [events.Alert(level="warning", code=code, message=sentence, step=step) for code, sentence in warnings]
