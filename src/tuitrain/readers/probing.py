"""The beginning of a file, by which its format is recognised."""

from __future__ import annotations

import os
from pathlib import Path

from tuitrain.files import open_regular
from tuitrain.readers.encoding import text_of
from tuitrain.readers.model import PROBE_BYTES, Probe


def probe_of(path: Path, most: int = PROBE_BYTES) -> Probe:
    """The first bytes of a file, or the last where those are zero. Raises OSError for what is no regular file."""
    with open_regular(path) as file:
        head = os.pread(file.fileno(), most, 0)
        if head and not head.strip(b"\0"):
            # Of a log that was cut while its writer goes on.
            head = os.pread(file.fileno(), most, max(0, os.fstat(file.fileno()).st_size - most))
        return Probe(text_of(head, most), path)
