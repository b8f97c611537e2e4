"""Several processes over gloo: the losses of one process, and exact resumes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_runs import WORDS, make_run, of_type, read_log, run_engine, write_corpus

from tuitrain import events
from tuitrain.config import load_config
from tuitrain_engine import checkpoint

STRATEGIES = ("ddp", "zero1", "fsdp", "hsdp")
STEPS, HALF = 20, 10
Runs = Callable[[str], Path]


def make(tmp_path: Path, name: str, strategy: str, **sections: dict[str, object]) -> Path:
    """A run of 20 steps with accumulation, checkpoints at 10 and 20; tied embeddings are the harder case."""
    write_corpus(tmp_path / "corpus.txt", words=1560)
    shard_size = {"shard_size": 1} if strategy == "hsdp" else {}
    return make_run(
        tmp_path,
        name,
        model={"tied_embeddings": True, **sections.pop("model", {})},
        train={"max_steps": STEPS, "global_batch_size": 8, "micro_batch_size": 2, **sections.pop("train", {})},
        parallel={"strategy": strategy, **shard_size, **sections.pop("parallel", {})},
        # Adam amplifies rounding with the learning rate; at 0.01 it reaches 1e-5 in twenty steps.
        optim={"lr": 1e-3},
        # The whole split: the last batch is a partial one, and one process has one batch less than the other.
        eval={"interval": HALF, "steps": 100},
        sampling={"interval": HALF},
        checkpoint={"interval": HALF},
        telemetry={"grad_stats_interval": 5},
        **sections,
    )


def train(run_dir: Path, *arguments: str, processes: int) -> list[events.AnyRecord]:
    """Train to the end and return the log."""
    process = run_engine(run_dir, "train", *arguments, processes=processes)
    assert process.returncode == 0, process.stdout + process.stderr
    return read_log(run_dir)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Finished runs by strategy, each trained on first use."""
    folder = tmp_path_factory.mktemp("runs")

    def get(strategy: str) -> Path:
        if not (folder / strategy).exists():
            train(make(folder, strategy, strategy), processes=1 if strategy == "single" else 2)
        return folder / strategy

    return get


def steps_of(run_dir: Path, attempt: int = 1) -> dict[int, events.Step]:
    """The steps of one attempt."""
    records, steps, current = read_log(run_dir), {}, 0
    for record in records:
        if isinstance(record, events.Run):
            current = record.attempt
        elif isinstance(record, events.Step) and current == attempt:
            steps[record.step] = record
    return steps


def halfway(run_dir: Path, target: Path) -> Path:
    """A copy of a finished run whose second half was being written when the machine failed."""
    shutil.copytree(run_dir, target)
    (checkpoint.directory(target, STEPS) / ".metadata").unlink()
    return target


def assert_close(steps: dict[int, events.Step], expected: dict[int, events.Step], numbers: range) -> None:
    """The same loss to 1e-5, a gradient norm that agrees (rounding grows in it), the same tokens."""
    assert list(steps) == list(numbers)
    for number, step in steps.items():
        other = expected[number]
        assert step.loss == pytest.approx(other.loss, rel=1e-5), number
        assert step.grad_norm == pytest.approx(other.grad_norm, rel=1e-3), number
        assert step.tokens == other.tokens


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_give_the_loss_curve_of_one(runs: Runs, strategy: str) -> None:
    one, two = runs("single"), runs(strategy)
    assert_close(steps_of(two), steps_of(one), range(1, STEPS + 1))
    alone, together = read_log(one), read_log(two)
    for kind in (events.Eval, events.Layers):
        assert len(of_type(alone, kind)) == len(of_type(together, kind)) > 0
    for left, right in zip(of_type(alone, events.Eval), of_type(together, events.Eval), strict=True):
        assert (right.loss, right.accuracy) == pytest.approx((left.loss, left.accuracy), rel=1e-5)
        assert right.bits_per_byte == pytest.approx(left.bits_per_byte, rel=1e-5)
        assert (right.sequences, right.split_fingerprint) == (left.sequences, left.split_fingerprint)
        assert left.sequences % 4 in (1, 2)
    for left, right in zip(of_type(alone, events.Layers), of_type(together, events.Layers), strict=True):
        assert right.grad_norm == pytest.approx(left.grad_norm, rel=1e-4)
        assert right.update_ratio == pytest.approx(left.update_ratio, rel=1e-3)
        assert len(left.update_ratio) == 4 and all(0 < ratio < 1 for ratio in left.update_ratio)
    measured = [step for step in steps_of(one).values() if isinstance(step.grad_max, float)]
    assert [step.step for step in measured] == [5, 10, 15, 20]
    for step in measured:
        other = steps_of(two)[step.step]
        assert (other.grad_std, other.grad_max, other.param_norm, other.update_norm) == pytest.approx(
            (step.grad_std, step.grad_max, step.param_norm, step.update_norm), rel=1e-3
        )
        assert other.grad_nonfinite == step.grad_nonfinite == 0
    run = together[0]
    assert (run.parallel.strategy, run.parallel.world_size, run.parallel.accumulation) == (strategy, 2, 2)
    assert {step.slowest_rank for step in list(steps_of(two).values())[1:]} <= {0, 1}
    assert all(step.step_time_max_ms > 0 and step.rank_skew_ms >= 0 for step in list(steps_of(two).values())[1:])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_resume_of_two_processes_is_bit_for_bit(runs: Runs, tmp_path: Path, strategy: str) -> None:
    straight = runs(strategy)
    half = halfway(straight, tmp_path / "half")
    train(half, "--resume", processes=2)
    first, second = steps_of(straight), steps_of(half, attempt=2)
    assert list(second) == list(range(HALF + 1, STEPS + 1))
    for number, step in second.items():
        assert (step.loss, step.grad_norm, step.lr) == (first[number].loss, first[number].grad_norm, first[number].lr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "processes"), [("fsdp", "single", 1), ("single", "zero1", 2), ("zero1", "ddp", 2)]
)
def test_resume_with_another_strategy_or_number_of_processes(
    runs: Runs, tmp_path: Path, before: str, after: str, processes: int
) -> None:
    half = halfway(runs(before), tmp_path / "half")
    config = load_config(str(half / "config.toml"), [f"parallel.strategy={after}"])
    (half / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    train(half, "--resume", processes=processes)
    assert_close(steps_of(half, attempt=2), steps_of(runs(before)), range(HALF + 1, STEPS + 1))


@pytest.mark.slow
def test_every_process_resumes_with_its_own_random_state(tmp_path: Path) -> None:
    straight = make(tmp_path, "dropout", "ddp", model={"dropout": 0.2})
    train(straight, processes=2)
    half = halfway(straight, tmp_path / "half")
    train(half, "--resume", processes=2)
    first, second = steps_of(straight), steps_of(half, attempt=2)
    assert [step.loss for step in second.values()] == [first[number].loss for number in second]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_bfloat16_is_close_to_one_process_in_bfloat16(tmp_path: Path, strategy: str) -> None:
    one = make(
        tmp_path, "one", "single", model={"qk_norm": True, "tied_embeddings": False}, train={"dtype": "bfloat16"}
    )
    two = make(
        tmp_path, "two", strategy, model={"qk_norm": True, "tied_embeddings": False}, train={"dtype": "bfloat16"}
    )
    train(one, processes=1)
    train(two, processes=2)
    alone = steps_of(one)
    for number, step in steps_of(two).items():
        assert step.loss == pytest.approx(alone[number].loss, rel=5e-3), number


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["selective", "full"])
def test_activation_checkpointing_changes_no_number(runs: Runs, tmp_path: Path, mode: str) -> None:
    run_dir = make(tmp_path, mode, "fsdp", parallel={"activation_checkpointing": mode})
    train(run_dir, processes=2)
    assert_close(steps_of(run_dir), steps_of(runs("fsdp")), range(1, STEPS + 1))


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two processes on a stream of documents."""
    folder = tmp_path_factory.mktemp("streamed") / "documents"
    folder.mkdir()
    generator = random.Random(1)
    for shard in range(3):
        rows = [{"text": " ".join(generator.choices(WORDS, k=generator.randint(5, 60)))} for _ in range(60)]
        (folder / f"part-{shard}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    run_dir = make(folder.parent, "straight", "ddp", data={"source": f"hf:{folder}", "val_bytes": 500})
    train(run_dir, processes=2)
    return run_dir


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_streamed_run_resumes_exactly_on_any_number_of_processes(
    streamed: Path, tmp_path: Path, processes: int
) -> None:
    half = halfway(streamed, tmp_path / "half")
    config = load_config(str(half / "config.toml"), ["parallel.strategy=auto"])
    (half / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    train(half, "--resume", processes=processes)
    assert_close(steps_of(half, attempt=2), steps_of(streamed), range(HALF + 1, STEPS + 1))
