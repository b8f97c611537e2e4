"""Changes allowed by a resume: held-out text stays separate from training text."""

from __future__ import annotations

import pytest

from tuitrain.config import load_config, resuming
from tuitrain.config.resuming import Verdict


def verdict(before: str, after: str, key: str) -> Verdict:
    configs = (load_config("llama2-tiny", overrides.split()) for overrides in (before, after))
    (change,) = (each for each in resuming.changes(*configs) if each.key == key)
    return change.verdict


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("data.max_tokens=1M", "data.max_tokens=2M", Verdict.OTHER_SEQUENCES),
        ("data.max_tokens=1M", "data.max_tokens=none", Verdict.OTHER_SEQUENCES),
        ("data.max_tokens=2M", "data.max_tokens=1M", Verdict.HELD_OUT),
        ("data.max_tokens=none", "data.max_tokens=1M", Verdict.HELD_OUT),
        ("data.max_tokens=2M", "data.source=other.txt data.max_tokens=1M", Verdict.OTHER_SEQUENCES),
        ("data.source=hf:a/b data.max_tokens=1M", "data.source=hf:a/b data.max_tokens=2M", Verdict.OTHER_SEQUENCES),
        ("data.source=hf:a/b data.max_tokens=1M", "data.source=hf:a/b data.max_tokens=none", Verdict.HELD_OUT),
        ("data.source=hf:a/b data.max_tokens=none", "data.source=hf:a/b data.max_tokens=1M", Verdict.HELD_OUT),
    ],
)
def test_no_training_text_becomes_held_out(before: str, after: str, expected: Verdict) -> None:
    assert verdict(before, after, "data.max_tokens") is expected
    assert verdict(before, after, "data.max_tokens").refused is (expected is Verdict.HELD_OUT)
