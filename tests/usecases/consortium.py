"""What the tests do with a consortium over and over: run something in it, read, and compare."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

from healthchain.app.consortium import CLINICIAN, Consortium, opened
from healthchain.app.verify import verify
from healthchain.contract.ids import Action, Purpose
from healthchain.errors import Refused
from healthchain.records import consenting
from healthchain.records.actor import Actor, now_ms
from healthchain.records.bundle import ParsedBundle
from healthchain.records.canonical import canonical_json
from healthchain.records.importing import Imported, import_bundle
from healthchain.records.reading import ReadRecord, read_all

HOSPITAL, CLINIC, INSURER, AGENCY = "general-hospital", "city-clinic", "mutual-insurance", "health-agency"
DAY_MS = 24 * 60 * 60 * 1000

_Result = TypeVar("_Result")


def within(folder: Path, work: Callable[[Consortium], Awaitable[_Result]]) -> _Result:
    """Open the folder, work, close it."""

    async def opening() -> _Result:
        async with opened(folder) as consortium:
            return await work(consortium)

    return asyncio.run(opening())


async def imported(consortium: Consortium, bundle: ParsedBundle, hospital: str = HOSPITAL) -> Imported:
    return await import_bundle(consortium.custodian(hospital), bundle)


def clinician(consortium: Consortium, organisation: str = HOSPITAL) -> Actor:
    return consortium.staff(organisation, CLINICIAN)


async def read(actor: Actor, patient: str, purpose: Purpose = Purpose.TREAT) -> dict[str, bytes]:
    """Full URL -> canonical JSON, of all that the actor may read."""
    return by_url(await read_all(actor, patient, purpose))


async def code(reading: Awaitable[object]) -> str:
    """With which it is refused; "" if it is not."""
    try:
        await reading
    except Refused as refused:
        return refused.code
    return ""


def by_url(found: Iterable[ReadRecord]) -> dict[str, bytes]:
    return {one.full_url: canonical_json(one.resource) for one in found}


def content(bundle: ParsedBundle) -> dict[str, bytes]:
    return {one.full_url: canonical_json(one.raw) for one in bundle.entries}


def consent(
    consortium: Consortium,
    grantee: str = CLINIC,
    *,
    actions: tuple[Action, ...] = (Action.READ,),
    compartments: tuple[str, ...] = (),
    lasts_ms: int = DAY_MS,
) -> consenting.Decision:
    msp_id = consortium.topology.organisation(grantee).msp_id
    return consenting.Decision(msp_id, (Purpose.TREAT,), actions, now_ms() + lasts_ms, compartments)


def assert_equal_peers(consortium: Consortium) -> None:
    ledgers = [peer.ledger for peer in consortium.network.peers.values()]
    assert len({ledger.height for ledger in ledgers}) == 1
    assert len({ledger.tip_hash for ledger in ledgers}) == 1
    assert len({ledger.state.commit_hash for ledger in ledgers}) == 1


def assert_clean(folder: Path) -> None:
    found = verify(folder)
    assert found.clean, found.findings
