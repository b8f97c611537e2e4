"""Nucleus sampling: the fewest tokens that reach top_p, after temperature and top_k."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from engine_runs import make_run, run_command, run_engine
from model_shapes import small_model

from tuitrain.cli.json_output import check_output
from tuitrain_engine.generate import choose, generate

PROBABILITIES = torch.tensor([0.15, 0.5, 0.1, 0.25])


def drawn(top_p: float, *, temperature: float = 1.0, top_k: int = 0) -> set[int]:
    """The distinct tokens of many draws."""
    generator = torch.Generator().manual_seed(0)
    return {choose(PROBABILITIES.log(), temperature, top_k, generator, top_p) for _ in range(400)}


@pytest.mark.parametrize(
    ("top_p", "expected"), [(0.0, {1}), (0.3, {1}), (0.6, {1, 3}), (0.8, {0, 1, 3}), (0.95, {0, 1, 2, 3})]
)
def test_only_the_fewest_tokens_that_reach_top_p_are_drawn(top_p: float, expected: set[int]) -> None:
    assert drawn(top_p) == expected


def test_temperature_and_top_k_are_applied_first() -> None:
    # At temperature 5 the likeliest has 0.30 of the probability; of the best two alone it has 0.67.
    assert drawn(0.45) == {1} and drawn(0.45, temperature=5.0) == {1, 3}
    assert drawn(0.6) == {1, 3} and drawn(0.6, top_k=2) == {1}


def test_the_remaining_tokens_keep_their_proportions() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([choose(PROBABILITIES.log(), 1.0, 0, generator, 0.7) for _ in range(4000)])
    shares = torch.bincount(draws, minlength=4) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.0, 2 / 3, 0.0, 1 / 3]), rtol=0, atol=0.03)


def test_generation_respects_top_p() -> None:
    model = small_model()
    greedy = generate(model, [1], max_tokens=12, temperature=0, top_k=0, seed=0)
    assert generate(model, [1], max_tokens=12, temperature=3.0, top_k=0, top_p=1e-6, seed=0) == greedy
    assert generate(model, [1], max_tokens=12, temperature=3.0, top_k=0, seed=0) != greedy


def test_the_command_and_the_configuration_accept_top_p(tmp_path: Path) -> None:
    quick = {"train": {"max_steps": 1}, "eval": {"interval": 0}}
    run_dir = make_run(tmp_path, **quick, sampling={"top_p": 1e-6, "top_k": 0, "temperature": 5.0, "max_tokens": 8})
    assert run_engine(run_dir).returncode == 0

    def text(*options: str) -> str:
        process = run_command(run_dir, "sample", str(run_dir), "--prompt", "def ", "--json", *options)
        assert process.returncode == 0, process.stderr
        return check_output("sample", process.stdout).text

    assert text() != text("--top-p", "1")
