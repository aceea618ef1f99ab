"""Transactions: the envelope around an endorsed proposal, and which code each spoiled piece gives."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2

from healthchain.wire.codes import Code
from healthchain.wire.proposal import parse_proposal
from healthchain.wire.transaction import (
    Action,
    Endorsement,
    TransactionInvalid,
    decode_action,
    decode_header,
    endorsed_payload,
    envelope,
    transaction_payload,
)

from . import samples, vectors

PIECES = samples.transaction_pieces()
OWN_ID = parse_proposal(samples.proposal_bytes()).tx_id
HASH = sha256(b"key").digest()


def decoded(level: str, piece: bytes) -> Action:
    return decode_action(decode_header(samples.transaction_around(level, piece)))


def test_an_endorsed_proposal_decodes_to_what_was_endorsed() -> None:
    proposal = parse_proposal(samples.proposal_bytes())
    response = proposal_response_pb2.Response(status=200, message="m", payload=b"result")
    signed = endorsed_payload(proposal, vectors.RESULTS, samples.event(), response, "1.0")
    endorsements = [Endorsement(b"A", b"1"), Endorsement(b"B", b"2")]
    header = decode_header(envelope(transaction_payload(proposal, signed, endorsements), b"signature"))
    assert (header.tx_id, header.creator, header.nonce) == (proposal.tx_id, b"creator", samples.NONCE)
    assert (header.channel_id, header.timestamp_ns) == ("health", proposal.timestamp_ns)
    assert (header.signature, header.channel_header) == (b"signature", proposal.channel_header)
    action = decode_action(header)
    assert (action.chaincode, action.version, action.status) == ("ehr", "1.0", 200)
    assert action.response_payload == signed
    assert action.endorsements == tuple(endorsements)
    assert action.event is not None
    assert action.event.event_name == "e"
    assert [one.name for one in action.namespaces] == ["_lifecycle", "ehr"]


def test_a_second_signature_of_an_endorser_does_not_hide_the_first() -> None:
    """Go: policies.SignatureSetToValidIdentities skips an identity only after a valid signature of it."""
    proposal = parse_proposal(samples.proposal_bytes())
    signed = samples.response_payload(proposal, PIECES["action"])
    endorsements = [Endorsement(b"A", b"good"), Endorsement(b"A", b"bad"), Endorsement(b"A", b"good")]
    action = decode_action(decode_header(envelope(transaction_payload(proposal, signed, endorsements), b"")))
    assert action.endorsements == (Endorsement(b"A", b"good"), Endorsement(b"A", b"bad"))


def _channel(**fields: object) -> bytes:
    header = common_pb2.ChannelHeader.FromString(PIECES["channel_header"])
    for name, value in fields.items():
        setattr(header, name, value)
    return header.SerializeToString()


def _signer(**fields: bytes) -> bytes:
    header = common_pb2.SignatureHeader.FromString(PIECES["signature_header"])
    for name, value in fields.items():
        setattr(header, name, value)
    return header.SerializeToString()


def _transaction(change: Callable[[transaction_pb2.Transaction], None]) -> bytes:
    transaction = transaction_pb2.Transaction.FromString(PIECES["data"])
    change(transaction)
    return transaction.SerializeToString()


def _second_action(transaction: transaction_pb2.Transaction) -> None:
    transaction.actions.append(transaction.actions[0])


def _other_signer(transaction: transaction_pb2.Transaction) -> None:
    transaction.actions[0].header = _signer(creator=b"other")


def _other_proposal() -> bytes:
    payload = transaction_pb2.ChaincodeActionPayload.FromString(PIECES["payload"])
    payload.chaincode_proposal_payload += b"\x12\x00"
    return payload.SerializeToString()


def _action(name: str = "ehr", version: str = "1.0") -> bytes:
    action = proposal_pb2.ChaincodeAction.FromString(PIECES["action"])
    action.chaincode_id.name, action.chaincode_id.version = name, version
    return action.SerializeToString()


def _no_chaincode_id() -> bytes:
    action = proposal_pb2.ChaincodeAction.FromString(PIECES["action"])
    action.ClearField("chaincode_id")
    return action.SerializeToString()


def _results(*namespaces: str) -> bytes:
    return rwset_pb2.TxReadWriteSet(
        ns_rwset=[rwset_pb2.NsReadWriteSet(namespace=name) for name in namespaces]
    ).SerializeToString()


def _hashed(**fields: object) -> bytes:
    write = kv_rwset_pb2.KVWriteHash(key_hash=HASH, value_hash=HASH)
    for name, value in fields.items():
        setattr(write, name, value)
    return _collection(kv_rwset_pb2.HashedRWSet(hashed_writes=[write]))


def _collection(content: kv_rwset_pb2.HashedRWSet) -> bytes:
    collection = rwset_pb2.CollectionHashedReadWriteSet(
        collection_name="bodies", hashed_rwset=content.SerializeToString()
    )
    return rwset_pb2.NsReadWriteSet(namespace="ehr", collection_hashed_rwset=[collection]).SerializeToString()


MANGLED = b"\x0a\x05x"  # a field longer than its message
SPOILED = [
    ("empty envelope", "envelope", b"", Code.NIL_ENVELOPE),
    ("mangled envelope", "envelope", MANGLED, Code.INVALID_OTHER_REASON),
    ("mangled payload", "outer", MANGLED, Code.BAD_PAYLOAD),
    ("no header", "outer", b"", Code.BAD_COMMON_HEADER),
    ("mangled channel header", "channel_header", MANGLED, Code.BAD_COMMON_HEADER),
    ("mangled signature header", "signature_header", MANGLED, Code.BAD_COMMON_HEADER),
    ("channel id not UTF-8", "channel_header", b"\x22\x02\xff\xfe", Code.BAD_COMMON_HEADER),
    ("unknown type", "channel_header", _channel(type=6), Code.BAD_COMMON_HEADER),
    ("negative type", "channel_header", _channel(type=-1), Code.BAD_COMMON_HEADER),
    ("epoch", "channel_header", _channel(epoch=1), Code.BAD_COMMON_HEADER),
    ("no nonce", "signature_header", _signer(nonce=b""), Code.BAD_COMMON_HEADER),
    ("no creator", "signature_header", _signer(creator=b""), Code.BAD_COMMON_HEADER),
    ("configuration", "channel_header", _channel(type=1), Code.UNSUPPORTED_TX_PAYLOAD),
    ("configuration update", "channel_header", _channel(type=2), Code.UNSUPPORTED_TX_PAYLOAD),
    ("another's id", "channel_header", _channel(tx_id="0" * 64), Code.BAD_PROPOSAL_TXID),
    ("id in capitals", "channel_header", _channel(tx_id=OWN_ID.upper()), Code.BAD_PROPOSAL_TXID),
    ("no id", "channel_header", _channel(tx_id=""), Code.BAD_PROPOSAL_TXID),
    ("mangled transaction", "data", MANGLED, Code.INVALID_ENDORSER_TRANSACTION),
    ("no action", "data", b"", Code.INVALID_ENDORSER_TRANSACTION),
    ("two actions", "data", _transaction(_second_action), Code.INVALID_ENDORSER_TRANSACTION),
    ("action of another signer", "data", _transaction(_other_signer), Code.INVALID_ENDORSER_TRANSACTION),
    ("mangled action", "payload", MANGLED, Code.INVALID_ENDORSER_TRANSACTION),
    ("another proposal", "payload", _other_proposal(), Code.INVALID_ENDORSER_TRANSACTION),
    ("mangled response", "response", MANGLED, Code.INVALID_ENDORSER_TRANSACTION),
    ("no proposal hash", "response", b"", Code.INVALID_ENDORSER_TRANSACTION),
    ("mangled chaincode action", "action", MANGLED, Code.BAD_RESPONSE_PAYLOAD),
    ("mangled results", "results", MANGLED, Code.BAD_RWSET),
    ("mangled namespace", "namespace", MANGLED, Code.BAD_RWSET),
    ("mangled reads", "namespace", b"\x12\x03" + MANGLED, Code.BAD_RWSET),
    ("key not UTF-8", "namespace", b"\x12\x06\x0a\x04\x0a\x02\xff\xfe", Code.BAD_RWSET),
    ("short key hash", "namespace", _hashed(key_hash=b"short"), Code.BAD_RWSET),
    ("short value hash", "namespace", _hashed(value_hash=b"short"), Code.BAD_RWSET),
    ("no value hash", "namespace", _hashed(value_hash=b""), Code.BAD_RWSET),
    ("long value hash", "namespace", _hashed(value_hash=bytes(33)), Code.BAD_RWSET),
    ("purge with a value", "namespace", _hashed(is_purge=True), Code.BAD_RWSET),
    ("namespace twice", "results", _results("ehr", "other", "ehr"), Code.ILLEGAL_WRITESET),
    ("no chaincode id", "action", _no_chaincode_id(), Code.INVALID_OTHER_REASON),
    ("another chaincode", "action", _action(name="other"), Code.INVALID_CHAINCODE),
    ("no version", "action", _action(version=""), Code.INVALID_CHAINCODE),
    ("mangled event", "event", MANGLED, Code.INVALID_OTHER_REASON),
    ("event of another chaincode", "event", b"\x0a\x05other", Code.INVALID_OTHER_REASON),
]


@pytest.mark.parametrize(("level", "piece", "code"), [row[1:] for row in SPOILED], ids=[row[0] for row in SPOILED])
def test_each_spoiled_piece_gives_its_code(level: str, piece: bytes, code: int) -> None:
    with pytest.raises(TransactionInvalid) as raised:
        decoded(level, piece)
    assert Code.Name(raised.value.code) == Code.Name(code)


def test_header_extension_that_does_not_decode() -> None:
    """The proposal hash covers the extension, so the whole chain of bytes is made anew around a mangled one."""
    header = _channel(extension=MANGLED)
    proposal = parse_proposal(samples.proposal_bytes())
    signer, content = proposal.signature_header, proposal.payload_without_transient
    response = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=sha256(header + signer + content).digest(), extension=PIECES["action"]
    ).SerializeToString()
    data = samples.transaction_data(proposal, samples.action_payload(proposal, response))
    with pytest.raises(TransactionInvalid) as raised:
        decode_action(decode_header(samples.envelope(samples.payload(header, signer, data))))
    assert raised.value.code == Code.BAD_HEADER_EXTENSION


def test_a_deleted_value_may_come_with_a_hash() -> None:
    (namespace,) = decoded("namespace", _hashed(is_delete=True)).namespaces
    assert namespace.collections[0].writes[0].value_hash is None
