"""The audit of figures that were once typed into documents: two tables of four runs, and a run file of a quick start.

Each contradiction that they are known for is found; what agrees stays quiet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tuitrain.audit import Audit, Finding, audit_run
from tuitrain.events import Architecture, EventWriter, Hardware, Parallel, Run, Step
from tuitrain.runs import RunDirectory, find_runs

A6000 = Hardware(device="NVIDIA RTX A6000", count=2)
LLAMA = {"norm": "rmsnorm", "norm_position": "pre", "position": "rope", "ffn": "swiglu", "bias": False}
GPT2 = {"norm": "layernorm", "norm_position": "pre", "position": "learned", "ffn": "gelu", "bias": True}


@dataclass(frozen=True)
class Model:
    """A run of the tables: its size as stated and its shape, the batch, and what it reached.

    typed_rate and mfu of the first table and the second; minutes for 199 steps, millions of tokens in an hour.
    """

    name: str
    params: float
    shape: dict[str, Any]
    micro: int
    accumulation: int
    tokens_per_step: int
    typed_rate: float
    mfu: float
    minutes: int
    hourly: float


def shape(
    layers: int, heads: int, kv: int, width: int, ff: int, vocab: int, length: int, **kinds: Any
) -> dict[str, Any]:
    sizes = {"n_layers": layers, "n_heads": heads, "n_kv_heads": kv, "d_model": width, "d_ff": ff}
    return {**sizes, "vocab_size": vocab, "seq_len": length, **kinds}


MODELS = {
    each.name: each
    for each in (
        Model("qwen3", 1.83e9, shape(24, 16, 8, 2048, 6144, 151_936, 2048, **LLAMA, tied_embeddings=False),
              2, 96, 786_432, 7000.0, 0.2762, 93, 100.3),
        Model("gpt2", 1.29e9, shape(18, 18, 18, 2304, 9216, 50_257, 1024, **GPT2, tied_embeddings=True),
              4, 32, 524_288, 12_000.0, 0.3057, 39, 158.1),
        Model("llama3", 2.22e9, shape(30, 16, 8, 2048, 7168, 128_256, 2048, **LLAMA, tied_embeddings=False),
              2, 64, 524_288, 5100.0, 0.2461, 84, 74.0),
        Model("llama2", 1.36e9, shape(18, 18, 18, 2304, 6144, 32_000, 1024, **LLAMA, tied_embeddings=False),
              5, 16, 327_680, 10_000.0, 0.3019, 25, 151.6),
    )
}  # fmt: skip


def write(path: Path, run: Run, steps: list[Step]) -> RunDirectory:
    """A log with these figures."""
    directory = RunDirectory(path / run.run_id)
    directory.path.mkdir()
    with EventWriter(directory.metrics) as log:
        log.write(run)
        for step in steps:
            log.write(step)
    return directory


def table_run(path: Path, model: Model, rate: float) -> dict[str, Finding]:
    """Audit a run with the figures of a model, and a throughput."""
    run = Run(
        time=0.0, run_id=model.name, name=model.name, config={"batch_size": model.micro}, total_steps=2000,
        architecture=Architecture(name="", params_total=int(model.params), **model.shape),
        tokens_per_step=model.tokens_per_step, hardware=A6000, dtype="bfloat16",
        parallel=Parallel(strategy="zero1", world_size=2, accumulation=model.accumulation),
    )  # fmt: skip
    # The table has whole minutes: two digits.
    step_ms = float(f"{model.minutes * 60_000 / 199:.2g}")
    step = Step(time=model.minutes * 60.0, step=199, tokens=199 * model.tokens_per_step, step_time_ms=step_ms,
                tokens_per_sec=rate, mfu=model.mfu)  # fmt: skip
    return found(audit_run(write(path, run, [step])))


def found(outcome: Audit) -> dict[str, Finding]:
    return dict(outcome.findings)


def test_qwen3_has_both_7000_and_27900_tokens_a_second(tmp_path: Path) -> None:
    """One table has the first, the other the second: its step time, and 100.3 million tokens in an hour."""
    findings = table_run(tmp_path, MODELS["qwen3"], 7000.0)
    throughput = findings["throughput"]
    assert throughput.severity == "impossible"
    assert throughput.values["tokens_per_sec"] == 7000.0
    assert throughput.values["by_step_time"] == pytest.approx(27_900, rel=0.02)
    # An MFU of 27.6 % would be 8,300 tokens a second; 28,000 would be 93 %.
    assert "Likelier: 7,000" in throughput.likelier and "MFU of 93" in throughput.likelier
    assert "parameters" not in findings and "batch" not in findings


def test_neither_of_the_two_gives_the_mfu_that_the_table_has(tmp_path: Path) -> None:
    model = MODELS["qwen3"]
    slow = table_run(tmp_path, model, 7000.0)["mfu"]
    assert slow.values == pytest.approx({"mfu": 0.2762, "by_tokens_per_sec": 0.2334}, rel=1e-3)
    (tmp_path / "second").mkdir()
    fast = table_run(tmp_path / "second", model, model.hourly * 1e6 / 3600)
    assert fast["mfu"].values["by_tokens_per_sec"] == pytest.approx(0.929, rel=1e-3)
    assert fast["mfu-limit"].severity == "suspicious"
    assert "throughput" not in fast, "the hourly tokens agree with the step time"


@pytest.mark.parametrize(("name", "true"), [("gpt2", 1_265_313_024), ("llama2", 1_294_159_104)])
def test_the_names_of_two_models_are_not_their_sizes(tmp_path: Path, name: str, true: int) -> None:
    finding = table_run(tmp_path, MODELS[name], MODELS[name].typed_rate)["parameters"]
    assert finding.severity == "impossible"
    assert finding.values == {"params_total": MODELS[name].params, "from_shapes": true}


@pytest.mark.parametrize("name", ["gpt2", "llama2"])
def test_the_hourly_tokens_of_two_models_exceed_the_peak(tmp_path: Path, name: str) -> None:
    finding = table_run(tmp_path, MODELS[name], MODELS[name].hourly * 1e6 / 3600)["mfu-limit"]
    assert finding.severity == "impossible"
    assert finding.values["mfu"] > 1.05


def test_sizes_that_follow_from_their_shapes_are_no_finding(tmp_path: Path) -> None:
    assert not {"parameters", "batch", "tokens"} & table_run(tmp_path, MODELS["llama3"], 5100.0).keys()


@pytest.mark.parametrize(
    ("name", "flops", "kinds", "true"),
    [
        ("gpt2", 28e9, GPT2 | {"tied_embeddings": True}, 0.854e9),
        ("llama", 35.12e9, LLAMA | {"tied_embeddings": False}, 0.855e9),
    ],
)
def test_28_gflop_per_token_are_not_those_of_124m_parameters(
    tmp_path: Path, name: str, flops: float, kinds: dict[str, Any], true: float
) -> None:
    ff, vocab = (3072, 50_257) if name == "gpt2" else (2048, 50_304)
    architecture = Architecture(name="", params_total=124_000_000, **shape(12, 12, 12, 768, ff, vocab, 1024, **kinds))
    run = Run(time=0.0, run_id=name, name=name, architecture=architecture, flops_per_token=flops,
              hardware=Hardware(device="NVIDIA A100-SXM4-80GB", peak_tflops=312.0))  # fmt: skip
    findings = found(audit_run(write(tmp_path, run, [])))
    assert findings["flops"].severity == "impossible"
    assert findings["flops"].values["from_shapes"] == pytest.approx(true, rel=1e-3)
    # 124M is right for the first; the second has a head of its own: 162,220,800.
    assert ("parameters" in findings) == (name == "llama")


def test_4500_is_not_the_dense_peak_of_a_b200(tmp_path: Path) -> None:
    run = Run(time=0.0, run_id="b200", name="b200", dtype="bfloat16",
              hardware=Hardware(device="NVIDIA B200", peak_tflops=4500.0))  # fmt: skip
    finding = found(audit_run(write(tmp_path, run, [])))["peak"]
    assert finding.severity == "impossible"
    assert finding.values == {"peak_tflops": 4500.0, "table": 2250.0}
    assert "with sparsity" in finding.likelier


def test_the_run_file_of_the_quick_start(tmp_path: Path) -> None:
    """Its lines: 12 layers 768 wide with 21 million parameters, 6.4 GFLOP per token, a loss of 3.2 at once."""
    document = {
        "run_name": "run_20250103_143022",
        "startup_info": {
            "model": {"architecture_name": "12L-12H-768D-AbsPos-LN-NB-GELU-PostNorm", "total_params": 21_008_448,
                      "n_layer": 12, "n_embd": 768, "n_head": 12, "block_size": 1024, "vocab_size": 50_304},
            "hardware": {"gpu_name": "A100", "num_gpus": 1, "peak_tflops": 312.0},
        },
        "training_iterations": [{
            "iter": 5, "loss": 3.2145, "lr": 1.5e-6, "time_ms": 234.5,
            "mfu": {"mfu_percent": 45.23, "achieved_tflops": 141.1, "tokens_per_sec": 21_943, "flops_per_token": 6.4e9},
            "memory": {"allocated_gb": 2.34, "peak_gb": 3.12, "reserved_gb": 4.0},
        }],
        "summary": {"avg_mfu": 45.23, "avg_time_ms": 234.5},
    }  # fmt: skip
    path = tmp_path / "run_20250103_143022.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    (run,) = find_runs(str(path), tmp_path)
    outcome = audit_run(run)
    findings = found(outcome)
    assert {name: each.severity for name, each in findings.items()} == {
        "parameters": "impossible", "flops": "impossible", "first-loss": "suspicious",
    }  # fmt: skip
    # The document says `6.4 GF`: its throughput, TFLOP/s, MFU and peak agree with each other.
    assert {"tflops", "mfu", "mfu-limit", "peak"} <= set(outcome.agreeing)
