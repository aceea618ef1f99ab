"""A proposal: the signed request to run a chaincode function (Fabric protoutil/proputils.go; peer/proposal.proto).

Bytes that were hashed or signed are kept and passed on as received; nothing here encodes them a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from healthchain.errors import BadInput

ENDORSER_TRANSACTION = common_pb2.HeaderType.ENDORSER_TRANSACTION
NONCE_BYTES = 24
NS_PER_S = 1_000_000_000


class ProposalMalformed(BadInput):
    """The proposal does not decode, or its parts contradict each other."""


class Proposal(NamedTuple):
    """A proposal as its client built it: `bytes_` is what gets signed; `tx_id` is fixed by nonce and creator."""

    tx_id: str
    bytes_: bytes


class ParsedProposal(NamedTuple):
    """The parts of a received proposal; every `bytes` field is as received."""

    tx_id: str
    channel_id: str
    chaincode: str
    creator: bytes
    nonce: bytes
    timestamp_ns: int
    args: tuple[bytes, ...]
    transient: Mapping[str, bytes]
    channel_header: bytes
    signature_header: bytes
    payload_without_transient: bytes
    hash: bytes
    bytes_: bytes  # the whole, which its creator signed
    is_init: bool = False  # whether the call is to initialise the chaincode


def transaction_id(nonce: bytes, creator: bytes) -> str:
    return sha256(nonce + creator).hexdigest()


def build_proposal(
    *,
    creator: bytes,
    nonce: bytes,
    channel_id: str,
    chaincode: str,
    args: Sequence[bytes],
    transient: Mapping[str, bytes],
    timestamp_ns: int,
    is_init: bool = False,
) -> Proposal:
    tx_id = transaction_id(nonce, creator)
    chaincode_id = chaincode_pb2.ChaincodeID(name=chaincode)
    channel_header = common_pb2.ChannelHeader(
        type=ENDORSER_TRANSACTION,
        timestamp=Timestamp(seconds=timestamp_ns // NS_PER_S, nanos=timestamp_ns % NS_PER_S),
        channel_id=channel_id,
        tx_id=tx_id,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_id).SerializeToString(),
    ).SerializeToString()
    header = common_pb2.Header(
        channel_header=channel_header,
        signature_header=common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString(),
    ).SerializeToString()
    spec = chaincode_pb2.ChaincodeSpec(
        type=chaincode_pb2.ChaincodeSpec.NODE,  # what Fabric's own SDKs send; peers ignore it
        chaincode_id=chaincode_id,
        input=chaincode_pb2.ChaincodeInput(args=args, is_init=is_init),
    )
    payload = proposal_pb2.ChaincodeProposalPayload(
        input=chaincode_pb2.ChaincodeInvocationSpec(chaincode_spec=spec).SerializeToString(),
        TransientMap=transient,
    ).SerializeToString(deterministic=True)
    return Proposal(tx_id, proposal_pb2.Proposal(header=header, payload=payload).SerializeToString())


def parse_proposal(proposal_bytes: bytes) -> ParsedProposal:
    """Decode and check a proposal in Fabric's order (core/endorser/msgvalidation.go); signatures are not looked at.

    Raises ProposalMalformed.
    """
    try:
        return _parse(proposal_bytes)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ProposalMalformed("the proposal does not decode: send a Fabric Proposal message") from error


def _parse(proposal_bytes: bytes) -> ParsedProposal:
    proposal = proposal_pb2.Proposal.FromString(proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
    signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
    extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel_header.extension)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    spec = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
    chaincode = extension.chaincode_id.name
    creator, nonce = signature_header.creator, signature_header.nonce
    _require(bool(chaincode), "the header extension names no chaincode")
    _require(
        spec.HasField("input") and spec.chaincode_id.name == chaincode, "header and input name different chaincodes"
    )
    _require(channel_header.type == ENDORSER_TRANSACTION, "the header type is not ENDORSER_TRANSACTION")
    _require(channel_header.epoch == 0, "the epoch is not 0")
    _require(bool(nonce) and bool(creator), "nonce or creator is empty")
    _require(
        channel_header.tx_id == transaction_id(nonce, creator), "the transaction id does not match nonce and creator"
    )
    without_transient = proposal_pb2.ChaincodeProposalPayload(input=payload.input).SerializeToString()
    return ParsedProposal(
        tx_id=channel_header.tx_id,
        channel_id=channel_header.channel_id,
        chaincode=chaincode,
        creator=creator,
        nonce=nonce,
        timestamp_ns=channel_header.timestamp.seconds * NS_PER_S + channel_header.timestamp.nanos,
        args=tuple(spec.input.args),
        transient=dict(payload.TransientMap),
        channel_header=header.channel_header,
        signature_header=header.signature_header,
        payload_without_transient=without_transient,
        hash=proposal_hash(header.channel_header, header.signature_header, without_transient),
        bytes_=proposal_bytes,
        is_init=spec.input.is_init,
    )


def proposal_hash(channel_header: bytes, signature_header: bytes, payload_without_transient: bytes) -> bytes:
    """SHA-256 over the three; the transient map is left out, so that it never reaches the ledger."""
    return sha256(channel_header + signature_header + payload_without_transient).digest()


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ProposalMalformed(otherwise)
