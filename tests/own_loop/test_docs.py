"""The examples of docs/own-loop.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.own_loop.loops import of_type, only_run, run_program
from tuitrain import events

PAGE = Path(__file__).parents[2] / "docs" / "own-loop.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_page_runs_and_its_run_is_complete(tmp_path: Path, example: str) -> None:
    done = run_program(tmp_path / "runs", example)
    assert (done.returncode, done.stderr) == (0, "")
    (end,) = of_type(only_run(tmp_path / "runs"), events.End)
    assert end.status == "completed"
    assert of_type(only_run(tmp_path / "runs"), events.Step)
