"""Tests that need a GPU: attention kernels agree, compiled or not; numbers read one step late are complete."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from engine_runs import make_run, of_type, read_log, run_engine

from tuitrain import events

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
MODEL = {"d_model": 256, "n_heads": 4, "n_kv_heads": 2, "seq_len": 256, "n_layers": 2}
TRAIN = {"device": "cuda", "max_steps": 20, "global_batch_size": 8, "micro_batch_size": 4}


def losses(tmp_path: Path, name: str, **sections: dict[str, object]) -> list[float]:
    """Losses of 20 steps on the GPU."""
    model, train = {**MODEL, **sections.pop("model", {})}, {**TRAIN, **sections.pop("train", {})}
    run_dir = make_run(tmp_path, name, model=model, train=train, optim={"lr": 1e-3}, **sections)
    process = run_engine(run_dir)
    assert process.returncode == 0, process.stdout + process.stderr
    records = read_log(run_dir)
    assert isinstance(records[-1], events.End) and records[-1].status == "completed"
    steps = of_type(records, events.Step)
    assert [step.step for step in steps] == list(range(1, 21))
    assert all(step.mem_peak_gb >= step.mem_allocated_gb > 0 and step.step_time_ms > 0 for step in steps)
    return [step.loss for step in steps]


@pytest.fixture(scope="module")
def exact_losses(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """Losses of the math backend without compilation."""
    return losses(tmp_path_factory.mktemp("exact"), "math", model={"attention_backend": "math"})


@pytest.mark.parametrize("backend", ["flash", "cudnn", "efficient", "flex"])
@pytest.mark.parametrize("compiled", [False, True])
def test_attention_kernels_agree(tmp_path: Path, exact_losses: list[float], backend: str, compiled: bool) -> None:
    actual = losses(tmp_path, backend, model={"attention_backend": backend}, train={"compile": compiled})
    assert actual == pytest.approx(exact_losses, rel=1e-2)


@pytest.mark.parametrize("masks", [{"window": 64}, {"document_mask": True}, {"window": 64, "document_mask": True}])
def test_flex_equals_a_dense_mask(tmp_path: Path, masks: dict[str, object]) -> None:
    expected = losses(tmp_path, "efficient", model={**masks, "attention_backend": "efficient"})
    assert losses(tmp_path, "flex", model={**masks, "attention_backend": "flex"}) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_activation_checkpointing_changes_nothing_but_memory(tmp_path: Path, mode: str) -> None:
    expected = losses(tmp_path, "none", train={"compile": True})
    actual = losses(tmp_path, mode, train={"compile": True}, parallel={"activation_checkpointing": mode})
    assert actual == pytest.approx(expected, rel=1e-2)
