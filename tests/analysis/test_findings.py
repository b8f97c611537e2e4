from __future__ import annotations

import math
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.histories import history
from tests.support import run_record
from tuitrain.accounting import flops_per_token
from tuitrain.analysis.findings import best_sentences, speed_sentences
from tuitrain.analysis.metric_rows import MetricRow, metric_row
from tuitrain.analysis.metrics import metric
from tuitrain.analysis.speed import Account, Named, account, named_accounts, speed_rows
from tuitrain.analysis.summary import summarize
from tuitrain.config import load_config
from tuitrain.events import Hardware, Parallel, Step
from tuitrain.runs import RunHistory

PEAK = 154.8
SEEDS = {
    # Preset: MFU, micro-batch, accumulation on two RTX A6000, as in the tables of the training documents.
    "qwen3-1.8b": (0.2762, 2, 96),
    "gpt2-1.3b": (0.3057, 4, 32),
    "llama3-2.2b": (0.2461, 2, 64),
    "llama2-1.3b": (0.3019, 5, 16),
}


def trained(preset: str, mfu: float, micro_batch: int, accumulation: int, *, gpus: int = 2) -> RunHistory:
    """A run of a preset at a constant MFU."""
    batch = micro_batch * accumulation * gpus
    overrides = (f"train.micro_batch_size={micro_batch}", f"train.global_batch_size={batch}")
    config = load_config(preset, overrides)
    record = run_record(config, preset, at=0.0, peak=PEAK)
    record.hardware = Hardware(device="NVIDIA RTX A6000", count=gpus, peak_tflops=PEAK)
    record.parallel = Parallel(strategy="zero1", world_size=gpus, accumulation=accumulation)
    flops = flops_per_token(config.model).full
    rate = mfu * gpus * PEAK * 1e12 / flops
    tokens = batch * config.model.seq_len
    made = RunHistory()
    made.absorb([record])
    made.absorb(
        Step(time=float(n), step=n, tokens=n * tokens, loss=3.0, step_time_ms=1000 * tokens / rate,
             tokens_per_sec=rate, mfu=mfu, data_time_ms=0.0)
        for n in range(1, 6)
    )  # fmt: skip
    return made


def named(name: str, made: RunHistory) -> Named:
    return Named(name, account(made, summarize(made)))


@pytest.fixture(scope="module")
def seeds() -> list[Named]:
    return [named(preset, trained(preset, *numbers)) for preset, numbers in SEEDS.items()]


def product_of(sentence: str) -> tuple[float, float]:
    """The ratio that a sentence explains, and the product of its factors."""
    ratio = re.search(r"(?:trains|takes) ([\d.,]+) times", sentence)
    factors = re.findall(r"(?:= |× )([\d.,]+) \(", sentence)
    assert ratio is not None
    return float(ratio[1]), math.prod(map(float, factors))


def test_the_speeds_of_the_training_documents_multiply_up(seeds: list[Named]) -> None:
    sentences = [each for each in speed_sentences(seeds) if "tokens per second of" in each]
    # GPT-2 and LLaMA-2 are within 3 % of each other: their tokens cost about the same.
    assert [re.findall(r"(\S+) trains .* second of (\S+)", each)[0] for each in sentences] == [
        ("llama2-1.3b", "gpt2-1.3b"), ("llama2-1.3b", "qwen3-1.8b"), ("llama2-1.3b", "llama3-2.2b"),
    ]  # fmt: skip
    for sentence in sentences:
        ratio, product = product_of(sentence)
        assert product == pytest.approx(ratio, rel=0.01), sentence
    assert sentences[2] == (
        "llama2-1.3b trains 2.08 times the tokens per second of llama3-2.2b (11.9 k against 5.74 k) = 1.70 (FLOPs per "
        "token: 7.83 GFLOP against 13.3 GFLOP) × 1.23 (MFU: 30.2 % against 24.6 %)."
    )


def test_the_cost_of_a_token_is_the_sum_of_its_parts(seeds: list[Named]) -> None:
    (sentence,) = [each for each in speed_sentences(seeds) if "A token costs" in each]
    assert sentence.startswith("A token costs llama3-2.2b 5.45 GFLOP more than llama2-1.3b: ")
    signed = re.findall(r"([−+]?)([\d.]+) ([MG])FLOP", sentence)
    total, *parts = [float(f"-{n}" if sign == "−" else n) * (0.001 if unit == "M" else 1) for sign, n, unit in signed]
    assert sum(parts) == pytest.approx(total, rel=0.01)
    assert "in the blocks (layers 30 against 18, width 2,048 against 2,304, heads 2,048 against 2,304," in sentence
    assert "in the output head (vocabulary 128,256 against 32,000, width 2,048 against 2,304)" in sentence


def test_accumulation_makes_a_step_longer_and_no_token_dearer(seeds: list[Named]) -> None:
    (sentence,) = [each for each in speed_sentences(seeds) if each.startswith("A step")]
    assert sentence.startswith("A step of qwen3-1.8b takes 6.92 times as long as one of llama2-1.3b")
    assert "4.80 (tokens of a step: 786,432 against 163,840)" in sentence
    assert "96 micro-batches against 16" in sentence
    ratio, product = product_of(sentence)
    assert product == pytest.approx(ratio, rel=0.01)


def test_what_may_explain_the_mfu_is_named_as_such(seeds: list[Named]) -> None:
    (sentence,) = [each for each in speed_sentences(seeds) if each.startswith("MFU is")]
    assert sentence.startswith(
        "MFU is 30.6 % of gpt2-1.3b and 24.6 % of llama3-2.2b; they differ in micro-batch (4 against 2)"
    )
    assert sentence.endswith("the logs do not say how much each of these accounts for.")
    assert "device" not in sentence


def test_the_account_of_a_token_and_of_the_parameters(seeds: list[Named]) -> None:
    qwen = seeds[0].account
    assert qwen.flops_per_token == pytest.approx(10.323e9, rel=1e-4)
    assert (qwen.blocks or 0) + (qwen.head or 0) + (qwen.attention or 0) == pytest.approx(qwen.flops_per_token)
    assert qwen.head_share == pytest.approx(6 * 151_936 * 2048 / 10.323e9, rel=1e-4)
    assert qwen.attention_share == pytest.approx(12 * 24 * 2048 * 2048 / 10.323e9, rel=1e-4)
    assert qwen.vocabulary_share == pytest.approx(2 * 151_936 * 2048 / 1_830_395_904, rel=1e-4)
    assert qwen.utilisation == pytest.approx(0.2762)
    titles = {row.metric.title: row for row in speed_rows([[each.account] for each in seeds], 0)}
    assert titles["micro-batches of a step"].values == [96, 32, 64, 16]
    assert titles["in the output head"].value_text(0) == "18.1 %"
    # All have two A6000.
    assert not {"devices", "peak of a device"} & set(titles)


def test_devices_and_their_peak_are_factors() -> None:
    many = trained("gpt2-1.3b", 0.3, 4, 32, gpus=8)
    few = trained("gpt2-1.3b", 0.3, 4, 128, gpus=2)
    assert speed_sentences([named("many", many), named("few", few)])[0] == (
        "many trains 4.00 times the tokens per second of few (46.0 k against 11.5 k) = 4.00 (devices: 8 against 2)."
    )


def test_without_the_flops_of_a_token_nothing_is_explained() -> None:
    unknown = history(step_ms=500.0, flops_per_token=None, architecture=None)
    assert speed_sentences([named("a", history()), named("b", unknown)])[0] == (
        "b trains 2.00 times the tokens per second of a (200 against 100); why is not known, since the FLOPs per token "
        "of b are not."
    )


def test_a_cost_that_the_shapes_do_not_give_has_no_parts() -> None:
    made = trained("gpt2-124m", 0.3, 4, 32)
    assert made.run is not None
    made.run.flops_per_token = 28e9
    found = account(made, summarize(made))
    assert (found.flops_per_token, found.head, found.vocabulary_share) == (28e9, None, None)


def test_a_logged_mfu_that_does_not_follow_is_named() -> None:
    made = trained("gpt2-1.3b", 0.3, 4, 32)
    found = named("a", made)
    wrong = Named("b", Account(**{**vars(found.account), "logged_mfu": 0.6, "tokens_per_sec": 9e3}))
    assert any(
        sentence.startswith("The MFU in the log of b, 60.0 %, is not the 23.5 % that follow")
        for sentence in speed_sentences([found, wrong])
    )


def test_runs_that_are_equally_fast_need_no_explanation() -> None:
    made = trained("gpt2-1.3b", 0.3, 4, 32)
    assert speed_sentences([named("a", made), named("b", made)]) == []
    noisy = [Named("a", account(made, summarize(made)), 0.1), named("b", trained("gpt2-1.3b", 0.32, 4, 32))]
    assert speed_sentences(noisy) == []


def test_recomputation_is_counted_apart() -> None:
    made = named("a", trained("gpt2-1.3b", 0.4, 4, 32))
    slow = Account(**{**vars(named("b", trained("gpt2-1.3b", 0.3, 4, 32)).account), "recomputation": "full"})
    (sentence,) = [each for each in speed_sentences([made, Named("b", slow)]) if each.startswith("MFU is")]
    assert "recomputation (full in b, which computes up to a third more than MFU counts)" in sentence


def test_a_group_has_what_its_runs_agree_in() -> None:
    one = account(made := trained("gpt2-1.3b", 0.3, 4, 32), summarize(made))
    other = Account(**{**vars(one), "micro_batch": 8, "tokens_per_sec": 1.0})
    (group,) = named_accounts(["both"], [[one, other]])
    assert (group.account.flops_per_token, group.account.micro_batch) == (one.flops_per_token, None)
    assert group.account.tokens_per_sec == pytest.approx(((one.tokens_per_sec or 0.0) + 1.0) / 2)
    assert group.scatter > 1


def test_the_best_of_each_metric() -> None:
    def row(key: str, *values: float) -> MetricRow:
        return metric_row(metric(key), [[value] for value in values], 0)

    rows = [row("final_loss", 2.0, 1.0), row("mean_mfu", 0.2, 0.3), row("peak_memory_gb", 10.0, 20.0)]
    assert best_sentences(["b", "a"], rows) == [
        "a is the best in loss, mean of the end (1.0000); mean MFU (30.0 %).",
        "b is the best in peak memory (10.0 GB).",
    ]


costs = st.sampled_from((None, 1e9, 1.001e9, 3e9))
accounts = st.builds(
    Account, tokens_per_sec=st.sampled_from((None, 1e4, 1.001e4, 3e4)), flops_per_token=costs,
    step_s=st.sampled_from((None, 1.0, 3.0)), tokens_per_step=st.sampled_from((None, 10_000, 30_000)),
    devices=st.sampled_from((None, 1, 8)), peak_tflops=st.sampled_from((None, 100.0, 989.0)),
    blocks=costs, head=st.just(1e8), attention=st.just(1e8), micro_batch=st.sampled_from((1, 4)),
    layers=st.just(2), width=st.just(64), vocabulary=st.sampled_from((256, 512)), seq_len=st.just(128),
)  # fmt: skip


@given(st.lists(accounts, min_size=2, max_size=7), st.randoms())
def test_findings_do_not_depend_on_the_order_of_the_runs(made: list[Account], shuffled: random.Random) -> None:
    runs = [Named(f"run {number}", each) for number, each in enumerate(made)]
    expected = speed_sentences(runs)
    shuffled.shuffle(runs)
    assert speed_sentences(runs) == expected
    for sentence in expected:
        if "= " in sentence:
            ratio, product = product_of(sentence)
            assert product == pytest.approx(ratio, rel=0.02), sentence


@given(accounts)
def test_a_run_and_itself_have_nothing_to_explain(made: Account) -> None:
    assert [
        each for each in speed_sentences([Named("a", made), Named("b", made)]) if "MFU in the log" not in each
    ] == []


def test_the_documentation_shows_what_is_said(seeds: list[Named]) -> None:
    page = (Path(__file__).parents[2] / "docs/compare.md").read_text(encoding="utf-8")
    shown = " ".join(page.split("```\n")[1].split())
    quoted = [sentence for sentence in speed_sentences(seeds) if sentence in shown]
    assert " ".join(quoted) == shown
