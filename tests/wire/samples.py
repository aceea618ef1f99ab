"""One well-formed piece of each kind, and a transaction put together around any piece that a test replaces."""

from __future__ import annotations

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.peer import chaincode_event_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2

from healthchain.identity.msp import encode_msp_config
from healthchain.wire.block import OrdererSignature, identifier_header, new_block, orderer_metadata, put_signatures
from healthchain.wire.channel import ChannelConfig, Consenter, Organization, genesis_block
from healthchain.wire.lifecycle import ChaincodeDefinition, Collection, definition_writes
from healthchain.wire.proposal import ParsedProposal, build_proposal, parse_proposal
from healthchain.wire.rwset import (
    CollectionSet,
    NamespaceSet,
    PrivateWrite,
    RangeQuery,
    Version,
    encode_public,
)

PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NONCE = bytes(range(24))
MANY_READS = [(f"m{index:03}", Version(7, index)) for index in range(60)]

DEFINITION = ChaincodeDefinition("ehr", "1.0", 3, (Collection("bodies", ("AMSP", "BMSP")),))
NAMESPACES = {
    "ehr": NamespaceSet(
        reads={"a": Version(1, 2), "b": None},
        ranges=[
            RangeQuery("a", "z", exhausted=True, reads=[("a", Version(1, 2))]),
            RangeQuery("m", "m059", exhausted=False, reads=MANY_READS),
        ],
        writes={"a": b"value", "c": None},
        collections={
            "bodies": CollectionSet(
                reads={"p": Version(4, 0)},
                writes={"p": PrivateWrite("p", b"secret"), "q": PrivateWrite("q", None, purge=True)},
            )
        },
    )
}


def proposal_bytes() -> bytes:
    return build_proposal(
        creator=b"creator",
        nonce=NONCE,
        channel_id="health",
        chaincode="ehr",
        args=[b"records:Write", b"{}"],
        transient={"R1/1": b"\x00\xff"},
        timestamp_ns=1_700_000_000_123_456_789,
    ).bytes_


def event() -> bytes:
    return chaincode_event_pb2.ChaincodeEvent(chaincode_id="ehr", event_name="e", payload=b"p").SerializeToString()


def chaincode_action(results: bytes, events: bytes) -> bytes:
    action = proposal_pb2.ChaincodeAction(results=results, events=events)
    action.response.status = 200
    action.chaincode_id.name, action.chaincode_id.version = "ehr", "1.0"
    return action.SerializeToString()


def response_payload(proposal: ParsedProposal, extension: bytes) -> bytes:
    return proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=proposal.hash, extension=extension
    ).SerializeToString()


def action_payload(proposal: ParsedProposal, response: bytes) -> bytes:
    return transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=proposal.payload_without_transient,
        action=transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response,
            endorsements=[proposal_response_pb2.Endorsement(endorser=b"peer", signature=b"signature")],
        ),
    ).SerializeToString()


def transaction_data(proposal: ParsedProposal, payload: bytes) -> bytes:
    action = transaction_pb2.TransactionAction(header=proposal.signature_header, payload=payload)
    return transaction_pb2.Transaction(actions=[action]).SerializeToString()


def payload(channel_header: bytes, signature_header: bytes, data: bytes) -> bytes:
    header = common_pb2.Header(channel_header=channel_header, signature_header=signature_header)
    return common_pb2.Payload(header=header, data=data).SerializeToString()


def envelope(payload_bytes: bytes) -> bytes:
    return common_pb2.Envelope(payload=payload_bytes, signature=b"signature").SerializeToString()


def transaction_around(level: str, piece: bytes) -> bytes:
    """An envelope, well-formed but for the piece at `level`, whose hash is right wherever a hash covers it."""
    proposal = parse_proposal(proposal_bytes())
    pieces = {level: piece}
    namespace = pieces.get("namespace", _namespace().SerializeToString())
    results = pieces.get("results", _raw(2, namespace))
    action = pieces.get("action", chaincode_action(results, pieces.get("event", event())))
    response = pieces.get("response", response_payload(proposal, action))
    data = pieces.get("data", transaction_data(proposal, pieces.get("payload", action_payload(proposal, response))))
    outer = payload(
        pieces.get("channel_header", proposal.channel_header),
        pieces.get("signature_header", proposal.signature_header),
        data,
    )
    return pieces.get("envelope", envelope(pieces.get("outer", outer)))


def transaction_pieces() -> dict[str, bytes]:
    """Level -> the well-formed piece there; those of `namespace` are NsReadWriteSet messages."""
    proposal = parse_proposal(proposal_bytes())
    results = encode_public(NAMESPACES)
    action = chaincode_action(results, event())
    response = response_payload(proposal, action)
    inner = action_payload(proposal, response)
    data = transaction_data(proposal, inner)
    outer = payload(proposal.channel_header, proposal.signature_header, data)
    return {
        "envelope": envelope(outer),
        "outer": outer,
        "channel_header": proposal.channel_header,
        "signature_header": proposal.signature_header,
        "data": data,
        "payload": inner,
        "response": response,
        "action": action,
        "event": event(),
        "results": results,
        "namespace": _namespace().SerializeToString(),
    }


def genesis(organizations: int = 4) -> common_pb2.Block:
    """Well-formed as wire goes; its certificates are none."""
    names = [f"Org{index}" for index in range(organizations)]
    config = ChannelConfig(
        "health",
        tuple(Organization(name, f"{name}MSP", encode_msp_config(f"{name}MSP", PEM, PEM)) for name in names),
        tuple(
            Consenter(index + 1, f"orderer.{name}.example", 7050, f"{name}MSP", PEM + str(index).encode())
            for index, name in enumerate(names)
        ),
    )
    return genesis_block(config, b"creator", NONCE, 1_700_000_000)


def signed_block() -> common_pb2.Block:
    made = new_block(5, b"\x01" * 32, [b"one", b"two"])
    found = [OrdererSignature(index, identifier_header(index, NONCE), b"signature") for index in (1, 2, 3)]
    put_signatures(made, orderer_metadata(0), found)
    return made


def definition_fields() -> tuple[bytes, bytes, bytes, bytes]:
    """Sequence, EndorsementInfo, ValidationInfo, Collections of DEFINITION."""
    writes = definition_writes(DEFINITION)
    prefix = "namespaces/fields/ehr/"
    return (
        writes[prefix + "Sequence"],
        writes[prefix + "EndorsementInfo"],
        writes[prefix + "ValidationInfo"],
        writes[prefix + "Collections"],
    )


def _namespace() -> rwset_pb2.NsReadWriteSet:
    return rwset_pb2.TxReadWriteSet.FromString(encode_public(NAMESPACES)).ns_rwset[0]


def _raw(field: int, content: bytes) -> bytes:
    """One length-delimited field, whatever its bytes are."""
    size, length = len(content), b""
    while size >= 0x80:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return bytes((field << 3 | 2,)) + length + bytes((size,)) + content
