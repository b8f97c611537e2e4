"""W&B's readings of the machine, as ours. Its GB and MB of disks and memory are GiB and MiB."""

from __future__ import annotations

import re

from tuitrain.events import Gpu, System
from tuitrain.readers import protobuf
from tuitrain.readers.mapping import GIB
from tuitrain.readers.protobuf import BYTES, Field
from tuitrain.readers.text import number

_GPU = re.compile(r"gpu\.(\d{1,4})\.(\w+)")
_CORE = re.compile(r"cpu\.\d+\.cpu_percent")
_GPU_FIELDS = {
    "gpu": ("util_percent", 1.0), "memoryAllocatedBytes": ("mem_used_gb", 1e-9), "powerWatts": ("power_w", 1.0),
    "enforcedPowerLimitWatts": ("power_limit_w", 1.0), "temp": ("temp_c", 1.0), "smClock": ("sm_clock_mhz", 1.0),
    "memoryClock": ("mem_clock_mhz", 1.0),
}  # fmt: skip


class Machine:
    """What the file said of the machine so far. host: its name."""

    def __init__(self) -> None:
        self.host = ""
        self._memory_gb: float | None = None
        self._gpus: list[tuple[str, float | None]] = []
        """Name and memory in GB of each GPU."""

    def describe(self, record: bytes, environment: Field) -> None:
        """Learn from an `EnvironmentRecord`."""
        gpus = []
        for each in protobuf.fields(record, environment):
            if each.number == 12 and each.wire == BYTES:
                self.host = protobuf.text(record, each)
            elif each.number == 21 and each.wire == BYTES:
                self._memory_gb = _bytes_as_gb(record, each, 1)
            elif each.number == 24 and each.wire == BYTES:
                parts = protobuf.fields(record, each)
                name = next((protobuf.text(record, part) for part in parts if part.number == 1), "")
                gpus.append((name, _bytes_as_gb(record, each, 2)))
        self._gpus = gpus or self._gpus

    def readings(self, record: bytes, stats: Field) -> System | None:
        """The readings of a `StatsRecord`; None where it has no time or none of ours."""
        values: dict[str, float] = {}
        time = None
        for each in protobuf.fields(record, stats):
            if each.wire != BYTES:
                continue
            if each.number == 2:
                time = protobuf.timestamp(record, each)
            elif each.number == 3:
                parts = protobuf.by_number(record, each)
                value = number(protobuf.text(record, parts[16])) if 16 in parts else None
                if 1 in parts and value is not None:
                    values[protobuf.text(record, parts[1])] = value
        return self._system(time, values) if time is not None and values else None

    def _system(self, time: float, values: dict[str, float]) -> System:
        cores = [value for key, value in values.items() if _CORE.fullmatch(key)]
        used, disk = values.get("memory_percent"), values.get("disk./.usageGB")
        disk_percent = values.get("disk./.usagePercent")
        return System(
            time=time,
            host=self.host,
            cpu_percent=sum(cores) / len(cores) if cores else values.get("cpu"),
            ram_used_gb=None if used is None or self._memory_gb is None else used / 100 * self._memory_gb,
            ram_total_gb=self._memory_gb,
            disk_used_gb=None if disk is None else disk * GIB,
            disk_total_gb=disk * GIB / disk_percent * 100 if disk is not None and disk_percent else None,
            gpus=self._readings_of_gpus(values),
        )

    def _readings_of_gpus(self, values: dict[str, float]) -> list[Gpu]:
        gpus: dict[int, Gpu] = {}
        for key, value in values.items():
            match = _GPU.fullmatch(key)
            if match is None or match[2] not in _GPU_FIELDS:
                continue
            index = int(match[1])
            name, memory = self._gpus[index] if index < len(self._gpus) else ("", None)
            gpu = gpus.setdefault(index, Gpu(index=index, name=name or None, mem_total_gb=memory))
            field, factor = _GPU_FIELDS[match[2]]
            setattr(gpu, field, value * factor)
        return [gpus[index] for index in sorted(gpus)]


def _bytes_as_gb(record: bytes, message: Field, field: int) -> float | None:
    size = protobuf.varint_in(record, message, field)
    return None if size is None else size / 1e9
