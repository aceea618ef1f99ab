"""A stage again from its bytes, signed by who has the key; the bytes are those of Fabric's own SDKs (`getBytes`).

    unsigned = connection.proposal("records:Write", arguments)     # a connection of a mere Creator
    carried = unsigned.to_bytes(), unsigned.digest                 # to the machine with the key, and back
    proposal = signed_proposal(connection, carried[0], signature)
    transaction = await proposal.endorse()                         # unsigned again, and so on

Requests for events likewise. Without a signature, the one in the bytes counts. What is handed in must be of the
connection's channel and identity. Raised are BytesInvalid and SignatureInvalid, before anything is sent.

Source: fabric-gateway node/src/gateway.ts.
"""

from __future__ import annotations

from typing import TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from google.protobuf.message import DecodeError, Message

from healthchain.client.checkpoint import Position
from healthchain.client.errors import BytesInvalid
from healthchain.client.event_requests import BlocksRequest, ChaincodeEventsRequest
from healthchain.client.events import Events
from healthchain.client.gateway import Commit, Connection, Proposal, Transaction
from healthchain.client.shapes import Shape
from healthchain.client.signing import checked_signature
from healthchain.wire.proposal import Proposal as ProposalBytes
from healthchain.wire.proposal import ProposalMalformed, parse_proposal
from healthchain.wire.transaction import TransactionInvalid, decode_action, decode_header

_Message = TypeVar("_Message", bound=Message)
_Block = TypeVar("_Block")


def signed_proposal(connection: Connection, encoded: bytes, signature: bytes = b"") -> Proposal:
    """From pb(gateway.ProposedTransaction)."""
    proposed = _decoded(gateway_pb2.ProposedTransaction, encoded)
    content = proposed.proposal.proposal_bytes
    try:
        parsed = parse_proposal(content)
    except ProposalMalformed as malformed:
        raise BytesInvalid(f"these bytes are no proposal's: {malformed}") from None
    _require_ours(connection, parsed.channel_id, parsed.creator)
    _require_same(parsed.tx_id, proposed.transaction_id)
    signature = checked_signature(parsed.creator, content, signature or proposed.proposal.signature)
    built = ProposalBytes(parsed.tx_id, content)
    return Proposal(connection, built, tuple(proposed.endorsing_organizations), signature)


def signed_transaction(connection: Connection, encoded: bytes, signature: bytes = b"") -> Transaction:
    """From pb(gateway.PreparedTransaction)."""
    prepared = _decoded(gateway_pb2.PreparedTransaction, encoded)
    try:
        header = decode_header(prepared.envelope.SerializeToString())
        decode_action(header)
    except TransactionInvalid as invalid:
        raise BytesInvalid(f"these bytes are no endorsed transaction's: {invalid}") from None
    _require_ours(connection, header.channel_id, header.creator)
    _require_same(header.tx_id, prepared.transaction_id)
    signature = checked_signature(header.creator, header.payload, signature or header.signature)
    return Transaction(connection, header.tx_id, header.payload, signature)


def signed_commit(connection: Connection, encoded: bytes, signature: bytes = b"") -> Commit:
    """From pb(gateway.SignedCommitStatusRequest)."""
    request = _decoded(gateway_pb2.SignedCommitStatusRequest, encoded)
    asked = _decoded(gateway_pb2.CommitStatusRequest, request.request)
    _require_ours(connection, asked.channel_id, asked.identity)
    signature = checked_signature(asked.identity, request.request, signature or request.signature)
    return Commit(connection, asked.transaction_id, request.request, signature)


def signed_chaincode_events(events: Events, encoded: bytes, signature: bytes = b"") -> ChaincodeEventsRequest:
    """From pb(gateway.SignedChaincodeEventsRequest)."""
    request = _decoded(gateway_pb2.SignedChaincodeEventsRequest, encoded)
    asked = _decoded(gateway_pb2.ChaincodeEventsRequest, request.request)
    _require_ours(events.connection, asked.channel_id, asked.identity)
    signature = checked_signature(asked.identity, request.request, signature or request.signature)
    start = _position(asked.start_position, asked.after_transaction_id)
    return ChaincodeEventsRequest(events.connection, events.service, request.request, start, signature)


def signed_blocks(
    events: Events, shape: Shape[_Block], encoded: bytes, signature: bytes = b""
) -> BlocksRequest[_Block]:
    """From pb(common.Envelope), which does not say itself in which shape."""
    envelope = _decoded(common_pb2.Envelope, encoded)
    payload = _decoded(common_pb2.Payload, envelope.payload)
    header = _decoded(common_pb2.ChannelHeader, payload.header.channel_header)
    creator = _decoded(common_pb2.SignatureHeader, payload.header.signature_header).creator
    _require_ours(events.connection, header.channel_id, creator)
    signature = checked_signature(creator, envelope.payload, signature or envelope.signature)
    start = _position(_decoded(ab_pb2.SeekInfo, payload.data).start)
    return BlocksRequest(events.connection, events.service, shape, envelope.payload, start, signature)


def _decoded(message: type[_Message], encoded: bytes) -> _Message:
    """Raises BytesInvalid."""
    try:
        return message.FromString(encoded)
    except (DecodeError, UnicodeDecodeError):
        raise BytesInvalid(f"these bytes are no {message.DESCRIPTOR.full_name}: hand in what `to_bytes` gave") from None


def _require_ours(connection: Connection, channel_id: str, creator: bytes) -> None:
    """Raises BytesInvalid."""
    if channel_id != connection.channel_id:
        raise BytesInvalid("these bytes are of another channel: connect to that one")
    if creator != connection.creator:
        raise BytesInvalid("these bytes are of another identity: connect as the one that made them")


def _position(sought: ab_pb2.SeekPosition, transaction_id: str = "") -> Position | None:
    if sought.WhichOneof("Type") != "specified":
        return None
    return Position(sought.specified.number, transaction_id)


def _require_same(transaction_id: str, named: str) -> None:
    if transaction_id != named:
        raise BytesInvalid("these bytes name another transaction than they hold: hand in what `to_bytes` gave")
