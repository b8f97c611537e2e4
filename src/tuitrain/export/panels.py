"""The six panels of a run's analysis figure, one function each."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from tuitrain.analysis import units
from tuitrain.analysis.limits import LARGEST, drawable
from tuitrain.analysis.metrics import metric
from tuitrain.analysis.series import Axis, eval_x_values, rising, x_at_steps, x_values
from tuitrain.analysis.summary import Summary
from tuitrain.analysis.superseded import superseded_label, superseded_pieces
from tuitrain.export.lines import Limits, level_limits, loss_limits, smoothed, smoothing_window, thin
from tuitrain.export.marks import absence, alone, legend, note, say
from tuitrain.export.style import (
    ScaledFormatter,
    curve_colour,
    font,
    format_x,
    ink,
    pale,
    scaled,
    time_unit,
    times_ten,
    x_label,
)
from tuitrain.runs import FloatArray, RunHistory

RAW: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.35, "zorder": 2}
MEAN: dict[str, Any] = {"linewidth": 1.0, "linestyle": (0, (5, 2)), "zorder": 3}


@dataclass(frozen=True)
class View:
    """A run as a figure sees it: its x axis chosen and scaled to a unit that reads well."""

    history: RunHistory
    summary: Summary
    axis: Axis
    unit: str
    scale: float

    @property
    def x(self) -> FloatArray:
        """The x of each row of the steps table."""
        return drawable(x_values(self.history, self.axis)) / self.scale

    def points(self, key: str) -> tuple[FloatArray, FloatArray]:
        """(x, y) of the step records that have this key, y in the unit of its metric."""
        rows = self.history.steps.present(key)
        return self.x[rows], drawable(self.history.steps[key][rows] * metric(key).factor)

    def evaluations(self) -> tuple[FloatArray, FloatArray]:
        """(x, loss) of the evaluations whose place is known."""
        x = eval_x_values(self.history, self.axis) / self.scale
        return x[np.isfinite(x)], drawable(self.history.evals["loss"][np.isfinite(x)])

    def x_of_step(self, step: float) -> float:
        """Where a step is on the axis; nan outside of the log."""
        return float(x_at_steps(self.history, self.axis, np.array([float(step)]))[0]) / self.scale


def make_view(history: RunHistory, summary: Summary, axis: Axis) -> View:
    """The view of a run along an axis; a time axis gets a unit that suits its length."""
    unit, scale = ("", 1.0)
    if axis == "time":
        x = x_values(history, axis)
        unit, scale = time_unit(float(np.nanmax(x)) if np.isfinite(x).any() else 0.0)
    return View(history, summary, axis, unit, scale)


def loss_panel(axes: Axes, view: View) -> None:
    """Training loss raw and smoothed, validation as stars, perplexity as the second scale of the same curve."""
    axes.set_title("Loss")
    x, loss = view.points("loss")
    eval_x, eval_loss = view.evaluations()
    if not np.isfinite(loss).any() and not np.isfinite(eval_loss).any():
        say(axes, absence("loss", loss, eval_loss))
        return
    _draw_superseded(axes, view)
    draw_curve(axes, x, loss, curve_colour(0), "training")
    if len(eval_x):
        axes.scatter(
            eval_x, eval_loss, marker="*", s=52, color=curve_colour(1), edgecolors=axes.get_facecolor(),
            linewidths=0.5, zorder=5, label="validation",
        )  # fmt: skip
    limits = loss_limits(loss, eval_loss[np.isfinite(eval_loss)]) or Limits(0.0, 1.0)
    axes.set_ylim(limits.low, limits.high)
    _mark_non_finite(axes, x, loss)
    axes.set_ylabel("loss, nats per token")
    _perplexity_scale(axes, limits)
    legend(axes)
    window = smoothing_window(int(np.isfinite(loss).sum()))
    points = np.concatenate((x, eval_x)), np.concatenate((loss, eval_loss))
    note(axes, _loss_note(view, limits, window), *points)


def _loss_note(view: View, limits: Limits, window: int) -> str:
    lines = []
    summary = view.summary
    if summary.best_val_loss is not None:
        at = "" if summary.best_val_step is None else f" at step {summary.best_val_step:,}"
        lines.append(f"best validation {metric('best_val_loss').text(summary.best_val_loss)}{at}")
    if summary.final_loss is not None:
        lines.append(f"training, mean of the end {metric('final_loss').text(summary.final_loss)}")
    if summary.last_loss is not None:
        lines.append(f"last training loss {metric('last_loss').text(summary.last_loss)}")
    if window > 1:
        lines.append(f"smoothed over {window} records")
    if limits.note:
        lines.append(f"{limits.note} the range")
    return "\n".join(lines)


def _draw_superseded(axes: Axes, view: View) -> None:
    """What a later attempt did again, dimmed; on a time axis it has no place."""
    gone = view.history.superseded_steps
    if view.axis == "time" or not gone.has("loss"):
        return
    x = gone["step"] if view.axis == "step" else gone["tokens"]
    if view.axis == "flops":
        per_token = view.history.run.flops_per_token if view.history.run else None
        x = x * (math.nan if per_token is None else per_token)
    pieces, count = superseded_pieces(view.history)
    label = superseded_label(len(pieces), count)
    for rows in pieces:
        places, losses = drawable(rising(x[rows])), drawable(gone["loss"][rows])
        axes.plot(*thin(places, losses), color=pale(), linewidth=0.7, zorder=1, label=label)
        label = "_superseded"


def _mark_non_finite(axes: Axes, x: FloatArray, y: FloatArray) -> None:
    """A cross at the foot of the panel for each nan or inf."""
    bad = ~np.isfinite(y) & np.isfinite(x)
    if bad.any():
        shown = x[bad] if bad.sum() <= 500 else x[bad][:: -(-int(bad.sum()) // 500)]
        axes.scatter(
            shown, np.zeros(len(shown)), marker="x", s=18, color=curve_colour(1), linewidths=1.0, clip_on=False,
            zorder=6, transform=axes.get_xaxis_transform(), label=f"nan or inf ({int(bad.sum()):,})",
        )  # fmt: skip


def _perplexity_scale(axes: Axes, limits: Limits) -> None:
    """Perplexity = exp(loss) on the right: the same curve on another scale, with ticks at round numbers.

    Left out where floats end: a loss of 700 is a perplexity of 10³⁰⁴.
    """
    if limits.high > 700 or limits.low < -700:
        return
    right = axes.secondary_yaxis("right", functions=(_exp, _log))
    right.set_ylabel("perplexity")
    low, high = _exp(np.array([limits.low, limits.high]))
    right.yaxis.set_major_locator(FixedLocator(round_ticks(float(low), float(high))))
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: scaled(value) if value < 1e6 else times_ten(value)))
    right.tick_params(labelsize=font(8))


def _exp(values: ArrayLike) -> FloatArray:
    result: FloatArray = np.exp(np.clip(np.asarray(values, dtype=np.float64), -700, 700))
    return result


def _log(values: ArrayLike) -> FloatArray:
    result: FloatArray = np.log(np.clip(np.asarray(values, dtype=np.float64), 1e-300, None))
    return result


def round_ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers inside a range, closer at a closer look: decades, 1-2-5, or even steps."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        ticks = [m * 10.0**d for d in decades for m in mantissas if low <= m * 10.0**d <= high]
        if len(ticks) >= 4:
            return ticks[:: -(-len(ticks) // 7)]
    return [
        float(tick) for tick in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= tick <= high
    ]


def lr_panel(axes: Axes, view: View) -> None:
    """Learning rate on a log scale, the end of the warmup marked."""
    axes.set_title("Learning rate")
    x, lr = view.points("lr")
    positive = np.isfinite(lr) & (lr > 0)
    if not positive.any():
        say(axes, "n/a: no learning rate is recorded")
        return
    axes.plot(*thin(x[positive], lr[positive]), color=curve_colour(0), zorder=3, **alone(int(positive.sum())))
    axes.set_yscale("log")
    low, high = float(lr[positive].min()), float(lr[positive].max())
    pad = (high / low) ** 0.06 if high > 2 * low else 3.0
    low, high = low / pad, high * pad
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(round_ticks(low, high)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(times_ten))
    axes.set_ylabel("learning rate")
    warmup = warmup_steps(view.history)
    if not warmup:
        return
    place = view.x_of_step(warmup)
    if math.isfinite(place):
        axes.axvline(place, color=curve_colour(1), zorder=2, label=f"end of warmup, step {warmup:,}", **_dashed())
        legend(axes)
    else:
        note(axes, f"the warmup ends at step {warmup:,}", x, lr)


def warmup_steps(history: RunHistory) -> int | None:
    """Steps of warmup that the configuration asks for."""
    schedule = history.run.config.get("schedule") if history.run else None
    value = schedule.get("warmup_steps") if isinstance(schedule, dict) else None
    return value if isinstance(value, int) else None


def tokens_panel(axes: Axes, view: View) -> None:
    """Cumulative tokens against the budget, with the share that is done."""
    axes.set_title("Tokens")
    x, tokens = view.points("tokens")
    known = np.isfinite(x) & np.isfinite(tokens)
    if not known.any():
        say(axes, "n/a: no token counts are recorded")
        return
    line_x, line = thin(x[known], tokens[known])
    axes.plot(line_x, line, color=curve_colour(0), zorder=3, **alone(len(line)))
    axes.fill_between(line_x, line, color=curve_colour(0), alpha=0.10, linewidth=0, zorder=1)
    done = float(tokens[known].max())
    top = done
    target, kind = _token_target(view)
    if target:
        share = f"{units.count(done)} of {units.count(target)} ({kind}): {100 * done / target:.3g} %"
        if target <= 5 * done:
            top = max(done, target)
            axes.axhline(target, color=curve_colour(1), zorder=2, label=f"{kind} {units.count(target)}", **_dashed())
            legend(axes)
    else:
        share = f"{units.count(done)} (no budget is set)"
    axes.set_ylim(0, 1.18 * top if top > 0 else 1.0)
    note(axes, share, line_x, line)
    axes.yaxis.set_major_formatter(ScaledFormatter())
    axes.set_ylabel("cumulative tokens")


def _token_target(view: View) -> tuple[float | None, str]:
    """Tokens that the run is to train on: its budget, or what its steps come to."""
    run = view.history.run
    if run is None:
        return None, ""
    if run.token_budget:
        return float(run.token_budget), "budget"
    if run.total_steps and run.tokens_per_step:
        done, tokens = view.history.step or 0, view.history.tokens or 0
        return float(tokens + max(run.total_steps - done, 0) * run.tokens_per_step), "planned"
    return None, ""


def mfu_panel(axes: Axes, view: View) -> None:
    """MFU with its mean; while the peak of the device is unknown, what the device achieves and why there is no MFU."""
    if view.history.steps.has("mfu") and np.isfinite(view.history.steps["mfu"]).any():
        _level_panel(axes, view, "mfu", "Model FLOPs utilisation", "MFU, %", view.summary.mean_mfu)
        return
    reason = _why_no_mfu(view)
    if not view.history.steps.has("tflops"):
        axes.set_title("Model FLOPs utilisation")
        say(axes, textwrap.fill(reason, 40))
        return
    achieved = view.summary.mean_tflops
    _level_panel(axes, view, "tflops", "Achieved compute", "TFLOP/s per device", achieved, textwrap.fill(reason, 44))


def _why_no_mfu(view: View) -> str:
    run = view.history.run
    if run is None or run.hardware is None:
        return "MFU n/a: the log does not say on what it ran"
    if run.hardware.peak_tflops is None:
        return f"MFU n/a: the peak of {run.hardware.device} is not known; hardware.peak_tflops sets it"
    if run.flops_per_token is None:
        return "MFU n/a: the FLOPs per token are not known"
    return "MFU n/a: no step records it"


def throughput_panel(axes: Axes, view: View) -> None:
    """Tokens per second of all devices, with the mean."""
    _level_panel(axes, view, "tokens_per_sec", "Throughput", "throughput, tokens/s", view.summary.mean_tokens_per_sec)


def _level_panel(
    axes: Axes, view: View, key: str, title: str, label: str, mean: float | None, remark: str = ""
) -> None:
    axes.set_title(title)
    x, values = view.points(key)
    limits = level_limits(values)
    if limits is None:
        say(axes, absence(metric(key).title, values))
        return
    draw_curve(axes, x, values, curve_colour(0), "_curve")
    if mean is not None and abs(mean) < LARGEST:
        axes.axhline(mean * metric(key).factor, color=curve_colour(1), label=f"mean {metric(key).text(mean)}", **MEAN)
        legend(axes)
    lines = [*remark.splitlines(), *([f"{limits.note} the range"] if limits.note else [])]
    room = 0.08 * (limits.high - limits.low) * len(remark.splitlines())
    axes.set_ylim(limits.low, limits.high + room)
    axes.yaxis.set_major_formatter(ScaledFormatter())
    axes.set_ylabel(label)
    note(axes, "\n".join(lines), x, values)


def memory_panel(axes: Axes, view: View) -> None:
    """Allocated and peak memory of a device, and what it has."""
    axes.set_title("Memory")
    highest = 0.0
    for key, colour, label in (
        ("mem_allocated_gb", curve_colour(0), "allocated"),
        ("mem_peak_gb", curve_colour(1), "peak"),
    ):
        x, values = view.points(key)
        if np.isfinite(values).any():
            highest = max(highest, float(np.nanmax(values[np.isfinite(values)])))
            axes.plot(*thin(x, values), color=colour, label=label, zorder=3, **alone(len(values)))
    if not axes.lines:
        say(axes, "n/a: no memory is recorded")
        return
    run = view.history.run
    capacity = run.hardware.memory_gb if run and run.hardware else None
    top = highest or 1.0
    if capacity and capacity <= 4 * highest:
        top = max(highest, capacity)
        axes.axhline(capacity, color=ink(), zorder=2, label=f"capacity {units.gigabytes(capacity)}", **_dashed())
    elif capacity:
        top *= 1.1
    axes.set_ylim(0, 1.08 * top)
    if capacity and top < capacity:
        note(axes, f"capacity {units.gigabytes(capacity)}, above the range", np.empty(0), np.empty(0))
    axes.set_ylabel("memory per device, GB")
    legend(axes)


PANELS: dict[str, Callable[[Axes, View], None]] = {
    "loss": loss_panel,
    "lr": lr_panel,
    "tokens": tokens_panel,
    "mfu": mfu_panel,
    "throughput": throughput_panel,
    "memory": memory_panel,
}
"""The panels of the analysis figure by name, in their order."""


def draw_curve(axes: Axes, x: FloatArray, y: FloatArray, colour: str, label: str) -> None:
    """The raw curve faint and its smoothed form strong; a few points are drawn as they are."""
    points = int(np.isfinite(y).sum())
    if smoothing_window(points) > 1:
        axes.plot(*thin(x, y), color=colour, **RAW)
    axes.plot(*thin(x, smoothed(y)), color=colour, zorder=4, label=label, **alone(points))


def set_x(axes: Axes, views: Sequence[View]) -> None:
    """Label, limits and ticks of the x axis that runs share; before drawing, so that notes can find a free corner."""
    known = [x for view in views if len(x := view.x[np.isfinite(view.x)])]
    if known:
        low, high = min(float(x[0]) for x in known), max(float(x[-1]) for x in known)
        low = min(low, 0.0) if low <= 0.2 * high or low == high else low
        pad = 0.015 * (high - low) or 1.0
        axes.set_xlim(low - pad, high + pad)
    first = views[0]
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=first.axis == "step"))
    format_x(first.axis, axes.xaxis)
    axes.set_xlabel(x_label(first.axis, first.unit))


def _dashed() -> dict[str, Any]:
    return {"linewidth": 1.0, "linestyle": (0, (5, 2))}
