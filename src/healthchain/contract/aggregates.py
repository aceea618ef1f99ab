"""Aggregates: counts of case reports by period, region and condition, which an agency publishes to all members.

Small counts are suppressed, and the contract refuses a table which, alone or with all earlier ones, gives one away
(`suppression`). Which reports a figure counts is sealed to the agency; a commitment to it is public.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict

from healthchain.chaincode.stub import Stub
from healthchain.contract import messages, suppression
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Digest, Id, Limit, Result, StartId
from healthchain.contract.members import acting
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit
from healthchain.contract.suppression import Figure

CELLS_MAX = 400  # of one table
CELLS_COMPARED_MAX = 1200  # of a table and all that are connected with it
ATOMS_MAX = 20_000  # over all cells of a table, each atom counted in each
ATOMS_COMPARED_MAX = 3 * ATOMS_MAX  # and of all that are connected with it

PublicCode = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9:|._+-]*\Z", min_length=1, max_length=64)]
Month = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])\Z", max_length=7)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]


class Category(State, frozen=True):
    """One place on an axis: a code, and the finest codes of this axis which it sums up."""

    code: PublicCode
    parts: Annotated[tuple[PublicCode, ...], Meta(min_length=1, max_length=200)]


class Period(State, frozen=True):
    """A code, and its months (UTC). All tables count by months, or one by weeks could not be held against them."""

    code: PublicCode
    parts: Annotated[tuple[Month, ...], Meta(min_length=1, max_length=600)]


Periods = Annotated[tuple[Period, ...], Meta(min_length=1, max_length=CELLS_MAX)]
Axis = Annotated[tuple[Category, ...], Meta(min_length=1, max_length=CELLS_MAX)]
Cell = tuple[Period, Category, Category]


class Aggregate(State, frozen=True):
    """Cells in the order of periods, then regions, then conditions; None is suppressed."""

    agency: str
    by: str
    time_ms: int
    periods: tuple[Period, ...]
    regions: tuple[Category, ...]
    conditions: tuple[Category, ...]
    cells: tuple[int | None, ...]
    receipts: bytes  # commitment to the sealed list of reports


class Place(State, frozen=True):
    """That a table counts something there."""


AGGREGATES = Table("aggregate", Aggregate)  # aggregate
PLACES = Table("aggregate-place", Place)  # MSP id of the agency, year, finest condition, aggregate


class Publish(Arguments, frozen=True):
    id: Id
    periods: Periods
    regions: Axis
    conditions: Axis
    cells: Annotated[tuple[Count | None, ...], Meta(min_length=1, max_length=CELLS_MAX)]
    receipts: Digest


def publish(stub: Stub, arguments: Publish) -> None:
    """By an agency. Transient: which reports each cell counts, see `receipts_message`."""
    gate = acting(stub, Permission.PUBLISH_AGGREGATE)
    if AGGREGATES.get(stub, arguments.id) is not None:
        raise refusal(Code.AGGREGATE_EXISTS)
    _require_shape(arguments)
    least = gate.policies.cell_min
    if any(one is not None and 0 < one < least for one in arguments.cells):
        raise refusal(Code.CELL_SMALL)
    _require_nothing_given_away(arguments, _connected(stub, gate.caller.msp_id, arguments), least)
    messages.store(stub, {receipts_message(arguments.id)})
    aggregate = Aggregate(
        agency=gate.caller.msp_id,
        by=gate.user,
        time_ms=stub.timestamp_ms,
        periods=arguments.periods,
        regions=arguments.regions,
        conditions=arguments.conditions,
        cells=arguments.cells,
        receipts=arguments.receipts,
    )
    AGGREGATES.put(stub, aggregate, arguments.id)
    for year, condition in _places(arguments):
        PLACES.put(stub, Place(), aggregate.agency, year, condition, arguments.id)
    emit(stub, "aggregates:Published", "", (arguments.id,))


def receipts_message(aggregate_id: str) -> str:
    """In MESSAGES: sealed to the agency alone."""
    return messages.message_key("aggregate", aggregate_id, "receipts")


def _require_shape(table: Publish) -> None:
    """One cell for each place; no code and no set of parts twice on an axis."""
    for axis in _axes(table):
        codes = {one.code for one in axis}
        parts = {tuple(sorted(set(one.parts))) for one in axis}
        if not len(codes) == len(parts) == len(axis):
            raise refusal(Code.AGGREGATE_SHAPE)
    if _atom_count(table) > ATOMS_MAX:
        raise refusal(Code.AGGREGATE_SHAPE)
    if len(table.cells) != len(table.periods) * len(table.regions) * len(table.conditions):
        raise refusal(Code.AGGREGATE_SHAPE)


def _atom_count(table: Publish | Aggregate) -> int:
    """Over all cells, so that a few cells of very many atoms each cost no endorser its memory."""
    periods, regions, conditions = (sum(len(one.parts) for one in axis) for axis in _axes(table))
    return periods * regions * conditions


def _axes(table: Publish | Aggregate) -> tuple[Sequence[Period | Category], ...]:
    return table.periods, table.regions, table.conditions


def _require_nothing_given_away(table: Publish, earlier: Sequence[Aggregate], least: int) -> None:
    compared: list[Publish | Aggregate] = [*earlier, table]
    if sum(len(one.cells) for one in compared) > CELLS_COMPARED_MAX:
        raise refusal(Code.BATCH_TOO_LARGE)
    if sum(map(_atom_count, compared)) > ATOMS_COMPARED_MAX:
        raise refusal(Code.BATCH_TOO_LARGE)
    try:
        suppression.check(figures(compared), least)
    except suppression.Exposed:
        raise refusal(Code.CELL_DERIVABLE) from None
    except suppression.Contradiction:
        raise refusal(Code.CELL_CONTRADICTS) from None
    except suppression.Intractable:
        raise refusal(Code.BATCH_TOO_LARGE) from None


def _connected(stub: Stub, agency: str, table: Publish) -> list[Aggregate]:
    """The agency's tables that count at a place of this one, or of one of those, and so on.

    A report is addressed to one agency, so another agency's figures count other reports.
    """
    found: dict[str, Aggregate] = {}
    seen: set[tuple[str, str]] = set()
    waiting = _places(table)
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        for (*_, aggregate_id), _place in PLACES.scan(stub, agency, *place):
            if aggregate_id not in found:
                found[aggregate_id] = known(stub, aggregate_id)
                waiting += _places(found[aggregate_id])
    return [found[one] for one in sorted(found)]


def _places(table: Publish | Aggregate) -> list[tuple[str, str]]:
    """(year, finest condition) of all that it counts."""
    years = {part[:4] for one in table.periods for part in one.parts}
    conditions = {part for one in table.conditions for part in one.parts}
    return [(year, condition) for year in sorted(years) for condition in sorted(conditions)]


def figures(tables: Sequence[Publish | Aggregate]) -> list[Figure]:
    """Of all tables, in order; each atom has one bit in all of them."""
    bits: dict[tuple[str, str, str], int] = {}
    found = []
    for table in tables:
        for cell, count in zip(cells(table), table.cells, strict=True):
            atoms = 0
            for atom in _atoms(*cell):
                atoms |= 1 << bits.setdefault(atom, len(bits))
            found.append(Figure(atoms, count))
    return found


def cells(table: Publish | Aggregate) -> Iterator[Cell]:
    """(period, region, condition) of each, in their order."""
    for period in table.periods:
        for region in table.regions:
            for condition in table.conditions:
                yield period, region, condition


def _atoms(period: Period, region: Category, condition: Category) -> list[tuple[str, str, str]]:
    return [(one, other, third) for one in period.parts for other in region.parts for third in condition.parts]


def known(stub: Stub, aggregate_id: str) -> Aggregate:
    return AGGREGATES.require(stub, Code.AGGREGATE_UNKNOWN, aggregate_id)


class Get(Arguments, frozen=True):
    id: Id


class ShownAggregate(Aggregate, frozen=True, kw_only=True):
    id: str


class Found(Result, frozen=True):
    aggregate: ShownAggregate


def get(stub: Stub, arguments: Get) -> Found:
    """For every member."""
    acting(stub)
    return Found(ShownAggregate(id=arguments.id, **asdict(known(stub, arguments.id))))


class List(Arguments, frozen=True):
    start: StartId = ""
    limit: Limit = 100


class ListedAggregate(Result, frozen=True):
    id: str
    agency: str
    time_ms: int
    periods: tuple[str, ...]
    conditions: tuple[str, ...]


class Aggregates(Result, frozen=True):
    """`next` is where the next page starts, "" after the last."""

    aggregates: list[ListedAggregate]
    next: str


def list_aggregates(stub: Stub, arguments: List) -> Aggregates:
    """By id; for every member."""
    acting(stub)
    found: list[ListedAggregate] = []
    for (aggregate_id,), one in AGGREGATES.scan_from(stub, [], arguments.start):
        if len(found) == arguments.limit:
            return Aggregates(found, aggregate_id)
        periods, conditions = (tuple(place.code for place in axis) for axis in (one.periods, one.conditions))
        found.append(ListedAggregate(aggregate_id, one.agency, one.time_ms, periods, conditions))
    return Aggregates(found, "")


class Trace(Arguments, frozen=True):
    id: Id


def trace(stub: Stub, arguments: Trace) -> messages.Sealed:
    """The sealed list of reports, for the agency that published."""
    gate = acting(stub, Permission.PUBLISH_AGGREGATE)
    if known(stub, arguments.id).agency != gate.caller.msp_id:
        raise refusal(Code.AGGREGATE_OF_ANOTHER)
    return messages.fetch(stub, receipts_message(arguments.id))
