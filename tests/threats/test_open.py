"""Attacks that still succeed: expected failures, strictly, so that whoever mends one moves it to the table."""

from __future__ import annotations

import msgspec
import pytest

from healthchain.app.consortium import Consortium
from healthchain.contract import records
from healthchain.contract.ids import Purpose
from healthchain.records import erasing, reading

from .record_attacks import sealed_bodies
from .stage import Stage, clinician, found_on_disk, succeeds


@pytest.mark.xfail(strict=True, reason="a peer endorses a read like a write, and the answer goes into the block")
def test_a_reader_cannot_put_what_it_read_where_no_purge_reaches_it(stage: Stage) -> None:
    """The body's ciphertext, as the answer of a transaction: in every peer's blocks for ever."""

    async def work(consortium: Consortium) -> list[bytes]:
        actor = clinician(consortium)
        bodies = await sealed_bodies(consortium, stage.patient)
        async with reading.session(actor, stage.patient, Purpose.TREAT) as opened:
            ids = tuple(one.id for one in await opened.headers())
            asked = records.Read(session=opened.id, patient=stage.patient, records=ids)
            await succeeds(actor.submit("records:Read", asked))
        await erasing.erase_patient(consortium.patient(stage.patient), stage.patient)
        return bodies

    encoded = [msgspec.json.encode(one).strip(b'"=')[4:-4] for one in stage.play(work)]
    assert not found_on_disk([stage.folder / "peers"], encoded)
