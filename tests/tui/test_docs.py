"""The pages of the documentation that are made from the program are those it would make now."""

from __future__ import annotations

import html
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"

WORDS = {
    "watch": ("running", "throughput", "gradient norm", "ETA"),
    "training": ("perplexity", "update-to-weight ratio", "gradient norm by block"),
    "performance": ("step time", "GPU utilisation"),
    "zoom": ("raw", "Loss"),
    "runs": ("status", "gpt2-tiny", "llama2-tiny"),
    "compare": ("baseline", "gpt2-tiny", "llama2-tiny"),
    "system": ("Machine", "network", "disk"),
    "samples": ("compare older", "def"),
    "logs": ("console", "following"),
    "config": ("architecture", "changed from the preset"),
    "launch": ("Launch", "tuitrain launch llama2-tiny", "parameters"),
    "help": ("keys: watch", "Leave. Training goes on."),
    "small": ("loss", "quit"),
    "light": ("throughput", "loss"),
    "colour-blind": ("baseline", "llama2-tiny"),
}
"""What each picture shows and no other screen has, as far as that can be."""


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


def test_the_page_about_json_is_that_of_the_models() -> None:
    assert script("make_json").page() == (DOCS / "json.md").read_text(), "run python docs/make_json.py"


def test_the_gallery_shows_every_screen_from_its_script() -> None:
    made = script("make_gallery")
    assert made.page() == (DOCS / "gallery.md").read_text(), "run make screenshots"
    assert {path.stem for path in (DOCS / "gallery").iterdir()} == {shot.name for shot in made.SHOTS}
    for shot in made.SHOTS:
        picture = (DOCS / "gallery" / f"{shot.name}.svg").read_text()
        assert picture.startswith("<svg"), shot.name
        assert len(picture) < 300_000, shot.name
        seen = html.unescape(re.sub(r"<[^>]*>", " ", picture)).replace("\xa0", " ")
        for word in WORDS[shot.name]:
            assert word in seen, (shot.name, word)
