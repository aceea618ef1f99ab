"""The stream between a peer and a chaincode's service, as both ends see it (Fabric peer/chaincode_shim.proto).

The peer dials, the chaincode speaks first: REGISTER, then REGISTERED and READY from the peer. From then on messages of
many transactions share the stream, told apart by channel and transaction id; each has at most one question open.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from fabric_protos.peer import chaincode_event_pb2, chaincode_pb2, chaincode_shim_pb2, proposal_pb2
from google.protobuf.message import DecodeError, Message

from healthchain.errors import BadInput

CONNECT = "/protos.Chaincode/Connect"
MESSAGE_BYTES_MAX = 100 * 1024 * 1024  # Fabric's own limit, each way

ChaincodeMessage = chaincode_shim_pb2.ChaincodeMessage
Type = ChaincodeMessage.Type
"""GET_STATE, PUT_STATE, ...; the table of their payloads is in chaincode_shim.proto."""

_Message = TypeVar("_Message", bound=Message)


class ShimMalformed(BadInput):
    """A message of the chaincode stream does not decode."""


class TransactionKey(NamedTuple):
    """What tells transactions on one stream apart."""

    channel_id: str
    tx_id: str


NO_TRANSACTION = TransactionKey("", "")
"""Of REGISTER, REGISTERED, READY and KEEPALIVE."""


class Offered(NamedTuple):
    """What the peer takes in one message; 0: not offered, one key a message (Fabric before 3.1)."""

    writes_max: int = 0
    reads_max: int = 0


def offer(offered: Offered) -> bytes:
    """pb(ChaincodeAdditionalParams), the payload of READY."""
    return chaincode_pb2.ChaincodeAdditionalParams(
        use_write_batch=offered.writes_max > 0,
        max_size_write_batch=offered.writes_max,
        use_get_multiple_keys=offered.reads_max > 0,
        max_size_get_multiple_keys=offered.reads_max,
    ).SerializeToString()


def read_offer(payload: bytes) -> Offered:
    """The inverse; raises ShimMalformed."""
    params = decoded(chaincode_pb2.ChaincodeAdditionalParams, payload)
    return Offered(
        params.max_size_write_batch if params.use_write_batch else 0,
        params.max_size_get_multiple_keys if params.use_get_multiple_keys else 0,
    )


def message(
    kind: Type,
    key: TransactionKey,
    payload: bytes = b"",
    *,
    proposal: proposal_pb2.SignedProposal | None = None,
    event: tuple[str, bytes] | None = None,
) -> bytes:
    """pb(ChaincodeMessage)."""
    made = ChaincodeMessage(type=kind, txid=key.tx_id, channel_id=key.channel_id, payload=payload, proposal=proposal)
    if event is not None:
        made.chaincode_event.CopyFrom(chaincode_event_pb2.ChaincodeEvent(event_name=event[0], payload=event[1]))
    return made.SerializeToString()


def decoded(kind: type[_Message], encoded: bytes) -> _Message:
    """Raises ShimMalformed."""
    try:
        return kind.FromString(encoded)
    except (DecodeError, UnicodeDecodeError):
        raise ShimMalformed("a message of the chaincode stream does not decode") from None


def transaction_key(received: ChaincodeMessage) -> TransactionKey:
    return TransactionKey(received.channel_id, received.txid)
