"""The error of an export."""

from __future__ import annotations


class ExportError(ValueError):
    """Something cannot be exported; the message says what and what to do."""
