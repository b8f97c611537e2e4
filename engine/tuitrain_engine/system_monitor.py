"""Readings of the machine every few seconds from a thread of its own: the run's heartbeat."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from tuitrain import events

GB = 1e9


class SystemMonitor:
    """Writes a `system` record at once and then every interval, until closed."""

    def __init__(self, write: Callable[[events.Record], None], interval_s: float) -> None:
        self._write, self._interval_s = write, interval_s
        self._host = socket.gethostname()
        self._gpus = GpuReader()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system-monitor", daemon=True)
        psutil.cpu_percent()  # The first call only sets the mark that the next one measures from.
        self._thread.start()

    def close(self) -> None:
        """End the thread; returns when it has written its last record."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._write(self.read())
            except OSError:
                return  # The log cannot be written to; the loop meets the same error and reports it.
            if self._closing.wait(self._interval_s):
                return

    def read(self) -> events.System:
        """The state of the machine now."""
        memory = psutil.virtual_memory()
        return events.System(
            host=self._host,
            cpu_percent=psutil.cpu_percent(),
            ram_used_gb=(memory.total - memory.available) / GB,
            ram_total_gb=memory.total / GB,
            gpus=self._gpus.read(),
        )


class GpuReader:
    """NVML's readings of each GPU; none where there is no NVML, and None for a value a GPU does not give."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._handles: list[Any] = []
        with suppress(ImportError):
            import pynvml

            self._nvml = pynvml
            with suppress(pynvml.NVMLError):  # no driver, or no GPU
                pynvml.nvmlInit()
                count = pynvml.nvmlDeviceGetCount()
                self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]

    def read(self) -> list[events.Gpu]:
        """One entry a GPU."""
        return [self._read_one(index, handle) for index, handle in enumerate(self._handles)]

    def _read_one(self, index: int, handle: Any) -> events.Gpu:
        nvml, gpu = self._nvml, events.Gpu(index=index)
        with suppress(nvml.NVMLError):
            name = nvml.nvmlDeviceGetName(handle)
            gpu.name = name.decode() if isinstance(name, bytes) else name
        with suppress(nvml.NVMLError):
            gpu.util_percent = float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        with suppress(nvml.NVMLError):
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            gpu.mem_used_gb, gpu.mem_total_gb = memory.used / GB, memory.total / GB
        with suppress(nvml.NVMLError):
            gpu.power_w = nvml.nvmlDeviceGetPowerUsage(handle) / 1e3
        with suppress(nvml.NVMLError):
            gpu.temp_c = float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        with suppress(nvml.NVMLError):
            gpu.sm_clock_mhz = float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        return gpu
