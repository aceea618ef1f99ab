"""Attacks on identities, endorsement, ordering and the wire. Each answers whether it succeeded."""

from __future__ import annotations

import asyncio
import base64
import datetime
import secrets
import time
from collections.abc import Sequence
from zlib import crc32

import msgspec
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2

from healthchain.app.consortium import ADMINISTRATOR, CLINICIAN, Consortium
from healthchain.app.verify import verify
from healthchain.client.gateway import Connection, Transaction
from healthchain.config import CHAINCODE
from healthchain.contract import governance, members, sessions
from healthchain.contract.amendments import RotateEncryptionKey
from healthchain.contract.ids import Purpose
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import serialize_identity
from healthchain.ledger.endorsing import VALIDATION_PARAMETER
from healthchain.ledger.segments import CRC, HEADER, OFFSET_MASK, SegmentedLog
from healthchain.network.gateway import Gateway
from healthchain.records.actor import now_ms
from healthchain.records.keyring import random_id
from healthchain.wire import block as wire_block
from healthchain.wire.block import OrdererSignature, put_signatures, signatures
from healthchain.wire.gateway import GatewayError
from healthchain.wire.policy_text import read_policy
from healthchain.wire.proposal import build_proposal, parse_proposal
from healthchain.wire.rwset import NamespaceSet, encode_public
from healthchain.wire.transaction import Endorsement, decode_header, endorsed_payload, envelope, transaction_payload

from .stage import AGENCY, CLINIC, HOSPITAL, INSURER, PUT, Stage, connect, succeeds

LIST = ("members:List", b"{}")
NOW = datetime.datetime.now(datetime.UTC)
ALIVE_SECONDS = 4.0


# A client claims another identity, role or patient


def foreign_authority(stage: Stage) -> bool:
    """An authority of one's own, with all names as the true one has them."""
    owner = stage.credentials(HOSPITAL)
    forged = CertificateAuthority.create(f"ca.{owner.domain}", owner.domain, NOW)
    enrolment = forged.issue(CLINICIAN, NodeOU.CLIENT, NOW, {"hc.role": "clinician"})
    who = SigningIdentity(owner.msp_id, serialize_identity(owner.msp_id, enrolment.certificate), enrolment.key)
    return stage.play(lambda consortium: succeeds(connect(consortium, HOSPITAL, who).evaluate(*LIST)))


def borrowed_certificate(stage: Stage) -> bool:
    """Certificates are public; a proposal in another's name, signed with one's own key."""
    owner = stage.credentials(HOSPITAL)
    victim, thief = (owner.signing_identity(owner.user(one)) for one in (ADMINISTRATOR, CLINICIAN))
    who = SigningIdentity(victim.msp_id, victim.serialized, thief.key)
    return stage.play(lambda consortium: succeeds(connect(consortium, HOSPITAL, who).evaluate(*LIST)))


def unsigned_envelope(stage: Stage) -> bool:
    """What the victim had endorsed and did not send, sent by somebody else."""

    async def work(consortium: Consortium) -> bool:
        victim = consortium.connection(HOSPITAL, ADMINISTRATOR, PUT.name)
        thief = stage.credentials(CLINIC).signing_identity(stage.credentials(CLINIC).user(CLINICIAN))
        transaction = await victim.proposal("Put", b"k", b"v").endorse()
        stolen = SigningIdentity(victim.identity.msp_id, victim.creator, thief.key)
        sender = Connection(victim.service, stolen, victim.channel_id, PUT.name)
        return await succeeds(Transaction(sender, transaction.transaction_id, transaction.payload).submit())

    return stage.play(work)


def claimed_patient(stage: Stage) -> bool:
    """Another hospital's authority issues an identity with the victim's pseudonym."""
    who = stage.issued(CLINIC, stage.patient, {"hc.role": "patient", "hc.patient": stage.patient})
    opening = sessions.Open(random_id(), stage.patient, Purpose.PATRQT, now_ms() + 60_000)
    arguments = ("sessions:Open", msgspec.json.encode(opening))
    return stage.play(lambda consortium: succeeds(connect(consortium, CLINIC, who).submit(*arguments)))


def claimed_role(stage: Stage) -> bool:
    """A clinician proposes a new encryption key of the organisation, which only its administrator may."""

    async def work(consortium: Consortium) -> bool:
        actor = consortium.staff(CLINIC, CLINICIAN)
        proposing = governance.Propose(random_id(), RotateEncryptionKey(actor.key.public_bytes))
        return await succeeds(actor.submit("governance:Propose", proposing))

    return stage.play(work)


# One member's peer forges a result, or endorses what the rules forbid


async def forge(
    consortium: Consortium, stage: Stage, endorsements: Sequence[tuple[bytes, SigningIdentity]], sender: str = CLINIC
) -> bool:
    """The insurer's encryption key becomes the clinic's; (endorser's bytes, whose key signs)."""
    key = members.MEMBER_KEYS.key(consortium.topology.organisation(INSURER).msp_id)
    value = msgspec.json.encode(members.MemberKey(2, consortium.keyring(CLINIC).organisation_key().public_bytes))
    await send_forged(consortium, stage, NamespaceSet(writes={key: value}), endorsements, sender)
    found = consortium.network.peers[AGENCY].ledger.get(CHAINCODE, key)
    return found is not None and found.value == value


async def send_forged(
    consortium: Consortium,
    stage: Stage,
    written: NamespaceSet,
    endorsements: Sequence[tuple[bytes, SigningIdentity]],
    sender: str = CLINIC,
) -> None:
    """A transaction of the contract's that no contract made; returns once it is in a block."""
    owner = stage.credentials(sender)
    who = owner.signing_identity(owner.user(ADMINISTRATOR))
    built = build_proposal(
        creator=who.serialized,
        nonce=secrets.token_bytes(24),
        channel_id=consortium.topology.channel,
        chaincode=CHAINCODE,
        args=[b"governance:Vote", b"{}"],
        transient={},
        timestamp_ns=time.time_ns(),
    )
    parsed = parse_proposal(built.bytes_)
    results = encode_public({CHAINCODE: written})
    payload = endorsed_payload(parsed, results, b"", proposal_response_pb2.Response(status=200), "1")
    signed = [Endorsement(endorser, signer.key.sign(payload + endorser)) for endorser, signer in endorsements]
    outer = transaction_payload(parsed, payload, signed)
    request = gateway_pb2.SubmitRequest(
        prepared_transaction=common_pb2.Envelope(payload=outer, signature=who.key.sign(outer))
    )
    await consortium.network.gateway(sender).submit(request)
    await consortium.connection(HOSPITAL, CLINICIAN, PUT.name).submit("Put", b"flush", b"v")


def one_peer_forges(stage: Stage) -> bool:
    owner = stage.credentials(CLINIC)
    peer = owner.signing_identity(owner.peer)
    return stage.play(lambda consortium: forge(consortium, stage, [(peer.serialized, peer)]))


def one_peer_counts_three_times(stage: Stage) -> bool:
    """Three spellings of one certificate, and the organisation's other certificates beside it."""
    owner = stage.credentials(CLINIC)
    peer = owner.signing_identity(owner.peer)
    certificate = (owner.peer / "msp/signcerts" / f"{owner.peer.name}-cert.pem").read_bytes()
    spellings = [serialize_identity(owner.msp_id, certificate + b"\n" * count) for count in range(3)]
    others = [owner.signing_identity(one) for one in (owner.orderer, owner.user(ADMINISTRATOR))]
    endorsements = [*[(one, peer) for one in spellings], *[(one.serialized, one) for one in others]]
    return stage.play(lambda consortium: forge(consortium, stage, endorsements))


def forged_endorsements(stage: Stage) -> bool:
    """The other peers' certificates, with signatures that are one's own."""
    own = stage.credentials(CLINIC)
    signer = own.signing_identity(own.peer)
    others = [stage.credentials(one) for one in (HOSPITAL, INSURER, AGENCY)]
    peers = [one.signing_identity(one.peer) for one in others]
    return stage.play(lambda consortium: forge(consortium, stage, [(one.serialized, signer) for one in peers]))


# A key's own policy goes around the contract's


def policy_of_a_key(stage: Stage) -> bool:
    """A majority once lets the clinic's peer alone endorse the insurer's key; it does so from then on."""

    async def work(consortium: Consortium) -> bool:
        insurer, clinic = (consortium.topology.organisation(one).msp_id for one in (INSURER, CLINIC))
        policy = read_policy(f"OR('{clinic}.peer')").SerializeToString()
        key = members.MEMBER_KEYS.key(insurer)
        folders = [stage.credentials(one) for one in (HOSPITAL, CLINIC, AGENCY)]
        peers = [one.signing_identity(one.peer) for one in folders]
        written = NamespaceSet(metadata={key: {VALIDATION_PARAMETER: policy}})
        await send_forged(consortium, stage, written, [(one.serialized, one) for one in peers])
        return await forge(consortium, stage, [(peers[1].serialized, peers[1])])

    return stage.play(work)


# A gateway answers with another transaction than was proposed


class LyingGateway(Gateway):
    """Puts what was endorsed below the header of a configuration update, which only the client's signature lacks."""

    def __init__(self, honest: Gateway) -> None:
        vars(self).update(vars(honest))
        self.signed: list[int] = []

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        response = await super().endorse(request)
        payload = common_pb2.Payload.FromString(response.prepared_transaction.payload)
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        header.type = common_pb2.HeaderType.CONFIG_UPDATE
        payload.header.channel_header = header.SerializeToString()
        response.prepared_transaction.payload = payload.SerializeToString()
        return response

    async def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        self.signed.append(decode_header(request.prepared_transaction.SerializeToString()).type)
        return gateway_pb2.SubmitResponse()


def swapped_header(stage: Stage) -> bool:
    async def work(consortium: Consortium) -> bool:
        honest = consortium.connection(HOSPITAL, ADMINISTRATOR, PUT.name)
        gateway = LyingGateway(consortium.network.gateway(CLINIC))
        client = Connection(gateway, honest.identity, honest.channel_id, PUT.name)

        async def submitted() -> None:
            await (await client.proposal("Put", b"k", b"v").endorse()).submit()

        await succeeds(submitted())
        return gateway.signed == [common_pb2.HeaderType.CONFIG_UPDATE]

    return stage.play(work)


# One orderer forges or reorders; a block is altered on disk


async def envelopes(consortium: Consortium, *values: str) -> list[bytes]:
    """Endorsed and signed, not sent: each puts its value under "k"."""
    connection = consortium.connection(HOSPITAL, CLINICIAN, PUT.name)
    made = []
    for value in values:
        transaction = await connection.proposal("Put", b"k", value.encode()).endorse()
        made.append(envelope(transaction.payload, connection.identity.key.sign(transaction.payload)))
    return made


async def deliver(consortium: Consortium, block: common_pb2.Block, said: Sequence[bytes] | None = None) -> bytes | None:
    """Hand the peers a block as if it came from the orderers, who said these are its envelopes; "k" afterwards."""
    network = consortium.network
    headers = [decode_header(one) for one in (block.data.data if said is None else said)]
    if not await succeeds(network._committer.deliver(block, headers)):
        return None
    async with asyncio.timeout(ALIVE_SECONDS):
        # Neither the commit nor the end of the network tells anybody else.
        while network.height <= block.header.number and not any(one.done() for one in network._tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    found = network.peers[AGENCY].ledger.get(PUT.name, "k")
    return found.value if found else None


async def deliver_signed(consortium: Consortium, signers: Sequence[tuple[int, SigningIdentity]]) -> bool:
    """A block that the orderers never made, with these signatures: (as which orderer, whose key signs)."""
    ledger = consortium.network.peers[AGENCY].ledger
    block = wire_block.new_block(ledger.height, ledger.tip_hash, await envelopes(consortium, "forged"))
    value, header = wire_block.orderer_metadata(0), wire_block.encoded_header(block)
    made = []
    for consenter, who in signers:
        identifier = wire_block.identifier_header(consenter, secrets.token_bytes(24))
        signature = who.key.sign(wire_block.signed_bytes(value, identifier, header))
        made.append(OrdererSignature(consenter, identifier, signature))
    put_signatures(block, value, made)
    return await deliver(consortium, block) == b"forged"


def lone_orderer(stage: Stage) -> bool:
    """One key, in its own name and in those of the others."""

    async def work(consortium: Consortium) -> bool:
        alone = consortium.network.orderers[0].identity
        return await deliver_signed(consortium, [(consenter, alone) for consenter in (1, 1, 2, 3, 4)])

    return stage.play(work)


def reordered_block(stage: Stage) -> bool:
    """Two transactions of a block that a quorum signed change places on their way to the peers."""

    async def work(consortium: Consortium) -> bool:
        block = consortium.network._ordering._make_block(await envelopes(consortium, "first", "second"))
        block.data.data[:] = block.data.data[::-1]
        return await deliver(consortium, block) == b"first"

    return stage.play(work)


def merged_envelopes(stage: Stage) -> bool:
    """The same signed bytes cut otherwise: two envelopes as one, of which protobuf takes the last fields."""

    async def work(consortium: Consortium) -> bool:
        block = consortium.network._ordering._make_block(await envelopes(consortium, "first", "second"))
        said = [block.data.data[1]]
        block.data.data[:] = [b"".join(block.data.data)]
        return await deliver(consortium, block, said) == b"second"

    return stage.play(work)


def withholding_orderer(stage: Stage) -> bool:
    """One of four takes part in nothing."""

    async def work(consortium: Consortium) -> bool:
        consortium.network.orderers[0].stopped = True
        return not await succeeds(consortium.connection(HOSPITAL, CLINICIAN, PUT.name).submit("Put", b"k", b"v"))

    return stage.play(work)


def altered_block(stage: Stage) -> bool:
    """One signature of a block on disk, with the checksum put right again; `verify` shall not see it."""
    folder = stage.peer(CLINIC) / "blocks"
    log = SegmentedLog(folder, read_only=True)
    entry = list(log.scan())[-1]
    log.close()
    block = common_pb2.Block.FromString(entry.body or b"")
    value, found = signatures(block)
    spoiled = bytearray(found[0].signature)
    spoiled[-1] ^= 1
    put_signatures(block, value, [found[0]._replace(signature=bytes(spoiled)), *found[1:]])
    body = block.SerializeToString()
    assert len(body) == len(entry.body or b"")
    with (folder / "000000").open("r+b") as file:
        file.seek((entry.location & OFFSET_MASK) + HEADER.size)
        file.write(body + CRC.pack(crc32(body)))
    return verify(stage.folder).clean


# Replay of a proposal, an envelope or an access session


def replayed_envelope(stage: Stage) -> bool:
    """An old value is written again by sending the old envelope again."""

    async def work(consortium: Consortium) -> bool:
        connection = consortium.connection(HOSPITAL, CLINICIAN, PUT.name)
        old = await connection.proposal("Put", b"k", b"old").endorse()
        await (await old.submit()).committed()
        await connection.submit("Put", b"k", b"new")
        await old.submit()
        await connection.submit("Put", b"flush", b"v")
        found = consortium.network.peers[AGENCY].ledger.get(PUT.name, "k")
        return found is not None and found.value == b"old"

    return stage.play(work)


def replayed_proposal(stage: Stage) -> bool:
    """A proposal that was committed is endorsed once more, by whoever has seen it."""

    async def work(consortium: Consortium) -> bool:
        connection = consortium.connection(HOSPITAL, CLINICIAN, PUT.name)
        proposal = connection.proposal("Put", b"k", b"v")
        seen = proposal_pb2.SignedProposal(
            proposal_bytes=proposal.bytes_, signature=connection.identity.key.sign(proposal.bytes_)
        )
        await (await (await proposal.endorse()).submit()).committed()
        gateway = consortium.network.gateway(CLINIC)
        return await succeeds(gateway.endorse(gateway_pb2.EndorseRequest(proposed_transaction=seen)))

    return stage.play(work)


def late_proposal(stage: Stage) -> bool:
    """A signed question that somebody kept is asked again six minutes later."""

    async def work(consortium: Consortium) -> bool:
        connection = consortium.connection(HOSPITAL, CLINICIAN, CHAINCODE)
        proposal = connection.proposal("members:List", b"{}")
        seen = proposal_pb2.SignedProposal(
            proposal_bytes=proposal.bytes_, signature=connection.identity.key.sign(proposal.bytes_)
        )
        for peer in consortium.network.peers.values():
            peer._clock_ms = lambda: now_ms() + 6 * 60 * 1000
        gateway = consortium.network.gateway(CLINIC)
        return await succeeds(gateway.evaluate(gateway_pb2.EvaluateRequest(proposed_transaction=seen)))

    return stage.play(work)


# A certificate is lost, stolen or expired


def expired_certificate(stage: Stage) -> bool:
    async def work(consortium: Consortium) -> bool:
        for peer in consortium.network.peers.values():
            peer._clock_ms = lambda: now_ms() + 400 * 24 * 60 * 60 * 1000
        owner = stage.credentials(HOSPITAL)
        who = owner.signing_identity(owner.user(CLINICIAN))
        late = connect(consortium, HOSPITAL, who, offset_ms=400 * 24 * 60 * 60 * 1000)
        return await succeeds(late.evaluate(*LIST))

    return stage.play(work)


# Malformed or oversized input


async def stops_the_network(consortium: Consortium, extra: Endorsement) -> bool:
    """One more endorsement in envelopes that are otherwise good, many at once; can others still commit?"""
    connection: Connection = consortium.connection(HOSPITAL, CLINICIAN, PUT.name)
    gateway = consortium.network.gateway(HOSPITAL)
    try:
        async with asyncio.timeout(ALIVE_SECONDS):
            requests = []
            for index in range(12):
                transaction = await connection.proposal("Put", str(index).encode(), b"v").endorse()
                payload = with_endorsement(transaction.payload, extra)
                sent = common_pb2.Envelope(payload=payload, signature=connection.identity.key.sign(payload))
                requests.append(gateway_pb2.SubmitRequest(prepared_transaction=sent))
            await asyncio.gather(*[gateway.submit(one) for one in requests])
            await consortium.connection(CLINIC, CLINICIAN, PUT.name).submit("Put", b"alive", b"v")
    except GatewayError:
        raise
    except Exception:  # noqa: BLE001 (what ends the network reaches whoever waits for a commit)
        return True
    return False


def with_endorsement(payload: bytes, extra: Endorsement) -> bytes:
    outer = common_pb2.Payload.FromString(payload)
    transaction = transaction_pb2.Transaction.FromString(outer.data)
    action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
    action.action.endorsements.add(endorser=extra.endorser, signature=extra.signature)
    transaction.actions[0].payload = action.SerializeToString()
    outer.data = transaction.SerializeToString()
    return outer.SerializeToString()


def hostile_certificate(stage: Stage) -> bool:
    """Its version does not exist: the library raises what nobody would expect."""
    owner = stage.credentials(CLINIC)
    certificate = (owner.peer / "msp/signcerts" / f"{owner.peer.name}-cert.pem").read_bytes()
    encoded = der(certificate).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    hostile = serialize_identity(owner.msp_id, pem(encoded))
    return stage.play(lambda consortium: stops_the_network(consortium, Endorsement(hostile, b"signature")))


def endless_signature(stage: Stage) -> bool:
    owner = stage.credentials(CLINIC)
    peer = owner.signing_identity(owner.peer)
    return stage.play(lambda consortium: stops_the_network(consortium, Endorsement(peer.serialized, bytes(70_000))))


def der(certificate: bytes) -> bytes:
    return base64.b64decode(b"".join(certificate.strip().splitlines()[1:-1]))


def pem(encoded: bytes) -> bytes:
    text = base64.b64encode(encoded)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])
