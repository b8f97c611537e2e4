"""Steps to records: means over an interval, pauses left out, alerts."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import msgspec
import pytest
import torch
from tests.warm_engine import start_ranks

from tuitrain import events
from tuitrain.accounting import FlopsPerToken
from tuitrain.config.sections import TelemetryConfig
from tuitrain_engine import telemetry as module
from tuitrain_engine.parallel import World
from tuitrain_engine.telemetry import NonFiniteError, Scale, StepNumbers, Telemetry


class Pair(World):
    """A world of two processes whose other process always reports the same values."""

    other = torch.tensor([])

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        return torch.stack((values, self.other))


class Bench:
    """A telemetry with a settable clock, whose records are collected."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, peak: float | None = None, world: World | None = None, **config: int
    ) -> None:
        self.now, self.records = 0.0, []
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)
        scale = Scale(1000, FlopsPerToken(matmul=2e9, attention=2e9), peak)
        self.telemetry = Telemetry(
            self.records.append, TelemetryConfig(**config), scale, world or World(), torch.device("cpu"), 6
        )

    def step(
        self,
        number: int,
        seconds: float,
        loss: float,
        data_s: float = 0.0,
        norm: float = 0.5,
        requests: dict[str, str] | None = None,
    ) -> None:
        """One step of that duration and that mean loss over 10 targets, 4 of them right."""
        self.now += seconds
        accuracy = torch.tensor(4) if self.telemetry.logs(number) else None
        numbers = StepNumbers(torch.tensor(loss * 10), torch.tensor(10), torch.tensor(norm), accuracy)
        self.telemetry.finish_step(number, number * 1000, 1e-3, data_s, numbers, requests or {})


def test_each_step_is_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, peak=10.0)
    bench.step(1, 2.0, 3.0, data_s=0.5)
    (record,) = bench.records
    assert (record.step, record.tokens, record.lr) == (1, 1000, 1e-3)
    assert record.loss == pytest.approx(3.0) and record.accuracy == pytest.approx(0.4)
    assert record.step_time_ms == pytest.approx(2000) and record.data_time_ms == pytest.approx(500)
    assert record.tokens_per_sec == pytest.approx(500)
    assert record.tflops == pytest.approx(2.0)
    assert record.mfu == pytest.approx(0.2) and record.mfu_causal == pytest.approx(0.15)
    assert record.mem_allocated_gb > 0 and record.mem_reserved_gb is None


def test_an_interval_holds_means_and_the_last_step_is_always_written(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, log_interval=4)
    for number, (seconds, loss) in enumerate([(1, 4), (2, 3), (3, 2), (2, 1), (1, 5), (3, 7)], start=1):
        bench.step(number, seconds, loss)
    first, last = bench.records
    assert (first.step, last.step) == (4, 6)
    assert first.loss == pytest.approx(2.5) and first.step_time_ms == pytest.approx(2000)
    assert last.loss == pytest.approx(6.0) and last.step_time_ms == pytest.approx(2000)


def test_pauses_do_not_count_as_step_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.step(1, 1.0, 3.0)
    with bench.telemetry.paused():
        bench.now += 100
    bench.step(2, 1.0, 3.0)
    assert [record.step_time_ms for record in bench.records] == pytest.approx([1000, 1000])


def test_a_loss_of_nan_is_recorded_and_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, log_interval=5)
    bench.step(1, 1.0, 3.0)
    with pytest.raises(NonFiniteError) as raised:
        bench.step(2, 1.0, math.nan)
    assert raised.value.step == 2
    record, alert = bench.records
    assert isinstance(record, events.Step) and record.step == 2 and math.isnan(record.loss)
    assert isinstance(alert, events.Alert) and alert.code == "non_finite_loss" and alert.step == 2


def test_a_gradient_of_nan_stops_the_run_before_its_weights_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    with pytest.raises(NonFiniteError, match=r"gradient norm is inf at step 1"):
        bench.step(1, 1.0, 3.0, norm=math.inf)
    record, alert = bench.records
    assert record.loss == pytest.approx(3.0) and math.isinf(record.grad_norm)
    assert (alert.level, alert.code, alert.step) == ("critical", "non_finite_gradient", 1)


def test_a_utilisation_above_one_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, peak=1.0)
    bench.step(1, 1.0, 3.0)
    bench.step(2, 1.0, 3.0)
    alerts = [record for record in bench.records if isinstance(record, events.Alert)]
    assert [(alert.level, alert.code, alert.step) for alert in alerts] == [("warning", "mfu_above_one", 1)]


def test_numbers_of_several_processes_are_combined_into_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Pair(rank=0, size=2)
    requests = module.to_number({"stop": "SIGTERM"})
    # Loss sum, targets, hits; step time and time before waiting of the step before; requests; a checkpoint written.
    Pair.other = torch.tensor([90.0, 30.0, 26.0, 1500.0, 700.0, float(requests), 0.0])
    bench = Bench(monkeypatch, peak=10.0, world=world)
    bench.step(1, 2.0, 1.0)
    first = bench.records[0]
    assert first.loss == pytest.approx((10 + 90) / 40) and first.accuracy == pytest.approx(30 / 40)
    assert first.mfu == pytest.approx(0.1)
    assert first.slowest_rank is msgspec.UNSET
    assert bench.telemetry.pop_requests() == {"stop": "SIGTERM"}
    assert bench.telemetry.pop_requests() == {}

    bench.telemetry.before_wait()
    bench.now += 0.5
    bench.step(2, 1.0, 1.0)
    second = bench.records[1]
    # The first step took this process 2 s without waiting.
    assert (second.step_time_max_ms, second.slowest_rank) == (2000, 1)
    assert second.rank_skew_ms == pytest.approx(700)
    assert bench.telemetry.rank_times.pop_means() == ([2000.0, 1500.0], [0.0, 700.0])


def test_norms_of_parameters_and_updates_give_their_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.now += 1.0
    numbers = StepNumbers(
        torch.tensor(30.0), torch.tensor(10), torch.tensor(0.5), None,
        gradients=torch.tensor([0.0, 1.0, 2.0, 3.0, 0.1, 0.2]), update=torch.tensor([3.0, 4.0, 0.3, 0.8]),
    )  # fmt: skip
    bench.telemetry.finish_step(1, 1000, 1e-3, 0.0, numbers, {})
    step, layers = bench.records
    assert (step.grad_mean, step.grad_std, step.grad_max, step.grad_nonfinite) == (0.0, 1.0, 2.0, 3)
    assert step.param_norm == pytest.approx(5.0) and step.update_norm == pytest.approx(math.hypot(0.3, 0.8))
    assert layers.grad_norm == pytest.approx([0.1, 0.2])
    assert layers.param_norm == pytest.approx([3.0, 4.0]) and layers.update_ratio == pytest.approx([0.1, 0.2])


def test_the_step_after_a_pause_starts_when_the_last_process_has_finished(tmp_path: Path) -> None:
    module = "tests.engine.pausing_worker"
    for rank in start_ranks([str(tmp_path)], 2, module=module, env=os.environ, cwd=tmp_path):
        _, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors
    working, waiting = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    # One clock for all processes of a machine.
    assert waiting["after 2"] - waiting["step"] >= working["done"]
