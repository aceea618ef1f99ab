"""A process to be killed: it imports bundles, erases and revokes, and prints each transaction once acknowledged.

    python importing_child.py DIR FILE...

Each line is a transaction's id and block; the last one says "done". Begun again, it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

from healthchain.app.consortium import Consortium, opened
from healthchain.app.input import read_file
from healthchain.client.gateway import Committed, Connection
from healthchain.contract.ids import Action, Purpose
from healthchain.errors import Refused
from healthchain.records import consenting, erasing, importing
from healthchain.records.actor import now_ms
from healthchain.records.bundle import ParsedBundle, parse_bundle

BATCH_RECORDS = 25
HOSPITAL, CLINIC = "general-hospital", "city-clinic"
DAY_MS = 24 * 60 * 60 * 1000


def announce_commits() -> None:
    submit = Connection.submit

    async def announced(connection: Connection, function: str, *arguments: bytes, **options: Any) -> Committed:
        committed = await submit(connection, function, *arguments, **options)
        print(committed.transaction_id, committed.block, flush=True)
        return committed

    Connection.submit = announced  # type: ignore[assignment, method-assign]


async def main(folder: Path, files: list[Path]) -> None:
    bundles = [parse_bundle(read_file(path)) for path in files]
    async with opened(folder) as consortium:
        for bundle in bundles:
            await treat(consortium, bundle)
    print("done", flush=True)


async def treat(consortium: Consortium, bundle: ParsedBundle) -> None:
    """Import, erase the second record, let the clinic in and out again."""
    custodian = consortium.custodian(HOSPITAL)
    patient = (await importing.import_bundle(custodian, bundle)).patient
    second = custodian.keyring.opaque_id("record", patient, bundle.entries[1].full_url)
    with contextlib.suppress(Refused):  # it was erased before the last kill
        await erasing.erase_records(custodian.actor, patient, [second])
    grantee = consortium.topology.organisation(CLINIC).msp_id
    actor = consortium.patient(patient)
    decision = consenting.Decision(grantee, (Purpose.TREAT,), (Action.READ,), now_ms() + DAY_MS)
    await consenting.grant(actor, decision)
    await consenting.revoke(actor, grantee=grantee)


if __name__ == "__main__":
    importing.BATCH_RECORDS_MAX = BATCH_RECORDS
    announce_commits()
    asyncio.run(main(Path(sys.argv[1]), [Path(one) for one in sys.argv[2:]]))
