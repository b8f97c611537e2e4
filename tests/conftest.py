"""Settings for all tests."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The duration of an example depends on the load of the machine, not on the code. More examples than in each run of the
# suite: `pytest --hypothesis-profile=thorough`.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
settings.register_profile("thorough", settings.get_profile("patient"), max_examples=1000)
settings.load_profile("patient")

SLOW_IMPORTS = (
    "accelerate", "aiohttp", "datasets", "keras", "lightning", "pandas", "tensorboard.summary", "torchao",
    "torchmetrics", "transformers", "wandb",
)  # fmt: skip
"""Each worker imports every test file, and runs some of them: a test imports these itself."""


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Import the test files; the objects of their modules stay, so that no garbage collection need look at them."""
    gc.disable()
    try:
        result = yield
    finally:
        gc.freeze()
        gc.enable()
    if early := [name for name in SLOW_IMPORTS if name in sys.modules]:
        raise pytest.UsageError(f"A test file imports {', '.join(early)} when it is collected: import it in its tests.")
    return result


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several workers begin with the files that take longest, so that none is left with one at the end."""
    if hasattr(config, "workerinput"):
        longest = {
            item.path for item in items if {"e2e", "chaos"} & {*item.path.parts} or item.get_closest_marker("slow")
        }
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (item.path not in longest, -tests[item.path], item.path))


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What tuitrain keeps for later does not go to the user's cache."""
    path = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUITRAIN_CACHE_DIR", str(path))
        yield path
