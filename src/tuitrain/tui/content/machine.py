"""The machine a run is on, as lines: GPUs, processor, memory, disk, network, and the step times of its processes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from tuitrain.analysis import units
from tuitrain.events import Gpu, System
from tuitrain.events.text import clean
from tuitrain.tui.content.meters import Readings, graph, meter, spark
from tuitrain.tui.content.ranks import rank_lines
from tuitrain.tui.text import Line, Span, align, join, line, width
from tuitrain.tui.view_state import RunView

RECENT = 240
"""Readings looked at for graphs."""
MOST_GPU_ROWS = 6
MOST_HOST_ROWS = 12
LEAST_GRAPH_ROWS = 3
"""An entry with fewer rows has its graph beside it."""
LEAST_SPARK_ROOM = 12
"""Cells of a bar that can give half of them to the recent past."""
OLD_S = 120.0
"""A reading older than this is told with its age: nothing is read any more, or not often."""
LEAST_TRAFFIC_MB_S = 1.0
"""The graphs of disk and network reach at least so high, so that a few bytes are no peak."""
_GAP = 2
_WORDS = {
    "sw_power_cap": "power cap",
    "hw_slowdown": "slowdown",
    "sw_thermal": "warm",
    "hw_thermal": "hot",
    "hw_power_brake": "power brake",
}
_HARMLESS = frozenset({"sw_power_cap"})


def machine_lines(view: RunView | None, cells: int, rows: int, now: float | None = None) -> list[Line]:
    """The newest readings of a run's machine, with the recent past in what rows there are."""
    newest = view.history.system if view is not None else None
    if view is None or newest is None:
        return [line(" ", Span("The log holds no readings of the machine.", "quiet"))]
    # The newest ones are enough for any screen, and a long run has many.
    recent = list(islice(reversed(view.history.systems), RECENT))[::-1]
    ranks = rank_lines(view, cells)
    title = [_title(view, newest, cells, time.time() if now is None else now), ()]
    gpu_rows, host_rows = _shares(rows - len(title) - len(ranks) - bool(ranks), len(newest.gpus))
    body = [*_gpus(newest, recent, cells, gpu_rows), ()] if newest.gpus else []
    body += _host(newest, recent, cells, host_rows)
    return [*title, *body, *([(), *ranks] if ranks else [])]


def _shares(rows: int, gpus: int) -> tuple[int, int]:
    """Rows of each GPU and of each of the machine's four entries; at least one, more where there is room for graphs."""
    if not gpus:
        return 0, max(1, min(MOST_HOST_ROWS, (rows - 1) // 4))
    gpu_rows = max(1, min(MOST_GPU_ROWS, (rows - 8) // gpus))
    host_rows = (rows - 4 - gpus * gpu_rows) // 4
    return gpu_rows, min(MOST_HOST_ROWS, host_rows) if host_rows >= LEAST_GRAPH_ROWS else 1


def section(title: str, cells: int, note: str = "") -> Line:
    """A heading with a rule to the right edge."""
    head = line(" ", Span(title, "title"), Span(f"  {note}" if note else "", "quiet"), " ")
    return (*head, Span("─" * max(cells - width(head) - 1, 0), "frame"))


def _title(view: RunView, newest: System, cells: int, now: float) -> Line:
    """Which machine, and when: a run that has ended, or is far away, has readings of then and there."""
    age = max(0.0, now - newest.time)
    clock = units.moment(newest.time, "%H:%M:%S")
    if age > OLD_S or not view.status.live:
        day = units.moment(newest.time, "%d %b ") if age > 86400 / 2 else ""
        read = Span(f"as of {units.age(age)} ago, {day}{clock}", "warn" if view.status.live else "text")
    else:
        read = Span(f"read at {clock}", "quiet")
    names = [clean(gpu.name or "GPU").removeprefix("NVIDIA ") for gpu in newest.gpus]
    kinds = " + ".join(
        f"{names.count(name)} × {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)
    )
    groups = [line(Span(clean(newest.host), "run.name")), line(Span(kinds, "text")) if kinds else (), line(read)]
    found = line(" ", *join(groups, line(Span("  │  ", "frame"))))
    return found if width(found) <= cells else line(" ", *join((groups[0], groups[2]), line("  ")))


@dataclass(frozen=True)
class _Column:
    """One quantity of a GPU. share: of what it can be, for the bar; top: upper edge of the graph, where it has one."""

    title: str
    text: Callable[[Gpu], str]
    cells: int
    share: Callable[[Gpu], float | None] | None = None
    value: Callable[[Gpu], float | None] | None = None
    top: Callable[[Gpu], float | None] | None = None
    role: Callable[[Gpu], str] = lambda gpu: "value"
    right: bool = True


def _memory_share(gpu: Gpu) -> float | None:
    return gpu.mem_used_gb / gpu.mem_total_gb if gpu.mem_used_gb is not None and gpu.mem_total_gb else None


def _power_share(gpu: Gpu) -> float | None:
    return gpu.power_w / gpu.power_limit_w if gpu.power_w is not None and gpu.power_limit_w else None


def _columns(cells: int) -> list[_Column]:
    wide, widest = cells >= 110, cells >= 150
    columns = [
        _Column("utilisation" if wide else "used", lambda gpu: _number(gpu.util_percent, "%"), 5,
                lambda gpu: None if gpu.util_percent is None else gpu.util_percent / 100,
                lambda gpu: gpu.util_percent, lambda gpu: 100.0),
        _Column("memory", lambda gpu: _of(gpu.mem_used_gb, gpu.mem_total_gb, "GB", 1 if wide else 0),
                15 if wide else 11, _memory_share, lambda gpu: gpu.mem_used_gb, lambda gpu: gpu.mem_total_gb,
                lambda gpu: "warn" if (_memory_share(gpu) or 0) > 0.95 else "value"),
        _Column("power", lambda gpu: _of(gpu.power_w, gpu.power_limit_w if wide else None, "W"), 12 if wide else 6,
                _power_share, lambda gpu: gpu.power_w, lambda gpu: gpu.power_limit_w),
        _Column("temp", lambda gpu: _number(gpu.temp_c, "°C"), 6, None, lambda gpu: gpu.temp_c, lambda gpu: 100.0,
                lambda gpu: "bad" if {"hw_thermal", "sw_thermal"} & set(gpu.throttle or ()) else "value"),
        _Column("clocks", _clocks, 15) if widest
        else _Column("clock", lambda gpu: _number(gpu.sm_clock_mhz, "MHz"), 8),
        _Column("held back by", _throttle, 21, role=_throttle_role, right=False) if widest
        else _Column("held back by" if wide else "held by", _throttle_short, 14 if wide else 9, role=_throttle_role,
                     right=False),
    ]  # fmt: skip
    return columns if cells >= 76 else columns[: 4 if cells >= 50 else 2]


def _gpus(newest: System, recent: Sequence[System], cells: int, rows: int) -> list[Line]:
    """A heading, and `rows` rows a GPU: its readings, and below them their recent past."""
    columns = _columns(cells)
    label = 3
    fixed = label + sum(column.cells for column in columns) + _GAP * len(columns)
    barred = sum(column.share is not None for column in columns)
    bar = max(0, min(48, (cells - 2 - fixed) // barred - 1))
    sizes = [column.cells + (bar + 1 if column.share is not None and bar >= 3 else 0) for column in columns]
    heading: list[Span] = [Span(" " + align("GPU", label), "quiet")]
    for column, size in zip(columns, sizes, strict=True):
        heading.append(Span(" " * _GAP + align(column.title, size), "quiet"))
    lines = [section("GPUs", cells), tuple(heading)]
    for gpu in newest.gpus:
        lines += _gpu(gpu, recent, columns, sizes, rows)
    return lines


def _gpu(gpu: Gpu, recent: Sequence[System], columns: Sequence[_Column], sizes: Sequence[int], rows: int) -> list[Line]:
    first: list[Span] = [Span(" " + align(str(gpu.index), 3, right=True), "accent")]
    below: list[list[Span]] = [[Span(" " * 4)] for _ in range(rows - 1)]
    past = [next((each for each in record.gpus if each.index == gpu.index), None) for record in recent]
    for column, size in zip(columns, sizes, strict=True):
        first.append(Span(" " * _GAP))
        text = column.text(gpu)
        room = size - column.cells - 1
        if column.share is not None and room >= 3:
            # Where there are no rows for it, the recent past takes a part of the bar's room.
            beside = room // 2 if rows == 1 and room >= LEAST_SPARK_ROOM and column.title == "utilisation" else 0
            # Where it is unknown how much there is, there is no bar: an empty one would say that nothing is used.
            share, bar = column.share(gpu), room - beside - bool(beside)
            first += meter(share, bar) if share is not None else [Span(" " * bar)]
            if beside and column.value is not None:
                values = [column.value(each) if each is not None else None for each in past]
                first += [Span(" "), *spark(values, beside, 100.0)]
            first.append(Span(" "))
        role = "quiet" if text in ("n/a", "·") else column.role(gpu)
        first.append(Span(align(text, column.cells, column.right), role))
        for index, row in enumerate(_past(gpu, past, column, size, rows - 1)):
            below[index] += [Span(" " * _GAP), *row]
    return [tuple(first), *(tuple(row) for row in below)]


def _past(gpu: Gpu, past: Sequence[Gpu | None], column: _Column, size: int, rows: int) -> list[Line]:
    """The recent past of one quantity, or as much room."""
    empty = line(Span(" " * size))
    if column.value is None or column.top is None or column.share is None or rows < 1:
        return [empty] * rows
    values = [column.value(each) if each is not None else None for each in past]
    top = column.top(gpu) or max((value for value in values if value is not None), default=0.0)
    if rows == 1:
        return [spark(values, size, top)]
    # A row of air tells one GPU from the next.
    air = [empty] if rows > 2 else []
    return [*graph(values, size, rows - len(air), top), *air]


def _number(value: float | None, unit: str) -> str:
    return "n/a" if value is None else f"{value:.0f} {unit}"


def _of(value: float | None, most: float | None, unit: str, digits: int = 0) -> str:
    if value is None:
        return "n/a"
    return f"{value:.{digits}f} {unit}" if most is None else f"{value:.{digits}f} of {most:.{digits}f} {unit}"


def _clocks(gpu: Gpu) -> str:
    if gpu.sm_clock_mhz is None:
        return "n/a"
    memory = f" · {gpu.mem_clock_mhz:.0f}" if gpu.mem_clock_mhz is not None else ""
    return f"{gpu.sm_clock_mhz:.0f}{memory} MHz"


def _throttle(gpu: Gpu) -> str:
    if gpu.throttle is None:
        return "n/a"
    return ", ".join(_WORDS.get(word, clean(word)) for word in gpu.throttle) or "·"


def _throttle_short(gpu: Gpu) -> str:
    """The worst reason, and how many others there are."""
    reasons = sorted(gpu.throttle or (), key=lambda word: word in _HARMLESS)
    if len(reasons) < 2:
        return _throttle(gpu)
    return f"{_WORDS.get(reasons[0], clean(reasons[0]))} +{len(reasons) - 1}"


def _throttle_role(gpu: Gpu) -> str:
    return "text" if set(gpu.throttle or ()) <= _HARMLESS else "bad"


def _host(newest: System, recent: Sequence[System], cells: int, rows: int) -> list[Line]:
    """Processor, memory, disk and network, `rows` rows each."""
    past = _HostPast(recent)
    disk = _traffic(("read", newest.disk_read_mb_s), ("write", newest.disk_write_mb_s))
    network = _traffic(("out", newest.net_sent_mb_s), ("in", newest.net_recv_mb_s))
    ram, space = _share(newest.ram_used_gb, newest.ram_total_gb), _share(newest.disk_used_gb, newest.disk_total_gb)
    cpu = None if newest.cpu_percent is None else newest.cpu_percent / 100
    used = _of(newest.ram_used_gb, newest.ram_total_gb, "GB", 1 if (newest.ram_total_gb or 0) < 100 else 0)
    filled = _of(newest.disk_used_gb, newest.disk_total_gb, "GB")
    entries = [
        ("CPU", cpu, _number(newest.cpu_percent, "%"), "", past.of("cpu_percent"), 100.0),
        ("RAM", ram, used, "", past.of("ram_used_gb"), newest.ram_total_gb or 0.0),
        ("disk", space, filled, disk, past.of("disk_read_mb_s", "disk_write_mb_s"), 0.0),
        ("network", None, "", network, past.of("net_sent_mb_s", "net_recv_mb_s"), 0.0),
    ]
    lines = [section("Machine", cells, _span(recent) if rows >= LEAST_GRAPH_ROWS else "")]
    texts = max(len(text) for _, _, text, _, _, _ in entries)
    notes = max(len(note) for _, _, _, note, _, _ in entries)
    room = cells - 12 - texts - notes - 6
    bar = max(0, min(40, room // 2))
    for name, share, text, note, values, top in entries:
        role = "warn" if name != "CPU" and share is not None and share > 0.95 else "accent"
        gauge = meter(share, bar, role) if share is not None else line(Span(" " * bar))
        head = line(" ", Span(align(name, 9), "quiet"), *gauge, " ", Span(align(text, texts, right=True), "value"))
        head = (*head, Span(f"  {align(note, notes)}  ", "text"))
        most = top or max(
            [LEAST_TRAFFIC_MB_S, *(value for value in values if value is not None and math.isfinite(value))]
        )
        beside = cells - width(head) - 2
        if rows < LEAST_GRAPH_ROWS:
            lines.append((*head, *spark(values, beside, most)) if beside >= 8 else head)
            continue
        scale = "" if top else f"up to {_megabytes(most)}"
        lines.append((*head, Span(align(scale, beside, right=True) if beside > 0 else "", "quiet")))
        lines += [line(Span(" " * 10), *row) for row in graph(values, cells - 12, rows - 1, most)]
    return lines


def _span(recent: Sequence[System]) -> str:
    """What time the readings are of."""
    return f"the last {units.duration(recent[-1].time - recent[0].time)}" if len(recent) > 1 else ""


@dataclass(frozen=True)
class _HostPast:
    """Recent readings by key."""

    records: Sequence[System]

    def of(self, *keys: str) -> Readings:
        """One reading a record, several keys summed; None where one is unknown."""
        found: list[float | None] = []
        for record in self.records:
            values = [getattr(record, key) for key in keys]
            found.append(None if any(value is None for value in values) else sum(values))
        return found


def _share(value: float | None, most: float | None) -> float | None:
    return value / most if value is not None and most else None


def _traffic(*parts: tuple[str, float | None]) -> str:
    return "  ".join(f"{name} {_megabytes(value)}" for name, value in parts)


def _megabytes(value: float | None) -> str:
    if value is None:
        return "n/a"
    if value >= 1000:
        return f"{value / 1000:.1f} GB/s"
    if value >= 1:
        return f"{value:.0f} MB/s" if value >= 10 else f"{value:.1f} MB/s"
    return f"{value * 1000:.0f} kB/s"
