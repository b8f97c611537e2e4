"""Readings of the machine every few seconds from a thread of its own: the run's heartbeat."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tuitrain import events
from tuitrain.monitor.gpu_reader import GpuReader

GB = 1e9
MB = 1e6
ANSWER_S = 10.0
"""How long the file system of the run may take to say how full it is."""
LEAST_CPU_S = 0.1
"""psutil counts in hundredths of a second: over less than this it reports 0 % or 100 %."""
# Traffic of a bridge or of its ends is counted at the real interface too.
_LOCAL_INTERFACES = ("lo", "veth", "docker", "br-", "virbr")


def monitor_enabled() -> bool:
    """Whether the environment leaves the readings on: TUITRAIN_SYSTEM=0 turns them off."""
    return os.environ.get("TUITRAIN_SYSTEM", "1") != "0"


class SystemMonitor:
    """Writes a `system` record at once and then every interval, until closed.

    run_dir: its file system is reported; rank_times: where there are several processes, it returns their mean step and
    busy times since its last call, in ms by rank.
    """

    def __init__(
        self,
        write: Callable[[events.Record], None],
        interval_s: float,
        run_dir: Path,
        rank_times: Callable[[], tuple[list[float], list[float]] | None] | None = None,
    ) -> None:
        self._write, self._interval_s, self._run_dir, self._rank_times = write, interval_s, run_dir, rank_times
        self._host = socket.gethostname()
        self._gpus = GpuReader()
        self._traffic = Traffic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system-monitor", daemon=True)
        psutil.cpu_percent()  # The first call only sets the start of the next one's interval.
        self._cpu_read_at = time.monotonic()
        self._thread.start()

    def close(self) -> None:
        """End the thread; returns when it has written its last record, or its file system does not answer."""
        self._closing.set()
        self._thread.join(timeout=ANSWER_S)

    def _run(self) -> None:
        while True:
            # If the log cannot be written, the loop has the same error; it reports it, or frees space.
            with suppress(OSError):
                self._write(self.read())
            if self._closing.wait(self._interval_s):
                return

    def read(self) -> events.System:
        """The state of the machine now."""
        disk = None
        with suppress(OSError):  # the run directory was removed
            # First: a file system that does not answer holds this up, and the record has the time of its making.
            disk = psutil.disk_usage(str(self._run_dir))
        memory = psutil.virtual_memory()
        record = events.System(
            host=self._host,
            cpu_percent=self._cpu_percent(),
            ram_used_gb=(memory.total - memory.available) / GB,
            ram_total_gb=memory.total / GB,
            gpus=self._gpus.read(),
        )
        if disk is not None:
            record.disk_used_gb, record.disk_total_gb = disk.used / GB, disk.total / GB
        self._traffic.read(record)
        times = self._rank_times() if self._rank_times is not None else None
        if times is not None:
            record.rank_step_ms, record.rank_busy_ms = times
        return record

    def _cpu_percent(self) -> float | None:
        """Over the time since the last reading; None where that is too short."""
        now = time.monotonic()
        if now - self._cpu_read_at < LEAST_CPU_S:
            return None
        self._cpu_read_at = now
        return psutil.cpu_percent()


class Traffic:
    """Bytes per second to and from disks and network, between one reading and the next."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._read_at = 0.0

    def read(self, record: events.System) -> None:
        """Write the rates since the last call into the record; unknown rates stay None."""
        now, counters = time.monotonic(), _counters()
        seconds = now - self._read_at
        for key, value in counters.items():
            # A counter that decreased was reset: an interface or a disk was removed.
            if key in self._before and seconds > 0 and value >= self._before[key]:
                setattr(record, key, (value - self._before[key]) / seconds / MB)
        self._before, self._read_at = counters, now


def _counters() -> dict[str, int]:
    """Bytes so far, by the key of the rate; without those that the machine does not have."""
    rates: dict[str, int] = {}
    with suppress(OSError, RuntimeError):
        disks = psutil.disk_io_counters()
        if disks is not None:
            rates |= {"disk_read_mb_s": disks.read_bytes, "disk_write_mb_s": disks.write_bytes}
    with suppress(OSError):
        outside = [
            counters
            for name, counters in psutil.net_io_counters(pernic=True).items()
            if not name.startswith(_LOCAL_INTERFACES)
        ]
        if outside:
            rates["net_sent_mb_s"] = sum(counters.bytes_sent for counters in outside)
            rates["net_recv_mb_s"] = sum(counters.bytes_recv for counters in outside)
    return rates
