"""Attacks on records: by who reads disks and wires, browses, was revoked, or brings back what was erased."""

from __future__ import annotations

import asyncio
import hmac
import shutil
from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec
from google.protobuf.message import Message

from healthchain.app.consortium import ADMINISTRATOR, CLINICIAN, Consortium
from healthchain.config import CHAINCODE
from healthchain.contract import emergency as contract_emergency
from healthchain.contract import keys as contract_keys
from healthchain.contract import reading as contract_reading
from healthchain.contract import sessions
from healthchain.contract.ids import BODIES, Purpose, body_key
from healthchain.errors import HealthChainError
from healthchain.ledger.recovery import MARKER
from healthchain.network.gateway import Gateway
from healthchain.records import auditing, emergency, erasing, reading
from healthchain.records.actor import now_ms
from healthchain.records.importing import import_bundle
from healthchain.records.keyring import ID_BYTES, encode_id, random_id
from healthchain.records.reading import Content
from healthchain.records.sealing import Binding, BodySealer, SealBroken

from .stage import (
    AGENCY,
    CLINIC,
    FAMILY,
    FINDING,
    HOSPITAL,
    INSURER,
    Stage,
    bundle,
    clinician,
    connect,
    found_on_disk,
    grant,
    revoke,
    succeeds,
    urn,
)

PLAIN = [FAMILY.encode(), FINDING.encode(), b"Observation", b"1951-07-23", urn(1, 1).encode()]


async def import_another(consortium: Consortium, *, value: int = 1) -> str:
    """Patient 1, so that what seals is what the attack left of it."""
    return (await import_bundle(consortium.custodian(HOSPITAL), bundle(1, value=value))).patient


# A curious member reads its own disk or the wire


def curious_member(stage: Stage) -> bool:
    stage.play(import_another)
    return found_on_disk([stage.peer(INSURER)], PLAIN)


def tapped_wire(stage: Stage) -> bool:
    """All requests to a gateway, as they would go over the wire, and what it answers."""
    seen: list[bytes] = []

    def tapped(gateway: Gateway, name: str) -> Callable[[Message], Awaitable[Message]]:
        call = getattr(gateway, name)

        async def tap(request: Message) -> Message:
            answer: Message = await call(request)
            seen.extend((request.SerializeToString(), answer.SerializeToString()))
            return answer

        return tap

    async def work(consortium: Consortium) -> None:
        gateway = consortium.network.gateway(HOSPITAL)
        for name in ("evaluate", "endorse", "submit"):
            setattr(gateway, name, tapped(gateway, name))
        patient = await import_another(consortium)
        await reading.read_all(clinician(consortium), patient, Purpose.TREAT)

    stage.play(work)
    assert len(seen) > 10
    return any(plain in one for one in seen for plain in PLAIN)


# A member tests guesses against hashes


def guessed_body(stage: Stage) -> bool:
    """The resource is known word for word; is its hash on the ledger?"""
    stage.play(import_another)
    contents = [msgspec.json.encode(Content(one.full_url, msgspec.Raw(one.raw))) for one in bundle(1).entries]
    guesses = [sha256(one).digest() for one in (*contents, *[entry.raw for entry in bundle(1).entries])]
    return found_on_disk([stage.peer(INSURER)], guesses)


def guessed_id(stage: Stage) -> bool:
    """A record's source is known; are the ids that anybody can compute from it on the ledger?"""
    stage.play(import_another)
    source = urn(0, 1)
    parts = [b"patient", source.encode()]
    encoded = b"".join(len(one).to_bytes(4) + one for one in parts)
    digests = [
        sha256(source.encode()).digest(),
        sha256(encoded).digest(),
        hmac.digest(b"", encoded, "sha256"),
        hmac.digest(b"", source.encode(), "sha256"),
    ]
    return found_on_disk([stage.peer(INSURER)], [encode_id(one[:ID_BYTES]).encode() for one in digests])


# A clinician browses


def without_session(stage: Stage) -> bool:
    """The custodian's own clinician, with a session id that was never opened."""

    async def work(consortium: Consortium) -> bool:
        actor = clinician(consortium)
        async with reading.session(actor, stage.patient, Purpose.TREAT) as opened:
            headers = await opened.headers()
            await opened.read(headers)
            ids = tuple(one.id for one in headers)
        asked = contract_reading.Read(session=random_id(), patient=stage.patient, records=ids)
        return await succeeds(actor.ask("records:Read", asked, contract_reading.Records))

    return stage.play(work)


def unseen_reading(stage: Stage) -> bool:
    """The patient looks at the trail: is the reader missing?"""

    async def work(consortium: Consortium) -> bool:
        actor = clinician(consortium)
        await reading.read_all(actor, stage.patient, Purpose.TREAT)
        trail = await auditing.trail(consortium.patient(stage.patient), stage.patient)
        seen = [one for one in trail if one.purpose is Purpose.TREAT and one.user.endswith(f"/{CLINICIAN}")]
        return not seen

    return stage.play(work)


def undisclosed_reading(stage: Stage) -> bool:
    """In a session that the patient sees, but without a word on the ledger of which records."""

    async def work(consortium: Consortium) -> bool:
        actor = clinician(consortium)
        async with reading.session(actor, stage.patient, Purpose.TREAT) as opened:
            ids = tuple(one.id for one in await opened.headers())
            asked = contract_reading.Read(session=opened.id, patient=stage.patient, records=ids)
            return await succeeds(actor.ask("records:Read", asked, contract_reading.Records))

    return stage.play(work)


def glass_broken_by_habit(stage: Stage) -> bool:
    """Eight days later the same clinician does it again, and nobody has reviewed the first time."""

    async def work(consortium: Consortium) -> bool:
        actor = clinician(consortium, CLINIC)
        await emergency.break_glass(actor, stage.patient, "curiosity")
        owner = stage.credentials(CLINIC)
        who = owner.signing_identity(owner.user(CLINICIAN))
        later_ms = 8 * 24 * 60 * 60 * 1000
        for peer in consortium.network.peers.values():
            peer._clock_ms = lambda: now_ms() + later_ms
        opening = contract_emergency.Open(random_id(), stage.patient, now_ms() + later_ms + 60_000)
        reason = {contract_emergency.reason_message(stage.patient, opening.id): b"sealed"}
        proposal = connect(consortium, CLINIC, who, offset_ms=later_ms).proposal(
            "emergency:Open", msgspec.json.encode(opening), transient=reason
        )
        return await succeeds(proposal.endorse())

    return stage.play(work)


def emergency_cleared_at_home(stage: Stage) -> bool:
    """The clinic's administrator finds that its own clinician was right."""

    async def work(consortium: Consortium) -> bool:
        broken = await emergency.break_glass(clinician(consortium, CLINIC), stage.patient, "curiosity")
        administrator = consortium.staff(CLINIC, ADMINISTRATOR)
        return await succeeds(emergency.review(administrator, stage.patient, broken.id, justified=True))

    return stage.play(work)


# Replay of an access session


def colleagues_session(stage: Stage) -> bool:
    """Another clinician of the same hospital goes on in a session that was opened before."""
    colleague = stage.issued(HOSPITAL, "colleague", {"hc.role": "clinician"})

    async def work(consortium: Consortium) -> bool:
        async with reading.session(clinician(consortium), stage.patient, Purpose.TREAT) as opened:
            asked = msgspec.json.encode(contract_reading.List(session=opened.id, patient=stage.patient))
            return await succeeds(connect(consortium, HOSPITAL, colleague).evaluate("records:List", asked))

    return stage.play(work)


def session_after_its_end(stage: Stage) -> bool:
    """Opened four minutes ago, for one minute."""

    async def work(consortium: Consortium) -> bool:
        owner = stage.credentials(HOSPITAL)
        who = owner.signing_identity(owner.user(CLINICIAN))
        then = connect(consortium, HOSPITAL, who, offset_ms=-4 * 60 * 1000)
        opening = sessions.Open(random_id(), stage.patient, Purpose.TREAT, now_ms() - 3 * 60 * 1000)
        await then.submit("sessions:Open", msgspec.json.encode(opening))
        asked = msgspec.json.encode(contract_reading.List(session=opening.id, patient=stage.patient))
        return await succeeds(connect(consortium, HOSPITAL, who).evaluate("records:List", asked))

    return stage.play(work)


# A revoked grantee reads on


def session_after_revocation(stage: Stage) -> bool:
    async def work(consortium: Consortium) -> bool:
        await grant(consortium, stage.patient)
        actor = clinician(consortium, CLINIC)
        opening = sessions.Open(random_id(), stage.patient, Purpose.TREAT, now_ms() + 60_000)
        await actor.submit("sessions:Open", opening)
        asked = contract_reading.List(session=opening.id, patient=stage.patient)
        assert await succeeds(actor.ask("records:List", asked, contract_reading.Headers))
        await revoke(consortium, stage.patient)
        return await succeeds(actor.ask("records:List", asked, contract_reading.Headers))

    return stage.play(work)


def envelopes_after_revocation(stage: Stage) -> bool:
    """What was sealed to the grantee is looked for on every disk."""

    async def work(consortium: Consortium) -> list[bytes]:
        await grant(consortium, stage.patient)
        actor = clinician(consortium, CLINIC)
        async with reading.session(actor, stage.patient, Purpose.TREAT) as opened:
            asked = contract_keys.Get(session=opened.id, patient=stage.patient)
            found = await actor.ask("keys:Get", asked, contract_keys.Envelopes)
        await revoke(consortium, stage.patient)
        return [one.ciphertext[-64:] for one in found.envelopes]

    return found_on_disk([stage.folder / "peers"], stage.play(work))


def old_key_after_revocation(stage: Stage) -> bool:
    """The grantee kept its keys, and takes what was written later from its own peer's disk."""

    async def work(consortium: Consortium) -> bool:
        patient = await import_another(consortium)
        await grant(consortium, patient)
        async with reading.session(clinician(consortium, CLINIC), patient, Purpose.TREAT) as opened:
            kept = {one.compartment: one.key for one in opened.keys}
        await revoke(consortium, patient)
        await import_another(consortium, value=2)
        async with reading.session(clinician(consortium), patient, Purpose.TREAT) as opened:
            header = next(one for one in await opened.headers() if one.version == 2)
        ledger = consortium.network.peers[CLINIC].ledger
        body = ledger.private(CHAINCODE, BODIES, body_key(patient, header.id, header.version))
        binding = Binding(
            channel=consortium.topology.channel,
            patient=patient,
            record=header.id,
            version=header.version,
            compartment=header.compartment,
            epoch=header.epoch,
            custodian=header.custodian,
        )
        assert header.epoch == 2
        try:
            BodySealer(kept[header.compartment]).open(binding, body or b"")
        except SealBroken:
            return False
        return True

    return stage.play(work)


# A purged record comes back


async def sealed_bodies(consortium: Consortium, patient: str) -> list[bytes]:
    actor = clinician(consortium)
    async with reading.session(actor, patient, Purpose.TREAT) as opened:
        headers = await opened.headers()
        await opened.read(headers)
        ids = tuple(one.id for one in headers)
        asked = contract_reading.Read(session=opened.id, patient=patient, records=ids)
        answer = await actor.ask("records:Read", asked, contract_reading.Records)
    return [one.body[-64:] for one in answer.records]


def restored_backup(stage: Stage) -> bool:
    """A peer's disk of before the erasure is put back; then the network starts as it always does."""
    bodies = stage.play(lambda consortium: sealed_bodies(consortium, stage.patient))
    backup = stage.folder / "backup"
    shutil.copytree(stage.peer(CLINIC), backup)
    assert found_on_disk([backup], bodies)

    async def erase(consortium: Consortium) -> None:
        await erasing.erase_patient(consortium.patient(stage.patient), stage.patient)

    async def nothing(consortium: Consortium) -> None:
        pass

    stage.play(erase)
    shutil.rmtree(stage.peer(CLINIC))
    backup.rename(stage.peer(CLINIC))
    stage.play(nothing)
    return found_on_disk([stage.folder / "peers"], bodies)


def read_into_a_block(stage: Stage) -> bool:
    """The body's ciphertext as the answer of a transaction: in every peer's blocks, where no purge reaches it."""

    async def work(consortium: Consortium) -> list[bytes]:
        bodies = await sealed_bodies(consortium, stage.patient)
        async with reading.session(clinician(consortium), stage.patient, Purpose.TREAT) as opened:
            headers = await opened.headers()
            await opened.read(headers)
            ids = tuple(one.id for one in headers)
            asked = contract_reading.Read(session=opened.id, patient=stage.patient, records=ids)
            await succeeds(opened.actor.submit("records:Read", asked))
        await erasing.erase_patient(consortium.patient(stage.patient), stage.patient)
        return bodies

    encoded = [msgspec.json.encode(one).strip(b'"=')[4:-4] for one in stage.play(work)]
    return found_on_disk([stage.folder / "peers"], encoded)


# A crash or power loss at any instruction


def power_loss(stage: Stage) -> bool:
    """The disk as it is in the moment of the acknowledgement, without the tables: is the record missing?"""
    copy = stage.folder.with_name("after power loss")

    async def work(consortium: Consortium) -> str:
        patient = await import_another(consortium)
        shutil.copytree(stage.folder, copy)
        return patient

    patient = stage.play(work)
    for peer in (copy / "peers").iterdir():
        assert (peer / MARKER).exists()
        (peer / MARKER).write_bytes(b"another run of the machine")

    async def look(consortium: Consortium) -> bool:
        found = await reading.read_all(clinician(consortium), patient, Purpose.TREAT)
        heights = {one.ledger.height for one in consortium.network.peers.values()}
        return len(found) != 2 or len(heights) != 1

    try:
        return Stage(copy, patient).play(look)
    except (HealthChainError, AssertionError):
        return True


def purged_at_an_instruction_of_its_own(stage: Stage) -> bool:
    """The process dies after the block that purges all bodies was written and before a byte was overwritten."""
    bodies = stage.play(lambda consortium: sealed_bodies(consortium, stage.patient))
    copy = stage.folder.with_name("in the middle of a purge")

    async def work(consortium: Consortium) -> None:
        log = consortium.network.peers[AGENCY].ledger.private_log
        erase = log.erase

        def killed(location: int) -> None:
            if not copy.exists():
                shutil.copytree(stage.folder, copy)
            erase(location)

        async with reading.session(clinician(consortium), stage.patient, Purpose.TREAT) as opened:
            ids = [one.id for one in await opened.headers()]
        log.erase = killed  # type: ignore[method-assign]
        await erasing.erase_records(consortium.patient(stage.patient), stage.patient, ids)

    async def nothing(consortium: Consortium) -> None:
        await asyncio.sleep(0)

    stage.play(work)
    assert found_on_disk([copy / "peers"], bodies)
    Stage(copy, stage.patient).play(nothing)
    return found_on_disk([copy / "peers"], bodies)
