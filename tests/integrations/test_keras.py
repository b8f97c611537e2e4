"""Keras on torch, with a real model and real training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.own_loop.loops import of_type, only_run
from tuitrain import events

PROGRAM = """
import sys
import numpy as np
import keras
import tuitrain
from tuitrain.integrations.keras import TuitrainCallback

class Ask(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2 and sys.argv[1] != "nothing":
            (tuitrain.run.path / "control" / sys.argv[1]).touch()
            tuitrain.run._requests.poll()

model = keras.Sequential([keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
x, y = np.ones((16, 3)), np.ones((16, 1))
callbacks = [Ask(), TuitrainCallback(name="dense")]
model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0, callbacks=callbacks)
"""


def fit(tmp_path: Path, request: str) -> None:
    # Keras settles its backend once and for all when it is imported.
    subprocess.run([sys.executable, "-c", PROGRAM, request], cwd=tmp_path, check=True, capture_output=True)


def test_batches_and_validation_are_in_the_log(tmp_path: Path, runs_dir: Path) -> None:
    fit(tmp_path, "nothing")
    run = only_run(runs_dir)
    assert of_type(run, events.Run)[0].total_steps == 8
    losses = [each for each in of_type(run, events.Step) if each.loss is not None]
    assert [each.step for each in losses] == list(range(1, 9))
    assert all(each.lr == pytest.approx(0.01) for each in losses)
    assert [(each.step, each.split) for each in of_type(run, events.Eval)] == [(4, "val"), (8, "val")]
    (end,) = of_type(run, events.End)
    assert end.status == "completed"


def test_a_stop_saves_and_ends_the_training(tmp_path: Path, runs_dir: Path) -> None:
    fit(tmp_path, "stop")
    run = only_run(runs_dir)
    (saved,) = of_type(run, events.Checkpoint)
    assert Path(saved.path).exists()
    (end,) = of_type(run, events.End)
    assert (end.status, end.step) == ("stopped", saved.step)
    assert json.loads(run.metrics.read_bytes().splitlines()[-1])["type"] == "end"
