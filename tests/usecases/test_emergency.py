"""Breaking the glass on the embedded network, and disclosures: what opens, what stays closed, what is left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from healthchain.app.consortium import ADMINISTRATOR, Consortium
from healthchain.config import CHAINCODE
from healthchain.contract import disclosures
from healthchain.contract.emergency import Waiting, WaitingEmergencies, reason_message
from healthchain.contract.ids import MESSAGES, Purpose
from healthchain.contract.sessions import released_keys
from healthchain.errors import BadInput
from healthchain.records import emergency
from healthchain.records.actor import Actor
from healthchain.records.reading import session
from healthchain.records.sealing import MessageContext, SealBroken, generate_hpke_key, open_message, seal_message

from .bundles import observation, parsed, simple
from .consortium import (
    AGENCY,
    CLINIC,
    HOSPITAL,
    INSURER,
    assert_equal_peers,
    by_url,
    clinician,
    code,
    content,
    imported,
    read,
    within,
)

REASON = "Unconscious after a fall; allergies unknown."


def test_an_emergency_from_the_first_refusal_to_the_review(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        bundle = simple(3)
        patient = (await imported(consortium, bundle)).patient
        doctor, officer = clinician(consortium, CLINIC), consortium.staff(AGENCY, "health-officer")
        assert await code(read(doctor, patient, Purpose.ETREAT)) == "CONSENT_MISSING"
        broken = await emergency.break_glass(doctor, patient, REASON)
        before = await emergency.enter(doctor, patient, broken.id)
        assert await before.read_all() == []
        assert len(before.broken) == 4
        assert await emergency.release_waiting(clinician(consortium)) == [broken.id]
        assert await emergency.release_waiting(clinician(consortium)) == []
        entered = await emergency.enter(doctor, patient, broken.id)
        assert by_url(await entered.read_all()) == content(bundle)
        await reason_reaches_those_concerned(consortium, patient, broken.id)
        (listed,) = await emergency.list_emergencies(consortium.patient(patient), patient)
        assert (listed.id, listed.justified, listed.due_ms) == (broken.id, None, broken.due_ms)
        assert [one.id for one in await emergency.queue(officer)] == [broken.id]
        assert keys_on_peers(consortium, patient, broken.id) == 4
        await emergency.review(officer, patient, broken.id, justified=True)
        assert keys_on_peers(consortium, patient, broken.id) == 0
        assert await code(entered.headers()) == "SESSION_ENDED"
        assert await emergency.queue(officer) == []
        assert_equal_peers(consortium)

    within(folder, work)


async def reason_reaches_those_concerned(consortium: Consortium, patient: str, emergency_id: str) -> None:
    for actor in (
        consortium.patient(patient),
        consortium.staff(HOSPITAL, ADMINISTRATOR),
        consortium.staff(CLINIC, ADMINISTRATOR),
        consortium.staff(AGENCY, "health-officer"),
    ):
        assert await emergency.reason_of(actor, patient, emergency_id) == REASON
    agent = consortium.staff(INSURER, "claims-agent")
    assert await code(emergency.reason_of(agent, patient, emergency_id)) == "EMERGENCY_FORBIDDEN"
    place = reason_message(patient, emergency_id)
    sealed = consortium.network.peers[INSURER].ledger.private(CHAINCODE, MESSAGES, place)
    with pytest.raises(SealBroken):
        open_message(agent.key, agent.recipient, MessageContext(agent.channel, place), sealed or b"")


def keys_on_peers(consortium: Consortium, patient: str, emergency_id: str) -> int:
    place = released_keys(patient, emergency_id)
    peers = consortium.network.peers.values()
    return sum(one.ledger.private(CHAINCODE, MESSAGES, place) is not None for one in peers)


def test_what_is_written_after_the_release_stays_closed(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        doctor = clinician(consortium, CLINIC)
        broken = await emergency.break_glass(doctor, patient, REASON)
        await emergency.release_waiting(clinician(consortium))
        amended = parsed(observation(0) | {"valueInteger": 7}, observation(1))
        await imported(consortium, amended)
        entered = await emergency.enter(doctor, patient, broken.id)
        assert len(await entered.read_all()) == 1  # the patient alone; the rest is amended or new
        assert len(entered.broken) == 2
        (listed,) = await sessions_of(consortium, patient, doctor)
        assert listed.reads == 1
        await emergency.close(doctor, patient, broken.id)
        assert keys_on_peers(consortium, patient, broken.id) == 0

    within(folder, work)


async def sessions_of(consortium: Consortium, patient: str, reader: Actor) -> list[disclosures.ListedSession]:
    """Those of the reader's organisation, as the patient sees them."""
    asked = disclosures.List(patient=patient)
    listed = await consortium.patient(patient).ask("sessions:List", asked, disclosures.Sessions)
    return [one for one in listed.sessions if one.organisation == reader.recipient]


def test_a_record_that_was_amended_while_it_was_read_is_disclosed_anew(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        doctor = clinician(consortium)
        async with session(doctor, patient, Purpose.TREAT) as opened:
            stale = await opened.headers()
            amended = parsed(observation(0) | {"valueInteger": 7}, observation(1))
            await imported(consortium, amended)
            assert by_url(await opened.read(stale)) == content(amended)
            listed = {one.id: one for one in await sessions_of(consortium, patient, doctor)}[opened.id]
        assert sorted(one.version for one in listed.disclosed) == [1, 1, 2]
        assert listed.reads == 3

    within(folder, work)


def test_the_patients_own_reading_is_no_disclosure(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        bundle = simple(1)
        patient = (await imported(consortium, bundle)).patient
        assert await read(consortium.patient(patient), patient, Purpose.PATRQT) == content(bundle)
        asked = disclosures.List(patient=patient)
        listed = await consortium.patient(patient).ask("sessions:List", asked, disclosures.Sessions)
        assert [one.reads for one in listed.sessions if one.purpose is Purpose.PATRQT] == [0]

    within(folder, work)


def test_a_key_that_is_none_keeps_nobody_from_help() -> None:
    good, context = generate_hpke_key(), MessageContext("health", "emergency/p/e/reason")
    usable = emergency._usable({"a": good.public_bytes, "b": bytes(1216), "c": b"short"}, context)
    assert usable == {"a": good.public_bytes}


def test_one_organisations_bad_key_keeps_nobody_elses_emergency_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the first that waits nothing can be sealed, as to a clinic that has published a key that is none."""

    async def work(consortium: Consortium) -> None:
        clinic, custodian = clinician(consortium, CLINIC), clinician(consortium)
        patients = sorted([(await imported(consortium, simple(1, patient=number))).patient for number in (1, 2)])
        spoiled = [(await emergency.break_glass(clinic, one, REASON)).id for one in patients]

        def sealing(keys: Mapping[str, bytes], context: MessageContext, plaintext: bytes) -> bytes:
            usable = context.key != released_keys(patients[0], spoiled[0])
            return seal_message(keys if usable else dict.fromkeys(keys, bytes(1216)), context, plaintext)

        monkeypatch.setattr("healthchain.records.actor.seal_message", sealing)
        with pytest.raises(BadInput):
            await emergency.release_waiting(custodian)
        waiting = (await custodian.ask("emergency:Waiting", Waiting(), WaitingEmergencies)).emergencies
        assert [one.id for one in waiting] == spoiled[:1]

    within(folder, work)
