"""How many there are at least and at most, by equations between counts, of which none is negative.

Each equation narrows each count by what the others leave for it, again and again. In integers, so that all endorsers
agree. What is found is true, though not always the narrowest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

ROUNDS_MAX = 20


class Equation(NamedTuple):
    """The sum of coefficient times unknown is `value`."""

    coefficients: Mapping[int, int]
    value: int


class Bounds(NamedTuple):
    """Of one unknown; both inclusive. There is no such count if low > high."""

    low: int
    high: int


def bounds(sums: Sequence[Equation], others: Sequence[Equation]) -> dict[int, Bounds]:
    """Unknown -> its bounds. In `sums` all coefficients are 1, and every unknown of the `others` occurs in them."""
    found: dict[int, Bounds] = {}
    for one in sums:
        for unknown in one.coefficients:
            high = found[unknown].high if unknown in found else one.value
            found[unknown] = Bounds(0, min(high, one.value))
    for _ in range(ROUNDS_MAX):
        before = dict(found)
        for one in (*sums, *others):
            found |= _narrowed(one, found)
        if found == before:
            break
    return found


def _narrowed(equation: Equation, known: Mapping[int, Bounds]) -> dict[int, Bounds]:
    terms = {unknown: _times(by, known[unknown]) for unknown, by in equation.coefficients.items()}
    low, high = sum(one.low for one in terms.values()), sum(one.high for one in terms.values())
    found = {}
    for unknown, by in equation.coefficients.items():
        term = terms[unknown]
        left = Bounds(equation.value - (high - term.high), equation.value - (low - term.low))
        if by < 0:
            left = _times(-1, left)
        size, bounded = abs(by), known[unknown]
        found[unknown] = Bounds(max(bounded.low, -(-left.low // size)), min(bounded.high, left.high // size))
    return found


def _times(by: int, one: Bounds) -> Bounds:
    return Bounds(by * one.low, by * one.high) if by > 0 else Bounds(by * one.high, by * one.low)
