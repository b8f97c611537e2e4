"""The machine a run is on, laid out by Rich: GPUs, processor, memory, disk, network, and the steps of its processes.

Styles are roles, for which the console of the app has a theme.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import islice

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tuitrain.analysis import units
from tuitrain.events import Gpu, System
from tuitrain.text import clean
from tuitrain.tui.content.meters import Graph, Meter, Readings
from tuitrain.tui.view_state import RunView

RECENT = 240
"""The newest readings, of which graphs are drawn."""
RECENT_STEPS = 60
"""The newest readings that are searched for step times: an evaluation writes readings without them."""
MOST_GPU_ROWS, MOST_HOST_ROWS, LEAST_GRAPH_ROWS = 6, 12, 3
WIDE, WIDEST = 110, 150
"""Cells of a page that shows limits, and of one that shows memory clocks and all reasons for a low clock."""
OLD_S = 120.0
"""A reading older than this is shown with its age."""
LEAST_TRAFFIC_MB_S = 1.0
"""The lowest top of the graphs of disk and network, so that a few bytes are no peak."""
LATE = 0.05
"""A process that keeps the others waiting for more than this share of a step is drawn as a warning."""
_RANK_CELLS = 58
_THROTTLE_NAMES = {
    "sw_power_cap": "power cap", "hw_slowdown": "hw slowdown", "sw_thermal": "sw thermal", "hw_thermal": "hw thermal",
    "hw_power_brake": "power brake",
}  # fmt: skip
_HARMLESS = frozenset({"sw_power_cap"})


def machine_page(view: RunView | None, cells: int, rows: int, now: float | None = None) -> RenderableType:
    """The newest readings of a run's machine on a page `cells` wide, with graphs where `rows` rows have room."""
    newest = view.history.system if view is not None else None
    if view is None or newest is None:
        return _text("The log holds no readings of the machine.", "quiet")
    recent = list(islice(reversed(view.history.systems), RECENT))[::-1]
    ranks = _ranks(view, cells)
    # Title, ranks, and the second row of the disk.
    room = rows - 3 - (1 + len(ranks) if ranks else 0)
    host_rows = (room - 2) // 4
    parts: list[RenderableType] = [_title(view, newest, cells, time.time() if now is None else now), ""]
    if newest.gpus:
        gpu_rows = max(1, min(MOST_GPU_ROWS, (room - 8) // len(newest.gpus)))
        host_rows = (room - 4 - len(newest.gpus) * gpu_rows) // 4
        parts += [_heading("GPUs"), _gpus(newest, recent, cells, gpu_rows), ""]
    host_rows = min(MOST_HOST_ROWS, host_rows) if host_rows >= LEAST_GRAPH_ROWS else 1
    span = f"the last {units.duration(recent[-1].time - recent[0].time)}" if len(recent) > 1 else ""
    parts += [_heading("Machine", span), _host(newest, recent, cells, host_rows)]
    return Group(*parts, *(["", *ranks] if ranks else ()))


def _text(text: str, role: str) -> Text:
    return Text(clean(text), role, no_wrap=True, overflow="ellipsis")


def _value(text: str, role: str = "value") -> Text:
    return _text(text, "quiet" if text in (units.UNKNOWN, "·") else role)


def _heading(title: str, note: str = "") -> Rule:
    return Rule(Text.assemble((title, "title"), (f"  {note}" if note else "", "quiet")), align="left", style="frame")


def _title(view: RunView, newest: System, cells: int, now: float) -> RenderableType:
    """The host, its GPUs, and the age of the readings where they are old or the run has ended."""
    age = max(0.0, now - newest.time)
    clock = units.moment(newest.time, "%H:%M:%S")
    read = (f"read at {clock}", "quiet")
    if age > OLD_S or not view.status.live:
        day = units.moment(newest.time, "%d %b ") if age > 86400 / 2 else ""
        read = (f"as of {units.age(age)} ago, {day}{clock}", "warn" if view.status.live else "text")
    names = [clean(gpu.name or "GPU").removeprefix("NVIDIA ") for gpu in newest.gpus]
    kinds = [f"{names.count(name)} × {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
    parts = [_text(newest.host, "run.name"), *([_text(" + ".join(kinds), "text")] if kinds else []), _text(*read)]
    title = Text("  │  ", "frame").join(parts)
    return title if title.cell_len <= cells else Text("  ").join((parts[0], parts[-1]))


def _grid(*columns: tuple[int | None, bool]) -> Table:
    """A row of cells with a gap: of each column its width, None for what is left, and whether it is at the right."""
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    for width, right in columns:
        grid.add_column(width=width, ratio=None if width else 1, justify="right" if right else "left")
    return grid


def _gpus(newest: System, recent: Sequence[System], cells: int, rows: int) -> Table:
    """The GPUs below each other: the readings of each, and below them their graphs where there are rows for them."""
    table = Table(box=None, padding=(0, 1), collapse_padding=False, pad_edge=False, expand=True, header_style="quiet")
    for gpu in newest.gpus:
        past = [next((each for each in record.gpus if each.index == gpu.index), None) for record in recent]
        quantities = _gpu(gpu, past, cells, rows)
        if not table.columns:
            for title, ratio, _ in quantities:
                table.add_column(title, ratio=ratio or None, no_wrap=True)
        table.add_row(*(cell for _, _, cell in quantities))
    return table


def _gpu(gpu: Gpu, past: Sequence[Gpu | None], cells: int, rows: int) -> list[tuple[str, int, RenderableType]]:
    """The readings of a GPU for which the page is wide enough: of each the title, the share of the width, the cell.

    Those with a bar have a graph below it where there are `rows` for it.
    """
    wide, widest = cells >= WIDE, cells >= WIDEST
    reasons = sorted(gpu.throttle or (), key=lambda reason: reason in _HARMLESS)
    names = [_THROTTLE_NAMES.get(reason, reason) for reason in reasons]
    throttle = units.UNKNOWN if gpu.throttle is None else ", ".join(names) or "·"
    if not widest and len(names) > 1:
        throttle = f"{names[0]} +{len(names) - 1}"
    throttle_role = "quiet" if gpu.throttle is None or not names else "text" if set(reasons) <= _HARMLESS else "bad"
    hot = {"hw_thermal", "sw_thermal"} & set(reasons)
    full = (_share(gpu.mem_used_gb, gpu.mem_total_gb) or 0) > 0.95
    clock = units.amount(gpu.sm_clock_mhz, "MHz")
    if widest and gpu.sm_clock_mhz is not None and gpu.mem_clock_mhz is not None:
        clock = f"{gpu.sm_clock_mhz:.0f} · {gpu.mem_clock_mhz:.0f} MHz"
    memory = units.part_of(gpu.mem_used_gb, gpu.mem_total_gb, "GB", 1 if wide else 0)
    power = units.part_of(gpu.power_w, gpu.power_limit_w if wide else None, "W")

    def gauge(text: str, width: int, name: str, most: float | None, role: str = "value") -> RenderableType:
        readings = [getattr(each, name) if each is not None else None for each in past]
        top = most or max((value for value in readings if value is not None), default=0.0)
        # With a single row the graph of the utilisation is beside its bar.
        beside = rows == 1 and wide and name == "util_percent"
        head = _grid((None, False), *[(None, False)] * beside, (width, True))
        bar = Meter(_share(getattr(gpu, name), most))
        head.add_row(bar, *[Graph(readings, top)] * beside, _value(text, role))
        # An empty row below high graphs separates the GPUs.
        blank = rows > 3
        return Group(head, *[Graph(readings, top, rows - 1 - blank)] * (rows > 1), *[""] * blank)

    quantities = [
        ("GPU", 0, _text(f"{gpu.index:>3}", "accent")),
        ("utilisation" if wide else "used", 4, gauge(units.amount(gpu.util_percent, "%"), 5, "util_percent", 100.0)),
        ("memory", 6, gauge(memory, 15 if wide else 11, "mem_used_gb", gpu.mem_total_gb, "warn" if full else "value")),
        ("power", 5 if wide else 4, gauge(power, 12 if wide else 6, "power_w", gpu.power_limit_w)),
        ("temp", 0, _value(units.amount(gpu.temp_c, "°C"), "bad" if hot else "value")),
        ("clocks" if widest else "clock", 0, _value(clock)),
        ("throttled by" if wide else "throttle", 0, _text(throttle, throttle_role)),
    ]
    return quantities if cells >= 76 else quantities[: 5 if cells >= 50 else 3]


def _host(newest: System, recent: Sequence[System], cells: int, rows: int) -> Table:
    """Processor, memory, disk and network, each with its bar, its numbers, and beside them a graph `rows` high."""
    ram = units.part_of(newest.ram_used_gb, newest.ram_total_gb, "GB", 1 if (newest.ram_total_gb or 0) < 100 else 0)
    disk = f"read {units.traffic(newest.disk_read_mb_s)}  write {units.traffic(newest.disk_write_mb_s)}"
    network = f"out {units.traffic(newest.net_sent_mb_s)}  in {units.traffic(newest.net_recv_mb_s)}"
    # Name, share of the bar, its text, the text below it, the readings of the graph, and their upper limit if any.
    entries: list[tuple[str, float | None, str, str, Readings, float | None]] = [
        ("CPU", _share(newest.cpu_percent, 100.0), units.amount(newest.cpu_percent, "%"), "",
         [each.cpu_percent for each in recent], 100.0),
        ("RAM", _share(newest.ram_used_gb, newest.ram_total_gb), ram, "", [each.ram_used_gb for each in recent],
         newest.ram_total_gb),
        ("disk", _share(newest.disk_used_gb, newest.disk_total_gb),
         units.part_of(newest.disk_used_gb, newest.disk_total_gb, "GB"), disk,
         [_sum(each.disk_read_mb_s, each.disk_write_mb_s) for each in recent], None),
        ("network", None, "", network, [_sum(each.net_sent_mb_s, each.net_recv_mb_s) for each in recent], None),
    ]  # fmt: skip
    number_cells = max(len(entry[2]) for entry in entries)
    head_cells = max(number_cells + 12, *(len(entry[3]) for entry in entries))
    table = _grid((8, False), (head_cells, False), (None, False))
    for name, share, text, note, readings, most in entries:
        finite = (value for value in readings if value is not None and math.isfinite(value))
        top = most or max([LEAST_TRAFFIC_MB_S, *finite])
        head = _grid((None, False), (number_cells, True))
        head.add_row(Meter(share, "warn" if name != "CPU" and (share or 0) > 0.95 else "accent"), _value(text))
        scale = _text(f"up to {units.traffic(top)}", "quiet")
        below = [_text(note, "text")] * bool(note) + [scale] * (rows >= LEAST_GRAPH_ROWS and not most)
        table.add_row(_text(name, "quiet"), Group(*[head] * bool(text), *below), Graph(readings, top, rows))
    return table


def _ranks(view: RunView, cells: int) -> list[RenderableType]:
    """Heading and bars of the step times of the processes: the part of each in which it waits for the others is low."""
    timed = next((each for each in islice(reversed(view.history.systems), RECENT_STEPS) if each.rank_step_ms), None)
    run, title = view.history.run, "Step time by process"
    if timed is None or not timed.rank_step_ms:
        single = run is None or run.parallel is None or run.parallel.world_size < 2
        return [] if single else [_heading(title), _text("No step times by process yet.", "quiet")]
    step_ms, busy_ms = list(timed.rank_step_ms), list(timed.rank_busy_ms or ())
    skew = f"rank skew {units.milliseconds(max(busy_ms) - min(busy_ms))}" if busy_ms else ""
    busy_ms += step_ms[len(busy_ms) :]
    longest = max(step_ms) or 1.0
    slowest = busy_ms.index(max(busy_ms)) if max(busy_ms) - min(busy_ms) > LATE * longest else None
    entries: list[RenderableType] = []
    for rank, (step, busy) in enumerate(zip(step_ms, busy_ms, strict=False)):
        late = rank == slowest
        grid = _grid((len(str(len(step_ms))) + 2, True), (None, False), (8, True), (14, False))
        note = "slowest" if late else f"waits {units.milliseconds(max(step - busy, 0.0))}"
        bar = Meter(min(busy, step) / longest, "warn" if late else "accent", step / longest, "level")
        role = "warn" if late else "quiet"
        grid.add_row(_text(str(rank), role), bar, _value(units.milliseconds(step)), _text(note, role))
        entries.append(grid)
    count = max(1, min(4, cells // _RANK_CELLS)) if len(entries) > 4 else 1
    lines: list[RenderableType] = [_heading(title, skew)]
    per_column = -(-len(entries) // count)
    for row in range(per_column):
        beside = _grid(*[(None, False)] * count)
        beside.add_row(*entries[row::per_column])
        lines.append(beside)
    return lines


def _share(value: float | None, most: float | None) -> float | None:
    return value / most if value is not None and most else None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
