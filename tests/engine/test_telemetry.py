"""Steps to records: means over an interval, pauses left out, alerts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tuitrain import events
from tuitrain.accounting import FlopsPerToken
from tuitrain.config.sections import TelemetryConfig
from tuitrain_engine import telemetry as module
from tuitrain_engine.telemetry import (
    GradientStatistics,
    NonFiniteError,
    Scale,
    StepNumbers,
    Telemetry,
    Totals,
)


class Bench:
    """A telemetry whose clock is set by hand and whose records are kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, peak: float | None = None, **config: int) -> None:
        self.now, self.records, self.totals = 0.0, [], Totals()
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)
        scale = Scale(1000, FlopsPerToken(matmul=2e9, attention=2e9), 1, peak)
        self.telemetry = Telemetry(
            self.records.append, TelemetryConfig(**config), scale, torch.device("cpu"), 6, self.totals
        )

    def step(self, number: int, seconds: float, loss: float, data_s: float = 0.0, norm: float = 0.5) -> None:
        """One step of that duration and that mean loss over 10 targets, 4 of them right."""
        self.now += seconds
        accuracy = torch.tensor(4) if self.telemetry.logs(number) else None
        numbers = StepNumbers(torch.tensor(loss * 10), torch.tensor(10), torch.tensor(norm), accuracy)
        self.telemetry.finish_step(number, number * 1000, 1e-3, data_s, numbers)


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
    assert bench.totals.training_time_s == pytest.approx(12) and bench.totals.timed_steps == 6


def test_a_pause_is_in_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.step(1, 1.0, 3.0)
    with bench.telemetry.paused():
        bench.now += 100
    bench.step(2, 1.0, 3.0)
    assert [record.step_time_ms for record in bench.records] == pytest.approx([1000, 1000])


def test_a_loss_that_is_no_number_is_recorded_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, log_interval=5)
    bench.step(1, 1.0, 3.0)
    with pytest.raises(NonFiniteError) as raised:
        bench.step(2, 1.0, math.nan)
    assert raised.value.step == 2
    record, alert = bench.records
    assert isinstance(record, events.Step) and record.step == 2 and math.isnan(record.loss)
    assert isinstance(alert, events.Alert) and alert.code == "non_finite_loss" and alert.step == 2


def test_a_gradient_that_is_no_number_stops_before_its_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    with pytest.raises(NonFiniteError, match=r"gradient norm is inf at step 1"):
        bench.step(1, 1.0, 3.0, norm=math.inf)
    record, alert = bench.records
    assert record.loss == pytest.approx(3.0) and math.isinf(record.grad_norm)
    assert (alert.level, alert.code, alert.step) == ("critical", "non_finite_gradient", 1)


def test_a_utilisation_above_one_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, peak=1.0)
    bench.step(1, 1.0, 3.0)
    bench.step(2, 1.0, 3.0)
    alerts = [record for record in bench.records if isinstance(record, events.Alert)]
    assert [(alert.level, alert.code, alert.step) for alert in alerts] == [("warning", "mfu_above_one", 1)]


def test_gradient_statistics_equal_those_of_the_flat_gradient() -> None:
    torch.manual_seed(1)
    shapes = {"embedding.token": (7, 3), "blocks.0.up": (3, 5), "blocks.1.up": (3, 5), "head.weight": (7, 3)}
    parameters = {name: nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
    for parameter in parameters.values():
        parameter.grad = torch.randn_like(parameter)
    unused = nn.Parameter(torch.zeros(2))
    measured = GradientStatistics([*parameters.items(), ("head.norm", unused)], n_layers=2).measure()
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters.values()])
    expected = torch.stack((flat.mean(), flat.std(correction=0), flat.abs().max()))
    torch.testing.assert_close(measured[:3], expected)
    torch.testing.assert_close(measured[3:], torch.stack([p.grad.norm() for p in parameters.values()]))
