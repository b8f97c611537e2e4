"""Keras: `model.fit(…, callbacks=[TuitrainCallback(name=…)])`."""

from __future__ import annotations

from typing import Any

import keras

from tuitrain.own_loop import Run, init


class TuitrainCallback(keras.callbacks.Callback):
    """Logs the metrics of each batch and of validation, and stops and saves when that is requested.

    run: a run to log to, which its maker finishes; without one each `fit` begins one with these arguments of
    `tuitrain.init` and finishes it.
    """

    def __init__(self, run: Run | None = None, **arguments: Any) -> None:
        super().__init__()
        self._run, self._owns_run, self._arguments, self._step = run, run is None, arguments, 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin a run."""
        if self._run is None:
            steps, epochs = self.params.get("steps"), self.params.get("epochs")
            total = steps * epochs if steps and epochs else None
            self._step = 0
            self._run = init(**{"total_steps": total, **self._arguments})
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            self._run.config.setdefaults({"optimizer": optimizer.get_config(), "epochs": self.params.get("epochs")})

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the metrics of a batch, which Keras averages over the epoch so far, and pass requests on."""
        if self._run is None:
            return
        self._step += 1
        rate = getattr(getattr(self.model, "optimizer", None), "learning_rate", None)
        self._run.log({**(logs or {}), **({} if rate is None else {"lr": float(rate)})}, step=self._step)
        stops = self._run.should_stop
        if (stops or self._run.checkpoint_requested) and self._run.path is not None:
            path = self._run.path / "checkpoints" / f"step-{self._step:08d}.keras"
            path.parent.mkdir(exist_ok=True)
            self.model.save(path)
            self._run.saved(path)
        if stops:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log validation and the number of the epoch."""
        if self._run is not None:
            validation = {name: value for name, value in (logs or {}).items() if name.startswith("val_")}
            self._run.log({**validation, "epoch": epoch + 1}, step=self._step)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Finish a run that was begun here."""
        if self._run is not None and self._owns_run:
            self._run.finish()
            self._run = None
