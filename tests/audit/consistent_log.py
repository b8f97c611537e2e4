"""Logs whose numbers all follow from each other, and what an audit finds in others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import strategies as st

from tests.support import loss_at, run_record
from tuitrain.accounting import TokenPosition, find_gpu, flops_per_token, lr_factor
from tuitrain.audit import Audit, Finding, RecordOrder, audit
from tuitrain.config import load_config
from tuitrain.events import AnyRecord, End, Eval, Parallel, Step
from tuitrain.runs import RunHistory

replace = msgspec.structs.replace


@dataclass
class Log:
    """A log as the engine would write it: every number follows from the configuration and the step times."""

    preset: str = "llama2-tiny"
    overrides: tuple[str, ...] = ()
    processes: int = 1
    gpu: str = "NVIDIA A100-SXM4-80GB"
    steps: int = 40
    every: int = 1
    evaluations: int = 10
    records: list[AnyRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = load_config(self.preset, (*SIZES, *self.overrides))
        config, peak = self.config, find_gpu(self.gpu).bf16_tflops
        run = run_record(config, "a", at=0.0, peak=peak)
        accumulation = config.accumulation(self.processes)
        parallel = Parallel(strategy="ddp", world_size=self.processes, accumulation=accumulation)
        hardware = replace(run.hardware, device=self.gpu, count=self.processes)
        self.records = [replace(run, parallel=parallel, hardware=hardware), self._evaluation(0, 0.0)]
        clock = 0.0
        for step in range(self.every, min(self.steps, config.total_steps) + 1, self.every):
            self.records.append(self._step(step, peak, clock))
            clock = self.records[-1].time
            if step % self.evaluations == 0:
                clock += 0.5
                self.records.append(self._evaluation(step, clock))
        newest = self.records[-1].step
        status = "completed" if newest == config.total_steps else "stopped"
        self.records.append(End(time=clock, status=status, step=newest, tokens=newest * config.tokens_per_step))

    def _step(self, step: int, peak: float, clock: float) -> Step:
        config, flops = self.config, flops_per_token(self.config.model)
        per_step = config.tokens_per_step
        ms = 250.0 + 20 * math.sin(step)
        speed = per_step / ms * 1000
        position = None
        if config.train.max_steps is None:
            total, warmup = config.total_steps * per_step, config.schedule.warmup_steps * per_step
            position = TokenPosition(step * per_step, warmup, total, per_step)
        factor = lr_factor(step - 1, config.schedule, config.total_steps, position)
        tflops = speed * flops.full / self.processes / 1e12
        return Step(
            time=clock + ms / 1000 * self.every, step=step, tokens=step * per_step, loss=loss_at(step),
            accuracy=0.3, lr=config.optim.lr * factor, step_time_ms=ms, data_time_ms=0.4, tokens_per_sec=speed,
            tflops=tflops, mfu=tflops / peak, mfu_causal=speed * flops.causal / self.processes / peak / 1e12,
            mem_allocated_gb=10.3, mem_peak_gb=17.1, mem_reserved_gb=20.0, grad_norm=0.7,
        )  # fmt: skip

    def _evaluation(self, step: int, clock: float) -> Eval:
        targets = 20 * self.config.model.seq_len
        loss = loss_at(step) + 0.02 if step else math.log(self.config.model.vocab_size)
        return Eval(time=clock, step=step, tokens=step * self.config.tokens_per_step, loss=loss, accuracy=0.2,
                    perplexity=math.exp(loss), bits_per_byte=loss * targets / BYTES / math.log(2), bytes=BYTES,
                    sequences=20, split_fingerprint="a", duration_ms=400.0)  # fmt: skip

    def changed(self, kind: type, change: Callable[[Any], Any]) -> Log:
        """The log with the records of a kind changed."""
        self.records = [change(record) if isinstance(record, kind) else record for record in self.records]
        return self

    def audit(self) -> Audit:
        return audit_of(self.records)


BYTES = 5000
"""Of the text of an evaluation."""
SIZES = ("train.global_batch_size=16", "train.micro_batch_size=2", "train.max_steps=80", "schedule.warmup_steps=8")


def audit_of(records: Sequence[AnyRecord]) -> Audit:
    order, history = RecordOrder(), RunHistory()
    order.absorb(records)
    history.absorb(records)
    return audit(history, order)


def findings(outcome: Audit) -> dict[str, Finding]:
    """The first finding of each check."""
    found: dict[str, Finding] = {}
    for name, finding in outcome.findings:
        found.setdefault(name, finding)
    return found


logs = st.builds(
    Log,
    preset=st.sampled_from(("gpt2-tiny", "llama2-tiny", "llama3-tiny", "qwen3-tiny", "hybrid-tiny")),
    overrides=st.tuples(
        st.sampled_from(("cosine", "linear", "constant", "wsd")).map("schedule.name={}".format),
        st.sampled_from(("schedule.warmup_steps=0", "schedule.warmup_steps=11", "schedule.warmup_steps=200")),
        st.sampled_from(("train.max_steps=40", "train.max_steps=77")),
        st.sampled_from(("train.micro_batch_size=1", "train.micro_batch_size=4")),
        st.sampled_from(("model.window=none", "model.window=20")),
    ),
    processes=st.sampled_from((1, 2, 4)),
    gpu=st.sampled_from(("NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3", "NVIDIA RTX A6000", "NVIDIA L40S")),
    every=st.sampled_from((1, 5)),
)  # fmt: skip
