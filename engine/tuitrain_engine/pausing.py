"""A pause between two steps: every process waits at the same boundary, and requests are still answered."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from tuitrain import events
from tuitrain.accounting import duration_text
from tuitrain.events.requests import PAUSED, result_text
from tuitrain_engine.control import Control, from_number, to_number
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import World

POLL_S = 0.1
REMINDER_S = 1800.0
"""Seconds between records that the run still waits: a reader of the last few megabytes of the log has one of them."""
Requests = dict[str, str]
"""Requests to any of the processes, with their origins."""


def wait_to_continue(
    control: Control,
    world: World,
    journal: Journal,
    step: int,
    origin: str,
    requests: Requests,
    act: Callable[[Requests], None],
) -> Requests:
    """Wait until a `continue` or a `stop` comes; returns the latter with its origin, else no request.

    origin: of the request to pause. requests: those that are known already. act: carries out requests, on all
    processes, and answers all but a stop.
    """

    def write(request: str, result: str, origin: str) -> None:
        journal.write(events.Control(request=request, result=result_text(result, step, origin)))

    write("pause", PAUSED, origin)
    began = reminded = time.monotonic()
    while True:
        requests.pop("pause", None)
        by = requests.pop("continue", None)
        act(requests)
        if "stop" in requests:
            return {"stop": requests["stop"]}
        if by is not None:
            write("continue", f"continued after {duration_text(time.monotonic() - began)}", by)
            return {}
        if time.monotonic() - reminded >= REMINDER_S:
            reminded = time.monotonic()
            write("pause", f"{PAUSED} for {duration_text(reminded - began)}", origin)
        time.sleep(POLL_S)
        requests = _of_all(control.poll(), world)


def _of_all(requests: Requests, world: World) -> Requests:
    if world.size == 1:
        return requests
    united: Requests = {}
    for (number,) in world.gather(torch.tensor([to_number(requests)])).tolist():
        united |= from_number(number)
    return united
