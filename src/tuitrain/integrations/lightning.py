"""Lightning: `Trainer(logger=TuitrainLogger(), callbacks=[TuitrainRequests()])`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from tuitrain.own_loop import Run, init


class TuitrainLogger(Logger):
    """Logs what modules log. run: a run to log to; without one it begins one with these arguments of `init`."""

    def __init__(self, run: Run | None = None, **arguments: Any) -> None:
        super().__init__()
        self._run, self._arguments = run, arguments

    @property
    @rank_zero_experiment
    def experiment(self) -> Run:
        """The run, which begins when it is first used."""
        if self._run is None:
            self._run = init(**self._arguments)
        return self._run

    @property
    def name(self) -> str | None:
        """The name of the run; None before it begins."""
        return None if self._run is None else self._run.name

    @property
    def version(self) -> str | None:
        """The id of the run; None before it begins."""
        return None if self._run is None else self._run.id

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Add the hyperparameters to the configuration of the run."""
        self.experiment.config.update(params)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log the metrics of a step."""
        self.experiment.log(metrics, step=step)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Log where Lightning saved."""
        if checkpoint_callback.last_model_path or checkpoint_callback.best_model_path:
            self.experiment.saved(checkpoint_callback.last_model_path or checkpoint_callback.best_model_path)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Finish the run when the training ends, whether or not it failed."""
        if self._run is not None:
            self._run.finish(1 if status == "failed" else None)


class TuitrainRequests(Callback):
    """Stops, saves and evaluates as Lightning does when that is requested from the run of the trainer's logger."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Look for requests after each batch; rank 0 sends what it read to the others."""
        run = next((each.experiment for each in trainer.loggers if isinstance(each, TuitrainLogger)), None)
        stops = bool(run is not None and run.should_stop)
        saves = bool(run is not None and run.checkpoint_requested)
        if trainer.world_size > 1:
            stops, saves = trainer.strategy.broadcast((stops, saves))
        if stops or saves:
            path = Path(trainer.default_root_dir).absolute() / "checkpoints" / f"step={trainer.global_step}.ckpt"
            trainer.save_checkpoint(path)
            if run is not None and trainer.is_global_zero:
                run.saved(path)
        if stops:
            trainer.should_stop = True
