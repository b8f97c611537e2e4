"""Accelerate, with a real accelerator."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import torch

from tests.own_loop.loops import of_type, only_run
from tuitrain import events


def test_what_an_accelerator_logs_is_in_the_log_and_its_loop_learns_of_a_stop(runs_dir: Path) -> None:
    from accelerate import Accelerator

    from tuitrain.integrations.accelerate import TuitrainTracker

    accelerator = Accelerator(cpu=True, log_with=TuitrainTracker(name="fast"))
    accelerator.init_trackers("project", config={"lr": 0.1})
    model = torch.nn.Linear(2, 1)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1))
    run = accelerator.get_tracker("tuitrain").run
    for step in count():
        loss = (model(torch.ones(1, 2)) ** 2).mean()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"train_loss": loss}, step=step)
        if step == 4:
            only_run(runs_dir).request("stop")
        if run.should_stop:
            break
    accelerator.end_training()
    directory = only_run(runs_dir)
    logged = of_type(directory, events.Step)
    assert len(logged) >= 5
    assert all(each.loss is not None for each in logged)
    assert {"lr": 0.1} in [each.config for each in of_type(directory, events.Run)]
    (end,) = of_type(directory, events.End)
    assert end.status == "stopped"
