"""All panels."""

from __future__ import annotations

from tuitrain.plots.panels import gradients, machine, speed, training
from tuitrain.plots.panels.builders import Panel

PANELS: tuple[Panel, ...] = (
    Panel("loss", "Loss", "training and validation loss, and where it is going", training.loss),
    Panel("val_loss", "Val loss", "loss of the evaluations", training.validation_loss),
    Panel("perplexity", "Perplexity", "exp(loss), in training and validation", training.perplexity),
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
    Panel("layers", "Blocks", "gradient norm of each block, as a heat map", gradients.layers, is_map=True),
    Panel("gpu_util", "GPU", "utilisation of the GPUs", empty=machine.no_gpu),
    Panel("gpu_power", "Power", "power of all GPUs together", empty=machine.no_gpu),
    Panel("gpu_temp", "Heat", "temperature of the hottest GPU", empty=machine.no_gpu),
    Panel("gpu_memory", "GPU mem", "memory in use on the fullest GPU", machine.gpu_memory),
    Panel("cpu", "CPU", "use of the processors of the machine", empty=machine.no_readings),
    Panel("ram", "RAM", "memory of the machine", machine.ram),
)

_BY_ID = {panel.id: panel for panel in PANELS}


def panel_of(identity: str) -> Panel:
    """The panel with an id; raises KeyError for another."""
    return _BY_ID[identity]


OVERVIEW: tuple[Panel, ...] = tuple(map(panel_of, ("loss", "mfu", "throughput", "memory", "grad_norm", "lr")))
COMPARE_PANELS: tuple[Panel, ...] = tuple(map(panel_of, ("loss", "mfu", "throughput")))
