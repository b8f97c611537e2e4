"""Which losses are ranked: of one tokenizer or by the byte, of one held-out text."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.histories import history
from tuitrain.analysis.compare import Comparison, compare_runs
from tuitrain.analysis.groups import Member, group_runs
from tuitrain.analysis.verdict import SINGLE
from tuitrain.events import Architecture, Eval
from tuitrain.runs import RunHistory

TOKENIZERS = {"hf:gpt2": 50_257, "hf:llama": 32_000, "hf:qwen": 151_936}


def run_of(
    tokenizer: str = "hf:gpt2",
    bits: float | None = 1.0,
    text: str | None = "text",
    split: str | None = None,
    fraction: float | None = 1.0,
    loss: float = 3.0,
    **changes: Any,
) -> RunHistory:
    """A run of 10 steps with a single evaluation after them."""
    made = history(
        config={"data": {"source": "web", "tokenizer": tokenizer}},
        architecture=Architecture(name="1L", vocab_size=TOKENIZERS[tokenizer]),
        **changes,
    )
    fingerprint = f"{tokenizer} {text}" if split is None else split
    made.absorb([Eval(time=11.0, step=10, tokens=1000, loss=loss, bits_per_byte=bits, split_fingerprint=fingerprint,
                      text_fingerprint=text, text_fraction=fraction)])  # fmt: skip
    return made


def compared(**runs: RunHistory) -> Comparison:
    return compare_runs(list(runs.items()))


def best_of(comparison: Comparison, key: str) -> str | None:
    row = next(row for row in comparison.metrics if row.metric.key == key)
    return None if row.best is None else comparison.names[row.best]


def test_runs_of_different_tokenizers_are_ranked_by_bits_per_byte() -> None:
    comparison = compared(gpt2=run_of(bits=1.0, loss=3.0), qwen=run_of("hf:qwen", bits=0.9, loss=3.2))
    assert comparison.verdict[:3] == [
        "Their losses per token are not comparable, since they use different tokenizers or vocabularies: "
        "gpt2 hf:gpt2 (50,257 tokens), qwen hf:qwen (151,936 tokens).",
        "qwen has the lower bits per byte at the end of each run: 0.9000, 10.0 % below gpt2 (1.0000).",
        SINGLE,
    ]
    assert best_of(comparison, "final_bits_per_byte") == "qwen"
    assert best_of(comparison, "final_val_loss") is None
    assert best_of(comparison, "final_loss") is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"bits": None}, "They are not ranked by bits per byte"),
        ({"text": "other"}, "Their bits per byte are not ranked either"),
        ({"text": None}, "Their bits per byte are not ranked either"),
    ],
)
def test_bits_per_byte_of_other_texts_or_missing_ones_rank_nothing(other: dict[str, Any], said: str) -> None:
    runs = {"a": run_of(), "b": run_of("hf:llama", bits=0.8), "c": run_of("hf:qwen", **{"bits": 0.9, **other})}
    comparison = compared(**runs)
    assert "not comparable" in comparison.verdict[0]
    assert comparison.verdict[1].startswith(said)
    assert best_of(comparison, "final_bits_per_byte") is None
    assert not any("lowest" in sentence for sentence in comparison.verdict)


def test_where_no_run_has_bits_per_byte_the_losses_are_only_called_incomparable() -> None:
    verdict = compared(a=run_of(bits=None), b=run_of("hf:llama", bits=None)).verdict
    assert ["not comparable" in verdict[0], any("bits" in sentence for sentence in verdict)] == [True, False]


def test_validation_losses_of_different_held_out_text_are_not_ranked() -> None:
    comparison = compared(a=run_of(loss=2.0, text="one"), b=run_of(loss=4.0, text="other"))
    assert comparison.verdict[0] == (
        "They are evaluated on different sequences, so their validation losses are not ranked."
    )
    assert not any("validation loss:" in sentence for sentence in comparison.verdict[1:])
    assert "practically the same training loss" in comparison.verdict[1]
    for key in ("final_val_loss", "best_val_loss", "final_perplexity", "final_bits_per_byte"):
        assert best_of(comparison, key) is None


def test_samples_of_one_text_are_ranked_with_a_caution() -> None:
    """As in a sweep of the batch size, of which eval.steps batches are evaluated."""
    runs = {"a": run_of(loss=2.0, split="small", fraction=0.25), "b": run_of(loss=4.0, split="large", fraction=0.5)}
    comparison = compared(**runs)
    assert "different samples of the same held-out text, of as little as 25.0 % of it" in comparison.verdict[0]
    assert "a has the lower validation loss" in comparison.verdict[1]
    assert best_of(comparison, "final_val_loss") == "a"


def test_bits_per_byte_of_samples_are_ranked_with_a_caution() -> None:
    verdict = compared(a=run_of(fraction=0.5), b=run_of("hf:qwen", bits=0.8)).verdict
    assert "samples of the same held-out text" in verdict[1]
    assert verdict[2].startswith("b has the lower bits per byte")


def test_a_target_in_bits_per_byte_is_reached_by_any_tokenizer() -> None:
    runs = [("a", run_of(bits=0.8)), ("b", run_of("hf:qwen", bits=1.2))]
    verdict = compare_runs(runs, at=("bits_per_byte", 1.0)).verdict
    assert "b did not reach 1 bits per byte: its lowest is 1.2." in verdict


def test_groups_of_different_tokenizers_are_ranked_by_bits_per_byte() -> None:
    members = [
        Member(f"{tokenizer} {seed}", run_of(tokenizer, bits=bits + seed / 1000, loss=bits))
        for tokenizer, bits in (("hf:gpt2", 1.0), ("hf:llama", 0.9))
        for seed in range(3)
    ]
    verdict = group_runs(members, "data.tokenizer").verdict
    assert "not comparable" in verdict[0]
    assert verdict[1].startswith("tokenizer=hf:llama has the lower bits per byte: 0.9010 ± 0.0010 (n = 3)")
    for number, member in enumerate(members):
        evaluation = member.history.evaluation
        assert evaluation is not None
        evaluation.text_fingerprint = str(number)
    assert not any("lower bits" in sentence for sentence in group_runs(members, "data.tokenizer").verdict)


few = st.sampled_from((0.9, 1.0, 1.001, math.nan))
runs_of_any_kind = st.builds(
    run_of,
    st.sampled_from(sorted(TOKENIZERS)),
    st.one_of(st.none(), few),
    st.sampled_from((None, "one", "two")),
    st.sampled_from((None, "same", "other")),
    st.sampled_from((None, 0.5, 1.0)),
    few,
    step_ms=st.sampled_from((500.0, 1000.0)),
)


@given(st.lists(runs_of_any_kind, min_size=2, max_size=4), st.randoms())
def test_the_order_of_the_runs_changes_no_verdict(made: list[RunHistory], shuffled: random.Random) -> None:
    runs = [(f"run {number}", each) for number, each in enumerate(made)]
    first = compare_runs(runs)
    shuffled.shuffle(runs)
    second = compare_runs(runs)
    assert second.verdict == first.verdict
    for one, other in zip(first.metrics, second.metrics, strict=True):
        names = [None if row.best is None else each.names[row.best] for row, each in ((one, first), (other, second))]
        assert names[0] == names[1], one.metric.key


@given(runs_of_any_kind)
def test_a_run_is_as_good_as_itself(made: RunHistory) -> None:
    compared = compare_runs([("one", made), ("other", made)])
    assert all(row.best is None for row in compared.metrics)
    assert not any(word in sentence for sentence in compared.verdict for word in ("lower", "not ranked", "samples of"))


def test_logs_that_name_no_tokenizer_and_no_text_are_ranked_with_a_caution() -> None:
    """As the logs of other tools seldom do."""
    losses = {"b": 2.0, "a": 3.0}
    silent = {name: history(evals=((10, loss),), config={}, architecture=None) for name, loss in losses.items()}
    assert compared(**silent).verdict[:2] == [
        "Whether their losses measure the same is unknown: the logs of a and b name neither a tokenizer nor a text.",
        "b has the lower validation loss: 2.0000, 33.3 % below a (3.0000).",
    ]
