"""Textual is used by its public names alone, and the state of the screens is written in one place."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import tuitrain.tui
from tuitrain.tui.view_state import ViewState

ROOT = Path(inspect.getfile(tuitrain.tui)).parent
SOURCES = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> Iterator[str]:
    """Every name that a source gives to a function, a class, a variable or an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


PUBLIC = {"_exit"}
"""Of os, and documented."""
OURS = {name for tree in SOURCES.values() for name in defined(tree)}


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_no_private_name_of_a_library_is_used(source: str) -> None:
    used = []
    for node in ast.walk(SOURCES[source]):
        if isinstance(node, ast.Attribute):
            used += [node.attr] if is_private(node.attr) and node.attr not in OURS | PUBLIC else []
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("tuitrain"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            used += [name for name in names if is_private(name)]
    assert used == []


def classes() -> Iterator[type]:
    for source in SOURCES:
        module = importlib.import_module(f"tuitrain.tui.{source.removesuffix('.py').replace('/', '.')}")
        yield from (
            each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__
        )


def private_names(textual: type) -> set[str]:
    """Private names of a class, with those of the attributes that its constructor sets."""
    code = getattr(textual.__init__, "__code__", None)
    return set(filter(is_private, (*vars(textual), *(code.co_names if code else ()))))


def test_no_class_redefines_a_private_name_of_textual() -> None:
    for each in classes():
        bases = [base for base in each.__mro__ if base.__module__.startswith("textual.")]
        own = set(defined(ast.parse(textwrap.dedent(inspect.getsource(each))))) if bases else set()
        assert own & set().union(*map(private_names, bases)) == set(), each


@pytest.mark.parametrize("source", sorted(set(SOURCES) - {"view_state.py"}))
def test_only_the_view_state_writes_the_view_state(source: str) -> None:
    fields = set(ViewState.__dataclass_fields__)
    written = [
        ast.unparse(node)
        for node in ast.walk(SOURCES[source])
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in fields
        if ast.unparse(node.value).endswith("state")
    ]
    assert written == []
