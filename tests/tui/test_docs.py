"""The pages of the documentation that are made from the program are those it would make now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    return module


def test_the_list_of_keys_is_that_of_the_registry() -> None:
    assert script("make_keys").page() == (DOCS / "keys.md").read_text(), "run python docs/make_keys.py"


def test_the_gallery_shows_every_screen_from_its_script() -> None:
    made = script("make_gallery")
    assert made.page() == (DOCS / "gallery.md").read_text(), "run make screenshots"
    assert {path.stem for path in (DOCS / "gallery").iterdir()} == {shot.name for shot in made.SHOTS}
    for shot in made.SHOTS:
        picture = (DOCS / "gallery" / f"{shot.name}.svg").read_text()
        assert picture.startswith("<svg"), shot.name
        assert len(picture) < 300_000, shot.name
