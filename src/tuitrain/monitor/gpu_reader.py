"""Reads the state of each GPU through NVML."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tuitrain import events

GB = 1e9
MOST_XIDS = 16
"""In one reading."""


class GpuReader:
    """NVML's readings of each GPU; none where there is no NVML, and None for a value a GPU does not report."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._handles: list[Any] = []
        self._event_sets: dict[int, Any] = {}
        """Of the GPUs that report XID errors, by index."""
        with suppress(ImportError):
            import pynvml

            self._nvml = pynvml
            with suppress(pynvml.NVMLError):  # no driver, or no GPU
                pynvml.nvmlInit()
                count = pynvml.nvmlDeviceGetCount()
                self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        for index, handle in enumerate(self._handles):
            with suppress(self._nvml.NVMLError):
                event_set = self._nvml.nvmlEventSetCreate()
                self._nvml.nvmlDeviceRegisterEvents(handle, self._nvml.nvmlEventTypeXidCriticalError, event_set)
                self._event_sets[index] = event_set

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
            gpu.power_limit_w = nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3
        with suppress(nvml.NVMLError):
            gpu.temp_c = float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        with suppress(nvml.NVMLError):
            gpu.sm_clock_mhz = float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        with suppress(nvml.NVMLError):
            gpu.mem_clock_mhz = float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM))
        with suppress(nvml.NVMLError):
            # The older name of "event reasons", which every driver supports.
            reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
            gpu.throttle = [word for word, bit in self._throttle_bits().items() if reasons & bit]
        with suppress(nvml.NVMLError):
            gpu.ecc_uncorrected = nvml.nvmlDeviceGetTotalEccErrors(
                handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
            )
        if index in self._event_sets:
            gpu.xids = self._new_xids(self._event_sets[index])
        return gpu

    def _new_xids(self, event_set: Any) -> list[int]:
        """The XID errors since the last call."""
        xids: list[int] = []
        with suppress(self._nvml.NVMLError):
            # Without a further one it raises an error at once.
            while len(xids) < MOST_XIDS:
                xids.append(int(self._nvml.nvmlEventSetWait_v2(event_set, 0).eventData))
        return xids

    def _throttle_bits(self) -> dict[str, int]:
        """The bit of each reason that throttles a GPU; idling and clocks set by a user are not among them."""
        nvml = self._nvml
        bits = (
            nvml.nvmlClocksThrottleReasonSwPowerCap,
            nvml.nvmlClocksThrottleReasonHwSlowdown,
            nvml.nvmlClocksThrottleReasonSwThermalSlowdown,
            nvml.nvmlClocksThrottleReasonHwThermalSlowdown,
            nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
        )
        return dict(zip(events.THROTTLE_REASONS, bits, strict=True))
