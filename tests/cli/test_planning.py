"""Commands that need no run: plan, presets, doctor, schema."""

from __future__ import annotations

import tomllib

import pytest

from tests.cli.conftest import Cli
from tuitrain.config import all_presets


def test_plan_counts_what_the_published_model_has(cli: Cli) -> None:
    plan = cli("plan", "gpt2-124m", "--gpu", "A100", "--gpus", "8", "--mfu", "0.5", "--json").json()
    assert plan["parameters"]["total"] == 124_439_808
    assert plan["flops_per_token"] == pytest.approx(0.854e9, rel=1e-3)
    assert plan["memory_bytes"]["total"] == sum(v for k, v in plan["memory_bytes"].items() if k != "total")
    rate = 0.5 * 312e12 * 8 / plan["flops_per_token"]
    assert plan["time"]["tokens_per_sec"] == pytest.approx(rate)
    assert plan["time"]["gpu_hours"] == pytest.approx(plan["tokens"] / rate * 8 / 3600)


def test_plan_says_at_which_utilisation(cli: Cli) -> None:
    text = cli("plan", "qwen3-1.8b", "--gpu", "H100", "--gpus", "8").out
    assert "1,830,395,904" in text
    assert "at 40.0 % MFU" in text
    assert "10.3 GFLOP" in text


def test_plan_of_what_does_not_fit_has_no_time_and_says_what_would_on_these_gpus_or_that_nothing_does(cli: Cli) -> None:
    nothing = cli("plan", "llama3-8b", "--gpu", "RTX 4090", "--gpus", "4")
    assert nothing.code == 1
    assert "no micro-batch, checkpointing or sharding makes it fit 4 × RTX 4090" in nothing.out
    assert "would fit on more: --gpus 16" in nothing.out and "would fit: " not in nothing.out
    assert nothing.out.split("time")[-1].strip() == "n/a: it does not fit"
    something = cli("plan", "qwen3-1.8b", "train.micro_batch_size=32", "--gpu", "RTX 4090", "--gpus", "4")
    assert something.code == 1 and "would fit: " in something.out and "no micro-batch" not in something.out
    found = cli("plan", "llama3-8b", "--gpu", "RTX 4090", "--gpus", "4", "--json")
    assert found.code == 1
    assert (found.json()["time"], found.json()["would_fit"]) == (None, [])
    assert found.json()["would_fit_on_more"][0]["settings"][0] == "--gpus 16"


def test_plan_of_an_unknown_gpu_offers_the_nearest(cli: Cli) -> None:
    result = cli("plan", "gpt2-124m", "--gpu", "H1000")
    assert result.code == 2
    assert "Did you mean 'H100'?" in result.err


def test_plan_refuses_a_batch_that_does_not_divide(cli: Cli) -> None:
    result = cli("plan", "gpt2-tiny", "--gpus", "3")
    assert result.code == 2
    assert "train.global_batch_size" in result.err


def test_plan_knows_the_vocabulary_from_the_name_of_the_tokenizer_or_says_it_does_not(cli: Cli) -> None:
    trained = cli("plan", "gpt2-tiny", "model.vocab_size=none", "data.tokenizer=sentencepiece:5000", "--json").json()
    assert trained["config"]["model"]["vocab_size"] == 5000
    unknown = cli("plan", "gpt2-tiny", "model.vocab_size=none", "data.tokenizer=char", "--json").json()
    assert unknown["parameters"] is None
    assert unknown["fits"] is None
    assert "n/a" in cli("plan", "gpt2-tiny", "model.vocab_size=none", "data.tokenizer=char").out


def test_presets_lists_all_and_prints_one(cli: Cli) -> None:
    rows = cli("presets", "--json").json()
    assert [row["name"] for row in rows] == list(all_presets())
    assert next(row for row in rows if row["name"] == "llama3-8b")["parameters"]["total"] == 8_030_261_248
    table = cli("presets").out
    assert all(name in table for name in all_presets())
    assert tomllib.loads(cli("presets", "qwen3").out)["model"]["n_layers"] == 24
    assert cli("presets", "qwen3", "--json").json()["model"]["n_heads"] == 16


def test_doctor_looks_at_everything_and_says_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = {finding["name"]: finding for finding in cli("doctor", "--quick", "--json").json()}
    assert {"python", "torch", "CPU", "C++ compiler", "terminal", "cache", "runs"} <= set(findings)
    assert findings["runs"]["state"] == "ok"
    monkeypatch.setenv("PATH", "")
    findings = {finding["name"]: finding for finding in cli("doctor", "--quick", "--json").json()}
    assert findings["C++ compiler"]["state"] == "warning"
    assert "install" in findings["C++ compiler"]["fix"]


def test_schema_describes_config_events_settings_and_json(cli: Cli) -> None:
    found = cli("schema").json()
    assert set(found) == {"config", "events", "settings", "json"}
    assert found["config"]["properties"]["name"]["pattern"]
    assert "RunState" in found["json"]["$defs"]
    assert "Step" in cli("schema", "events").json()["$defs"]
    assert cli("schema", "config").json() == found["config"]
