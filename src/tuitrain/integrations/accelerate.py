"""Accelerate: `Accelerator(log_with=TuitrainTracker(name=…))`; `accelerator.get_tracker("tuitrain").run` is the run."""

from __future__ import annotations

from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

from tuitrain.own_loop import Run, init


class TuitrainTracker(GeneralTracker):
    """Logs what the accelerator logs. run: a run to log to; without one it begins one with arguments of `init`."""

    name = "tuitrain"
    requires_logging_directory = False

    def __init__(self, run: Run | None = None, **arguments: Any) -> None:
        super().__init__()
        self._run, self._arguments = run, arguments

    @property
    def run(self) -> Run:
        """The run; in processes other than the main one it writes nothing."""
        if self._run is None:
            self._run = init(**self._arguments)
        return self._run

    @property
    def tracker(self) -> Run:
        """The run, as Accelerate calls it."""
        return self.run

    @on_main_process
    def start(self) -> None:
        """Begin the run."""
        _ = self.run

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add the configuration of `init_trackers` to that of the run."""
        self.run.config.update(values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log numbers by name."""
        self.run.log(values, step=step)

    @on_main_process
    def finish(self) -> None:
        """Finish the run."""
        self.run.finish()
