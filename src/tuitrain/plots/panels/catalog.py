"""All panels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tuitrain.analysis.metrics import BY_KEY, METRICS, metric_of
from tuitrain.analysis.own_metrics import own_metrics
from tuitrain.plots.model import HeatMap, Plot
from tuitrain.plots.panels import gradients, machine, speed, training
from tuitrain.plots.panels.builders import Panel
from tuitrain.plots.request import PlotRequest
from tuitrain.runs import RunHistory
from tuitrain.text import shortened

_POSITIONS = frozenset({"step", "time"})
"""Columns of every table that say where its rows belong."""
_LONGEST_TAB = 24
"""Characters of the name of a panel in the line of tabs."""

PANELS: tuple[Panel, ...] = (
    Panel("loss", "Loss", "training and validation loss, with the projected end", training.loss),
    Panel("val_loss", "Val loss", "loss of the evaluations", training.validation_loss),
    Panel("perplexity", "Perplexity", "exp(loss), in training and validation", training.perplexity),
    Panel("bits_per_byte", "Bits/byte", "loss of the evaluations in bits per byte", training.bits_per_byte),
    Panel("accuracy", "Accuracy", "share of the next tokens that are right", training.accuracy),
    Panel("lr", "LR", "learning rate and its schedule", training.learning_rate),
    Panel("tokens", "Tokens", "tokens so far, against the budget", training.tokens),
    Panel("mfu", "MFU", "model FLOPs utilisation", speed.mfu),
    Panel("throughput", "Speed", "tokens per second", speed.throughput),
    Panel("step_time", "Step", "time of a step: compute, data, wait", speed.step_time),
    Panel("ranks", "Ranks", "the slowest process, and the wait for it", speed.ranks),
    Panel("memory", "Memory", "accelerator memory of the run, with its capacity", machine.memory),
    Panel("grad_norm", "Gradient", "gradient norm, with the clip level", gradients.grad_norm),
    Panel("grad_stats", "Elements", "mean, std and max of the gradient", gradients.grad_stats),
    Panel("update", "Update", "norm of an update by that of the weights", gradients.update_ratio),
    Panel("layers", "Blocks", "gradient norm of each block, as a heat map", gradients.layers),
    Panel("gpu_util", "GPU", "utilisation of the GPUs", empty=machine.no_gpu),
    Panel("gpu_power", "Power", "power of all GPUs together", empty=machine.no_gpu),
    Panel("gpu_temp", "Heat", "temperature of the hottest GPU", empty=machine.no_gpu),
    Panel("gpu_memory", "GPU mem", "memory in use on the fullest GPU", machine.gpu_memory),
    Panel("cpu", "CPU", "use of the processors of the machine", empty=machine.no_readings),
    Panel("ram", "RAM", "memory of the machine", machine.ram),
)

_BY_ID = {panel.id: panel for panel in PANELS}


def panel_of(name: str) -> Panel:
    """The panel with this id, else one that shows the metric of this name, whether the registry declares it or not.

    A metric that is computed from others is shown by the panel it belongs to.
    """
    metric = metric_of(name)
    if name in _BY_ID or metric.source == "derived":
        return _BY_ID.get(name) or _BY_ID[metric.panel]
    return Panel(name, metric.title, metric.label)


def own_panel(name: str) -> Panel:
    """The panel of a metric of one's own. Its id is the name, unless that is the id of another panel."""
    title = shortened(metric_of(name).title, _LONGEST_TAB)
    return Panel(f"{name} (own)" if name in _BY_ID else name, title, "a metric of one's own", own=name)


def find_panel(name: str, histories: Sequence[RunHistory]) -> Panel:
    """The panel of the metric of one's own that has this name, else as `panel_of`.

    Raises KeyError for a name that is no panel, and no metric of these logs.
    """
    if name in own_metrics(histories):
        return own_panel(name)
    if not is_declared(name) and name not in recorded_metrics(histories):
        raise KeyError(name)
    return panel_of(name)


def is_declared(name: str) -> bool:
    """Whether this is a panel, or a metric that the registry declares and a chart can show."""
    return name in _BY_ID or (name in BY_KEY and metric_of(name).source != "summary")


def plot_of(request: PlotRequest, name: str) -> Plot | HeatMap:
    """The plot of what `find_panel` finds; KeyError where no log has such a metric."""
    return find_panel(name, [run.history for run in request.runs]).build(request)


def recorded_metrics(histories: Iterable[RunHistory]) -> list[str]:
    """The names that any of these logs has values of: the declared ones in their order, then the others."""
    present = dict.fromkeys(key for history in histories for key in _columns(history))
    declared = [metric.key for metric in METRICS if metric.key in present]
    return [*declared, *(key for key in present if key not in declared)]


def _columns(history: RunHistory) -> Iterator[str]:
    for table in (history.steps, history.system_columns):
        yield from (key for key in table.keys if key not in _POSITIONS)
    yield from ("val_loss" if key == "loss" else key for key in history.evals.keys if key not in _POSITIONS)


COMPARE_PANELS: tuple[Panel, ...] = tuple(map(panel_of, ("loss", "mfu", "throughput")))
