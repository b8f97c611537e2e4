"""Readings of the machine: rates, values that a driver does not report, step times by rank."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import psutil
import pytest
from engine_runs import make_run, of_type, read_log, run_engine

from tuitrain import events
from tuitrain.monitor import GpuReader, SystemMonitor
from tuitrain.monitor import system_monitor as module
from tuitrain.monitor.system_monitor import Traffic
from tuitrain_engine.rank_times import RankTimes


class NotSupportedError(Exception):
    """Stand-in for NVML's error."""


class FakeNvml:
    """A stand-in for NVML's module: two GPUs, of which the second reports few values."""

    NVMLError = NotSupportedError
    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM, NVML_CLOCK_MEM = 0, 1, 2
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC, nvmlEventTypeXidCriticalError = 1, 0, 8
    # The values of nvml.h.
    nvmlClocksThrottleReasonSwPowerCap = 0x4
    nvmlClocksThrottleReasonHwSlowdown = 0x8
    nvmlClocksThrottleReasonSwThermalSlowdown = 0x20
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 0x80

    reasons = 0x4 | 0x40 | 0x1

    def __init__(self) -> None:
        self.xids = [79, 48]
        only_first: dict[str, object] = {
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97, memory=41),
            "nvmlDeviceGetPowerUsage": 691_000,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetTemperature": 71,
            "nvmlDeviceGetTotalEccErrors": 2,
            "nvmlDeviceRegisterEvents": None,
        }
        for name, value in only_first.items():
            setattr(self, name, self._unless_second(value))

    @staticmethod
    def _unless_second(value: object) -> Callable[..., object]:
        def reading(handle: int, *_: int) -> object:
            if handle:
                raise NotSupportedError
            return value

        return reading

    def nvmlEventSetCreate(self) -> str:
        return "events"

    def nvmlEventSetWait_v2(self, events: str, timeout_ms: int) -> SimpleNamespace:
        if not self.xids:
            raise NotSupportedError
        return SimpleNamespace(eventData=self.xids.pop(0))

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes | str:
        return b"NVIDIA H100 80GB HBM3" if handle else "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(used=60_000_000_000, total=85_000_000_000)

    def nvmlDeviceGetClockInfo(self, handle: int, clock: int) -> int:
        if handle:
            raise NotSupportedError
        return {self.NVML_CLOCK_SM: 1755, self.NVML_CLOCK_MEM: 2619}[clock]

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        if handle:
            raise NotSupportedError
        return self.reasons


def test_values_that_a_gpu_does_not_report_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())  # type: ignore[arg-type]
    reader = GpuReader()
    first, second = reader.read()
    assert first == events.Gpu(
        index=0, name="NVIDIA H100 80GB HBM3", util_percent=97.0, mem_used_gb=60.0, mem_total_gb=85.0, power_w=691.0,
        power_limit_w=700.0, temp_c=71.0, sm_clock_mhz=1755.0, mem_clock_mhz=2619.0,
        throttle=["sw_power_cap", "hw_thermal"], ecc_uncorrected=2, xids=[79, 48],
    )  # fmt: skip
    assert second == events.Gpu(index=1, name="NVIDIA H100 80GB HBM3", mem_used_gb=60.0, mem_total_gb=85.0)
    assert reader.read()[0].xids == []


def test_an_idle_gpu_is_not_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    nvml.reasons = 0x1
    monkeypatch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]
    assert GpuReader().read()[0].throttle == []


def test_without_nvml_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert GpuReader().read() == []


def test_the_monitor_writes_immediately_and_ends_when_closed(tmp_path: Path) -> None:
    records: list[events.Record] = []
    monitor = SystemMonitor(records.append, 3600, tmp_path)
    monitor.close()
    (record,) = records
    assert isinstance(record, events.System)
    assert record.host and record.ram_total_gb > 0
    assert 0 < record.disk_used_gb <= record.disk_total_gb
    # A rate needs two readings, and one process has no ranks to compare.
    assert record.cpu_percent is None and record.disk_read_mb_s is None and record.net_sent_mb_s is None
    assert record.rank_step_ms is msgspec.UNSET


def test_cpu_utilisation_is_measured_since_the_previous_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(module.psutil, "cpu_percent", lambda: 55.0)
    records: list[events.Record] = []
    monitor = SystemMonitor(records.append, 3600, tmp_path)
    monitor.close()
    now += 2.0
    assert (records[0].cpu_percent, monitor.read().cpu_percent, monitor.read().cpu_percent) == (None, 55.0, None)


def test_the_disk_of_a_removed_run_directory_is_unknown(tmp_path: Path) -> None:
    records: list[events.Record] = []
    monitor = SystemMonitor(records.append, 3600, tmp_path / "gone")
    monitor.close()
    assert records[0].disk_used_gb is None and records[0].ram_used_gb > 0


class Counters:
    """A machine with settable counters and clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.disk, self.sent = 100.0, 0, 0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(psutil, "disk_io_counters", self._disks)
        monkeypatch.setattr(psutil, "net_io_counters", self._interfaces)

    def _disks(self) -> SimpleNamespace | None:
        return SimpleNamespace(read_bytes=self.disk, write_bytes=2 * self.disk) if self.disk is not None else None

    def _interfaces(self, pernic: bool) -> dict[str, SimpleNamespace]:
        real = SimpleNamespace(bytes_sent=self.sent, bytes_recv=3 * self.sent)
        return {"eth0": real, "lo": SimpleNamespace(bytes_sent=10**12 * self.now, bytes_recv=10**12 * self.now)}


def test_rates_are_means_between_two_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, traffic = Counters(monkeypatch), Traffic()
    traffic.read(events.System(host="here"))
    counters.now, counters.disk, counters.sent = 110.0, 50_000_000, 20_000_000
    record = events.System(host="here")
    traffic.read(record)
    assert (record.disk_read_mb_s, record.disk_write_mb_s) == (5.0, 10.0)
    assert (record.net_sent_mb_s, record.net_recv_mb_s) == (2.0, 6.0)


def test_a_counter_that_was_reset_gives_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, traffic = Counters(monkeypatch), Traffic()
    counters.sent = 10**9
    traffic.read(events.System(host="here"))
    counters.now, counters.sent, counters.disk = 110.0, 5, None
    record = events.System(host="here")
    traffic.read(record)
    assert record.net_sent_mb_s is None and record.disk_read_mb_s is None


def test_rank_times_are_means_since_the_previous_reading() -> None:
    times = RankTimes()
    assert times.pop_means() is None
    times.add([100.0, 100.0], [90.0, 40.0])
    times.add([200.0, 220.0], [110.0, 60.0])
    assert times.pop_means() == ([150.0, 160.0], [100.0, 50.0])
    assert times.pop_means() is None
    times.add([10.0], [1.0])
    assert times.pop_means() == ([10.0], [1.0])


@pytest.mark.slow
def test_two_processes_report_their_step_times(tmp_path: Path) -> None:
    run_dir = make_run(
        tmp_path,
        train={"max_steps": 50, "global_batch_size": 8, "micro_batch_size": 4},
        parallel={"strategy": "ddp"},
        telemetry={"system_interval_s": 0.02},
        eval={"interval": 0},
        sampling={"interval": 0},
        checkpoint={"interval": 0},
    )
    process = run_engine(run_dir, "train", processes=2)
    assert process.returncode == 0, process.stdout + process.stderr
    readings = [record for record in of_type(read_log(run_dir), events.System) if record.rank_step_ms]
    assert readings
    for record in readings:
        assert len(record.rank_step_ms) == len(record.rank_busy_ms) == 2
        for step, busy in zip(record.rank_step_ms, record.rank_busy_ms, strict=True):
            assert 0 < busy <= step
