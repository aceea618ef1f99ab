"""Case reports and tables on the embedded network: who opens what, what is counted, what a table is traced to."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from healthchain.app.consortium import Consortium
from healthchain.config import CHAINCODE
from healthchain.contract import aggregates, reports, suppression
from healthchain.contract.aggregates import Category, Period
from healthchain.contract.ids import MESSAGES
from healthchain.records import publishing, reporting
from healthchain.records.actor import Actor, now_ms
from healthchain.records.fhir_cases import Case
from healthchain.records.keyring import random_id
from healthchain.records.publishing import Axes, ReceiptsFalse
from healthchain.records.sealing import MessageContext, SealBroken, open_message

from .consortium import AGENCY, CLINIC, DAY_MS, HOSPITAL, INSURER, assert_equal_peers, clinician, code, within

MONTH = (Period("2024-02", ("2024-02",)),)
NORTH, EAST = Category("north", ("north",)), Category("east", ("east",))
BOTH = Category("both", ("north", "east"))
FLU = (Category("6142004", ("6142004",)),)


def case(region: str) -> Case:
    return Case("6142004", "2024-02-11", "30-39", "female", region)


def officer(consortium: Consortium) -> Actor:
    return consortium.staff(AGENCY, "health-officer")


async def filed(consortium: Consortium, region: str, hospital: str = HOSPITAL, days_ago: int = 0) -> str:
    agency = consortium.topology.organisation(AGENCY).msp_id
    return await reporting.file(clinician(consortium, hospital), agency, case(region), now_ms() - days_ago * DAY_MS)


def test_a_report_from_the_hospital_to_the_agency_and_back(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        doctor, agency = clinician(consortium), officer(consortium)
        report, late = await filed(consortium, "north"), await filed(consortium, "east", CLINIC, days_ago=3)
        assert await reporting.case_of(agency, report) == case("north")
        assert await code(reporting.case_of(doctor, report)) == "REPORT_SEALED"
        place = reports.body_message(report)
        sealed = consortium.network.peers[INSURER].ledger.private(CHAINCODE, MESSAGES, place) or b""
        for actor in (doctor, consortium.staff(INSURER, "claims-agent")):
            with pytest.raises(SealBroken):
                open_message(actor.key, actor.recipient, MessageContext(actor.channel, place), sealed)
        await reporting.acknowledge(agency, report)
        assert (await reporting.get(doctor, report)).report.acknowledged_ms is not None
        request = await reporting.ask(agency, report, "Vaccinated?", now_ms() + DAY_MS)
        assert await reporting.question_of(doctor, report, request) == "Vaccinated?"
        added = await reporting.follow_up(doctor, report, "No.", request)
        assert await reporting.follow_up_of(agency, report, added) == "No."
        await reporting.withdraw(doctor, report, "It was a cold.")
        assert await reporting.withdrawal_of(agency, report) == "It was a cold."
        overview = await reporting.overdue(agency)
        assert [one.id for one in overview.late] == [late]
        assert set(await publishing.open_cases(agency)) == {late}
        assert_equal_peers(consortium)

    within(folder, work)


def test_a_table_is_published_without_small_counts_and_traced(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        agency = officer(consortium)
        ids = [await filed(consortium, region) for region in ["north"] * 6 + ["east"] * 2]
        cases = await publishing.open_cases(agency)
        axes = Axes(MONTH, (NORTH, EAST, BOTH), FLU)
        table = await publishing.publish(agency, cases, axes)
        shown = await publishing.get(consortium.staff(INSURER, "claims-agent"), table)
        assert shown.cells == (None, None, 8)
        assert set((await publishing.trace(agency, table, 2)).reports) == set(ids)
        await reporting.withdraw(clinician(consortium), ids[0], "It was a cold.")
        assert (await publishing.trace(agency, table, 0)).withdrawn == (ids[0],)
        assert await code(publishing.trace(clinician(consortium), table, 0)) == "ROLE_FORBIDDEN"
        north = Axes(MONTH, (NORTH,), FLU)
        assert await code(publishing.submit(agency, *publishing.count(cases, north))) == "CELL_DERIVABLE"
        assert (await publishing.get(agency, await publishing.publish(agency, cases, north))).cells == (None,)
        assert_equal_peers(consortium)

    within(folder, work)


def test_the_length_of_receipts_does_not_tell_what_is_suppressed(folder: Path) -> None:
    """Every member's peer has the ciphertext: an id more or less in it would be the suppressed count."""

    async def work(consortium: Consortium) -> None:
        agency = officer(consortium)
        lengths = set()
        for more in (1, 4, 40):
            region = f"region-{more}"
            cases = {random_id(): case(region) for _ in range(more)}
            axes = Axes(MONTH, (Category(region, (region,)),), FLU)
            place = aggregates.receipts_message(await publishing.publish(agency, cases, axes))
            sealed = consortium.network.peers[INSURER].ledger.private(CHAINCODE, MESSAGES, place) or b""
            lengths.add(len(sealed))
        assert len(lengths) == 1

    within(folder, work)


def test_receipts_that_were_not_committed_to_are_noticed(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        agency = officer(consortium)
        for _ in range(5):
            await filed(consortium, "north")
        table, receipts = publishing.count(await publishing.open_cases(agency), Axes(MONTH, (NORTH,), FLU))
        other = replace(table, receipts=bytes(32))
        await publishing.submit(agency, other, receipts)
        with pytest.raises(ReceiptsFalse, match="committed to"):
            await publishing.trace(agency, other.id, 0)
        fewer = replace(receipts, reports=(receipts.reports[0][1:],))
        less = replace(table, id=random_id(), receipts=fewer.commitment)
        await publishing.submit(agency, less, fewer)
        with pytest.raises(ReceiptsFalse, match="add up"):
            await publishing.trace(agency, less.id, 0)

    within(folder, work)


def test_suppressing_always_ends_with_a_table_that_the_contract_takes() -> None:
    axes = Axes(MONTH, (NORTH, EAST, BOTH), FLU)
    for north in range(8):
        for east in range(8):
            cases = {f"{number}": case("north") for number in range(north)}
            cases |= {f"e{number}": case("east") for number in range(east)}
            table, _ = publishing.count(cases, axes)
            done = publishing.suppressed(table, [], 5)
            assert all(one is None or one == 0 or one >= 5 for one in done.cells)
            suppression.check(aggregates.figures((done,)), 5)
