"""How the loss of several runs falls with their compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.comparability import bits_are_comparable, data_key, held_out, losses_are_comparable
from tuitrain.analysis.power_law import Scaling, fit_scaling
from tuitrain.analysis.series import validation_curve
from tuitrain.analysis.summary import Summary
from tuitrain.runs import RunHistory


def scaling(histories: Sequence[RunHistory], summaries: Sequence[Summary]) -> tuple[Scaling | None, list[str]]:
    """The power law of three runs or more, and a sentence on it or on why there is none.

    Neither for fewer runs, nor where no log tells loss and compute. By the newest validation loss, or bits per byte of
    different tokenizers, and the compute until then where three runs have them; else by the training loss at the end.
    Runs that diverged are left out.
    """
    if len(histories) < 3:
        return None, []
    per_byte = not losses_are_comparable(histories)
    if per_byte and not bits_are_comparable(histories):
        return None, ["No power law of loss against compute: their losses are not comparable."]
    sources = {data_key(history, "source") for history in histories} - {None}
    if not per_byte and (len(sources) > 1 or held_out(histories) == "different"):
        return None, ["No power law of loss against compute: they are trained or evaluated on different data."]
    what, key = ("number of bits per byte", "bits_per_byte") if per_byte else ("validation loss", "loss")
    points = [_validation_point(history, key) for history in histories]
    if sum(point is not None for point in points) < 3 and not per_byte:
        what = "training loss"
        points = [
            (summary.total_flops, summary.final_loss)
            if summary.total_flops is not None and summary.final_loss is not None
            else None
            for summary in summaries
        ]
    usable = [
        point
        for point, summary in zip(points, summaries, strict=True)
        if point is not None and np.isfinite(point).all() and not summary.has_diverged
    ]
    known = np.array(usable).reshape(-1, 2)
    if not len(known):
        return None, []
    try:
        law = fit_scaling(known[:, 0], known[:, 1])
    except ValueError as error:
        return None, [f"No power law of {what} against compute: {error}."]
    return law, [sentence(law, what)]


def _validation_point(history: RunHistory, key: str) -> tuple[float, float] | None:
    """Compute and loss of the newest evaluation that knows both."""
    flops, losses = validation_curve(history, "flops", key)
    rows = np.flatnonzero(np.isfinite(flops) & np.isfinite(losses))
    return (float(flops[rows[-1]]), float(losses[rows[-1]])) if len(rows) else None


def sentence(law: Scaling, what: str) -> str:
    """The law in words."""
    where = f"over {law.runs} runs from {units.scientific(law.from_flops)} to {units.compute(law.to_flops)}"
    power, low, high = (units.with_minus(f"{-each:.3f}") for each in (law.exponent, law.high, law.low))
    exponent = f"{power}, 95 % interval {low} to {high}"
    if law.low <= 0:
        return f"The {what} does not fall reliably with compute {where}: the exponent of a power law is {exponent}."
    saved = [units.percent(1 - 10**-each) for each in (law.exponent, law.low, law.high)]
    return (
        f"The {what} falls as a power of compute {where}: the exponent is {exponent}, R² {law.r2:.3f}; ten times the "
        f"compute lowers it by {saved[0]} ({saved[1]} to {saved[2]}). The law has no floor: do not extrapolate it far."
    )
