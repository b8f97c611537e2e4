"""What a reader of another tool's log yields, and what a format declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from tuitrain.events import BrokenLine, Sample, System
from tuitrain.text import without_sequences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Ending = Literal["completed", "failed", "stopped", "interrupted", "running"]


class Row(msgspec.Struct, gc=False):
    """Numbers that a tool logged together, by the names it gave them.

    x is the position on the tool's own axis, where an inventory counts it. step is where it is drawn, a whole number;
    None: at x. A reader whose axis is not of whole numbers gives it. time is in Unix seconds.
    """

    x: float
    values: dict[str, float]
    time: float | None = None
    step: int | None = None


@dataclass(frozen=True)
class Rows:
    """Many rows with the same names: a column for each name, and for what else a `Row` has. No column is written to.

    time, step: None where no row has one.
    """

    x: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    time: NDArray[np.float64] | None = None
    step: NDArray[np.float64] | None = None


class Restart(msgspec.Struct):
    """The tool began again: what it logged at this x and later is void."""

    x: float


Item = Row | Rows | Restart | Sample | System


@dataclass
class RunInfo:
    """What a log says about its run so far; a reader changes it as it reads. Unknown is None or empty.

    axis: the name of the x axis. total: the last x that is planned; total_steps: the last step, where x is none.
    ending: what the format says about the end, and `reason` why; `running` only where the format itself says so;
    `interrupted` of a format that marks the end, without that mark.
    """

    name: str
    axis: str = "step"
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    total: float | None = None
    total_steps: int | None = None
    started: float | None = None
    ending: Ending | None = None
    reason: str = ""
    meanings: dict[str, str] = field(default_factory=dict)
    """What the format knows of its metrics: NAME → OURS as in `mapping.target_named`, a factor after `*`."""
    axes: dict[str, str] = field(default_factory=dict)
    """Metrics, or patterns of their names with `*`, that were declared to be drawn over another metric."""
    counter: str = ""
    """Of these other metrics the one that gives the steps of the rows."""
    summary: dict[str, Any] = field(default_factory=dict)
    """What the log says of the outcome besides the newest values of its metrics."""


@dataclass
class Reading:
    """What one poll read. reset: the log was replaced or rewritten, so earlier items are void.

    more: the next poll has further items at once. Items are in the order in which they were written.
    """

    items: list[Item] = field(default_factory=list)
    broken: list[BrokenLine] = field(default_factory=list)
    reset: bool = False
    more: bool = False


class Reader(Protocol):
    """Follows one run of another tool; it never writes."""

    @property
    def info(self) -> RunInfo:
        """What is known of the run so far."""

    def poll(self) -> Reading:
        """What was added since the last call, at most a few MB. Raises OSError other than FileNotFoundError."""


class Parser(Protocol):
    """Reads one growing text or binary stream, in pieces of any size: a file, a pipe, a console."""

    @property
    def info(self) -> RunInfo:
        """What is known of the run until now."""

    def feed(self, data: bytes) -> Reading:
        """The items that these further bytes complete. reset: earlier ones are void, as the format showed only now."""


@dataclass(frozen=True)
class Source:
    """One run of another tool: a file or a folder, or one of several in it, which `key` names.

    path: what the run is, in the file system. name: what it is called as far as that is known without reading it.
    files: what it was recognised by.
    """

    format: str
    path: Path
    name: str
    files: tuple[Path, ...]
    key: str = ""


PROBE_BYTES = 16 << 10


@dataclass(frozen=True)
class Probe:
    """A file or stream at the time of recognition: its first bytes, at most PROBE_BYTES of a file that is searched for.

    path is that of a file; None of a stream.
    """

    head: bytes
    path: Path | None = None

    @cached_property
    def binary(self) -> bool:
        """Whether it is no text.

        A log that was cut while its writer goes on where it was begins with zero bytes.
        """
        text = self.head.lstrip(b"\0")
        return b"\0" in (text or self.head) or (text != self.head and text[:1] < b"\t")

    @cached_property
    def first(self) -> bytes:
        """The first byte that is no blank; nothing of an empty one."""
        return self.head.lstrip(b"\xef\xbb\xbf \t\r\n\x1e")[:1]

    @cached_property
    def lowered(self) -> bytes:
        """In lower case."""
        return self.head.lower()

    @cached_property
    def names_position(self) -> bool:
        """Whether a word for a position of the training is in it: the console of a known tool has one."""
        return any(word in self.lowered for word in (b"step", b"iter", b"epoch"))

    @cached_property
    def names_loss(self) -> bool:
        """Whether the word loss is in it: asked once for all formats that are nothing without it."""
        return b"loss" in self.head

    @cached_property
    def text(self) -> str:
        """As text, without byte-order mark and terminal colours; what is not UTF-8 is replaced."""
        return plain_text(self.head.lstrip(b"\0"))

    @cached_property
    def lines(self) -> list[str]:
        """The whole lines without their ends; all where the file has no line end yet."""
        lines = self.text.splitlines()
        return lines[:-1] if len(lines) > 1 and self.text[-1:] not in "\r\n" else lines


@dataclass(frozen=True)
class Format:
    """A format of another tool.

    name: as `show --json` gives it. example: what a user would type. matches: whether a file is of it, by its content
    (its name may confirm, not decide). sources: the runs that the matching files below a folder are. open: a reader of
    one of them. covers: formats whose files in and below the folder of a run of this one are the same run once more,
    and consoles beside that folder (`console`: of any tool). parser: of a format that can also come through a pipe.
    binary: whether its files hold zero bytes; None: some do. beside: patterns of the files beside a log, as for
    `Path.glob`, that say more about its run or that it is of this format.
    """

    name: str
    title: str
    example: str
    matches: Callable[[Probe], bool]
    sources: Callable[[Path, Sequence[Path]], Iterable[Source]]
    open: Callable[[Source], Reader]
    parser: Callable[[str], Parser] | None = None
    binary: bool | None = False
    covers: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def plain_text(data: bytes) -> str:
    """Bytes as text without byte-order mark and terminal colours; what is not UTF-8 is replaced."""
    return without_sequences(data.decode("utf-8", "replace").removeprefix("\ufeff"))
