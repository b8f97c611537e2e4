"""Overrides with several values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import write_run
from tuitrain.analysis.compare import compare_runs
from tuitrain.config import ConfigError
from tuitrain.launch.sweep import grid, sample, sweep_configs, values_of
from tuitrain.runs import RunMetadata, RunNotFoundError, find_runs, list_runs, load_history, read_snapshot
from tuitrain.runs.query import parse_query


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("optim.lr=1e-4,3e-4, 1e-3", ["1e-4", "3e-4", "1e-3"]),
        ("optim.name=adamw,muon", ["adamw", "muon"]),
        ("optim.betas=[0.9,0.95]", ["[0.9,0.95]"]),
        ("optim.betas=0.9,0.95", ["0.9,0.95"]),
        ("optim.betas=[0.9,0.95],[0.9,0.99]", ["[0.9,0.95]", "[0.9,0.99]"]),
        ('data.mixture={"a.txt" = 1, "b,c.txt" = 2}', ['{"a.txt" = 1, "b,c.txt" = 2}']),
        ("data.source=stdlib,shakespeare", ["stdlib", "shakespeare"]),
        ('data.source="a,b.txt"', ['"a,b.txt"']),
        ("sampling.prompt=Once, there was", ["Once, there was"]),
        ("train.skip_steps=[7,8]", ["[7,8]"]),
        ("train.max_steps=5", ["5"]),
        ("not.a.key=1,2", ["1", "2"]),
        ("no override", None),
    ],
)
def test_commas_divide_values_but_not_lists_quotes_and_prompts(override: str, values: list[str] | None) -> None:
    key = override.partition("=")[0]
    assert values_of(override) == ([override] if values is None else [f"{key}={value}" for value in values])


@given(st.text())
def test_any_text_is_divided_without_losing_a_character(text: str) -> None:
    try:
        values = values_of(f"data.source={text}")
    except ConfigError as error:
        assert "lacks a value" in str(error)
    else:
        parts = [each.removeprefix("data.source=") for each in values]
        assert "".join(",".join(parts).split()) == "".join(text.split())


def test_a_grid_has_every_combination_and_a_sample_of_it_is_always_the_same() -> None:
    runs = grid(["optim.lr=1,2", "train.max_steps=5", "train.seed=1,2,3"])
    assert runs[:2] == [
        ["optim.lr=1", "train.max_steps=5", "train.seed=1"],
        ["optim.lr=1", "train.max_steps=5", "train.seed=2"],
    ]
    assert len({tuple(run) for run in runs}) == 6
    some = sample(runs, 4)
    assert len(some) == 4 and some == sample(runs, 4) and sorted(some) == some
    assert sample(runs, 9) == runs
    with pytest.raises(ConfigError, match="10,000 runs, more than 1,000"):
        grid([f"train.seed={','.join(map(str, range(100)))}", f"optim.lr={','.join(map(str, range(1, 101)))}"])
    with pytest.raises(ConfigError, match=r"optim\.lr=1,,2' lacks a value"):
        grid(["optim.lr=1,,2"])


def test_the_runs_of_a_sweep_are_numbered_after_their_group() -> None:
    group, configs = sweep_configs("gpt2-tiny", grid(["train.seed=" + ",".join(map(str, range(12)))]), "grid")
    assert group == "grid"
    assert [config.name for config in configs][::11] == ["grid-01", "grid-12"]
    assert [config.train.seed for config in configs] == list(range(12))
    made_up, _ = sweep_configs("gpt2-tiny", [["train.seed=1"]], None)
    assert made_up.startswith("gpt2-tiny-sweep-")


def test_a_sweep_with_two_equal_runs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"same, 'optim\.lr=1e-3' and 'optim\.lr=0\.001': leave one value out"):
        sweep_configs("gpt2-tiny", grid(["optim.lr=1e-3,3e-3,0.001"]), "grid")


def test_a_group_is_chosen_by_its_name(tmp_path: Path) -> None:
    for number, group in enumerate(["grid", "grid", "other", None]):
        write_run(tmp_path, f"run-{number}", info=RunMetadata(name="a", created=float(number), group=group))
    assert [run.run_id for run in find_runs("group:grid", tmp_path)] == ["run-0", "run-1"]
    with pytest.raises(RunNotFoundError, match="is of the group 'gri'"):
        find_runs("group:gri", tmp_path)
    chosen = parse_query("group:grid").chosen(map(read_snapshot, list_runs(tmp_path)))
    assert {each.directory.run_id for each in chosen} == {"run-0", "run-1"}


def test_a_group_with_a_run_that_waits_is_compared(tmp_path: Path) -> None:
    trained = write_run(tmp_path, "trained", info=RunMetadata(name="a", created=1.0, group="grid"))
    waiting = write_run(tmp_path, "waiting", info=RunMetadata(name="b", created=2.0, group="grid", queued=2.0))
    waiting.metrics.unlink()
    runs = find_runs("group:grid", tmp_path)
    assert runs == [trained, waiting]
    comparison = compare_runs([(run.run_id, load_history(run)) for run in runs])
    assert comparison.names == ["trained", "waiting"] and comparison.metrics[0].values[1] is None
    waiting.info.unlink()
    with pytest.raises(FileNotFoundError):
        load_history(waiting)
