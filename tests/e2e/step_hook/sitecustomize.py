"""Wraps the engine's `train_step` in any process that has this folder in its PYTHONPATH.

TUITRAIN_TEST_STEP=rest: it sleeps after each step, so that a run that goes on for as long as a test needs it leaves the
cores to others. bad: the batch of step 8, of four sequences each, raises an error, whichever attempt reads it.
"""

import importlib.abc
import importlib.util
import os
import sys
import time
from functools import wraps


def rest(train_step):
    @wraps(train_step)
    def with_rest(t, batches):
        train_step(t, batches)
        time.sleep(0.1)

    return with_rest


def bad(train_step):
    @wraps(train_step)
    def with_bad_batch(t, batches):
        skips = t.progress.step + 1 in t.config.train.skip_steps
        if t.progress.sequences + 4 * skips == 28:
            raise RuntimeError("the batch is bad")
        train_step(t, batches)

    return with_bad_batch


def wrap(trainer):
    # Where this process is a fork of one that has wrapped it, not twice.
    function = getattr(trainer.train_step, "__wrapped__", trainer.train_step)
    trainer.train_step = globals()[os.environ["TUITRAIN_TEST_STEP"]](function)


class Hook(importlib.abc.MetaPathFinder):
    """Finds `tuitrain_engine.trainer` and wraps its function once it is imported."""

    def find_spec(self, name, path, target=None):
        if name != "tuitrain_engine.trainer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            wrap(module)

        spec.loader.exec_module = exec_module
        return spec


if "tuitrain_engine.trainer" in sys.modules:
    wrap(sys.modules["tuitrain_engine.trainer"])
else:
    sys.meta_path.insert(0, Hook())
