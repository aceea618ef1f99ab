"""Members and patients who do not keep to what our own client does: nobody else's records suffer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from healthchain.app.consortium import ADMINISTRATOR, Consortium
from healthchain.client.errors import EndorseFailed
from healthchain.client.gateway import Proposal
from healthchain.contract import patients, reading, records
from healthchain.contract.amendments import RotateEncryptionKey
from healthchain.contract.envelopes import Address
from healthchain.contract.ids import Action, Purpose
from healthchain.contract.records import WrittenStatus
from healthchain.errors import BadInput
from healthchain.records import consenting, erasing, governing, keys
from healthchain.records.actor import Actor
from healthchain.records.importing import KeyMissing, NotOurPatient, compartments_of
from healthchain.records.keyring import random_id
from healthchain.records.reading import read_all, session
from healthchain.records.sealing import Binding, BodySealer, EnvelopeContext, generate_hpke_key, new_key, seal_envelope

from .bundles import simple
from .consortium import AGENCY, CLINIC, HOSPITAL, INSURER, clinician, code, consent, content, imported, read, within


def test_nothing_is_imported_under_a_pseudonym_that_another_hospital_took(folder: Path) -> None:
    """It would hold the keys of whatever is sealed there."""

    async def work(consortium: Consortium) -> None:
        bundle, thief, own = simple(2), clinician(consortium, CLINIC), generate_hpke_key()
        victim = consortium.custodian(HOSPITAL)
        patient = victim.keyring.opaque_id("patient", bundle.patient.full_url)
        ids = sorted(random_id() for _ in range(5))
        sealed = {}
        for index, compartment in enumerate(ids):
            for to, public in ((thief.recipient, thief.key.public_bytes), (patient, own.public_bytes)):
                context = EnvelopeContext(thief.channel, patient, compartment, 1, to)
                sealed[Address(compartment, to, 1).key] = seal_envelope(public, context, new_key(), index)
        await thief.submit("patients:Register", patients.Register(patient, own.public_bytes, tuple(ids)), sealed)
        height = consortium.network.height
        for _ in range(2):
            with pytest.raises(NotOurPatient):
                await imported(consortium, bundle)
        assert consortium.network.height == height

    within(folder, work)


HOSTILE: Mapping[str, bytes] = {
    "no JSON": b"\x00\x01",
    "deep": b'{"fullUrl":"urn:uuid:x","resource":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "not UTF-8": b'{"fullUrl":"urn:uuid:x","resource":{"a":"\x9b"}}',
    "no resource": b"{}",
}


@pytest.mark.parametrize("plain", [*HOSTILE.values(), None], ids=[*HOSTILE, "not sealed"])
def test_a_body_that_nobody_can_open_hides_no_other(folder: Path, plain: bytes | None) -> None:
    """A program at the custodian amends one of its records with it; the next import puts it right."""

    async def work(consortium: Consortium) -> None:
        bundle = simple(3)
        patient = (await imported(consortium, bundle)).patient
        async with session(clinician(consortium), patient, Purpose.TREAT) as opened:
            victim = (await opened.headers())[0]
        await _amend(clinician(consortium), patient, victim, plain)
        found = await read_all(clinician(consortium), patient, Purpose.TREAT)
        assert victim.id not in {one.header.id for one in found}
        assert len(found) == len(bundle.entries) - 1
        assert (await imported(consortium, bundle)).amended == 1
        assert await read(clinician(consortium), patient) == content(bundle)

    within(folder, work)


async def _amend(actor: Actor, patient: str, header: reading.ListedHeader, plain: bytes | None) -> None:
    key = (await keys.for_writing(actor, patient)).newest()[header.compartment]
    version = header.version + 1
    binding = Binding(actor.channel, patient, header.id, version, key.compartment, key.epoch, header.custodian)
    body = b"x" if plain is None else BodySealer(key.key).seal(binding, plain)
    write = records.RecordWrite(header.id, version, key.compartment, key.epoch, WrittenStatus.ACTIVE)
    await actor.submit("records:Write", records.Write(patient, (write,)), {f"{header.id}/{version}": body})


def test_one_transaction_cannot_be_endorsed_with_two_bodies(folder: Path) -> None:
    """The second would take the first one's place on every peer, and the committed hash would have no value."""

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        actor = clinician(consortium)
        key = next(iter((await keys.for_writing(actor, patient)).newest().values()))
        record = random_id()
        write = records.RecordWrite(record, 1, key.compartment, key.epoch, WrittenStatus.ACTIVE)
        arguments = msgspec.json.encode(records.Write(patient, (write,)))
        proposal = actor.connection.proposal("records:Write", arguments, transient={f"{record}/1": b"first"})
        first = await proposal.endorse()
        other = proposal.bytes_.replace(b"first", b"other")
        with pytest.raises(EndorseFailed, match="other private values"):
            await Proposal(actor.connection, proposal.built._replace(bytes_=other)).endorse()
        await (await first.submit()).committed()
        for one in consortium.network.peers.values():
            assert one.ledger.private("ehr", "records", f"{patient}/{record}/1") == b"first"

    within(folder, work)


def test_a_key_that_is_none_stops_no_revocation(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        owner = consortium.patient(patient)
        await consenting.grant(owner, consent(consortium))
        await consenting.grant(owner, consent(consortium, INSURER))
        for organisation in (CLINIC, HOSPITAL):
            administrator = consortium.staff(organisation, ADMINISTRATOR)
            proposal = await governing.propose(administrator, RotateEncryptionKey(bytes(1216)))
            for voter in (HOSPITAL, INSURER, AGENCY):
                await governing.vote(consortium.staff(voter, ADMINISTRATOR), proposal, in_favour=True)
        await consenting.revoke(owner, grantee=consortium.topology.organisation(INSURER).msp_id)
        agent = consortium.staff(INSURER, "claims-agent")
        assert await code(read_all(agent, patient, Purpose.TREAT)) == "CONSENT_MISSING"
        assert len(await read(owner, patient, Purpose.PATRQT)) == 3

    within(folder, work)


def test_a_bad_envelope_from_the_patient_costs_that_compartment_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(consortium: Consortium) -> None:
        bundle = simple(2)
        patient = (await imported(consortium, bundle)).patient
        owner, doctor = consortium.patient(patient), clinician(consortium)
        await consenting.grant(owner, consent(consortium, compartments=("general",)))
        with monkeypatch.context() as spoiled:
            spoiled.setattr(keys, "seal_envelope", lambda *_: b"garbage")
            await consenting.revoke(owner, grantee=consortium.topology.organisation(CLINIC).msp_id)
        assert await read(doctor, patient) == content(bundle)  # what it holds already
        held = await keys.for_writing(doctor, patient)
        assert len(held.newest()) == 4
        with pytest.raises(KeyMissing):
            await imported(consortium, simple(3))
        assert set(held.newest()) < set(compartments_of(consortium.custodian(HOSPITAL), patient))

    within(folder, work)


def test_a_patient_erases_while_a_grantee_writes_all_the_time(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        owner, writer = consortium.patient(patient), clinician(consortium, CLINIC)
        await consenting.grant(owner, consent(consortium, actions=(Action.CONTRIBUTE,)))

        async def write() -> None:
            while True:
                key = next(iter((await keys.for_writing(writer, patient)).newest().values()))
                record = random_id()
                one = records.RecordWrite(record, 1, key.compartment, key.epoch, WrittenStatus.ACTIVE)
                await writer.submit("records:Write", records.Write(patient, (one,)), {f"{record}/1": b"x"})

        writing = [asyncio.create_task(write()) for _ in range(4)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            await erasing.erase_patient(owner, patient)
        ended = await asyncio.gather(*writing, return_exceptions=True)
        assert all(isinstance(one, Exception) for one in ended)
        assert await code(read_all(clinician(consortium), patient, Purpose.TREAT)) == "PATIENT_ERASED"

    within(folder, work)


def test_a_compartment_whose_key_opens_for_nobody_stops_no_revocation(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program at the custodian adds it; the clinic's consent is for later compartments too."""

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        owner, doctor = consortium.patient(patient), clinician(consortium)
        await consenting.grant(owner, replace(consent(consortium), later_compartments=True))
        with monkeypatch.context() as spoiled:
            spoiled.setattr(keys, "seal_envelope", lambda *_: b"garbage")
            added = await consenting.add_compartment(doctor, patient)
        with pytest.raises(BadInput):
            await consenting.rotate(doctor, patient, (added,))
        await consenting.revoke(owner, grantee=consortium.topology.organisation(CLINIC).msp_id)
        assert (await consenting.names_of_compartments(owner, patient))[added] == "further-6"
        assert added in (await keys.for_writing(doctor, patient)).newest()
        await erasing.erase_patient(owner, patient)

    within(folder, work)
