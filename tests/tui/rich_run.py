"""A run with all that a run can report, for the tests of panels and layouts."""

from __future__ import annotations

from tests.support import PINNED, run_record, step_record
from tuitrain.accounting import lr_factor
from tuitrain.config import load_config
from tuitrain.events import Alert, AnyRecord, Checkpoint, Eval, Gpu, Layers, Parallel, System
from tuitrain.runs import RunHistory, Status
from tuitrain.tui.view_state import RunView

STEPS, RESTART, REACHED, TOTAL = 400, 300, 360, 1000
BLOCKS = 6


def records(world_size: int = 4, gpus: int = 2) -> list[AnyRecord]:
    """A run that got to step 360, then went on from 300 to 400, with all that a run can report."""
    config = load_config(
        "llama2-tiny",
        (*PINNED, f"train.max_steps={TOTAL}", "schedule.warmup_steps=20", "telemetry.grad_stats_interval=5"),
    )

    def begin(at: float, attempt: int) -> AnyRecord:
        run = run_record(config, "a-20260101-000000-0000", at=at, attempt=attempt)
        run.parallel = Parallel(strategy="fsdp", world_size=world_size)
        return run

    found: list[AnyRecord] = [begin(0.0, 1)]
    for attempt, first, last, start in ((1, 1, REACHED, 1.0), (2, RESTART, STEPS, 1000.0)):
        if attempt > 1:
            found.append(begin(start - 1, attempt))
        for step in range(first, last + 1):
            at = start + step - first
            record = step_record(config, step, at=at)
            record.lr = config.optim.lr * lr_factor(step - 1, config.schedule, TOTAL)
            record.step_time_ms, record.data_time_ms = 10.0, 1.0
            if world_size > 1:
                record.rank_skew_ms, record.step_time_max_ms, record.slowest_rank = 2.0, 11.0, 3
            if step % 5 == 0:
                record.grad_mean, record.grad_std, record.grad_max = -1e-6, 1e-4, 1e-2
                record.param_norm, record.update_norm = 50.0, 0.05
            found.append(record)
            if step % 5 == 0:
                found.append(Layers(time=at, step=step, grad_norm=[0.01 * 2**block for block in range(BLOCKS)]))
            if step % 20 == 0:
                devices = [
                    Gpu(index=index, util_percent=90.0 + index, power_w=300.0, temp_c=60.0 + index, mem_used_gb=40.0)
                    for index in range(gpus)
                ]
                found.append(System(time=at, host="node1", cpu_percent=30.0, ram_used_gb=64.0, ram_total_gb=512.0,
                                    gpus=devices))  # fmt: skip
            if step % 100 == 0:
                found.append(Eval(time=at, step=step, loss=3.0, accuracy=0.4, perplexity=20.0, bits_per_byte=4.3))
                found.append(Checkpoint(time=at, step=step, path=f"checkpoints/step-{step:08d}"))
    found.append(Alert(time=1050.0, level="warning", code="grad_spike", message="Gradient norm 14.", step=350))
    return found


def view(said: list[AnyRecord], status: Status = Status.RUNNING, index: int = 0) -> RunView:
    """A run that said this."""
    history = RunHistory()
    history.absorb(said)
    return RunView(index, history=history, status=status, loaded=True)
