"""What goes wrong with data, in one sentence."""

from __future__ import annotations


class DataError(ValueError):
    """A source, tokenizer or corpus that cannot be used; the message names the key or file and what to do."""
