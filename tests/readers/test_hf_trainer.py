"""The state files of Hugging Face's Trainer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.readers.reading import inventory_of, points, reader_of
from tuitrain.readers.discover import sources_of


def write_state(folder: Path, step: int, last: int = 40, more: tuple[dict[str, Any], ...] = (), **fields: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    history = [{"epoch": at / 10, "loss": 9.0 - at, "step": at} for at in range(1, step + 1)]
    state = {"global_step": step, "max_steps": last, "log_history": [*history, *more], "save_steps": 2, **fields}
    (folder / "trainer_state.json").write_text(json.dumps(state))


def test_a_run_is_followed_from_checkpoint_to_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_state(out / "checkpoint-2", 2)
    reader = reader_of(tmp_path)
    assert [x for x, _ in points(reader.poll().items)] == [1, 2]
    assert (reader.info.ending, reader.info.total, reader.info.name) == ("interrupted", 40, "out")
    write_state(out / "checkpoint-10", 4)
    (out / "checkpoint-10/config.json").write_text('{"n_embd": 16}')
    reading = reader.poll()
    assert ([x for x, _ in points(reading.items)], reading.reset) == ([3, 4], False)
    assert reader.info.hyperparameters == {"max_steps": 40, "save_steps": 2, "config.json:n_embd": 16}
    write_state(out, 5, last=5, more=({"step": 5, "train_runtime": 9.5, "train_loss": 2.0},))
    assert points(reader.poll().items) == [(5, {"epoch": 0.5, "loss": 4})]
    assert reader.info.ending == "completed"
    assert reader.info.summary == {"train_runtime": 9.5, "train_loss": 2.0}
    assert not reader.poll().items


def test_a_state_that_is_being_written_is_tried_again(tmp_path: Path) -> None:
    write_state(tmp_path / "checkpoint-2", 2)
    reader = reader_of(tmp_path)
    reader.poll()
    write_state(tmp_path / "checkpoint-3", 3)
    state = tmp_path / "checkpoint-3/trainer_state.json"
    whole = state.read_text()
    state.write_text(whole[:-20])
    assert not reader.poll().items
    state.write_text(whole)
    assert [x for x, _ in points(reader.poll().items)] == [3]


def test_a_run_that_was_stopped_early_is_complete(tmp_path: Path) -> None:
    control = {"TrainerControl": {"args": {"should_training_stop": True}}}
    write_state(tmp_path, 3, stateful_callbacks=control)
    assert inventory_of(tmp_path).info.ending == "completed"


def test_a_checkpoint_alone_is_a_run(tmp_path: Path) -> None:
    write_state(tmp_path / "checkpoint-2", 2)
    write_state(tmp_path / "checkpoint-4", 4)
    inventory = inventory_of(tmp_path / "checkpoint-2")
    assert (inventory.info.name, inventory.metrics["loss"].points) == ("checkpoint-2", 2)


def test_a_new_run_in_the_same_folder_counts(tmp_path: Path) -> None:
    write_state(tmp_path, 40)
    os.utime(tmp_path / "trainer_state.json", (1_700_000_000, 1_700_000_000))
    write_state(tmp_path / "checkpoint-2", 2)
    assert inventory_of(tmp_path).metrics["loss"].last_x == 2


def test_results_beside_the_state_are_no_runs(tmp_path: Path) -> None:
    write_state(tmp_path, 3)
    for name in ("all_results.json", "train_results.json"):
        (tmp_path / name).write_text(json.dumps({"epoch": 3.0, "train_loss": 2.5, "total_flos": 1.0}, indent=4))
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 64, "n_layer": 2}, indent=2))
    assert [source.format for source in sources_of(tmp_path)] == ["hf-trainer"]


def test_the_trainer_itself(tmp_path: Path) -> None:
    """A tiny model is trained, and read between its checkpoints."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    config = transformers.GPT2Config(n_embd=8, n_head=1, n_layer=1, n_positions=8, vocab_size=16)
    data = [{"input_ids": torch.arange(8) % 16, "labels": torch.arange(8) % 16} for _ in range(16)]
    seen: list[tuple[int, list[float]]] = []
    reader: Any = None

    class Read(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            nonlocal reader
            reader = reader or reader_of(tmp_path / "out")
            seen.append((state.global_step, [x for x, values in points(reader.poll().items) if "loss" in values]))

    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), max_steps=6, logging_steps=1, save_steps=2, per_device_train_batch_size=2, report_to=[],
        use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(
        transformers.GPT2LMHeadModel(config), arguments, train_dataset=data, callbacks=[Read()],
    )  # fmt: skip
    trainer.train()
    assert seen == [(2, [1, 2]), (4, [3, 4]), (6, [5, 6])]
    trainer.save_state()
    inventory = inventory_of(tmp_path / "out")
    assert inventory.info.ending == "completed"
    assert inventory.info.hyperparameters["config.json:n_embd"] == 8
    assert {"loss", "grad_norm", "learning_rate", "epoch"} <= set(inventory.metrics)
