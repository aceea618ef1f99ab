"""A transaction: what endorsers sign, the envelope that the client signs, and its decoding at validation.

Sources: Fabric protoutil/txutils.go, protoutil/proputils.go, core/common/validation/msgvalidation.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_event_pb2, chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError, Message

from healthchain.wire.codes import Code
from healthchain.wire.proposal import ENDORSER_TRANSACTION, NS_PER_S, ParsedProposal, proposal_hash, transaction_id
from healthchain.wire.rwset import Version, encode_metadata

HASH_BYTES = 32
_Message = TypeVar("_Message", bound=Message)
CONFIG = common_pb2.HeaderType.CONFIG
CONFIG_UPDATE = common_pb2.HeaderType.CONFIG_UPDATE


class TransactionInvalid(Exception):
    """The transaction does not decode to a valid form; `code` is Fabric's TxValidationCode."""

    def __init__(self, code: int) -> None:
        super().__init__(Code.Name(code))
        self.code = code


class Endorsement(NamedTuple):
    endorser: bytes
    signature: bytes


class HashedWrite(NamedTuple):
    key_hash: bytes
    value_hash: bytes | None  # None: deleted
    purge: bool


class RangeRead(NamedTuple):
    start: str
    end: str
    exhausted: bool
    encoded_results: bytes  # pb of QueryReads or QueryReadsMerkleSummary, as recorded
    merkle: bool


class CollectionAction(NamedTuple):
    name: str
    reads: tuple[tuple[bytes, Version | None], ...]
    writes: tuple[HashedWrite, ...]
    metadata: tuple[tuple[bytes, bytes | None], ...]  # as `NamespaceAction.metadata`, by the key's hash
    private_hash: bytes


class NamespaceAction(NamedTuple):
    """One namespace of a transaction's read-write set, decoded."""

    name: str
    reads: tuple[tuple[str, Version | None], ...]
    ranges: tuple[RangeRead, ...]
    writes: tuple[tuple[str, bytes | None], ...]
    metadata: tuple[tuple[str, bytes | None], ...]  # `rwset.encode_metadata`
    collections: tuple[CollectionAction, ...]


class Header(NamedTuple):
    """The outer parts of an envelope: enough to check who sent it. `payload` and `signature` are as received."""

    type: int
    channel_id: str
    tx_id: str
    timestamp_ns: int
    creator: bytes
    nonce: bytes
    payload: bytes
    signature: bytes
    channel_header: bytes
    signature_header: bytes
    extension: bytes
    data: bytes


class Action(NamedTuple):
    """What was endorsed: `response_payload` is what endorsers signed, as received."""

    chaincode: str
    version: str
    response_payload: bytes
    endorsements: tuple[Endorsement, ...]
    namespaces: tuple[NamespaceAction, ...]
    event: chaincode_event_pb2.ChaincodeEvent | None
    status: int


def endorsed_payload(
    proposal: ParsedProposal, results: bytes, event: bytes, response: proposal_response_pb2.Response, version: str
) -> bytes:
    """pb(ProposalResponsePayload): the bytes that all endorsers must agree on."""
    action = proposal_pb2.ChaincodeAction(
        results=results,
        events=event,
        response=response,
        chaincode_id=chaincode_pb2.ChaincodeID(name=proposal.chaincode, version=version),
    )
    return proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=proposal.hash, extension=action.SerializeToString()
    ).SerializeToString()


def transaction_payload(
    proposal: ParsedProposal, response_payload: bytes, endorsements: Sequence[Endorsement]
) -> bytes:
    """pb(Payload) of the envelope, for the client to sign."""
    action = transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=proposal.payload_without_transient,
        action=transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response_payload,
            endorsements=[
                proposal_response_pb2.Endorsement(endorser=one.endorser, signature=one.signature)
                for one in endorsements
            ],
        ),
    )
    transaction = transaction_pb2.Transaction(
        actions=[
            transaction_pb2.TransactionAction(header=proposal.signature_header, payload=action.SerializeToString())
        ]
    )
    return common_pb2.Payload(
        header=common_pb2.Header(channel_header=proposal.channel_header, signature_header=proposal.signature_header),
        data=transaction.SerializeToString(),
    ).SerializeToString()


def endorsed_response(payload: bytes) -> proposal_response_pb2.Response:
    """The chaincode's response in an envelope's payload, for the client that is to sign it."""
    transaction = transaction_pb2.Transaction.FromString(common_pb2.Payload.FromString(payload).data)
    action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload).action
    endorsed = proposal_response_pb2.ProposalResponsePayload.FromString(action.proposal_response_payload)
    return proposal_pb2.ChaincodeAction.FromString(endorsed.extension).response


def envelope(payload: bytes, signature: bytes) -> bytes:
    return common_pb2.Envelope(payload=payload, signature=signature).SerializeToString()


def is_well_formed(envelope_bytes: bytes) -> bool:
    """Whether it is one envelope, in the only way to write it (blockutils.go `VerifyTransactionsAreWellFormed`).

    A block's data hash has no lengths: without this, the same bytes could be cut into other transactions.
    """
    try:
        outer = common_pb2.Envelope.FromString(envelope_bytes)
    except DecodeError:
        return False
    return bool(outer.payload) and bool(outer.signature) and outer.SerializeToString() == envelope_bytes


def decode_header(envelope_bytes: bytes) -> Header:
    """The checks that need no signature, in Fabric's order. Raises TransactionInvalid with codes 1, 2, 3 or 255."""
    if not envelope_bytes:
        raise TransactionInvalid(Code.NIL_ENVELOPE)
    outer = _decode(common_pb2.Envelope, envelope_bytes, Code.INVALID_OTHER_REASON)
    if outer.SerializeToString() != envelope_bytes:
        raise TransactionInvalid(Code.INVALID_OTHER_REASON)  # see is_well_formed
    payload = _decode(common_pb2.Payload, outer.payload, Code.BAD_PAYLOAD)
    channel = _decode(common_pb2.ChannelHeader, payload.header.channel_header, Code.BAD_COMMON_HEADER)
    signer = _decode(common_pb2.SignatureHeader, payload.header.signature_header, Code.BAD_COMMON_HEADER)
    known_type = channel.type in (ENDORSER_TRANSACTION, CONFIG, CONFIG_UPDATE)
    if not known_type or channel.epoch != 0 or not signer.nonce or not signer.creator:
        raise TransactionInvalid(Code.BAD_COMMON_HEADER)
    return Header(
        type=channel.type,
        channel_id=channel.channel_id,
        tx_id=channel.tx_id,
        timestamp_ns=channel.timestamp.seconds * NS_PER_S + channel.timestamp.nanos,
        creator=signer.creator,
        nonce=signer.nonce,
        payload=outer.payload,
        signature=outer.signature,
        channel_header=payload.header.channel_header,
        signature_header=payload.header.signature_header,
        extension=channel.extension,
        data=payload.data,
    )


def decode_action(header: Header) -> Action:
    """The endorsed action below the headers. Raises TransactionInvalid with codes 5, 7, 8, 19 to 23, 25 or 255."""
    if header.type != ENDORSER_TRANSACTION:
        raise TransactionInvalid(Code.UNSUPPORTED_TX_PAYLOAD)
    if header.tx_id != transaction_id(header.nonce, header.creator):
        raise TransactionInvalid(Code.BAD_PROPOSAL_TXID)
    malformed = Code.INVALID_ENDORSER_TRANSACTION
    transaction = _decode(transaction_pb2.Transaction, header.data, malformed)
    if len(transaction.actions) != 1 or transaction.actions[0].header != header.signature_header:
        raise TransactionInvalid(malformed)
    payload = _decode(transaction_pb2.ChaincodeActionPayload, transaction.actions[0].payload, malformed)
    response_payload = payload.action.proposal_response_payload
    response = _decode(proposal_response_pb2.ProposalResponsePayload, response_payload, malformed)
    hashed = proposal_hash(header.channel_header, header.signature_header, payload.chaincode_proposal_payload)
    if response.proposal_hash != hashed:
        raise TransactionInvalid(malformed)
    extension = _decode(proposal_pb2.ChaincodeHeaderExtension, header.extension, Code.BAD_HEADER_EXTENSION)
    action = _decode(proposal_pb2.ChaincodeAction, response.extension, Code.BAD_RESPONSE_PAYLOAD)
    results = _decode(rwset_pb2.TxReadWriteSet, action.results, Code.BAD_RWSET)
    return Action(
        chaincode=_chaincode_name(extension, action),
        version=action.chaincode_id.version,
        response_payload=response_payload,
        endorsements=tuple(dict.fromkeys(Endorsement(e.endorser, e.signature) for e in payload.action.endorsements)),
        namespaces=_namespaces(results),
        event=_event(action, extension.chaincode_id.name),
        status=action.response.status,
    )


def called_function(header: Header) -> str:
    """The first argument of the call, which names its function. Raises TransactionInvalid with code 5."""
    malformed = Code.INVALID_ENDORSER_TRANSACTION
    transaction = _decode(transaction_pb2.Transaction, header.data, malformed)
    if len(transaction.actions) != 1:
        raise TransactionInvalid(malformed)
    action = _decode(transaction_pb2.ChaincodeActionPayload, transaction.actions[0].payload, malformed)
    proposed = _decode(proposal_pb2.ChaincodeProposalPayload, action.chaincode_proposal_payload, malformed)
    invocation = _decode(chaincode_pb2.ChaincodeInvocationSpec, proposed.input, malformed)
    args = invocation.chaincode_spec.input.args
    return args[0].decode(errors="replace") if args else ""


def _chaincode_name(extension: proposal_pb2.ChaincodeHeaderExtension, action: proposal_pb2.ChaincodeAction) -> str:
    if not extension.HasField("chaincode_id") or not action.HasField("chaincode_id"):
        raise TransactionInvalid(Code.INVALID_OTHER_REASON)
    name = extension.chaincode_id.name
    if not name or not action.chaincode_id.version or action.chaincode_id.name != name:
        raise TransactionInvalid(Code.INVALID_CHAINCODE)
    return name


def _event(action: proposal_pb2.ChaincodeAction, chaincode: str) -> chaincode_event_pb2.ChaincodeEvent | None:
    if not action.events:
        return None
    event = _decode(chaincode_event_pb2.ChaincodeEvent, action.events, Code.INVALID_OTHER_REASON)
    if event.chaincode_id != chaincode:
        raise TransactionInvalid(Code.INVALID_OTHER_REASON)
    return event


def _namespaces(results: rwset_pb2.TxReadWriteSet) -> tuple[NamespaceAction, ...]:
    decoded = tuple(_namespace(one) for one in results.ns_rwset)
    if len({one.name for one in decoded}) != len(decoded):
        raise TransactionInvalid(Code.ILLEGAL_WRITESET)
    return decoded


def _namespace(content: rwset_pb2.NsReadWriteSet) -> NamespaceAction:
    public = _decode(kv_rwset_pb2.KVRWSet, content.rwset, Code.BAD_RWSET)
    return NamespaceAction(
        name=content.namespace,
        reads=tuple([(read.key, _version(read)) for read in public.reads]),
        ranges=tuple([_range(info) for info in public.range_queries_info]),
        writes=tuple([(w.key, None if w.is_delete or not w.value else w.value) for w in public.writes]),
        metadata=tuple([(w.key, _metadata(w)) for w in public.metadata_writes]),
        collections=tuple([_collection(one) for one in content.collection_hashed_rwset]),
    )


def _collection(content: rwset_pb2.CollectionHashedReadWriteSet) -> CollectionAction:
    hashed = _decode(kv_rwset_pb2.HashedRWSet, content.hashed_rwset, Code.BAD_RWSET)
    return CollectionAction(
        name=content.collection_name,
        reads=tuple([(_hash(read.key_hash), _version(read)) for read in hashed.hashed_reads]),
        writes=tuple([_hashed_write(write) for write in hashed.hashed_writes]),
        metadata=tuple([(_hash(write.key_hash), _metadata(write)) for write in hashed.metadata_writes]),
        private_hash=content.pvt_rwset_hash,
    )


def _hashed_write(write: kv_rwset_pb2.KVWriteHash) -> HashedWrite:
    if write.is_purge and not write.is_delete:
        raise TransactionInvalid(Code.BAD_RWSET)
    return HashedWrite(_hash(write.key_hash), None if write.is_delete else _hash(write.value_hash), write.is_purge)


def _metadata(write: kv_rwset_pb2.KVMetadataWrite | kv_rwset_pb2.KVMetadataWriteHash) -> bytes | None:
    return encode_metadata({entry.name: entry.value for entry in write.entries})


def _hash(value: bytes) -> bytes:
    if len(value) != HASH_BYTES:
        raise TransactionInvalid(Code.BAD_RWSET)
    return value


def _range(info: kv_rwset_pb2.RangeQueryInfo) -> RangeRead:
    merkle = info.HasField("reads_merkle_hashes")
    recorded = info.reads_merkle_hashes if merkle else info.raw_reads
    return RangeRead(info.start_key, info.end_key, info.itr_exhausted, recorded.SerializeToString(), merkle)


def _version(read: kv_rwset_pb2.KVRead | kv_rwset_pb2.KVReadHash) -> Version | None:
    return Version(read.version.block_num, read.version.tx_num) if read.HasField("version") else None


def _decode(message: type[_Message], encoded: bytes, code: int) -> _Message:
    try:
        return message.FromString(encoded)
    except (DecodeError, UnicodeDecodeError):
        raise TransactionInvalid(code) from None
