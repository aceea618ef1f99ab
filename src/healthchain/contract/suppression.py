"""Whether published counts give a small one away: exact linear algebra over the groups of cases that they count.

Every figure is the sum of atoms (a period, a region and a condition at their finest). Atoms that no figure tells apart
are one unknown. Integers only, so that all endorsers agree. What is found and what is not: docs/decisions/0015.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from healthchain.contract.bounds import Equation, bounds

COEFFICIENT_MAX = 1 << 32
"""Tables of categories and their sums need 1 to 3. Sums that overlap at random grow without end, and cost minutes."""


class Figure(NamedTuple):
    """`atoms` is a set of bits; `cases` is None where the figure is suppressed."""

    atoms: int
    cases: int | None


class Exposed(Exception):
    """These atoms hold a small number of cases, and the published figures give it away."""

    def __init__(self, atoms: int) -> None:
        super().__init__("the published figures give a small count away")
        self.atoms = atoms


class Contradiction(Exception):
    """No counts fit all the published figures."""


class Intractable(Exception):
    """The figures overlap in so many ways that nobody can check them in reasonable time."""


def check(figures: Sequence[Figure], least: int) -> None:
    """Raises Exposed if a count of 1 to least - 1 can be computed, Contradiction, or Intractable.

    1 every group of atoms, every two of them and every suppressed figure that the equations determine; 2 every equation
    that bounds some from above, since no count is negative, and all that bound one from below and above; 3 what is left
    of a figure less others inside it. What adds up to 0 is 0 in each part.
    """
    published = _published(figures)
    remainders = [one for one in _remainders(published) if one[1] < least]
    groups = _groups(one.atoms for one in figures)
    equations = _Equations()
    zeros = [one for one in remainders if not one[1]]
    for atoms, count in [*sorted(published.items(), key=lambda one: (one[0].bit_count(), one[0])), *zeros]:
        members = _members(groups, atoms)
        for some in [members] if count else [[one] for one in members]:
            equations.add(some, count)
    for atoms in [*groups, *sorted({one.atoms for one in figures if one.cases is None})]:
        _require_large(atoms, equations.determined(_members(groups, atoms)), least)
    for one, other in equations.alike(range(len(groups))):
        _require_large(groups[one] | groups[other], equations.determined([one, other]), least)
    for number, (low, high) in sorted(bounds(_sums(published, groups), equations.reduced()).items()):
        if low > high:
            raise Contradiction
        if low > 0 and high < least:
            raise Exposed(groups[number])
    for members, count in equations.bounds():
        _require_large(sum(groups[one] for one in members), count, least)
    for atoms, count in remainders:
        _require_large(atoms, count, least)


def _sums(published: dict[int, int], groups: Sequence[int]) -> list[Equation]:
    return [Equation(dict.fromkeys(_members(groups, atoms), 1), count) for atoms, count in sorted(published.items())]


def _published(figures: Iterable[Figure]) -> dict[int, int]:
    found: dict[int, int] = {}
    for one in figures:
        if one.cases is not None and found.setdefault(one.atoms, one.cases) != one.cases:
            raise Contradiction
    return found


def _require_large(atoms: int, count: int | None, least: int) -> None:
    if count is not None and count < 0:
        raise Contradiction
    if count is not None and 0 < count < least:
        raise Exposed(atoms)


def _groups(sets: Iterable[int]) -> list[int]:
    """The coarsest partition of all atoms of which every set is a union; disjoint sets of bits."""
    groups: list[int] = []
    for atoms in sorted(set(sets)):
        left, parts = atoms, []
        for group in groups:
            inside = group & atoms
            parts += [one for one in (inside, group & ~atoms) if one]
            left &= ~inside
        groups = [*parts, left] if left else parts
    return groups


def _members(groups: Sequence[int], atoms: int) -> list[int]:
    """Numbers of the groups that make up these atoms."""
    return [number for number, group in enumerate(groups) if group & atoms]


def _remainders(published: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Each figure less each other one inside it, and less as many as are disjoint inside it, the largest first."""
    ordered = sorted(published, key=lambda one: (-one.bit_count(), one))
    for number, whole in enumerate(ordered):
        left, count = whole, published[whole]
        for part in ordered[number + 1 :]:
            if part & whole == part:
                yield whole & ~part, published[whole] - published[part]
            if part & left == part:
                left, count = left & ~part, count - published[part]
        if left and left != whole:
            yield left, count


class _Row(NamedTuple):
    """The sum of coefficient times unknown is `value`; all are integers."""

    coefficients: dict[int, int]
    value: int

    def less(self, other: _Row, column: int) -> tuple[_Row, int]:
        """A multiple of this row without the column, by means of the other; and by what this row was multiplied."""
        mine, theirs = self.coefficients[column], other.coefficients[column]
        coefficients = {one: theirs * value for one, value in self.coefficients.items()}
        for one, value in other.coefficients.items():
            coefficients[one] = coefficients.get(one, 0) - mine * value
        kept = {one: value for one, value in coefficients.items() if value}
        return _Row(kept, theirs * self.value - mine * other.value), theirs

    def lowest(self) -> _Row:
        """In lowest terms, the first coefficient positive."""
        divisor = abs(self.value)
        for value in self.coefficients.values():
            divisor = _gcd(divisor, abs(value))
        sign = 1 if next(iter(self.coefficients.values())) > 0 else -1
        divisor *= sign
        if max(map(abs, self.coefficients.values())) > COEFFICIENT_MAX * abs(divisor):
            raise Intractable
        return _Row({one: value // divisor for one, value in self.coefficients.items()}, self.value // divisor)


class _Equations:
    """In reduced form: a row's pivot occurs in no other row."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}

    def add(self, unknowns: Iterable[int], value: int) -> None:
        """That these unknowns add up to the value. Raises Contradiction."""
        row, _ = self._reduced(_Row(dict.fromkeys(unknowns, 1), value))
        if not row.coefficients:
            if row.value:
                raise Contradiction
            return
        row = row.lowest()
        pivot = min(row.coefficients)
        for other, known in list(self._rows.items()):
            if pivot in known.coefficients:
                self._rows[other] = known.less(row, pivot)[0].lowest()
        self._rows[pivot] = row

    def determined(self, unknowns: Iterable[int]) -> int | None:
        """What these unknowns add up to, if the equations say so."""
        row, scale = self._reduced(_Row(dict.fromkeys(unknowns, 1), 0))
        if row.coefficients:
            return None
        count, rest = divmod(-row.value, scale)
        if rest:
            raise Contradiction
        return count

    def alike(self, unknowns: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Two that depend on the same others in the same proportion: no others have a sum that is determined."""
        found: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for one in unknowns:
            row, _ = self._reduced(_Row({one: 1}, 0))
            if row.coefficients:
                ordered = dict(sorted(row.coefficients.items()))
                proportion = tuple(_Row(ordered, 0).lowest().coefficients.items())
                others = found.setdefault(proportion, [])
                yield from ((other, one) for other in others)
                others.append(one)

    def reduced(self) -> list[Equation]:
        return [Equation(row.coefficients, row.value) for row in self._rows.values()]

    def bounds(self) -> Iterator[tuple[list[int], int]]:
        """Groups of unknowns which, each taken at least once, add up to a value: so many cases or fewer."""
        for row in self._rows.values():
            if _is_bound(row):
                yield sorted(row.coefficients), row.value

    def _reduced(self, row: _Row) -> tuple[_Row, int]:
        scale = 1
        for column in list(row.coefficients):
            if column in self._rows and column in row.coefficients:
                row, by = row.less(self._rows[column], column)
                scale *= by
        return row, scale


def _is_bound(row: _Row) -> bool:
    return all(value > 0 for value in row.coefficients.values())


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a
