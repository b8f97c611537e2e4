"""Settings for all tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The duration of an example depends on the load of the machine, not on the code. More examples than in each run of the
# suite: `pytest --hypothesis-profile=thorough`.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
settings.register_profile("thorough", settings.get_profile("patient"), max_examples=1000)
settings.load_profile("patient")


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
