"""The training loop, from the configuration to the last step. Only this module decides in which order things happen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from tuitrain import accounting, events
from tuitrain.config import RunConfig
from tuitrain.events.requests import result_text
from tuitrain_engine import checkpoint, describe, report, weights
from tuitrain_engine.building import build_distributed, decide_micro_batch, keep_tokenizer
from tuitrain_engine.checkpoint.manager import Checkpoints
from tuitrain_engine.control import Control
from tuitrain_engine.data import DataError, Dataset, Prefetcher, ReadingStopped, open_dataset, report_progress_to
from tuitrain_engine.evaluation import Evaluator, sequences_to_evaluate
from tuitrain_engine.gradients import Gradients
from tuitrain_engine.hardware import Machine, find_machine
from tuitrain_engine.journal import Journal
from tuitrain_engine.loss_output import LossOutput
from tuitrain_engine.model import Transformer
from tuitrain_engine.optim import build_optimizer
from tuitrain_engine.parallel import Distribution, World
from tuitrain_engine.pausing import wait_to_continue
from tuitrain_engine.profiler import StepProfiler, memory_snapshot, prepare_snapshots
from tuitrain_engine.progress import Goal, Progress, batch_positions, batches_of, due
from tuitrain_engine.resuming import Restored, keep_config, restore
from tuitrain_engine.sampling import continue_text
from tuitrain_engine.telemetry import NonFiniteError, Scale, StepNumbers, Telemetry


@dataclass
class Trainer:
    """Everything the loop works with."""

    run_dir: Path
    config: RunConfig
    world: World
    machine: Machine
    dataset: Dataset
    model: Transformer
    distribution: Distribution
    forward: Callable[..., LossOutput]
    compiled: bool
    optimizer: Optimizer
    gradients: Gradients
    evaluator: Evaluator
    progress: Progress
    goal: Goal
    restored: Restored | None
    val_losses: dict[int, float]
    journal: Journal
    console: report.Console
    telemetry: Telemetry
    profiler: StepProfiler
    checkpoints: Checkpoints
    control: Control

    @property
    def accumulation(self) -> int:
        """Micro-batches of this process in a step."""
        return self.config.accumulation(self.world.size)


def prepare(
    run_dir: Path, config: RunConfig, journal: Journal, control: Control, world: World, *, resume: bool
) -> Trainer:
    """Everything before the first step: seed, data, model, optimizer, checkpoint, `run` record, startup report.

    A resume changes nothing in the run directory before the checkpoint was loaded. Raises ConfigError, DataError or
    CheckpointError, each with one sentence.
    """
    machine = find_machine(config.train, config.hardware)
    config.with_least_micro_batch().accumulation(world.size)
    prepare_snapshots(run_dir / "profile", world.rank, machine.device, history=config.telemetry.memory_history)
    # Dropout differs between processes, which train on different sequences.
    torch.manual_seed(config.train.seed + world.rank)

    dataset = read_data(config, journal, control)
    keep_tokenizer(dataset.tokenizer, run_dir / "tokenizer", check=resume, write=world.is_main)
    # Devices may differ: the main process decides for all.
    kept_config, chosen = world.broadcast_object(decide_micro_batch(config, dataset.vocab_size, machine, world))
    config = kept_config.with_vocab_size(dataset.vocab_size)

    journal.begin_stage("building the model")
    seed = config.train.seed if not resume and config.model.init_from is None else None
    built = build_distributed(config, machine, world, dataset.tokenizer.end_of_document, seed=seed)
    model = built.model
    optimizer = build_optimizer(model, config.optim, machine.device.type)
    restored, initial = None, []
    if resume:
        journal.begin_stage("loading the checkpoint")
        restored = restore(run_dir, config, world, model, optimizer, dataset, journal)
    elif config.model.init_from is not None:
        journal.begin_stage(f"loading the weights of {config.model.init_from}")
        initial = [weights.load_pretrained(model, config.model)]
    progress = restored.progress if restored else Progress()
    goal = Goal.of(config, progress)

    evaluations = restored.evaluations if restored else []
    sequences = sequences_to_evaluate(config, dataset, restored and restored.config, evaluations)
    evaluator = Evaluator(config, dataset, model, built.distribution, machine, world, sequences)
    val_losses = {each.step: each.loss for each in evaluations if each.split_fingerprint == evaluator.fingerprint}

    if world.is_main:
        if restored:
            checkpoint.discard_after(run_dir, progress.step)
        keep_config(run_dir, kept_config, earlier=restored is not None)
    attempt = journal.attempts() + 1
    run = describe.run_record(run_dir, config, machine, world, built, attempt=attempt, total_steps=goal.steps)
    journal.write(run)
    decisions = [*machine.decisions, *chosen, *built.decisions.values(), *initial]
    decisions += describe.routine_decisions(config, optimizer, machine, sequences, goal.steps)
    if restored:
        decisions.append(describe.resume_decision(restored.checkpoint, compared=bool(val_losses) or not evaluations))
    console = report.Console(goal.steps, report.stdout(), min(val_losses.values(), default=None))
    if world.is_main:
        terminal = report.stdout()
        terminal.print(report.startup_report(run, config, goal.tokens, dataset.describe(), decisions, terminal))
        journal.console = console
    alerts = restored.alerts() if restored else []
    for alert in [*alerts, *describe.config_alerts(config, goal.steps, progress.step)]:
        journal.write(alert)

    scale = Scale(config.tokens_per_step, accounting.flops_per_token(config.model), machine.peak_tflops)
    telemetry = Telemetry(journal.write, config.telemetry, scale, world, machine.device, goal.steps)
    gradients = Gradients(model.named_parameters(), config.model.n_layers, built.distribution.shard_group)
    profiler = StepProfiler(config.telemetry.profiled_steps, run_dir / "profile", world.rank, machine.device)
    checkpoints = Checkpoints(run_dir, config.checkpoint, world, journal, val_losses)
    return Trainer(
        run_dir, config, world, machine, dataset, model, built.distribution, built.forward, built.compiled, optimizer,
        gradients, evaluator, progress, goal, restored, val_losses, journal, console, telemetry, profiler, checkpoints,
        control,
    )  # fmt: skip


def read_data(config: RunConfig, journal: Journal, control: Control) -> Dataset:
    """The data of the run; the log shows the progress of tokenizing it."""
    journal.begin_stage("reading the data")
    with report_progress_to(journal.record_progress):
        return open_dataset(
            config.data,
            seq_len=config.model.seq_len,
            seed=config.train.seed,
            vocab_size=config.model.vocab_size,
            token_limit=config.total_steps * config.tokens_per_step,
            should_stop=control.stop_origin,
        )


def train(t: Trainer) -> str | None:
    """Run the remaining steps. Returns what stopped them early (`SIGTERM`, `request`), None at the end.

    The order at a step boundary: checkpoint before evaluation, since that may run out of memory.
    Raises NonFiniteError, and SaveError when the last checkpoint could not be written.
    """
    config, progress, total, requests = t.config, t.progress, t.goal.steps, dict[str, str]()
    first = progress.step + 1
    t.control.wait_for_boundaries()
    with Prefetcher(t.dataset.train, batch_positions(config, progress, t.goal, t.world), t.machine.device) as batches:
        with t.telemetry.paused():
            warm_up(t)
            catch_up(t)
            if progress.step < total:
                t.journal.begin_stage("first step")
        while progress.step < total:
            t.profiler.before(progress.step + 1)
            try:
                train_step(t, batches)
            except ReadingStopped as stop:
                requests = abandon_step(t, stop.origin)
                break
            step = progress.step
            if step == first:
                t.distribution.limit_waiting(config.parallel.timeout_s)
            with t.telemetry.paused() if t.profiler.ends(step) else nullcontext():
                t.profiler.after(step)
            requests = t.telemetry.pop_requests()
            last = step == total
            save_due = last or bool(requests.keys() & {"checkpoint", "stop"}) or due(step, config.checkpoint.interval)
            eval_due = "eval" in requests or due(step, config.eval.interval, last)
            sample_due = due(step, config.sampling.interval, last)
            saved = t.telemetry.pop_saved()
            if saved or save_due or eval_due or sample_due:
                with t.telemetry.paused():
                    if saved:
                        t.checkpoints.finish()
                    if save_due:
                        save_checkpoint(t)
                    if eval_due:
                        evaluate(t)
                    if sample_due:
                        write_sample(t)
            if "stop" in requests:
                break
            for name, origin in requests.items():
                if name != "pause":
                    answer(t, name, origin)
            requests = pause(t, requests["pause"]) if "pause" in requests and "continue" not in requests else {}
            if requests:
                break
    t.profiler.close()
    t.checkpoints.finish(final=True)
    # On CUDA the requests of the last step are only known now.
    requests |= t.telemetry.pop_requests()
    for name, origin in requests.items():
        answer(t, name, origin)
    return requests.get("stop") if progress.step < total else None


def pause(t: Trainer, origin: str) -> dict[str, str]:
    """Wait between two steps and answer requests; returns the one to stop, if that ends it, else none."""

    def act(requests: dict[str, str]) -> None:
        if requests.keys() & {"checkpoint", "stop"} and not t.world.broadcast_object(t.checkpoints.has(step)):
            save_checkpoint(t)
            t.checkpoints.finish()
        if "eval" in requests:
            evaluate(t)
        for name, by in requests.items():
            if name != "stop":
                answer(t, name, by)

    step = t.progress.step
    with t.telemetry.paused():
        t.checkpoints.finish()
        # On CUDA the requests of this step are only known now.
        return wait_to_continue(t.control, t.world, t.journal, step, origin, t.telemetry.pop_requests(), act)


def abandon_step(t: Trainer, origin: str) -> dict[str, str]:
    """Stop while waiting for data: save the state of the last step boundary."""
    t.control.poll()
    t.optimizer.zero_grad(set_to_none=True)
    t.distribution.release()
    with t.telemetry.paused():
        save_checkpoint(t)
    return {"stop": origin}


def catch_up(t: Trainer) -> None:
    """Repeat what was due at the checkpoint's step and is not in the log; in a new run make the first evaluation.

    The attempt may have been killed between the checkpoint and these. The intervals are those of that attempt.
    """
    config, step = t.config, t.progress.step
    before = t.restored.config if t.restored else config.to_dict()
    written = t.restored.written if t.restored else frozenset()
    last = step == t.goal.steps

    def missing(kind: str, section: str) -> bool:
        return kind not in written and due(step, before[section]["interval"], last)

    if t.restored and "checkpoint" not in written:
        t.checkpoints.record(step)
    if config.eval.interval and missing("eval", "eval"):
        t.journal.begin_stage("evaluating")
        evaluate(t)
    if config.sampling.interval and step and missing("sample", "sampling"):
        write_sample(t)


def train_step(t: Trainer, batches: Iterator[tuple[Tensor, Tensor]]) -> None:
    """One optimizer step: accumulate micro-batches, clip, update, pass the numbers to telemetry."""
    config, progress, step = t.config, t.progress, t.progress.step + 1
    logged = t.telemetry.logs(step)
    factor = t.goal.lr_factor(config, progress)
    for group in t.optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor

    data_s, outputs = 0.0, []
    for index in range(t.accumulation):
        last = index == t.accumulation - 1
        wait_start = time.perf_counter()
        x, y = next(batches)
        data_s += time.perf_counter() - wait_start
        with t.distribution.micro_batch(last):
            with t.machine.autocast():
                output = t.forward(x, y, logged)
            if last:
                t.telemetry.before_wait()
            # Gradients are averaged over the processes: times their number, their sum comes out.
            (output.loss_sum / (config.tokens_per_step / t.world.size)).backward()
        outputs.append(output)
    loss_sum = reduce(torch.add, (output.loss_sum.detach() for output in outputs))
    targets = reduce(torch.add, (output.count for output in outputs))
    correct = reduce(torch.add, (output.correct for output in outputs)) if logged else None
    if config.data.packing == "sample":
        # Padded positions are no targets: the mean is over the targets of the whole step, known only now.
        t.gradients.scale(config.tokens_per_step / t.world.sum(targets.clone()))

    measured = t.telemetry.wants_gradients(step)
    statistics = t.gradients.measure() if measured else None
    grad_norm = t.gradients.clip(config.train.grad_clip or math.inf)
    if measured:
        t.gradients.copy_parameters()
    t.optimizer.step()
    update = t.gradients.measure_update() if measured else None
    t.optimizer.zero_grad(set_to_none=True)

    progress.step = step
    progress.tokens += config.tokens_per_step
    progress.sequences += config.train.global_batch_size * batches_of(config, step)
    if step <= config.schedule.warmup_steps:
        progress.warmup_tokens = progress.tokens
    numbers = StepNumbers(loss_sum, targets, grad_norm, correct, statistics, update)
    lr = t.optimizer.param_groups[0]["lr"]
    t.telemetry.finish_step(step, progress.tokens, lr, data_s, numbers, t.control.poll(), t.checkpoints.written)


def warm_up(t: Trainer) -> None:
    """Compile, and let CUDA load its kernels, outside of any measured step; the results are discarded."""
    config, device = t.config, t.machine.device
    if not t.compiled and device.type == "cpu":
        return
    t.journal.begin_stage("compiling" if t.compiled else "loading the kernels")
    started = time.perf_counter()
    x, y = (part.to(device) for part in t.dataset.val.batch(0, config.train.micro_batch))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # Steps that are not logged have a graph of their own.
        for with_accuracy in (True,) if config.telemetry.log_interval == 1 else (True, False):
            with t.machine.autocast():
                t.forward(x, y, with_accuracy).loss_sum.backward()
            # Before the next pass: two sets of gradients would need more memory than any step.
            t.optimizer.zero_grad(set_to_none=True)
        if config.eval.interval:
            t.evaluator.measure(1)
    if t.compiled:
        t.console.note("compile", f"{time.perf_counter() - started:.1f} s, in no step's time")


def evaluate(t: Trainer) -> None:
    """Measure on the held-out split and write an `eval` record. Raises NonFiniteError."""
    record = t.evaluator.evaluate(t.progress.step, t.progress.tokens)
    loss = record.loss
    assert loss is not None
    if math.isfinite(loss):
        t.val_losses[t.progress.step] = loss
    t.journal.write(record)
    if not math.isfinite(loss):
        # The weights of this step were just saved; a resume from them would diverge again.
        t.checkpoints.discard(t.progress.step)
        problem = NonFiniteError("validation loss", loss, t.progress.step)
        t.journal.write(problem.alert())
        raise problem


def write_sample(t: Trainer) -> None:
    """Generate a continuation of the prompt and write a `sample` record."""
    sampling = t.config.sampling
    if not (t.world.is_main or t.distribution.sharded):
        return
    try:
        with t.machine.autocast():
            text = continue_text(
                t.model, t.dataset.tokenizer, sampling.prompt, max_tokens=sampling.max_tokens,
                temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p,
                seed=t.config.train.seed, broadcast=t.world.broadcast_int if t.distribution.sharded else None,
            )  # fmt: skip
    except DataError as error:
        message = f"No text sample: sampling.prompt = {sampling.prompt!r} does not fit the tokenizer. {error}"
        t.journal.write(events.Alert(level="warning", code="sample_prompt", message=message, step=t.progress.step))
        return
    t.distribution.release()
    t.journal.write(events.Sample(step=t.progress.step, prompt=sampling.prompt, text=text))


def answer(t: Trainer, request: str, origin: str) -> None:
    """Write the outcome of a request; a memory snapshot is made here, by each process of its own device."""
    step, result = t.progress.step, "begun" if request == "checkpoint" and t.checkpoints.pending else "done"
    if request == "continue":
        result = "not paused"
    if request == "snapshot":
        path = t.run_dir / "profile" / f"memory-step-{step}.rank{t.world.rank}.pickle"
        with t.telemetry.paused():
            result = memory_snapshot(path, t.machine.device)
    t.journal.write(events.Control(request=request, result=result_text(result, step, origin)))


def save_checkpoint(t: Trainer) -> None:
    """Begin to write the state of this step."""
    state = {
        "progress": t.progress.to_state(),
        "data": t.dataset.train.state_at(t.progress.sequences),
        "config": t.config.to_dict(),
    }
    t.checkpoints.begin(t.progress.step, t.model, t.optimizer, state)
    # An earlier notice was about the previous checkpoint, which is recorded now.
    t.telemetry.pop_saved()
