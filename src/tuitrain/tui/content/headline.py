"""The two lines at the top: status, progress and time of the run in focus; then its newest numbers."""

from __future__ import annotations

import math
import time
from itertools import product

from tuitrain.accounting import on_cpu
from tuitrain.analysis import units
from tuitrain.analysis.description import machine_text
from tuitrain.analysis.job_text import job_text, start_text
from tuitrain.analysis.metrics import metric
from tuitrain.analysis.progress import Progress, activity, progress_of
from tuitrain.events import Run
from tuitrain.plots.panels import capacity_gb
from tuitrain.plots.roles import glyph, run_role
from tuitrain.runs import Columns, Status
from tuitrain.runs.updates import GOOD_LAG_S
from tuitrain.text import clean
from tuitrain.tui.text import Line, Span, crop, fit, join, line, spread, width
from tuitrain.tui.view_state import RunView, ViewState

_STATUSES = {
    Status.QUEUED: ("◌", "quiet"),
    Status.STARTING: ("◌", "accent"),
    Status.RUNNING: ("●", "good"),
    Status.STALLED: ("●", "warn"),
    Status.PAUSED: ("║", "warn"),
    Status.COMPLETED: ("✓", "good"),
    Status.STOPPED: ("■", "text"),
    Status.FAILED: ("✗", "bad"),
    Status.CRASHED: ("✗", "bad"),
    Status.INTERRUPTED: ("✗", "bad"),
    Status.UNKNOWN: ("○", "quiet"),
}
"""The mark and the role of each status."""
ALERT_ROLES = {"info": "quiet", "warning": "warn", "critical": "bad"}
_PARTIAL = " ▏▎▍▌▋▊▉"
_BETWEEN = Span(" │ ", "frame")
_LEAST_CELLS = 40
"""For numbers beside the reason why there is no connection."""


def status_span(status: Status, *, named: bool = True) -> Span:
    """The mark of a status, and its name."""
    mark, role = _STATUSES[status]
    return Span(f"{mark} {status}" if named else mark, role)


def bar(fraction: float, cells: int) -> Line:
    """A progress bar of exactly `cells` cells, to an eighth of a cell."""
    eighths = round(min(max(fraction, 0.0), 1.0) * cells * 8)
    full, rest = divmod(eighths, 8)
    done = "█" * full + (_PARTIAL[rest] if rest else "")
    return line(Span(done, "accent"), Span("░" * (cells - len(done)), "series"))


def header(state: ViewState, cells: int, now: float | None = None) -> list[Line]:
    """Both lines at this width, for the run in focus."""
    view = state.run
    if view is None:
        return [fit(line(Span(" no run", "quiet")), cells), fit((), cells)]
    first = _first(state, view, cells - 2, time.time() if now is None else now)
    second = _second(view, cells - 2)
    return [fit(line(" ", *first), cells), fit(line(" ", *second), cells)]


def silence_line(seconds: float) -> Line:
    """In place of the second line while the files of the runs do not answer."""
    text = f"still reading after {units.duration(seconds)}: the file system may not answer"
    return line(" ", Span(text, "bad"))


def _first(state: ViewState, view: RunView, cells: int, now: float) -> Line:
    """Name, progress, tokens and time to the end, in the longest form that fits."""
    progress = progress_of(view.history)
    times = _times(view, progress, now)
    name, steps, short = _name(state, view, False), _steps(progress, 6), _steps(progress, 0)
    tokens = _tokens(view, progress, False)
    forms = (
        *(
            [_name(state, view, long), _steps(progress, bar_cells), _tokens(view, progress, long), times]
            for long, bar_cells in product((True, False), (40, 24, 16, 10))
        ),
        [name, steps, tokens, times],
        [name, steps, times],
        [name, short, tokens, times],
        [name, short, times],
        [name, short],
    )
    return next((fitted for form in forms if (fitted := spread(form, cells)) is not None), crop(name, cells))


def _name(state: ViewState, view: RunView, long: bool) -> Line:
    spans = [status_span(view.status), Span("  ")]
    if len(state.runs) > 1:
        spans.append(Span(f"{glyph(view.index)} ", run_role(view.index)))
    spans.append(Span(view.name, "run.name"))
    if long and not view.name.endswith(view.tail_of_id):
        spans.append(Span(f" · {view.tail_of_id}", "quiet"))
    if len(state.runs) > 1:
        spans.append(Span(f"  {state.focused + 1} of {len(state.runs)}", "quiet"))
    return (*spans, *_link(view))


def _link(view: RunView) -> Line:
    """The machine of the run, where it is another one, and how old what is shown of it is at most."""
    if (link := view.link) is None:
        return ()
    host = Span(f"  {clean(link.host)} ", "quiet")
    if link.lag_s is None:
        return line(host, Span("connecting" if not link.problem else "not connected", "warn"))
    lag = units.duration(link.lag_s)
    if not link.connected:
        return line(host, Span(f"not connected, {lag} behind", "bad"))
    late = link.lag_s > GOOD_LAG_S
    return line(host, Span(f"{lag} behind" if late else f"≤ {lag}", "warn" if late else "quiet"))


def _steps(progress: Progress, bar_cells: int) -> Line:
    if progress.step is None and not progress.total_steps:
        return ()
    spans = [Span("step ", "quiet"), Span(f"{progress.step or 0:,}", "value")]
    if progress.total_steps:
        spans.append(Span(f" of {progress.total_steps:,}", "quiet"))
    if progress.fraction is not None:
        if bar_cells:
            spans += [Span(" "), *bar(progress.fraction, bar_cells)]
        spans.append(Span(f" {units.progress(progress.fraction)}", "value"))
    return tuple(spans)


def _tokens(view: RunView, progress: Progress, long: bool) -> Line:
    if progress.tokens is None:
        return ()
    done = units.count(progress.tokens)
    spans = [Span(view.blanks_after("tokens", done)), Span(done, "value")]
    if progress.token_budget:
        spans.append(Span(f" of {units.count(progress.token_budget)}", "quiet"))
    spans.append(Span(" tokens" if long else " tok", "quiet"))
    return tuple(spans)


def _times(view: RunView, progress: Progress, now: float) -> Line:
    if view.reading is not None:
        return line(Span(f"reading {100 * view.reading:.0f} %", "accent"))
    if view.link is not None and view.link.share < 1.0:
        return line(Span(f"newest part, {100 * view.link.share:.0f} % here", "accent"))
    if view.status is Status.STALLED and view.history.last_time is not None:
        return line(Span(f"silent for {units.duration(now - view.history.last_time)}", "warn"))
    if view.status is Status.PAUSED and view.history.paused_since is not None:
        return line(Span(f"for {units.duration(now - view.history.paused_since)}", "warn"))
    if view.status is Status.QUEUED:
        starts = start_text(view.job) if view.job is not None and view.job.waits else ""
        return line(Span(starts, "value")) if starts else ()
    if view.status.live:
        eta = "n/a" if progress.eta_s is None else units.duration(progress.eta_s)
        return line(Span("ETA ", "quiet"), Span(eta, "value"), view.blanks_after("ETA", eta))
    if progress.elapsed_s is None:
        return ()
    return line(
        Span("took " if view.history.end else "ran ", "quiet"), Span(units.duration(progress.elapsed_s), "value")
    )


def _second(view: RunView, cells: int) -> Line:
    """The newest numbers; without any the stage of the run, or the reason why it cannot be read."""
    if view.problem:
        return crop(line(Span(view.problem, "bad")), cells)
    steps = view.history.steps
    if view.status is Status.QUEUED and view.job is not None:
        return crop(line(Span(job_text(view.job), "quiet")), cells)
    if not len(steps) or (view.status.live and view.history.stage is not None):
        printed = next((clean(text).strip() for text in reversed(view.console) if text.strip()), "")
        text = activity(view.history, view.status, loaded=view.loaded, crash=view.crash, printed=printed)
        return crop(line(Span(text, "quiet")), cells)
    groups = _numbers(view)
    if (ending := _ending(view)) and view.status is Status.COMPLETED:
        groups.append([(9, ending)])
    elif ending:
        groups[-1] = [(0, ending)]
    if view.link is None or view.link.connected or not view.link.problem:
        return _packed(groups, cells)
    reason = line(Span(clean(view.link.problem).removeprefix("ssh: "), "bad"))
    left = cells - width(reason) - len(_BETWEEN.text)
    return join([reason, _packed(groups, left)], line(_BETWEEN)) if left >= _LEAST_CELLS else crop(reason, cells)


def _ending(view: RunView) -> Line:
    """The reason why a run ended; empty without one."""
    if view.status is Status.CRASHED:
        return line(Span(clean(view.crash), "bad"))
    end = view.history.end
    if end is None or not end.reason:
        return ()
    return line(Span(clean(end.reason), _STATUSES[view.status][1]))


Item = tuple[int, Line]
"""A rank (0 stays longest) and a line."""


def _numbers(view: RunView) -> list[list[Item]]:
    """The newest numbers in groups; an item without a value is empty."""
    steps, evaluation = view.history.steps, view.history.evaluation

    def item(rank: int, name: str, text: str | None, unit: str = "", role: str = "value") -> Item:
        if text is None:
            return rank, ()
        blanks = view.blanks_after(name or unit, text)
        value = Span(text, "quiet" if text == units.UNKNOWN else role)
        return rank, line(Span(f"{name} ", "quiet") if name else "", value, Span(unit + blanks, "quiet"))

    def last(key: str) -> str | None:
        value = steps.last(key)
        return None if value is None else metric(key).text(value)

    def short(value: float | None) -> str:
        return units.UNKNOWN if value is None else units.loss(value, 3)

    loss, mfu, named = steps.last("loss"), steps.last("mfu"), machine_text(view.history.run)
    perplexity = evaluation.perplexity if evaluation else None
    return [
        [
            item(
                0,
                "loss",
                units.UNKNOWN if loss is None else units.loss(loss, 3),
                role="value" if loss is None or math.isfinite(loss) else "bad",
            ),
            item(2, "val", short(evaluation.loss) if evaluation else None, role="val"),
            item(7, "ppl", None if perplexity is None else metric("perplexity").text(perplexity)),
            item(8, "acc", last("accuracy")),
        ],
        [
            item(1, "MFU", metric("mfu").text(mfu), role="warn" if mfu is not None and mfu > 1 else "value"),
            item(1, "", metric("tokens_per_sec").text(steps.last("tokens_per_sec"))),
            item(6, "", last("step_time_ms"), "/step"),
        ],
        [(3, _memory(view))],
        [item(5, "grad", last("grad_norm")), item(4, "lr", last("lr"))],
        [(7, _slowest(view.history.run, steps)), (8, line(Span(named, "quiet")) if named else ())],
    ]


def _memory(view: RunView) -> Line:
    peak, capacity = view.history.steps.last("mem_peak_gb"), capacity_gb(view.history)
    if peak is None:
        return line(Span("memory ", "quiet"), Span("n/a", "quiet"))
    if capacity is None:
        return line(Span(units.gigabytes(peak), "value"))
    if on_cpu(view.history.run):
        return line(Span("process ", "quiet"), Span(units.gigabytes(peak), "value"))
    full = "warn" if peak > 0.95 * capacity else "value"
    return line(Span(f"{peak:.3g}", full), Span(f" of {capacity:.3g} GB", "quiet"))


def _slowest(run: Run | None, steps: Columns) -> Line:
    """The process that the others wait for, and how long: `slowest rank 3 +12 ms`; empty for one process."""
    rank, skew_ms = steps.last("slowest_rank"), steps.last("rank_skew_ms")
    if run is None or run.parallel is None or run.parallel.world_size < 2 or rank is None or skew_ms is None:
        return ()
    step_ms = steps.last("step_time_ms")
    role = "warn" if step_ms is not None and skew_ms > 0.1 * step_ms else "quiet"
    return line(Span(f"slowest rank {rank:.0f} ", "quiet"), Span(f"+{units.milliseconds(skew_ms)}", role))


def _packed(groups: list[list[Item]], cells: int) -> Line:
    """As many items as fit, the highest ranks left out first."""
    for limit in range(9, -1, -1):
        lines = [join((shown for rank, shown in group if rank <= limit), line("  ")) for group in groups]
        packed = join(lines, line(_BETWEEN))
        if width(packed) <= cells:
            break
    return crop(packed, cells)
