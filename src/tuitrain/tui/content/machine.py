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
from tuitrain.tui.content.meters import Readings, graph, meter, section, spark
from tuitrain.tui.content.ranks import rank_lines
from tuitrain.tui.text import Line, Span, align, join, line, width
from tuitrain.tui.view_state import RunView

RECENT = 240
"""The newest readings, of which graphs are drawn."""
MOST_GPU_ROWS = 6
MOST_HOST_ROWS = 12
LEAST_GRAPH_ROWS = 3
"""An entry with fewer rows has its graph beside it."""
LEAST_SPARK_CELLS = 12
"""A bar with this many cells can give half of them to a graph."""
OLD_S = 120.0
"""A reading older than this is shown with its age."""
LEAST_TRAFFIC_MB_S = 1.0
"""The lowest top of the graphs of disk and network, so that a few bytes are no peak."""
_GAP = 2
_THROTTLE_NAMES = {
    "sw_power_cap": "power cap",
    "hw_slowdown": "slowdown",
    "sw_thermal": "warm",
    "hw_thermal": "hot",
    "hw_power_brake": "power brake",
}
_HARMLESS = frozenset({"sw_power_cap"})


def machine_lines(view: RunView | None, cells: int, rows: int, now: float | None = None) -> list[Line]:
    """The newest readings of a run's machine in at most `cells` cells, with graphs where `rows` rows have room."""
    newest = view.history.system if view is not None else None
    if view is None or newest is None:
        return [line(" ", Span("The log holds no readings of the machine.", "quiet"))]
    recent = list(islice(reversed(view.history.systems), RECENT))[::-1]
    ranks = rank_lines(view, cells)
    gpu_rows, host_rows = _rows_of_entries(rows - 2 - len(ranks) - bool(ranks), len(newest.gpus))
    lines = [_title(view, newest, cells, time.time() if now is None else now), ()]
    if newest.gpus:
        lines += [*_gpus(newest, recent, cells, gpu_rows), ()]
    lines += _host(newest, recent, cells, host_rows)
    return [*lines, (), *ranks] if ranks else lines


def _rows_of_entries(rows: int, gpus: int) -> tuple[int, int]:
    """Rows of each GPU and of each of the machine's four entries; at least one, more where there is room for graphs."""
    if not gpus:
        return 0, max(1, min(MOST_HOST_ROWS, (rows - 1) // 4))
    gpu_rows = max(1, min(MOST_GPU_ROWS, (rows - 8) // gpus))
    host_rows = (rows - 4 - gpus * gpu_rows) // 4
    return gpu_rows, min(MOST_HOST_ROWS, host_rows) if host_rows >= LEAST_GRAPH_ROWS else 1


def _title(view: RunView, newest: System, cells: int, now: float) -> Line:
    """The host, its GPUs, and the age of the readings where they are old or the run has ended."""
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
    host = line(Span(clean(newest.host), "run.name"))
    title = line(" ", *join([host, line(kinds) if kinds else (), line(read)], line(Span("  │  ", "frame"))))
    return title if width(title) <= cells else line(" ", *host, "  ", read)


@dataclass(frozen=True)
class _Quantity:
    """One column of the GPUs, with a text of `cells` cells.

    value, most: the reading and its upper limit, for a bar and a graph; without them there is only the text.
    """

    title: str
    cells: int
    text: Callable[[Gpu], str]
    value: Callable[[Gpu], float | None] | None = None
    most: Callable[[Gpu], float | None] = lambda gpu: None
    role: Callable[[Gpu], str] = lambda gpu: "value"
    right: bool = True


def _quantities(cells: int) -> list[_Quantity]:
    """The columns of the GPUs that fit into this width."""
    wide, widest = cells >= 110, cells >= 150
    quantities = [
        _Quantity("utilisation" if wide else "used", 5, lambda gpu: _number(gpu.util_percent, "%"),
                  lambda gpu: gpu.util_percent, lambda gpu: 100.0),
        _Quantity("memory", 15 if wide else 11,
                  lambda gpu: _of(gpu.mem_used_gb, gpu.mem_total_gb, "GB", 1 if wide else 0),
                  lambda gpu: gpu.mem_used_gb, lambda gpu: gpu.mem_total_gb,
                  lambda gpu: "warn" if (_share(gpu.mem_used_gb, gpu.mem_total_gb) or 0) > 0.95 else "value"),
        _Quantity("power", 12 if wide else 6, lambda gpu: _of(gpu.power_w, gpu.power_limit_w if wide else None, "W"),
                  lambda gpu: gpu.power_w, lambda gpu: gpu.power_limit_w),
        _Quantity("temp", 6, lambda gpu: _number(gpu.temp_c, "°C"),
                  role=lambda gpu: "bad" if {"hw_thermal", "sw_thermal"} & set(gpu.throttle or ()) else "value"),
        _Quantity("clocks", 15, _clocks) if widest
        else _Quantity("clock", 8, lambda gpu: _number(gpu.sm_clock_mhz, "MHz")),
        _Quantity("held back by" if wide else "held by", 21 if widest else 14 if wide else 9,
                  lambda gpu: _throttle(gpu, short=not widest), role=_throttle_role, right=False),
    ]  # fmt: skip
    return quantities if cells >= 76 else quantities[: 4 if cells >= 50 else 2]


def _gpus(newest: System, recent: Sequence[System], cells: int, rows: int) -> list[Line]:
    """A heading, and `rows` rows for each GPU: its readings, and below them their graphs."""
    quantities = _quantities(cells)
    fixed = 3 + sum(each.cells + _GAP for each in quantities)
    bar = max(0, min(48, (cells - 2 - fixed) // sum(each.value is not None for each in quantities) - 1))
    sizes = [each.cells + (bar + 1 if each.value is not None and bar >= 3 else 0) for each in quantities]
    titles = (" " * _GAP + align(each.title, size) for each, size in zip(quantities, sizes, strict=True))
    lines = [section("GPUs", cells), line(Span(" GPU", "quiet"), *(Span(title, "quiet") for title in titles))]
    for gpu in newest.gpus:
        past = [next((each for each in record.gpus if each.index == gpu.index), None) for record in recent]
        index = [line(Span(f"{gpu.index:>4}", "accent")), *[line(Span(" " * 4))] * (rows - 1)]
        blocks = (_gpu(gpu, past, each, size, rows) for each, size in zip(quantities, sizes, strict=True))
        lines += [tuple(span for part in parts for span in part) for parts in zip(index, *blocks, strict=True)]
    return lines


def _gpu(gpu: Gpu, past: Sequence[Gpu | None], quantity: _Quantity, size: int, rows: int) -> list[Line]:
    """One quantity of a GPU in `rows` rows of `size` cells and the gap before them: bar, number, graph."""
    text, room = quantity.text(gpu), size - quantity.cells - 1
    role = "quiet" if text in (units.UNKNOWN, "·") else quantity.role(gpu)
    number = Span(align(text, quantity.cells, quantity.right), role)
    gap, empty = Span(" " * _GAP), line(Span(" " * (_GAP + size)))
    if quantity.value is None:
        return [(gap, number), *[empty] * (rows - 1)]
    most = quantity.most(gpu)
    readings = [quantity.value(each) if each is not None else None for each in past]
    top = most or max((value for value in readings if value is not None), default=0.0)
    bar: Line = ()
    if room >= 3:
        # With a single row the graph of the utilisation is beside its bar.
        beside = room // 2 if rows == 1 and room >= LEAST_SPARK_CELLS and quantity.title == "utilisation" else 0
        share, cells = _share(quantity.value(gpu), most), room - beside - bool(beside)
        bar = (*meter(share, cells), Span(" "))
        bar = (*bar, *spark(readings, beside, top), Span(" ")) if beside else bar
    # An empty row below high graphs separates the GPUs.
    air = rows > 3
    drawn = graph(readings, size, rows - 1 - air, top) if rows > 2 else [spark(readings, size, top)] * (rows - 1)
    return [(gap, *bar, number), *((gap, *row) for row in drawn), *[empty] * air]


def _number(value: float | None, unit: str) -> str:
    return units.UNKNOWN if value is None else f"{value:.0f} {unit}"


def _of(value: float | None, most: float | None, unit: str, digits: int = 0) -> str:
    if value is None or most is None:
        return units.UNKNOWN if value is None else f"{value:.{digits}f} {unit}"
    return f"{value:.{digits}f} of {most:.{digits}f} {unit}"


def _clocks(gpu: Gpu) -> str:
    if gpu.sm_clock_mhz is None:
        return units.UNKNOWN
    memory = f" · {gpu.mem_clock_mhz:.0f}" if gpu.mem_clock_mhz is not None else ""
    return f"{gpu.sm_clock_mhz:.0f}{memory} MHz"


def _throttle(gpu: Gpu, *, short: bool) -> str:
    """The reasons why the clock is limited, the worst first; in short the worst and how many others there are."""
    if gpu.throttle is None:
        return units.UNKNOWN
    reasons = sorted(gpu.throttle, key=lambda reason: reason in _HARMLESS)
    names = [_THROTTLE_NAMES.get(reason, clean(reason)) for reason in reasons]
    return f"{names[0]} +{len(names) - 1}" if short and len(names) > 1 else ", ".join(names) or "·"


def _throttle_role(gpu: Gpu) -> str:
    return "text" if set(gpu.throttle or ()) <= _HARMLESS else "bad"


def _host(newest: System, recent: Sequence[System], cells: int, rows: int) -> list[Line]:
    """Processor, memory, disk and network, `rows` rows each."""
    ram = _of(newest.ram_used_gb, newest.ram_total_gb, "GB", 1 if (newest.ram_total_gb or 0) < 100 else 0)
    disk = _traffic(("read", newest.disk_read_mb_s), ("write", newest.disk_write_mb_s))
    network = _traffic(("out", newest.net_sent_mb_s), ("in", newest.net_recv_mb_s))
    cpu_share, ram_share = _share(newest.cpu_percent, 100.0), _share(newest.ram_used_gb, newest.ram_total_gb)
    disk_share = _share(newest.disk_used_gb, newest.disk_total_gb)
    # Name, share of the bar, its text, the text beside it, the readings of the graph, and their upper limit if any.
    entries: list[tuple[str, float | None, str, str, Readings, float | None]] = [
        ("CPU", cpu_share, _number(newest.cpu_percent, "%"), "", [each.cpu_percent for each in recent], 100.0),
        ("RAM", ram_share, ram, "", [each.ram_used_gb for each in recent], newest.ram_total_gb),
        ("disk", disk_share, _of(newest.disk_used_gb, newest.disk_total_gb, "GB"), disk,
         [_sum(each.disk_read_mb_s, each.disk_write_mb_s) for each in recent], None),
        ("network", None, "", network, [_sum(each.net_sent_mb_s, each.net_recv_mb_s) for each in recent], None),
    ]  # fmt: skip
    span = f"the last {units.duration(recent[-1].time - recent[0].time)}" if len(recent) > 1 else ""
    lines = [section("Machine", cells, span if rows >= LEAST_GRAPH_ROWS else "")]
    text_cells, note_cells = max(len(entry[2]) for entry in entries), max(len(entry[3]) for entry in entries)
    bar = max(0, min(40, (cells - 12 - text_cells - note_cells - 6) // 2))
    for name, share, text, note, readings, most in entries:
        role = "warn" if name != "CPU" and (share or 0) > 0.95 else "accent"
        number = Span(align(text, text_cells, right=True), "value")
        head = line(" ", Span(align(name, 9), "quiet"), *meter(share, bar, role), " ", number)
        head = (*head, Span(f"  {align(note, note_cells)}  "))
        finite = (value for value in readings if value is not None and math.isfinite(value))
        top = most or max([LEAST_TRAFFIC_MB_S, *finite])
        beside = cells - width(head) - 2
        if rows < LEAST_GRAPH_ROWS:
            lines.append((*head, *spark(readings, beside, top)) if beside >= 8 else head)
            continue
        scale = "" if most else f"up to {_megabytes(top)}"
        lines.append((*head, Span(align(scale, beside, right=True) if beside > 0 else "", "quiet")))
        lines += [line(" " * 10, *row) for row in graph(readings, cells - 12, rows - 1, top)]
    return lines


def _share(value: float | None, most: float | None) -> float | None:
    return value / most if value is not None and most else None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _traffic(*parts: tuple[str, float | None]) -> str:
    return "  ".join(f"{name} {_megabytes(value)}" for name, value in parts)


def _megabytes(value: float | None) -> str:
    if value is None:
        return units.UNKNOWN
    if value >= 1000:
        return f"{value / 1000:.1f} GB/s"
    if value >= 1:
        return f"{value:.0f} MB/s" if value >= 10 else f"{value:.1f} MB/s"
    return f"{value * 1000:.0f} kB/s"
