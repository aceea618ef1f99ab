"""Sessions that go on, alone or with a colleague, on the embedded network; and how the patient sees them."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

from healthchain.app.consortium import ADMINISTRATOR, Consortium
from healthchain.client.gateway import Connection
from healthchain.config import CHAINCODE, DEFAULT
from healthchain.contract.ids import Purpose
from healthchain.network.provision import organisation_folder
from healthchain.records import sessions
from healthchain.records.actor import Actor, now_ms
from healthchain.records.reading import session

from .bundles import simple
from .consortium import HOSPITAL, assert_equal_peers, by_url, clinician, code, content, imported, within

MINUTE_MS = 60_000


def colleague(consortium: Consortium) -> Actor:
    """Another clinician of the hospital, enrolled by it."""
    owner = organisation_folder(consortium.folder, DEFAULT, HOSPITAL)
    owner.enrol("colleague", datetime.datetime.now(datetime.UTC), {"hc.role": "clinician"})
    identity = owner.signing_identity(owner.user("colleague"))
    gateway, channel = consortium.network.gateway(HOSPITAL), consortium.topology.channel
    return replace(clinician(consortium), connection=Connection(gateway, identity, channel, CHAINCODE))


def test_a_colleague_goes_on_until_the_session_is_closed(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        bundle = simple(2)
        patient = (await imported(consortium, bundle)).patient
        other = colleague(consortium)
        async with session(clinician(consortium), patient, Purpose.TREAT) as opened:
            assert await code(replace(opened, actor=other).headers()) == "SESSION_OF_ANOTHER_USER"
            await sessions.renew(opened, 60 * MINUTE_MS)
            delegated = await sessions.delegate(opened, "colleague", now_ms() + 30 * MINUTE_MS)
            joined = await sessions.join(other, opened, delegated)
            assert by_url(await joined.read_all()) == content(bundle)
        assert await code(joined.headers()) == "SESSION_ENDED"
        listed = {one.id: one for one in await sessions.list_sessions(consortium.patient(patient), patient)}
        first, second = listed[opened.id], listed[delegated]
        assert (first.renewals, first.reads, first.delegated_from) == (1, 0, None)
        assert (second.user.split("/")[1], second.reads, second.delegated_from) == ("colleague", 3, opened.id)
        administrator = consortium.staff(HOSPITAL, ADMINISTRATOR)
        assert await sessions.list_sessions(administrator, patient) == list(listed.values())
        assert [one.id for one in await sessions.list_sessions(other, patient)] == [delegated]
        assert_equal_peers(consortium)

    within(folder, work)
