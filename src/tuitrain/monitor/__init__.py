"""Readings of the machine and its GPUs from a thread, for the engine and for anybody's own loop."""

from tuitrain.monitor.gpu_reader import GpuReader
from tuitrain.monitor.system_monitor import SystemMonitor, monitor_enabled

__all__ = ["GpuReader", "SystemMonitor", "monitor_enabled"]
