"""What torch can do here, as the engine prints it for `tuitrain doctor`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.warm_engine import start_ranks

from tuitrain_engine import doctor


def test_each_fact_is_a_line_and_a_compilation_that_fails_is_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_(function: object) -> object:
        raise RuntimeError("no compiler\nand a page about it")

    monkeypatch.setattr(doctor.torch, "compile", compile_)
    assert doctor.main([]) == 0
    first, attention, compiled = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["torch"] == doctor.torch.__version__
    assert attention["attention"]["math"] is None
    assert compiled["compile"]["problem"] == "RuntimeError: no compiler"


def test_processes_time_an_all_reduce(tmp_path: Path) -> None:
    workers = start_ranks(["--bandwidth"], 2, env=dict(os.environ), cwd=tmp_path, module="tuitrain_engine.doctor")
    outputs = [each.communicate(120) for each in workers]
    assert [each.returncode for each in workers] == [0, 0], outputs
    facts = json.loads(outputs[0][0])
    assert facts["processes"] == 2
    assert facts["gb_per_s"] == pytest.approx(facts["bytes"] / facts["seconds"] / 1e9)
    assert outputs[1][0] == ""
