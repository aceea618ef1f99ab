"""An agency's tables: reports counted by period, region and condition, small counts suppressed, each cell traceable."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from os import urandom

import msgspec
from msgspec.structs import replace

from healthchain.contract import aggregates, suppression
from healthchain.contract.aggregates import Category, Period, Publish, ShownAggregate
from healthchain.contract.suppression import Figure
from healthchain.errors import BadInput, HealthChainError
from healthchain.records import reporting
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.fhir_cases import Case
from healthchain.records.governing import policies
from healthchain.records.keyring import random_id
from healthchain.records.sealing import SealBroken

SALT_BYTES = 32
RECEIPTS_BYTES = 1 << 18
"""Receipts are padded to a multiple: all members see how long they are, and it would tell what is suppressed."""


class ReceiptsFalse(HealthChainError):
    """What is sealed as a table's receipts is not what its publisher committed to, or does not add up to its cells."""


@dataclass(frozen=True, slots=True)
class Axes:
    periods: tuple[Period, ...]
    regions: tuple[Category, ...]
    conditions: tuple[Category, ...]


class Receipts(msgspec.Struct, frozen=True):
    """Sealed to the agency: ids of the reports that each cell counts, in the order of the cells."""

    salt: bytes
    reports: tuple[tuple[str, ...], ...]

    @property
    def commitment(self) -> bytes:
        return sha256(b"HealthChain/1/receipts\0" + msgspec.json.encode(self)).digest()


@dataclass(frozen=True, slots=True)
class Traced:
    """The reports of one cell, and which of them were withdrawn after it was published."""

    reports: tuple[str, ...]
    withdrawn: tuple[str, ...]


async def open_cases(officer: Actor) -> dict[str, Case]:
    """Report -> case, of all that are addressed to the agency and were not withdrawn. Raises Refused or SealBroken."""
    listed = [one.id for one in await reporting.list_reports(officer) if one.withdrawn_ms is None]
    return {one: await reporting.case_of(officer, one) for one in listed}


def count(cases: Mapping[str, Case], axes: Axes) -> tuple[Publish, Receipts]:
    """The table with nothing suppressed yet."""
    counted = []
    for period, region, condition in _cells(axes):
        found = [
            report
            for report, case in cases.items()
            if case.month in period.parts and case.region in region.parts and case.condition in condition.parts
        ]
        counted.append(tuple(sorted(found)))
    receipts = Receipts(urandom(SALT_BYTES), tuple(counted))
    return _table(axes, tuple(len(one) for one in counted), receipts), receipts


def _cells(axes: Axes) -> list[aggregates.Cell]:
    return [(one, other, third) for one in axes.periods for other in axes.regions for third in axes.conditions]


def _table(axes: Axes, cells: tuple[int | None, ...], receipts: Receipts) -> Publish:
    return Publish(
        id=random_id(),
        periods=axes.periods,
        regions=axes.regions,
        conditions=axes.conditions,
        cells=cells,
        receipts=receipts.commitment,
    )


def suppressed(table: Publish, earlier: Sequence[ShownAggregate], least: int) -> Publish:
    """Small counts first, then as many others as it takes, until the contract's own check finds nothing.

    Greedy: each time the smallest count that protects what was exposed. Raises
    `suppression.Contradiction` or `suppression.Intractable`.
    """
    table = without_small(table, least)
    while exposed := _exposed(table, earlier, least):
        table = _without_one(table, earlier, least, exposed)
    return table


def without_small(table: Publish, least: int) -> Publish:
    """Its small counts suppressed, and nothing else."""
    return replace(table, cells=tuple(None if one is not None and 0 < one < least else one for one in table.cells))


def _exposed(table: Publish, earlier: Sequence[ShownAggregate], least: int) -> int:
    try:
        suppression.check(aggregates.figures((table, *earlier)), least)
    except suppression.Exposed as found:
        return found.atoms
    return 0


def _without_one(table: Publish, earlier: Sequence[ShownAggregate], least: int, exposed: int) -> Publish:
    """Parts before sums, small before large; if none of them protects these atoms, the first: there will be another."""
    figures: list[Figure] = aggregates.figures((table,))
    shown = [number for number, cell in enumerate(table.cells) if cell]
    shown.sort(key=lambda number: (figures[number].atoms.bit_count(), table.cells[number], number))
    candidates = [_with_suppressed(table, number) for number in shown]
    return next((one for one in candidates if _exposed(one, earlier, least) != exposed), candidates[0])


def _with_suppressed(table: Publish, number: int) -> Publish:
    return replace(table, cells=(*table.cells[:number], None, *table.cells[number + 1 :]))


async def publish(officer: Actor, cases: Mapping[str, Case], axes: Axes) -> str:
    """Count, suppress, publish; answers with the table's id. Raises Refused and as `suppressed`."""
    table, receipts = count(cases, axes)
    own = [one for one in await list_tables(officer) if one.agency == officer.recipient]
    return await submit(officer, suppressed(table, own, await least_count(officer)), receipts)


async def least_count(actor: Actor) -> int:
    """The smallest count that the members agreed to publish, but for 0."""
    return (await policies(actor)).cell_min


async def submit(officer: Actor, table: Publish, receipts: Receipts) -> str:
    """As it is. Raises Refused."""
    place = aggregates.receipts_message(table.id)
    own_key = {officer.recipient: officer.key.public_bytes}
    plain = msgspec.json.encode(receipts)
    padded = plain.ljust(-(-len(plain) // RECEIPTS_BYTES) * RECEIPTS_BYTES)  # with spaces, which JSON ignores
    sealed = officer.seal(place, own_key, padded)
    await repeated_on_conflict(partial(officer.submit, "aggregates:Publish", table, sealed))
    return table.id


async def list_tables(actor: Actor) -> list[ShownAggregate]:
    """All that were published, in order of time."""
    found: list[str] = []
    start = ""
    while True:
        page = await actor.ask("aggregates:List", aggregates.List(start=start), aggregates.Aggregates)
        found += [one.id for one in page.aggregates]
        if not page.next:
            break
        start = page.next
    return sorted([await get(actor, one) for one in found], key=lambda one: (one.time_ms, one.id))


async def get(actor: Actor, table: str) -> ShownAggregate:
    return (await actor.ask("aggregates:Get", aggregates.Get(id=table), aggregates.Found)).aggregate


async def trace(officer: Actor, table: str, cell: int) -> Traced:
    """By the agency that published: the reports that a cell counts, held against commitment, count and ledger.

    Raises Refused, SealBroken, ReceiptsFalse, or BadInput for a cell that is not there.
    """
    shown = await get(officer, table)
    if cell not in range(len(shown.cells)):
        raise BadInput(f"the table has cells 0 to {len(shown.cells) - 1}")
    receipts = await _receipts_of(officer, table)
    committed = hmac.compare_digest(receipts.commitment, shown.receipts)
    if not committed or len(receipts.reports) != len(shown.cells):
        raise ReceiptsFalse("the sealed receipts are not those that the agency committed to")
    counted = receipts.reports[cell]
    if shown.cells[cell] not in (None, len(counted)):
        raise ReceiptsFalse("the receipts do not add up to what the agency published")
    found = [await reporting.get(officer, one) for one in counted]
    return Traced(counted, tuple(one.report.id for one in found if one.report.withdrawn_ms is not None))


async def _receipts_of(officer: Actor, table: str) -> Receipts:
    place = aggregates.receipts_message(table)
    opened = await officer.fetch("aggregates:Trace", aggregates.Trace(id=table), place)
    try:
        return msgspec.json.decode(opened, type=Receipts)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealBroken from None
