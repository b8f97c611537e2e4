from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.histories import history, row, run_record
from tests.support import write_run
from tuitrain.analysis.compare import Comparison, compare_runs, display_names
from tuitrain.analysis.config_rows import config_rows
from tuitrain.analysis.metric_rows import best_of
from tuitrain.analysis.metrics import metric
from tuitrain.analysis.verdict import SINGLE
from tuitrain.config import flatten, load_config
from tuitrain.events import Architecture, Eval, Hardware, Parallel, Step
from tuitrain.runs import RunHistory, load_history


def two(**second: object) -> Comparison:
    first = history(evals=((5, 3.0), (10, 2.0)))
    return compare_runs([("one", first), ("two", history(**{"evals": ((5, 2.5), (10, 1.5)), **second}))])  # type: ignore[arg-type]


def test_values_deltas_and_the_best_by_hand() -> None:
    comparison = two(step_ms=500.0, loss=1.0)
    assert comparison.names == ["one", "two"]
    loss, speed, parameters = (row(comparison, key) for key in ("final_loss", "mean_tokens_per_sec", "params_total"))
    assert (loss.values, loss.deltas, loss.best) == ([2.0, 1.0], [None, -0.5], 1)
    assert (speed.values, speed.deltas, speed.best) == ([100.0, 200.0], [None, 1.0], 1)
    assert (parameters.values, parameters.deltas, parameters.best) == ([1000.0, 1000.0], [None, 0.0], None)


def on_sequences(mark: str | None, split: str = "val") -> RunHistory:
    made = history()
    made.absorb([Eval(time=11.0, step=10, loss=2.0, split=split, split_fingerprint=mark)])
    return made


@pytest.mark.parametrize(
    ("one", "other", "cautions"),
    [
        (on_sequences("a"), on_sequences("b"), 1),
        (on_sequences("a", "wiki"), on_sequences("a", "code"), 1),
        (on_sequences("a"), on_sequences("a"), 0),
        (on_sequences(None), on_sequences("a"), 0),
    ],
)
def test_losses_on_different_sequences_have_a_warning(one: RunHistory, other: RunHistory, cautions: int) -> None:
    verdict = compare_runs([("one", one), ("two", other)]).verdict
    assert sum("different sequences" in sentence for sentence in verdict) == cautions


def test_differences_are_shown_in_per_cent_points_or_as_a_ratio() -> None:
    comparison = two(step_ms=2.0, loss=1.0)
    texts = {each.metric.key: each.delta_text(1) for each in comparison.metrics}
    assert texts["final_loss"] == "−50.0 %"
    assert texts["mean_tokens_per_sec"] == "500×"
    assert texts["final_accuracy"] == "0.0 pt"
    assert texts["params_total"] == "0.0 %"
    assert row(two(step_ms=900.0), "mean_mfu").delta_text(1) == "+1.1 pt"
    assert row(two(step_ms=900.0), "mean_mfu").deltas[1] == pytest.approx(1 / 9)
    assert {each.delta_text(0) for each in comparison.metrics} == {""}


def test_a_run_that_ended_in_nan_shows_nan_as_its_last_loss() -> None:
    ended = history(loss=2.0)
    ended.absorb([Step(time=11.0, step=11, tokens=1100, loss=math.nan)])
    last = row(compare_runs([("one", history(loss=3.0)), ("two", ended)]), "last_loss")
    assert last.values[0] == 3.0
    assert last.metric.text(last.values[1]) == "nan"
    assert last.best is None


def test_utilisation_that_is_displayed_the_same_is_not_ranked() -> None:
    # 0.84 % and 0.76 % are both shown as 0.8 %.
    runs = [("one", history(step_ms=1000 / 0.084)), ("two", history(step_ms=1000 / 0.076))]
    assert not any("hardware" in sentence for sentence in compare_runs(runs).verdict)


def test_the_baseline_can_be_any_run() -> None:
    runs = [("one", history(loss=2.0)), ("two", history(loss=4.0))]
    assert row(compare_runs(runs, baseline=1), "final_loss").deltas == [-0.5, None]


def test_equal_values_have_no_best_and_unknown_values_are_not_ranked() -> None:
    runs = [("one", history(loss=1.0)), ("two", history(loss=1.0)), ("three", RunHistory())]
    loss = row(compare_runs(runs), "final_loss")
    assert (loss.values, loss.deltas, loss.best) == ([1.0, 1.0, None], [None, 0.0, None], None)


def test_nan_is_never_the_best() -> None:
    loss = row(
        compare_runs([("one", history(loss=math.nan)), ("two", history(loss=9.0)), ("three", history())]), "final_loss"
    )
    assert (loss.best, loss.deltas) == (2, [None, None, None])


def test_metrics_that_no_run_has_are_left_out() -> None:
    keys = [each.metric.key for each in two(evals=()).metrics]
    assert "final_val_loss" in keys
    assert "final_val_loss" not in [each.metric.key for each in compare_runs([("one", history())]).metrics]


def test_only_differing_keys_are_listed_without_names() -> None:
    second = {
        "name": "b",
        "optim": {"lr": 0.2, "betas": [0.9, 0.95]},
        "data": {"source": "stdlib", "tokenizer": "byte"},
    }
    comparison = two(config=second)
    assert [(each.key, each.values) for each in comparison.config] == [
        ("optim.lr", ["0.1", "0.2"]),
        ("optim.betas", ["unset", "[0.9, 0.95]"]),
    ]


def test_resolved_values_of_auto_are_compared() -> None:
    comparison = two(parallel=Parallel(strategy="ddp", world_size=8), hardware=Hardware(device="Other", count=8))
    assert {each.key: each.values for each in comparison.config} == {
        "resolved.device": ["GPU", "Other"],
        "resolved.processes": ["1", "8"],
        "resolved.strategy": ["single", "ddp"],
    }


def test_the_difference_of_two_configs() -> None:
    before, after = load_config("llama2-tiny"), load_config("llama2-tiny", ["model.ffn=gelu", "train.compile=true"])
    rows = config_rows([[flatten(before.to_dict())], [flatten(after.to_dict())]])
    assert [(each.key, each.values) for each in rows] == [
        ("model.ffn", ["swiglu", "gelu"]),
        ("train.compile", ["false", "true"]),
    ]
    assert config_rows([[flatten(before.to_dict())]] * 2) == []


def test_the_difference_of_two_runs() -> None:
    rows = compare_runs([("a", history()), ("b", history(config={"optim": {"lr": 0.1}}))]).config
    assert [each.key for each in rows] == ["data.source", "data.tokenizer"]


@pytest.mark.parametrize(
    ("configs", "note"),
    [
        ([{"lr": 1}, {"lr": 1}], "the same in all runs"),
        ([{}, {}], "unknown (the logs hold none)"),
        ([{"lr": 1}, {}], "unknown (none in the log of b)"),
        ([{"lr": 1}, {"lr": 2}], ""),
        ([{}], ""),
    ],
)
def test_what_differs_is_unknown_where_a_log_holds_no_configuration(configs: list[dict[str, int]], note: str) -> None:
    runs = [(name, history(config=config)) for name, config in zip("ab", configs, strict=False)]
    assert compare_runs(runs).configuration_note == note


def test_a_run_without_a_configuration_still_differs_in_what_its_log_says() -> None:
    runs = [("a", history(dtype="bfloat16")), ("b", history(dtype="float32", config={})), ("c", history(config={}))]
    rows = {row.key: row.values for row in compare_runs(runs).config}
    assert rows == {"resolved.dtype": ["bfloat16", "float32", "n/a"]}


def test_the_verdict_names_the_lower_loss_with_the_difference_and_the_faster_run() -> None:
    assert two(step_ms=500.0).verdict == [
        "two has the lower validation loss: 1.5000, 25.0 % below one (2.0000).",
        SINGLE,
        "two is faster: 200 tok/s, 2.00× one (100 tok/s).",
        "two uses the hardware better: 20.0 % MFU against 10.0 % of one.",
    ]


def test_runs_of_different_length_are_compared_at_the_same_tokens() -> None:
    # At 600 tokens the longer run is between 4.0 (400) and 2.0 (800).
    runs = [
        ("long", history(steps=10, evals=((4, 4.0), (8, 2.0)))),
        ("short", history(steps=6, evals=((3, 5.0), (6, 2.7)))),
    ]
    sentence = next(each for each in compare_runs(runs).verdict if each.startswith("short has the lower"))
    assert "at the same 600 tokens: 2.7000, 10.0 % below long (3.0000)." in sentence


def test_of_three_runs_the_best_and_the_second_are_named() -> None:
    runs = [(name, history(evals=((10, loss),))) for name, loss in (("a", 3.0), ("b", 1.0), ("c", 2.0))]
    assert "b has the lowest validation loss: 1.0000, 50.0 % below c (2.0000)." in compare_runs(runs).verdict


def test_runs_within_noise_are_called_equal() -> None:
    sentences = two(evals=((10, 2.001),)).verdict
    assert "one and two have practically the same validation loss: 2.0000 and 2.0010." in sentences
    assert any("equally fast" in sentence for sentence in sentences)
    assert "two is faster: 30.0 k tok/s, 300× one (100 tok/s)." in two(step_ms=1000 / 300).verdict


@pytest.mark.parametrize(
    "other",
    [
        {"config": {"data": {"source": "stdlib", "tokenizer": "char"}}},
        {"architecture": Architecture(name="1L", vocab_size=50_257)},
    ],
)
def test_losses_of_different_tokens_are_not_compared(other: dict[str, object]) -> None:
    comparison = two(**other)
    assert "not comparable" in comparison.verdict[0]
    assert not any("validation loss" in sentence for sentence in comparison.verdict)
    for key in ("final_loss", "last_loss", "final_val_loss", "best_val_loss", "final_perplexity", "final_accuracy"):
        loss = row(comparison, key)
        assert (loss.best, loss.deltas) == (None, [None, None])
        assert None not in loss.values


def test_a_padded_vocabulary_is_the_same_vocabulary() -> None:
    plain, padded = (history(architecture=Architecture(name="1L", vocab_size=size)) for size in (50_257, 50_304))
    assert not any("comparable" in sentence for sentence in compare_runs([("a", plain), ("b", padded)]).verdict)


def test_tokenizers_trained_on_different_corpora_differ() -> None:
    configs = [{"data": {"source": source, "tokenizer": "char"}} for source in ("a.txt", "b.txt")]
    runs = [(str(number), history(config=config)) for number, config in enumerate(configs)]
    assert "not comparable" in compare_runs(runs).verdict[0]


def test_different_data_is_a_warning() -> None:
    sentences = two(config={"data": {"source": "shakespeare", "tokenizer": "byte"}}).verdict
    assert "different data" in sentences[0]


def test_the_verdict_on_speed_names_different_hardware() -> None:
    sentences = two(hardware=Hardware(device="Other"), step_ms=250.0).verdict
    assert "two is faster (on different hardware): 400 tok/s, 4.00× one (100 tok/s)." in sentences


def test_speeds_that_differ_by_less_than_the_step_times_scatter_are_not_ranked() -> None:
    def noisy(step_ms: float) -> RunHistory:
        made = RunHistory()
        made.absorb([run_record()])
        made.absorb(
            Step(time=float(n), step=n, tokens=100 * n, step_time_ms=step_ms * (0.8, 1.2)[n % 2], mfu=0.1 / step_ms)
            for n in range(1, 101)
        )
        return made

    comparison = compare_runs([("a", noisy(111.0)), ("b", noisy(100.0))])
    assert comparison.verdict == [
        "The speeds of b and a cannot be told apart: 1.00 k tok/s and 901 tok/s, and step times scatter by ±20.0 %."
    ]
    assert row(comparison, "mean_tokens_per_sec").best is None
    assert "b is faster" in compare_runs([("a", noisy(200.0)), ("b", noisy(100.0))]).verdict[0]


def test_values_that_are_displayed_alike_have_no_best() -> None:
    memory = metric("peak_memory_gb")
    assert best_of(memory, [0.3702, 0.3698]) is None
    assert best_of(memory, [0.38, 0.37]) == 1


def test_a_diverged_run_is_named_first() -> None:
    assert two(loss=math.nan).verdict[0] == (
        "two diverged, so its losses are not ranked: the training loss is nan at step 10."
    )


def test_a_run_that_diverged_after_the_lowest_validation_loss_is_not_the_best() -> None:
    runs = [
        ("healthy", history(evals=((10, 3.0),))),
        ("other", history(evals=((10, 3.5),))),
        ("diverged", history(loss=math.nan, evals=((5, 2.0),))),
    ]
    for order in itertools.permutations(runs):
        comparison = compare_runs(order)
        for key in ("final_val_loss", "best_val_loss"):
            assert comparison.names[row(comparison, key).best or 0] == "healthy"
        assert any(sentence.startswith("healthy has the lower validation loss") for sentence in comparison.verdict)
        assert not any("diverged is the best in final" in sentence for sentence in comparison.findings)


def test_losses_that_are_practically_the_same_have_no_best() -> None:
    """As the verdict has it, which calls them practically the same."""
    comparison = compare_runs([("a", history(evals=((10, 2.0),))), ("b", history(evals=((10, 2.008),)))])
    assert "practically the same validation loss" in comparison.verdict[0]
    assert row(comparison, "final_val_loss").best is None


def test_a_run_without_a_configuration_differs_in_nothing() -> None:
    runs = [("a", history()), ("b", history(config={"optim": {"lr": 0.2}})), ("c", RunHistory())]
    config = {each.key: each.values for each in compare_runs(runs).config}
    assert config["optim.lr"] == ["0.1", "0.2", "n/a"]
    assert compare_runs([runs[0], runs[2]]).config == []


def test_one_run_is_shown_without_a_verdict() -> None:
    comparison = compare_runs([("one", history())])
    assert (comparison.verdict, comparison.config) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"baseline": 2}, "baseline"), ({"at": ("wishes", 1.0)}, "step, tokens, time, flops")],
)
def test_what_cannot_be_compared_is_an_error(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_runs([("one", history())], **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing to compare"):
        compare_runs([])


def test_equal_names_get_the_end_of_their_ids(tmp_path: Path) -> None:
    made = [write_run(tmp_path, f"a-20260101-00000{n}-{end}", steps=1) for n, end in enumerate(("aaaa", "bbbb"))]
    other = write_run(tmp_path, "b", preset="gpt2-tiny", steps=1)
    runs = [(run, load_history(run)) for run in (*made, other)]
    assert display_names(runs) == ["llama2-tiny (aaaa)", "llama2-tiny (bbbb)", "gpt2-tiny"]
    assert len(set(display_names([runs[0], runs[0]]))) == 2


def a_history(values: tuple[float, float, float, int, str]) -> RunHistory:
    loss, val, step_ms, steps, source = values
    config = {"data": {"source": source, "tokenizer": "byte"}, "optim": {"lr": loss}}
    return history(loss=loss, evals=((2, 5.0), (steps, val)), step_ms=step_ms, steps=steps, config=config)


few = st.sampled_from((1.0, 2.0, 2.001, math.nan))
histories = st.builds(
    a_history,
    st.tuples(few, few, st.sampled_from((500.0, 1000.0, 1001.0)), st.integers(3, 6), st.sampled_from(("web", "books"))),
)
points = st.sampled_from((None, ("step", 4.0), ("tokens", 500.0), ("time", 2.5), ("flops", 2e12)))


@given(st.lists(histories, min_size=2, max_size=4), points, st.randoms())
def test_the_order_of_the_runs_changes_no_verdict(
    made: list[RunHistory], at: tuple[str, float] | None, shuffled: random.Random
) -> None:
    runs = [(f"run {number}", each) for number, each in enumerate(made)]
    verdict, best = said(runs, at)
    shuffled.shuffle(runs)
    assert said(runs, at) == (verdict, best)


def said(runs: list[tuple[str, RunHistory]], at: tuple[str, float] | None) -> tuple[list[str], dict[str, str | None]]:
    """The verdict and the name of the best run of each metric."""
    compared = compare_runs(runs, at=at)
    best = {each.metric.key: None if each.best is None else compared.names[each.best] for each in compared.metrics}
    return compared.verdict, best


@given(histories, points)
def test_a_run_compared_with_itself_differs_in_nothing(made: RunHistory, at: tuple[str, float] | None) -> None:
    compared = compare_runs([("one", made), ("other", made)], at=at)
    for each in compared.metrics:
        assert each.best is None, each
        assert each.deltas[0] is None
        value = each.values[0]
        assert each.deltas[1] == (0.0 if value is not None and math.isfinite(value) else None), each
    assert compared.config == []
    assert not any(word in sentence for sentence in compared.verdict for word in ("lower", "faster", "better"))


def test_numbers_that_programs_say_of_their_outcomes_are_rows() -> None:
    tables = ({"best": 2.0, "test": {"acc": 0.5}, "note": "a"}, {"best": 3.0, "test": {"acc": True}, "only": 1})
    runs = [(name, history(logged_summary=table)) for name, table in zip(("one", "two"), tables, strict=True)]
    shown = [(each.metric.title, each.values, each.best) for each in compare_runs(runs).metrics[-1:]]
    assert shown == [("best (summary)", [2.0, 3.0], None)]
    titles = [each.metric.title for each in compare_runs(runs[:1]).metrics[-2:]]
    assert titles == ["best (summary)", "test.acc (summary)"]
    assert not any("summary" in each.metric.title for each in compare_runs(runs, at=("step", 5)).metrics)
