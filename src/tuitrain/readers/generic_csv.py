"""Tables of any origin: CSV with any separator, and TSV."""

from __future__ import annotations

from functools import partial

from tuitrain.readers.delimited import DelimitedParser
from tuitrain.readers.delimited_head import head_of
from tuitrain.readers.model import Format, Probe, Source
from tuitrain.readers.probing import probe_of
from tuitrain.readers.table import file_sources
from tuitrain.readers.tail import TailReader


def _matches(probe: Probe, tabs: bool) -> bool:
    head = head_of(probe)
    return head is not None and (head.separator == "\t") == tabs and head.is_log


def table_of_numbers(probe: Probe) -> str:
    """The name of the format of a table of numbers, whatever its columns are called; empty where it is none."""
    head = head_of(probe, any_name=True)
    if head is None or len(head.rows) < 2 or len(head.numeric) < 2:
        return ""
    return TSV.name if head.separator == "\t" else CSV.name


def _open(source: Source) -> TailReader:
    try:
        head = head_of(probe_of(source.path), any_name=True)
    except OSError:
        head = None
    return TailReader(
        source.path, partial(DelimitedParser, source.name, axis=head.counting if head is not None else "")
    )


CSV = Format(
    "csv", "CSV: a column for steps or epochs, or none", "tuitrain watch log.csv", partial(_matches, tabs=False),
    partial(file_sources, "csv"), _open, DelimitedParser,
)  # fmt: skip
TSV = Format(
    "tsv", "TSV: the same with tabs", "tuitrain watch log.tsv", partial(_matches, tabs=True),
    partial(file_sources, "tsv"), _open, DelimitedParser,
)  # fmt: skip
