"""Keras on torch, with a real model and real training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tuitrain
from tests.own_loop.loops import of_type, only_run
from tuitrain import events

# Of Keras with NumPy 2, once for each tensor.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


def fit(request: str) -> None:
    """Train a layer for two epochs of four batches, and leave a request before the third batch."""
    # The fixture of the tests names the backend, which Keras settles once and for all when it is imported.
    import keras

    from tuitrain.integrations.keras import TuitrainCallback

    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            if batch == 2 and request:
                assert tuitrain.run.path is not None
                (tuitrain.run.path / "control" / request).touch()
                tuitrain.run._requests.poll()

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    x, y = np.ones((16, 3)), np.ones((16, 1))
    callbacks = [Ask(), TuitrainCallback(name="dense")]
    model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0, callbacks=callbacks)


def test_batches_and_validation_are_in_the_log(runs_dir: Path) -> None:
    fit("")
    run = only_run(runs_dir)
    assert of_type(run, events.Run)[0].total_steps == 8
    losses = [each for each in of_type(run, events.Step) if each.loss is not None]
    assert [each.step for each in losses] == list(range(1, 9))
    assert all(each.lr == pytest.approx(0.01) for each in losses)
    assert [(each.step, each.split) for each in of_type(run, events.Eval)] == [(4, "val"), (8, "val")]
    (end,) = of_type(run, events.End)
    assert end.status == "completed"


def test_a_stop_saves_and_ends_the_training(runs_dir: Path) -> None:
    fit("stop")
    run = only_run(runs_dir)
    (saved,) = of_type(run, events.Checkpoint)
    assert Path(saved.path).exists()
    (end,) = of_type(run, events.End)
    assert (end.status, end.step) == ("stopped", saved.step)
    assert json.loads(run.metrics.read_bytes().splitlines()[-1])["type"] == "end"
