"""Configuration files beside logs are read as the libraries that write them read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.readers.settings import flattened, parse_yaml, read_settings

PLAIN = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
# A number such as 1e-4 is a text to YAML's own rules, which nobody who writes one means.
NUMBERS = re.compile(r"[-+]?[\d_.]+[eE][-+]?\d+")
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).filter(
    lambda text: not NUMBERS.fullmatch(text)
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_/. -]{0,12}[a-z0-9]", fullmatch=True)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        PLAIN | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=12,
    ),
    min_size=1,
    max_size=6,
)


@given(TREES, st.sampled_from([None, True, False]))
def test_what_yaml_dumps_is_read_as_it_was(tree: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow)
    assert parse_yaml(text) == tree


@pytest.mark.parametrize(
    "text, tree",
    [
        ("lr: 1e-4\nsteps: 1_000\n", {"lr": 1e-4, "steps": 1000}),
        ("a: 1  # the first\n# nothing\nb: 'it''s # none'\n", {"a": 1, "b": "it's # none"}),
        ("model:\n  dim: 8\n\n  heads: [1, 2, {x: y}]\nend: ~\n",
         {"model": {"dim": 8, "heads": [1, 2, {"x": "y"}]}, "end": None}),
        ("list:\n- 1\n- a: 2\n  b: 3\n- - 4\n  - 5\n", {"list": [1, {"a": 2, "b": 3}, [4, 5]]}),
        ("act: !!python/name:torch.nn.ReLU ''\npath: !!python/object/apply:pathlib.PosixPath\n- /\n- tmp\n",
         {"act": "", "path": ["/", "tmp"]}),
        ("a: &id001\n  b: 1\nc: !!python/tuple\n- 1\n", {"a": {"b": 1}, "c": [1]}),
        ("text: |\n  one\n  two\nfolded: >-\n  one\n  two\n", {"text": "one\ntwo\n", "folded": "one two"}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("url: http://host:80/x\ntime: 12:30\n", {"url": "http://host:80/x", "time": "12:30"}),
        ("a: {b: 1,\n    c: [2,\n 3]}\n", {"a": {"b": 1, "c": [2, 3]}}),
    ],
)  # fmt: skip
def test_shapes_of_configuration_files(text: str, tree: dict[str, Any]) -> None:
    assert parse_yaml(text) == tree


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"a: [1", b"\xff\xfe\0", b"just text", b"[" * 100_000,
                                     b"- " * 100_000, b"- " * 300, b"a: " + b"[" * 400, b'{"a":' * 5_000])  # fmt: skip
def test_what_is_no_mapping_is_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(content)
    assert read_settings(tmp_path / "config") == {}
    assert read_settings(tmp_path / "missing") == {}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parse_yaml(text)
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(tree, dict | list | str | int | float | None)


def test_aliases_that_stand_for_very_much_are_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ValueError, match="too large"):
        parse_yaml("\n".join(levels))
    assert parse_yaml("a: &a [1]\nb: *a\n") == {"a": [1], "b": [1]}


def test_nested_names_are_joined(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"optim": {"lr": 0.1, "betas": [0.9, 0.95]}, "n": null}')
    assert flattened(read_settings(tmp_path / "a.json")) == {"optim.lr": 0.1, "optim.betas": [0.9, 0.95], "n": None}
