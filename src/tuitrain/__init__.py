"""tuitrain: launch, watch, compare and export language-model training runs from a terminal.

For a training loop of one's own: `run = tuitrain.init(...)`, `run.log({...})`, `run.finish()`; see docs/own-loop.md.
"""

from __future__ import annotations

import sys
import types

TYPE_CHECKING = False  # Importing typing takes most of the time that this package may.
if TYPE_CHECKING:
    from typing import Any

    from tuitrain.own_loop import Run as Run
    from tuitrain.own_loop import alert as alert
    from tuitrain.own_loop import define_metric as define_metric
    from tuitrain.own_loop import finish as finish
    from tuitrain.own_loop import init as init
    from tuitrain.own_loop import log as log
    from tuitrain.own_loop import login as login
    from tuitrain.own_loop import unwatch as unwatch
    from tuitrain.own_loop import watch as watch

__version__ = "0.1.0"

_FUNCTIONS = ("Run", "alert", "define_metric", "finish", "init", "log", "login", "unwatch", "watch")
_OF_NEWEST_RUN = ("run", "summary")


def __getattr__(name: str) -> Any:
    """What a training loop calls, imported when it is first used."""
    if name in _FUNCTIONS:
        from tuitrain import own_loop

        value = globals()[name] = getattr(own_loop, name)
        return value
    if name in _OF_NEWEST_RUN:
        from tuitrain import own_loop

        run = own_loop.newest_run()
        return run if name == "run" or run is None else run.summary
    offered = ", ".join((*_FUNCTIONS, "config", *_OF_NEWEST_RUN))
    raise AttributeError(f"tuitrain has no {name!r}. A training loop can use {offered}.", name=name, obj=_module)


class _Package(types.ModuleType):
    """This package. Its `config` is the configuration of the newest run, and the subpackage before any run began."""

    @property
    def config(self) -> Any:
        own_loop = sys.modules.get("tuitrain.own_loop")
        run = own_loop.newest_run() if own_loop is not None else None
        if run is not None:
            return run.config
        import importlib

        return importlib.import_module("tuitrain.config")

    @config.setter
    def config(self, value: Any) -> None:
        # The import of the subpackage sets it to that; `wandb.config = {...}` adds to the configuration.
        own_loop = sys.modules.get("tuitrain.own_loop")
        run = own_loop.newest_run() if own_loop is not None else None
        if run is not None and isinstance(value, dict):
            run.config.update(value)


_module = sys.modules[__name__]
_module.__class__ = _Package
