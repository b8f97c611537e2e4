"""Sequences cut from a stream of documents while training, with a state from which exactly the next one comes.

    {"sequences": 96, "epoch": 0, "place": 3, "row": 41, "tokens": [17, 4, …], "of": {…}}

is the whole state: sequence 96 begins with the left-over `tokens`, after which come the documents from row 41 of
the shard with index 3 in the order of epoch 0. `of` identifies the data, so that a state is not used for other data;
its `contents` are those of HubDataset.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import torch

from tuitrain_engine.data.errors import DataError, ReadingStopped
from tuitrain_engine.data.hub import HubDataset, Position
from tuitrain_engine.data.loader import IGNORED
from tuitrain_engine.data.permutation import Permutation
from tuitrain_engine.data.prefetch import Batch
from tuitrain_engine.data.reader import DocumentStream
from tuitrain_engine.data.tokenizers import Tokenizer

State = dict[str, Any]
STATES_KEPT = 1024
"""Calls of `batch` that can be repeated: more than the micro-batches of a step that is abandoned when the reading
stops, plus those a prefetcher is ahead."""
_BATCH_DOCUMENTS, _BATCH_CHARACTERS = 64, 1_000_000
"""The batch that is tokenized at once."""


class ShuffledShards:
    """Every shard once in each epoch, in an order of its own for each (seed, epoch)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, n_shards: int, epoch: int) -> list[int]:
        return Permutation(n_shards, self._seed, epoch)(np.arange(n_shards)).tolist()


class TokenStream:
    """The ids of one document after the other, each with the position of the next document."""

    def __init__(self, documents: DocumentStream, tokenizer: Tokenizer) -> None:
        self._documents, self._tokenizer = documents, tokenizer
        end = tokenizer.end_of_document
        self._ending = np.array([] if end is None else [end], dtype=np.uint32)
        self._ready: deque[tuple[np.ndarray, Position]] = deque()

    def next_document(self) -> tuple[np.ndarray, Position]:
        """Ids (uint32, with the end of the document) and where the next document is. Raises DataError."""
        if not self._ready:
            batch, size = [], 0
            while len(batch) < _BATCH_DOCUMENTS and size < _BATCH_CHARACTERS:
                batch.append(next(self._documents))
                size += len(batch[-1].text)
            encoded = self._tokenizer.encode_batch([document.text for document in batch])
            for document, ids in zip(batch, encoded, strict=True):
                self._ready.append((np.concatenate([ids.astype(np.uint32), self._ending]), document.after))
        return self._ready.popleft()

    def restart(self, position: Position) -> None:
        """Continue from `position`."""
        self._ready.clear()
        self._documents.restart(position)


class _Mark(NamedTuple):
    """The beginning of a sequence: remaining ids, then the documents from a position on."""

    position: Position
    left: np.ndarray


class StreamSplit:
    """The training split of a streamed source: `batch` is called for sequences in order.

    packed: seq_len tokens after seq_len tokens across the documents, whose last target is the first token of the next
    sequence; sample: one document of two tokens or more each, cut or padded, targets -100 where nothing is predicted.
    """

    tokens = None
    n_sequences = None

    def __init__(
        self, dataset: HubDataset, stream: TokenStream, *, packed: bool, seq_len: int, padding: int, of: State
    ) -> None:
        """`stream` is of `dataset`; `of` is what a state must agree with: source, tokenizer and the like, by name."""
        self._dataset, self._stream, self._of = dataset, stream, of
        self._packed, self._seq_len, self._padding = packed, seq_len, padding
        # The prefetcher's thread and the main one may both call.
        self._lock = threading.Lock()
        self._go_to(0, _Mark(Position(), np.empty(0, np.uint32)))
        self._marks = {0: self._mark}

    def batch(self, first: int, count: int) -> Batch:
        """Sequences `first` … `first + count`: ids and next ids, each (count, seq_len) int64 on the CPU.

        `first` is where the last call ended, or the beginning of a recent one, which is then read again. Raises
        DataError or ReadingStopped; neither changes the state, and the call can be repeated.
        """
        with self._lock:
            if first != self._next:
                self._go_to(first, self._known(first))
                self._stream.restart(self._mark.position)
            x = np.full((count, self._seq_len), self._padding, dtype=np.int64)
            y = np.full((count, self._seq_len), IGNORED, dtype=np.int64)
            begin = self._mark
            try:
                for row in range(count):
                    ids = self._next_packed() if self._packed else self._next_sample()
                    x[row, : len(ids) - 1] = ids[:-1]
                    y[row, : len(ids) - 1] = ids[1:]
            except (DataError, ReadingStopped):
                self._mark = begin
                self._stream.restart(begin.position)
                raise
            self._next += count
            self._marks.pop(self._next, None)
            self._marks[self._next] = self._mark
            while len(self._marks) > STATES_KEPT:
                del self._marks[next(iter(self._marks))]
            return torch.from_numpy(x), torch.from_numpy(y)

    def state_at(self, sequences: int) -> State:
        """What `restore` needs to continue at sequence number `sequences`, independent of read-ahead; JSON-able."""
        position, left = self._known(sequences)
        # The beginning is the same position in any data.
        contents = self._dataset.contents if position > Position() else {}
        of = {**self._of, "contents": contents}
        return {
            "sequences": sequences,
            "epoch": position.epoch,
            "place": position.shard_index,
            "row": position.row,
            "tokens": left.tolist(),
            "of": of,
        }

    def restore(self, state: State, sequences: int) -> None:
        """Continue at sequence number `sequences`. Raises DataError when the state is missing or of other data."""
        if not state and sequences:
            raise DataError(
                f"The checkpoint has no position in the stream of {self._of['source']}, so the run cannot continue "
                f"from sequence {sequences:,} of it: resume with the data.source that it was trained on."
            )
        if not state:
            state = {"sequences": 0, "epoch": 0, "place": 0, "row": 0, "tokens": [], "of": self._of}
        if state["sequences"] != sequences:
            raise DataError(
                f"The checkpoint is at sequence {state['sequences']:,} of {self._of['source']}, and the run at "
                f"{sequences:,}: resume with the data.source or data.mixture that it was trained on."
            )
        theirs, ours = state["of"], self._of
        for key, value in ours.items():
            if theirs.get(key) != value:
                raise DataError(
                    f"The checkpoint is of a stream with {key} = {theirs.get(key)!r}, and this run streams with "
                    f"{value!r}: resume with the data as it was, or start a new run."
                )
        with self._lock:
            if theirs.get("contents"):
                self._dataset.contents = theirs["contents"]
                self._dataset.check()
            position = Position(state["epoch"], state["place"], state["row"])
            self._go_to(sequences, _Mark(position, np.array(state["tokens"], dtype=np.uint32)))
            self._marks = {sequences: self._mark}
            self._stream.restart(position)

    def _known(self, sequence: int) -> _Mark:
        if sequence not in self._marks:
            raise ValueError(f"sequence {sequence} of a stream is not available: known are {sorted(self._marks)}")
        return self._marks[sequence]

    def _go_to(self, sequence: int, mark: _Mark) -> None:
        self._next, self._mark = sequence, mark

    def _next_packed(self) -> np.ndarray:
        """seq_len + 1 ids; the last of them stays: it is a target here and an input in the next."""
        position, left = self._mark
        parts: list[np.ndarray] = []
        need = self._seq_len + 1
        while need > len(left):
            parts.append(left)
            need -= len(left)
            left, position = self._stream.next_document()
        parts.append(left[:need])
        # A view, not a copy: the rest of a document may be long.
        self._mark = _Mark(position, left[need - 1 :])
        return np.concatenate(parts)

    def _next_sample(self) -> np.ndarray:
        """The first seq_len + 1 ids of the next document that has two."""
        while True:
            ids, position = self._stream.next_document()
            if len(ids) >= 2:
                self._mark = _Mark(position, np.empty(0, np.uint32))
                return ids[: self._seq_len + 1]
