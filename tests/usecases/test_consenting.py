"""Granting, revoking and granting again, for all or some compartments, with an end; what a grantee keeps."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from healthchain.app.consortium import Consortium
from healthchain.contract import records
from healthchain.contract.ids import Action, Purpose
from healthchain.contract.records import WrittenStatus
from healthchain.errors import BadInput, Refused
from healthchain.records import auditing, consenting, keys
from healthchain.records.actor import Actor
from healthchain.records.canonical import canonical_json
from healthchain.records.keyring import random_id
from healthchain.records.patients import registered
from healthchain.records.reading import Content, list_all, read_all, session
from healthchain.records.sealing import Binding, BodySealer, SealBroken

from .bundles import GENETIC, MENTAL_HEALTH, observation, parsed, simple, urn
from .consortium import (
    AGENCY,
    CLINIC,
    HOSPITAL,
    INSURER,
    assert_clean,
    assert_equal_peers,
    clinician,
    code,
    consent,
    content,
    imported,
    read,
    within,
)
from .disk import bodies, envelopes, found, pieces

MIXED = parsed(observation(1), observation(2, MENTAL_HEALTH), observation(3, GENETIC))


async def _revoke(consortium: Consortium, patient: str, grantee: str = CLINIC) -> int:
    msp_id = consortium.topology.organisation(grantee).msp_id
    return await consenting.revoke(consortium.patient(patient), grantee=msp_id)


def test_granted_read_revoked_granted_again(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, MIXED)).patient
        actor, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        for turn in range(3):
            assert await code(read(clinic, patient)) == "CONSENT_MISSING"
            await consenting.grant(actor, consent(consortium))
            assert await read(clinic, patient) == content(MIXED)
            assert await code(read(clinic, patient, Purpose.HOPERAT)) == "CONSENT_MISSING"
            await _revoke(consortium, patient)
            epochs = (await registered(actor, patient)).compartments
            assert set(epochs.values()) == {turn + 2}
        assert await code(_revoke(consortium, patient)) == "CONSENT_UNKNOWN"
        assert await read(clinician(consortium), patient) == content(MIXED)
        assert await read(actor, patient, Purpose.PATRQT) == content(MIXED)
        listed = await consenting.list_consents(actor, patient)
        assert [one.status.value for one in listed] == ["revoked"] * 3

    within(folder, work)
    assert_clean(folder)


def test_only_the_chosen_compartments(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, MIXED)).patient
        actor, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        await consenting.grant(actor, consent(consortium, compartments=("mental-health",)))
        assert (await read(clinic, patient)).keys() == {urn(2)}
        assert {one.compartment for one in await list_all(clinic, patient, Purpose.TREAT)} == {"mental-health"}
        await consenting.grant(actor, consent(consortium, compartments=("general", "genetic")))
        assert await read(clinic, patient) == content(MIXED)
        first = (await consenting.list_consents(actor, patient))[0]
        await consenting.revoke(actor, consent_ids=[first.id])
        left = {urn(0), urn(1), urn(3)} if len(first.compartments) == 1 else {urn(2)}
        assert (await read(clinic, patient)).keys() == left
        with pytest.raises(BadInput, match="choose from general, mental-health"):
            await consenting.grant(actor, consent(consortium, compartments=("teeth",)))

    within(folder, work)


def test_a_consent_ends_by_itself(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        actor, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        await consenting.grant(actor, consent(consortium, lasts_ms=2000))
        async with session(clinic, patient, Purpose.TREAT) as opened:
            headers = await opened.headers()
            assert len(await opened.read(headers)) == 3
            await asyncio.sleep(2.05)
            assert await code(opened.read(headers)) == "CONSENT_MISSING"
            assert await code(opened.headers()) == "CONSENT_MISSING"
        assert await code(read(clinic, patient)) == "CONSENT_MISSING"
        assert await code(consenting.grant(actor, consent(consortium, lasts_ms=-1))) == "PERIOD_INVALID"

    within(folder, work)


def test_a_revocation_ends_a_session_that_is_open(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        clinic = clinician(consortium, CLINIC)
        await consenting.grant(consortium.patient(patient), consent(consortium))
        async with session(clinic, patient, Purpose.TREAT) as opened:
            headers = await opened.headers()
            await _revoke(consortium, patient)
            assert await code(opened.read(headers)) == "CONSENT_MISSING"
            assert await code(opened.read(headers[:1])) == "CONSENT_MISSING"

    within(folder, work)


def test_who_was_revoked_keeps_no_envelope_and_opens_nothing_later(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(3))).patient
        actor, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        await consenting.grant(actor, consent(consortium))
        ledger = consortium.network.peers[CLINIC].ledger
        compartments = (await registered(actor, patient)).compartments
        sealed = envelopes(ledger, compartments, clinic.recipient)
        assert len(sealed) == len(compartments)
        assert len(found(folder / "peers", pieces(sealed.values()))) == len(pieces(sealed.values()))
        async with session(clinic, patient, Purpose.TREAT) as opened:
            old = opened.keys
        before = bodies(ledger, patient)
        await _revoke(consortium, patient)
        assert found(folder, pieces(sealed.values())) == {}
        assert envelopes(ledger, compartments, clinic.recipient) == {}

        # New records, and a new version of an old one: the grantee held on to its keys and looks at its own disk.
        await imported(consortium, parsed(*[observation(n + 50) for n in range(6)]))
        later = {key: body for key, body in bodies(ledger, patient).items() if key not in before}
        assert len(later) == 6
        for key, body in later.items():
            record, version = key.split("/")[1:]
            for one in old:
                for epoch in (1, 2):
                    place = (clinic.channel, patient, record, int(version), one.compartment, epoch)
                    with pytest.raises(SealBroken):
                        BodySealer(one.key).open(Binding(*place, custodian="GeneralHospitalMSP"), body)

    within(folder, work)
    assert_clean(folder)


def test_who_stays_reads_on_when_another_is_revoked(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, MIXED)).patient
        actor, agent = consortium.patient(patient), consortium.staff(INSURER, "claims-agent")
        paying = consenting.Decision(
            consortium.topology.organisation(INSURER).msp_id,
            (Purpose.HPAYMT,),
            (Action.READ,),
            consent(consortium).end_ms,
            ("general",),
        )
        await consenting.grant(actor, paying)
        await consenting.grant(actor, consent(consortium))
        await _revoke(consortium, patient)
        await imported(consortium, parsed(*[observation(n + 9) for n in range(4)]))
        payable = await read(agent, patient, Purpose.HPAYMT)
        assert payable.keys() == {urn(0), urn(1), urn(4)}
        assert await code(read(agent, patient, Purpose.TREAT)) == "CONSENT_MISSING"
        assert await code(read(clinician(consortium, CLINIC), patient)) == "CONSENT_MISSING"

    within(folder, work)


async def _contribute(actor: Actor, patient: str, custodian: str, resource: bytes, compartment: int = 0) -> str:
    """One new record by somebody who is not the custodian."""
    held = await keys.for_writing(actor, patient)
    key = {one.index: one for one in held.newest().values()}[compartment]
    record = random_id()
    binding = Binding(actor.channel, patient, record, 1, key.compartment, key.epoch, custodian)
    body = BodySealer(key.key).seal(binding, msgspec.json.encode(Content(urn(99), msgspec.Raw(resource))))
    write = records.RecordWrite(record, 1, key.compartment, key.epoch, WrittenStatus.ACTIVE)
    await actor.submit("records:Write", records.Write(patient, (write,)), {f"{record}/1": body})
    return record


def test_who_may_contribute_writes_and_does_not_read(folder: Path) -> None:
    resource = msgspec.json.encode(observation(77))

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        actor, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        custodian = consortium.topology.organisation(HOSPITAL).msp_id
        assert await code(_contribute(clinic, patient, custodian, resource)) == "CONSENT_MISSING"
        general = consent(consortium, actions=(Action.CONTRIBUTE,), compartments=("general",))
        await consenting.grant(actor, general)
        await _contribute(clinic, patient, custodian, resource)
        assert await code(read(clinic, patient)) == "CONSENT_MISSING"
        with pytest.raises(KeyError):  # the keys of other compartments were never sealed to the clinic
            await _contribute(clinic, patient, custodian, resource, compartment=1)
        for reader, purpose in ((clinician(consortium), Purpose.TREAT), (actor, Purpose.PATRQT)):
            assert (await read(reader, patient, purpose))[urn(99)] == canonical_json(resource)
        authors = {one.author for one in await list_all(actor, patient, Purpose.PATRQT)}
        assert authors == {"GeneralHospitalMSP/clinician", "CityClinicMSP/clinician"}
        await _revoke(consortium, patient)
        assert await code(_contribute(clinic, patient, custodian, resource)) == "CONSENT_MISSING"

    within(folder, work)


def test_grants_and_revocations_at_once_leave_all_in_order(folder: Path) -> None:
    """One patient in two browser windows: every one ends, or says that there was nothing left to revoke."""

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, MIXED)).patient
        actor = consortium.patient(patient)

        async def back_and_forth(grantee: str) -> None:
            for _ in range(3):
                await consenting.grant(actor, consent(consortium, grantee))
                assert await code(_revoke(consortium, patient, grantee)) in ("", "CONSENT_UNKNOWN")

        await asyncio.gather(*[back_and_forth(one) for one in (CLINIC, CLINIC, INSURER, AGENCY)])
        for grantee, user in ((CLINIC, "clinician"), (INSURER, "claims-agent"), (AGENCY, "health-officer")):
            assert await code(read(consortium.staff(grantee, user), patient)) == "CONSENT_MISSING"
        assert await read(clinician(consortium), patient) == content(MIXED)
        ledger = consortium.network.peers[HOSPITAL].ledger
        compartments = (await registered(actor, patient)).compartments
        assert {key.split("/")[2] for key in envelopes(ledger, compartments)} == {actor.recipient, "GeneralHospitalMSP"}

    within(folder, work)
    assert_clean(folder)


def test_only_the_patient_decides_and_sees(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        other = (await imported(consortium, simple(1, patient=5))).patient
        clinic = clinician(consortium, CLINIC)
        stranger = consortium.patient(other)
        decision = consent(consortium)
        as_the_patient = Actor(clinic.connection, patient, consortium.patient(patient).key)
        assert await code(consenting.grant(as_the_patient, decision)) == "NOT_THE_CUSTODIAN"
        as_the_patient = Actor(stranger.connection, patient, consortium.patient(patient).key)
        assert await code(consenting.grant(as_the_patient, decision)) == "NOT_THE_PATIENT"
        assert await code(read(stranger, patient, Purpose.PATRQT)) == "NOT_THE_PATIENT"
        others = {"AUDIT_FORBIDDEN", "NOT_THE_PATIENT", "ROLE_FORBIDDEN"}
        for actor in (clinic, stranger, clinician(consortium)):
            assert await code(auditing.trail(actor, patient)) in others
        happened = [one.happening for one in await auditing.trail(consortium.patient(patient), patient)]
        assert happened
        assert await auditing.trail(consortium.staff(HOSPITAL, "administrator"), patient)

    within(folder, work)


def test_every_read_is_in_the_trail_and_no_refused_one(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        actor, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        await consenting.grant(actor, consent(consortium))
        before = len(await auditing.trail(actor, patient))
        await read_all(clinic, patient, Purpose.TREAT)
        trail = await auditing.trail(actor, patient)
        added = trail[before:]
        assert {one.user for one in added} == {"CityClinicMSP/clinician"}
        assert {one.purpose for one in added} >= {Purpose.TREAT}
        with pytest.raises(Refused):
            await read_all(clinic, patient, Purpose.HOPERAT)
        assert await auditing.trail(actor, patient) == trail
        assert_equal_peers(consortium)

    within(folder, work)
