"""Hugging Face Trainer: import this module, then `report_to="tuitrain"`, or pass `callbacks=[TuitrainCallback()]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import INTEGRATION_TO_CALLBACK

from tuitrain.own_loop import Run, init


class TuitrainCallback(TrainerCallback):
    """Logs what the Trainer logs, and stops and saves as the Trainer does when that is requested.

    run: a run to log to, which its maker finishes; without one the first training begins a run, with these arguments
    of `tuitrain.init`, and finishes it.
    """

    def __init__(self, run: Run | None = None, **arguments: Any) -> None:
        self._run, self._owns_run, self._arguments = run, run is None, arguments

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Begin a run with the configuration of the training and the model."""
        if not state.is_world_process_zero:
            return
        config = args.to_sanitized_dict()
        if getattr(model, "config", None) is not None:
            config["model"] = model.config.to_dict()
        if self._run is None:
            count = getattr(model, "num_parameters", None)
            facts = {"params": count()} if callable(count) else {}
            self._run = init(
                **{"name": args.run_name, "config": config, "total_steps": state.max_steps, **facts, **self._arguments}
            )
        else:
            self._run.config.update(config)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Log the Trainer's numbers; those of evaluations become evaluations."""
        if self._run is not None and state.is_world_process_zero and logs:
            self._run.log(logs, step=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Pass requests on to the Trainer; of several processes at the steps that it logs, as all have to know."""
        if args.world_size > 1 and state.global_step % max(1, int(state.logging_steps)):
            return control
        run = self._run
        stops, saves, evaluates = (
            (False, False, False) if run is None else (run.should_stop, run.checkpoint_requested, run.eval_requested)
        )
        if args.world_size > 1:
            stops, saves, evaluates = broadcast_object_list([stops, saves, evaluates])
        control.should_save = control.should_save or stops or saves
        control.should_evaluate = control.should_evaluate or evaluates
        control.should_training_stop = control.should_training_stop or stops
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Log where the Trainer saved."""
        if self._run is not None and state.is_world_process_zero:
            path = Path(args.output_dir or ".").absolute() / f"checkpoint-{state.global_step}"
            self._run.saved(path, step=state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Finish a run that was begun here."""
        if self._run is not None and self._owns_run:
            self._run.finish()
            self._run = None


INTEGRATION_TO_CALLBACK["tuitrain"] = TuitrainCallback
