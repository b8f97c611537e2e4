"""A grid of characters with a role each, that becomes lines of text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuitrain.plots.terminal import Line, Span

_SPACE = ord(" ")


class Canvas:
    """columns × rows cells, row 0 on top, all blank at first. Writes outside are ignored."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._codes = np.full((rows, columns), _SPACE, dtype="<u4")
        self._roles = np.zeros((rows, columns), dtype=np.intp)
        self._names = ["text"]

    def put(self, column: int, row: int, text: str, role: str) -> None:
        """Write characters of one cell each from a cell on."""
        for offset, character in enumerate(text, column):
            if 0 <= row < self.rows and 0 <= offset < self.columns:
                self._codes[row, offset], self._roles[row, offset] = ord(character), self._role(role)

    def fill(self, row: int, pattern: str, role: str) -> None:
        """Fill a row with a pattern of characters."""
        for offset, character in enumerate(pattern):
            self._codes[row, offset :: len(pattern)] = ord(character)
        self._roles[row] = self._role(role)

    def lay(self, codes: NDArray[np.uint8], first: int, owner: NDArray[np.intp], roles: list[str]) -> None:
        """Lay code points `first + codes` over the cells whose owner is not negative, in the role of the owner."""
        owned = owner >= 0
        self._codes[owned] = codes[owned].astype(np.uint32) + first
        self._roles[owned] = np.array([self._role(role) for role in roles], dtype=np.intp)[owner[owned]]

    def _role(self, role: str) -> int:
        if role not in self._names:
            self._names.append(role)
        return self._names.index(role)

    def lines(self) -> list[Line]:
        """The rows as spans. Blank cells take the role of the sign at their left, so that there are few spans."""
        text = self._codes.tobytes().decode("utf-32-le")
        columns = np.arange(self.columns)
        solid = np.maximum.accumulate(np.where(self._codes == _SPACE, 0, columns), axis=1)
        roles = np.take_along_axis(self._roles, solid, axis=1)
        starts: list[list[int]] = [[0] for _ in range(self.rows)]
        changed = np.nonzero(roles[:, 1:] != roles[:, :-1])
        for row, column in zip(changed[0].tolist(), changed[1].tolist(), strict=True):
            starts[row].append(column + 1)
        return [self._spans(row, begins, text, roles) for row, begins in enumerate(starts)]

    def _spans(self, row: int, starts: list[int], text: str, roles: NDArray[np.intp]) -> Line:
        begin = row * self.columns
        names = [self._names[role] for role in roles[row, starts].tolist()]
        ends = [*starts[1:], self.columns]
        return tuple(
            Span(text[begin + start : begin + end], name) for start, end, name in zip(starts, ends, names, strict=True)
        )
