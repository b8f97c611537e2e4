from __future__ import annotations

import dataclasses
import math

import pytest

from tuitrain.analysis.metrics import METRICS, SUMMARY_METRICS, metric
from tuitrain.analysis.summary import Summary
from tuitrain.events import Eval, Gpu, Step, System
from tuitrain.runs import RunHistory
from tuitrain.runs.columns import numeric_fields

READINGS = RunHistory()
GPU = Gpu(index=0, util_percent=90, power_w=300, mem_used_gb=40, temp_c=60)
READINGS.absorb([System(host="a", cpu_percent=1, ram_used_gb=1, gpus=[GPU])])


def test_every_metric_is_declared_once() -> None:
    keys = [declared.key for declared in (*METRICS, *SUMMARY_METRICS)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("declared", [*METRICS, *SUMMARY_METRICS], ids=lambda declared: declared.key)
def test_a_metric_reads_a_numeric_field_that_exists(declared: object) -> None:
    fields = {
        "step": numeric_fields(Step),
        "eval": [{"loss": "val_loss"}.get(key, key) for key in numeric_fields(Eval)],
        "system": READINGS.system_columns.keys,
        "summary": [field.name for field in dataclasses.fields(Summary)],
        "derived": ["compute_time_ms", "update_ratio"],
    }
    entry = metric(declared.key)  # type: ignore[attr-defined]
    assert entry.key in fields[entry.source]
    assert entry.text(0.5)


def test_unknown_values_are_formatted_as_not_available() -> None:
    mfu = metric("mfu")
    assert [mfu.text(value) for value in (None, 0.472, math.nan, math.inf)] == ["n/a", "47.2 %", "nan", "inf"]


def test_a_label_has_the_unit_of_the_axis() -> None:
    assert [metric(key).label for key in ("mfu", "loss", "mem_peak_gb")] == ["MFU, %", "loss", "peak memory, GB"]


def test_an_undeclared_metric_is_an_error() -> None:
    with pytest.raises(KeyError):
        metric("happiness")
