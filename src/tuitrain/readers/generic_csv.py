"""Tables of any origin: CSV with any separator, and TSV."""

from __future__ import annotations

from functools import partial

from tuitrain.readers.delimited import DelimitedParser
from tuitrain.readers.delimited_head import head_of
from tuitrain.readers.model import Format, Probe, Source
from tuitrain.readers.table import file_sources
from tuitrain.readers.tail import TailReader


def _matches(probe: Probe, tabs: bool) -> bool:
    head = head_of(probe)
    return head is not None and (head.separator == "\t") == tabs and head.is_log


def _open(source: Source) -> TailReader:
    return TailReader(source.path, partial(DelimitedParser, source.name))


CSV = Format(
    "csv", "CSV: a column for steps or epochs, or none", "tuitrain watch log.csv", partial(_matches, tabs=False),
    partial(file_sources, "csv"), _open, DelimitedParser,
)  # fmt: skip
TSV = Format(
    "tsv", "TSV: the same with tabs", "tuitrain watch log.tsv", partial(_matches, tabs=True),
    partial(file_sources, "tsv"), _open, DelimitedParser,
)  # fmt: skip
