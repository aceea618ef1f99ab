"""What the contract's tests refuse, and what was submitted before: written by `recording`, played by `playing`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec


class Call(msgspec.Struct, frozen=True):
    """A call as a client makes it; `arguments` is JSON."""

    msp_id: str
    common_name: str
    attributes: dict[str, str]
    function: str
    arguments: str
    transient: dict[str, bytes]
    now_ms: int


class Step(msgspec.Struct, frozen=True):
    """A committed call; `before` is the step that it followed, -1 for an empty ledger."""

    before: int
    call: Call


class Row(msgspec.Struct, frozen=True):
    """A call that is refused with this code when `after` is the newest step; `test` is pytest's name of it."""

    test: str
    after: int
    call: Call
    code: str


class Recorded(msgspec.Struct, frozen=True):
    steps: list[Step]
    rows: list[Row]

    def tables(self, rows_min: int) -> Recorded:
        """Of the states in which so many rows are asked, and of those for the codes that no such state has."""
        asked = Counter(row.after for row in self.rows)
        codes = {row.code for row in self.rows if asked[row.after] >= rows_min}
        chosen = {row.after for row in self.rows if asked[row.after] >= rows_min}
        for row in self.rows:
            if row.code not in codes:
                codes.add(row.code)
                chosen.add(row.after)
        return Recorded(self.steps, [row for row in self.rows if row.after in chosen])

    def worlds(self) -> Iterator[list[int]]:
        """Steps in their order, from an empty ledger, as few such as have every row's state at some moment."""
        asked = {row.after for row in self.rows}
        inner = {before for one in asked for before in self._path(one)[:-1]}
        yield from (self._path(one) for one in sorted(asked - inner))

    def _path(self, step: int) -> list[int]:
        """From -1, the empty ledger, to the step."""
        found = [step]
        while found[-1] != -1:
            found.append(self.steps[found[-1]].before)
        return found[::-1]
