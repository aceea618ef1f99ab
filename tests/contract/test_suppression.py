"""Counts that give a small one away: known attacks, and two slow twins. One tries all counts, one is Gauss."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.contract.suppression import Contradiction, Exposed, Figure, Intractable, check

LEAST = 5
A, B, C, D, E, F, G, H, J = (1 << bit for bit in range(9))
APART = [(A | E, 10), (B | F, 10), (C | G, 10)]  # tells A, B and C apart


def exposed(*figures: tuple[int, int | None]) -> int:
    """The atoms whose small count is given away; 0 if none is."""
    try:
        check([Figure(*one) for one in figures], LEAST)
    except Exposed as found:
        return found.atoms
    return 0


@pytest.mark.parametrize(
    ("figures", "atoms"),
    [
        pytest.param([(A | B, 20), (A, 17), (B, None)], B, id="one suppressed cell beside its total"),
        pytest.param([(A | B | C, 20), (C, 17)], A | B, id="the difference of two figures of two tables"),
        pytest.param([(A | B | C, 20), (A | B | C | D, 23)], D, id="a region that grew"),
        pytest.param([(A | B, 30), (B | C, 20), (A | C, 14)], C, id="three overlapping sums"),
        pytest.param([(A | B | C, 20), (C, 17), (A, None), (B, None)], A | B, id="all that is suppressed in a row"),
        pytest.param([(A | B, 10), (C | D, 9), (A | C, 12), (B | D, 7), (A, 8)], B, id="margins and one cell"),
        pytest.param([(A | B, 0), (A | C, 8), (B | C | D, 10)], D, id="a sum of zero is zero in each part"),
        pytest.param([(A | B | C, 10), (C, 10), (A | D, 17), (D | E, 20)], E, id="a difference of zero as well"),
        pytest.param([(A | C, 10), (B | D, 9), (C | D, 16), (A, None), (B, None)], A | B, id="neither of two alone"),
        pytest.param([*APART, (A | B | C | D, 20), (D, 17)], A | B | C, id="a figure less one"),
        pytest.param(
            [*APART, (A | B | C | D | H | J, 30), (D | H, 27), (C | H | J, 10)], A | B | C | J, id="less another"
        ),
        pytest.param([*APART, (A | B | C | D | H, 20), (D, 9), (H, 8)], A | B | C, id="a figure less several"),
        pytest.param([*APART, (E | F | G, 27), (A | B | C, None)], A | B | C, id="a suppressed sum"),
        pytest.param([(A | B | C | E, 20), (E | F, 25), (F, 8), (A, None), (B, None)], A | B | C, id="three at most"),
        pytest.param(
            [(A | C, 9), (A | B | D, 7), (C | D, 10), *((one, None) for one in (A, B, C, D))],
            D,
            id="one more than A, of which there are three at most",
        ),
        pytest.param(
            [(A | D | E, 5), (A | E | F, 11), (B | C | F, 9), (A | B | C, 7), (B, None)],
            A,
            id="four of A, or somewhere there were fewer than none",
        ),
    ],
)
def test_given_away(figures: Sequence[tuple[int, int | None]], atoms: int) -> None:
    assert exposed(*figures) == atoms
    assert exposed(*reversed(figures)) == atoms


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param([(A, 17), (B, None)], id="no total"),
        pytest.param([(A | B, 20), (A, None), (B, None)], id="two suppressed cells beside a total"),
        pytest.param([(A | B, 20), (A, 15), (B, None)], id="what is suppressed but not small"),
        pytest.param([(A | B, 20), (A, 20), (B, None)], id="nobody"),
        pytest.param([(A | B, 12), (C | D, 12), (A | C, 12), (B | D, 12)], id="margins alone"),
        pytest.param([(A, 0), (A | B, 9)], id="published zeros"),
    ],
)
def test_not_given_away(figures: Sequence[tuple[int, int | None]]) -> None:
    assert exposed(*figures) == 0


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param([(A, 7), (A, 8)], id="one group, two counts"),
        pytest.param([(A | B, 7), (A, 8)], id="a part larger than the whole"),
        pytest.param([(A, 6), (B, 6), (A | B, 13)], id="a total that is none"),
        pytest.param([(A | B, 11), (B | C, 11), (A | C, 11)], id="half a case"),
        pytest.param([(A | D | E, 20), (A | B | C | D, 9), (A | B | C | E, 5)], id="too many for two others"),
    ],
)
def test_contradictions(figures: Sequence[tuple[int, int]]) -> None:
    with pytest.raises(Contradiction):
        check([Figure(*one) for one in figures], LEAST)


FIGURES = st.tuples(
    st.tuples(*[st.integers(0, 9)] * 4),
    st.sets(st.integers(1, 15), min_size=1, max_size=5),
    st.sets(st.integers(1, 15), max_size=3),
)


@settings(max_examples=200)
@given(FIGURES)
def test_what_is_exposed_is_small_whatever_fits(drawn: tuple[tuple[int, ...], set[int], set[int]]) -> None:
    figures = figures_of(*drawn)
    if atoms := exposed(*figures):
        assert {total(atoms, counts) for counts in fitting(figures)} <= set(range(1, LEAST))


@settings(max_examples=200)
@given(FIGURES)
def test_what_passes_determines_no_small_count(drawn: tuple[tuple[int, ...], set[int], set[int]]) -> None:
    counts = drawn[0]
    figures = figures_of(*drawn)
    rows = [vector(one.atoms) for one in figures if one.cases is not None]
    targets = {one.atoms for one in figures if one.cases is None}
    targets |= {one for one in range(1, 16) if one.bit_count() <= 2 and told_apart(one, figures)}
    determined = [one for one in sorted(targets) if rank([*rows, vector(one)]) == rank(rows)]
    if any(0 < total(one, counts) < LEAST for one in determined):
        with pytest.raises(Exposed):
            check(figures, LEAST)


def told_apart(atoms: int, figures: Sequence[Figure]) -> bool:
    """Whether each atom is a group of its own: no other atom is in the same figures."""
    where = [tuple(one.atoms >> bit & 1 for one in figures) for bit in range(4)]
    return all(where.count(place) == 1 for bit, place in enumerate(where) if atoms >> bit & 1)


def figures_of(counts: Sequence[int], published: set[int], suppressed: set[int]) -> list[Figure]:
    """Of what would be published, only that which may be."""
    figures = [Figure(one, total(one, counts)) for one in sorted(published)]
    figures = [one for one in figures if one.cases == 0 or (one.cases or 0) >= LEAST]
    return figures + [Figure(one, None) for one in sorted(suppressed - published)]


def fitting(figures: Iterable[Figure]) -> list[tuple[int, ...]]:
    """Every assignment of 0 to 9 to four atoms that fits what is published."""
    published = [one for one in figures if one.cases is not None]
    return [
        counts
        for counts in product(range(10), repeat=4)
        if all(total(one.atoms, counts) == one.cases for one in published)
    ]


def total(atoms: int, counts: Sequence[int]) -> int:
    return sum(count for bit, count in enumerate(counts) if atoms >> bit & 1)


def vector(atoms: int) -> list[Fraction]:
    return [Fraction(atoms >> bit & 1) for bit in range(4)]


def rank(rows: Sequence[list[Fraction]]) -> int:
    """By Gauss, as in a textbook."""
    left, found = [list(one) for one in rows], 0
    for column in range(4):
        pivot = next((one for one in left[found:] if one[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        left.insert(found, pivot)
        for number, row in enumerate(left):
            if number != found:
                factor = row[column] / pivot[column]
                left[number] = [one - factor * other for one, other in zip(row, pivot, strict=True)]
        found += 1
    return found


def test_sums_that_overlap_at_random_are_not_worked_on_for_minutes() -> None:
    chance = random.Random(1)  # noqa: S311 (no secret)
    chosen = [chance.sample(range(300), 40) for _ in range(250)]
    figures = [Figure(1 << one, None) for one in range(300)]
    figures += [Figure(sum(1 << one for one in some), sum(one + 20 for one in some)) for some in chosen]
    started = time.process_time()
    with pytest.raises(Intractable):
        check(figures, LEAST)
    assert time.process_time() - started < 3


def test_the_largest_table_takes_less_than_a_second() -> None:
    """Of 19 regions by 19 conditions with totals, every seventh cell suppressed, after two others of its size."""
    cells = [1 << number for number in range(18 * 18)]
    figures = [Figure(one, None if number % 7 == 0 else 20 + number) for number, one in enumerate(cells)]
    for line in range(18):
        row, column = cells[18 * line : 18 * (line + 1)], cells[line::18]
        figures.append(Figure(sum(row), sum(20 + 18 * line + number for number in range(18))))
        figures.append(Figure(sum(column), sum(20 + line + 18 * number for number in range(18))))
    many = [Figure(one.atoms << 400 * times, one.cases) for times in range(3) for one in figures]
    started = time.process_time()
    check(many, LEAST)
    assert time.process_time() - started < 3  # about 0.5 on the reference machine; others have less to give
