"""docs/alerts.md agrees with the rules, and its examples can be used."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

from tuitrain.alerts.rules_file import parse_rules

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_rules_is_made_from_their_declarations() -> None:
    spec = importlib.util.spec_from_file_location("make_alerts", DOCS / "make_alerts.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (DOCS / "alerts.md").read_text()
    assert module.page(text) == text, "run python docs/make_alerts.py"


def test_the_examples_are_rules() -> None:
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / "alerts.md").read_text(), re.DOTALL)
    assert examples
    for example in examples:
        parse_rules(tomllib.loads(example)["alerts"])
