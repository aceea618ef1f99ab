"""One transaction, spoiled in one place and then signed again by everybody whose signature still has to hold.

Each function is a way to spoil; CODES has the code that a peer gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_event_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2

from healthchain.identity.certificates import NodeOU
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.keys import P256_ORDER
from healthchain.identity.msp import serialize_identity
from healthchain.wire.codes import Code
from healthchain.wire.proposal import parse_proposal, proposal_hash, transaction_id

from .chain_builder import COLLECTION, NOW, TOY, Consortium

MANGLED = b"\x0a\x05x"
HASH = bytes(range(32))


def _namespaces() -> list[rwset_pb2.NsReadWriteSet]:
    return [rwset_pb2.NsReadWriteSet(namespace=TOY, rwset=_public(kv_rwset_pb2.KVWrite(key="k", value=b"v")))]


def _public(*writes: kv_rwset_pb2.KVWrite) -> bytes:
    return kv_rwset_pb2.KVRWSet(writes=writes).SerializeToString()


@dataclass
class Parts:
    """Everything that goes into an envelope; what is None is made from the rest."""

    consortium: Consortium
    client: SigningIdentity
    endorsers: list[SigningIdentity]
    channel: common_pb2.ChannelHeader
    signer: common_pb2.SignatureHeader
    content: bytes
    namespaces: list[rwset_pb2.NsReadWriteSet] = field(default_factory=_namespaces)
    results: bytes | None = None
    event: bytes = b""
    action_name: str = TOY
    action_version: str = "1"
    action: bytes | None = None
    hash: bytes | None = None
    response: bytes | None = None
    action_header: bytes | None = None
    inner: bytes | None = None
    actions: int = 1
    data: bytes | None = None
    endorsement_signature: Callable[[bytes], bytes] = lambda signature: signature
    header: common_pb2.Header | None = None
    payload: bytes | None = None
    signature: Callable[[bytes], bytes] = lambda signature: signature
    envelope: bytes | None = None

    def encoded(self) -> bytes:
        channel, signer = self.channel.SerializeToString(), self.signer.SerializeToString()
        response = self.response
        if response is None:
            response = proposal_response_pb2.ProposalResponsePayload(
                proposal_hash=self.hash or proposal_hash(channel, signer, self.content), extension=self._action()
            ).SerializeToString()
        data = self.data if self.data is not None else self._data(signer, response)
        header = self.header or common_pb2.Header(channel_header=channel, signature_header=signer)
        payload = self.payload
        if payload is None:
            payload = common_pb2.Payload(header=header, data=data).SerializeToString()
        if self.envelope is not None:
            return self.envelope
        signature = self.signature(self.client.key.sign(payload))
        return common_pb2.Envelope(payload=payload, signature=signature).SerializeToString()

    def _action(self) -> bytes:
        if self.action is not None:
            return self.action
        results = self.results
        if results is None:
            results = rwset_pb2.TxReadWriteSet(ns_rwset=self.namespaces).SerializeToString()
        action = proposal_pb2.ChaincodeAction(results=results, events=self.event)
        action.response.status = 200
        action.chaincode_id.name, action.chaincode_id.version = self.action_name, self.action_version
        return action.SerializeToString()

    def _data(self, signer: bytes, response: bytes) -> bytes:
        endorsements = [
            proposal_response_pb2.Endorsement(
                endorser=one.serialized, signature=self.endorsement_signature(one.key.sign(response + one.serialized))
            )
            for one in self.endorsers
        ]
        inner = transaction_pb2.ChaincodeActionPayload(
            chaincode_proposal_payload=self.content,
            action=transaction_pb2.ChaincodeEndorsedAction(
                proposal_response_payload=response, endorsements=endorsements
            ),
        ).SerializeToString()
        action = transaction_pb2.TransactionAction(
            header=self.action_header if self.action_header is not None else signer,
            payload=self.inner if self.inner is not None else inner,
        )
        return transaction_pb2.Transaction(actions=[action] * self.actions).SerializeToString()


def parts(consortium: Consortium, client: SigningIdentity | None = None) -> Parts:
    client = client or consortium.organisations[0].client
    proposal = parse_proposal(consortium.proposal(client=client).bytes_)
    return Parts(
        consortium,
        client,
        consortium.majority,
        common_pb2.ChannelHeader.FromString(proposal.channel_header),
        common_pb2.SignatureHeader.FromString(proposal.signature_header),
        proposal.payload_without_transient,
    )


def high_s(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, P256_ORDER - s)


def _by(one: Parts, client: SigningIdentity) -> None:
    one.client = client
    one.signer.creator = client.serialized
    one.channel.tx_id = transaction_id(one.signer.nonce, one.signer.creator)


def nothing(one: Parts) -> None:
    pass


def empty_envelope(one: Parts) -> None:
    one.envelope = b""


def mangled_envelope(one: Parts) -> None:
    one.envelope = MANGLED


def two_envelopes_in_one(one: Parts) -> None:
    """Protobuf reads it as the second: the block's bytes could be cut either way."""
    one.envelope = one.encoded() * 2


def mangled_payload(one: Parts) -> None:
    one.payload = MANGLED


def no_header(one: Parts) -> None:
    one.header = common_pb2.Header(signature_header=one.signer.SerializeToString())


def unknown_type(one: Parts) -> None:
    one.channel.type = 6


def another_epoch(one: Parts) -> None:
    one.channel.epoch = 1


def no_nonce(one: Parts) -> None:
    one.signer.nonce = b""


def another_channel(one: Parts) -> None:
    one.channel.channel_id = "other"


def stranger(one: Parts) -> None:
    """Somebody with a certificate of another CA, who says that he is of the first organisation."""
    authority = type(one.consortium.organisations[0].authority).create("ca.evil", "evil", NOW)
    enrolment = authority.issue("mallory", NodeOU.CLIENT, NOW)
    msp_id = one.consortium.organisations[0].msp_id
    _by(one, SigningIdentity(msp_id, serialize_identity(msp_id, enrolment.certificate), enrolment.key))


def unknown_member(one: Parts) -> None:
    _by(one, SigningIdentity("NoMSP", serialize_identity("NoMSP", b"pem"), one.client.key))


def false_signature(one: Parts) -> None:
    one.signature = lambda signature: one.client.key.sign(b"something else")


def high_s_signature(one: Parts) -> None:
    one.signature = high_s


def configuration(one: Parts) -> None:
    one.channel.type = 1


def configuration_update_with_another_id(one: Parts) -> None:
    """The id is free text here: it must neither stop a peer nor settle somebody's transaction."""
    one.channel.type = 2
    one.channel.tx_id = "not hexadecimal"


def another_id(one: Parts) -> None:
    one.channel.tx_id = "00" * 32


def mangled_transaction(one: Parts) -> None:
    one.data = MANGLED


def two_actions(one: Parts) -> None:
    one.actions = 2


def no_action(one: Parts) -> None:
    one.actions = 0


def action_of_another(one: Parts) -> None:
    one.action_header = b"other"


def mangled_inner_payload(one: Parts) -> None:
    one.inner = MANGLED


def another_proposal_hash(one: Parts) -> None:
    one.hash = HASH


def mangled_response(one: Parts) -> None:
    one.response = MANGLED


def mangled_extension(one: Parts) -> None:
    one.channel.extension = MANGLED


def mangled_action(one: Parts) -> None:
    one.action = MANGLED


def mangled_results(one: Parts) -> None:
    one.results = MANGLED


def mangled_namespace(one: Parts) -> None:
    one.namespaces[0].rwset = MANGLED


def namespace_twice(one: Parts) -> None:
    one.namespaces.append(one.namespaces[0])


def foreign_write(one: Parts) -> None:
    one.namespaces.append(rwset_pb2.NsReadWriteSet(namespace="other", rwset=one.namespaces[0].rwset))


def lifecycle_write(one: Parts) -> None:
    one.namespaces[0].namespace = "_lifecycle"


def _hashed(collection: str, write: kv_rwset_pb2.KVWriteHash) -> rwset_pb2.CollectionHashedReadWriteSet:
    content = kv_rwset_pb2.HashedRWSet(hashed_writes=[write]).SerializeToString()
    return rwset_pb2.CollectionHashedReadWriteSet(collection_name=collection, hashed_rwset=content)


def undeclared_collection(one: Parts) -> None:
    write = kv_rwset_pb2.KVWriteHash(key_hash=HASH, value_hash=HASH)
    one.namespaces[0].collection_hashed_rwset.append(_hashed("undeclared", write))


def declared_collection(one: Parts) -> None:
    write = kv_rwset_pb2.KVWriteHash(key_hash=HASH, value_hash=HASH)
    one.namespaces[0].collection_hashed_rwset.append(_hashed(COLLECTION, write))


def short_hash(one: Parts) -> None:
    write = kv_rwset_pb2.KVWriteHash(key_hash=b"short", value_hash=HASH)
    one.namespaces[0].collection_hashed_rwset.append(_hashed(COLLECTION, write))


def empty_key(one: Parts) -> None:
    one.namespaces[0].rwset = _public(kv_rwset_pb2.KVWrite(key="", value=b"v"))


def long_key(one: Parts) -> None:
    one.namespaces[0].rwset = _public(kv_rwset_pb2.KVWrite(key="x" * 481, value=b"v"))


def long_key_read(one: Parts) -> None:
    """LMDB refuses even to look for it."""
    reads = [kv_rwset_pb2.KVRead(key="x" * 600)]
    one.namespaces[0].rwset = kv_rwset_pb2.KVRWSet(reads=reads).SerializeToString()


def long_range_read(one: Parts) -> None:
    ranges = [kv_rwset_pb2.RangeQueryInfo(start_key="x" * 600, end_key="y", itr_exhausted=True)]
    one.namespaces[0].rwset = kv_rwset_pb2.KVRWSet(range_queries_info=ranges).SerializeToString()


def long_collection_read(one: Parts) -> None:
    hashed = kv_rwset_pb2.HashedRWSet(hashed_reads=[kv_rwset_pb2.KVReadHash(key_hash=HASH)])
    one.namespaces[0].collection_hashed_rwset.append(
        rwset_pb2.CollectionHashedReadWriteSet(collection_name="c" * 600, hashed_rwset=hashed.SerializeToString())
    )


def no_version(one: Parts) -> None:
    one.action_version = ""


def another_name(one: Parts) -> None:
    one.action_name = "other"


def undefined_chaincode(one: Parts) -> None:
    extension = proposal_pb2.ChaincodeHeaderExtension()
    extension.chaincode_id.name = one.action_name = one.namespaces[0].namespace = "undefined"
    one.channel.extension = extension.SerializeToString()


def no_chaincode_id(one: Parts) -> None:
    one.channel.extension = b""


def event_of_another(one: Parts) -> None:
    one.event = chaincode_event_pb2.ChaincodeEvent(chaincode_id="other").SerializeToString()


def mangled_event(one: Parts) -> None:
    one.event = MANGLED


def no_endorsement(one: Parts) -> None:
    one.endorsers = []


def too_few_endorsements(one: Parts) -> None:
    one.endorsers = one.endorsers[:-1]


def one_organisation_many_times(one: Parts) -> None:
    one.endorsers = one.endorsers[:1] * 5


def endorsed_by_clients(one: Parts) -> None:
    one.endorsers = [organisation.client for organisation in one.consortium.organisations]


def endorsed_by_orderers(one: Parts) -> None:
    one.endorsers = [organisation.orderer for organisation in one.consortium.organisations]


def high_s_endorsements(one: Parts) -> None:
    one.endorsement_signature = high_s


def bad_endorsement_beside_good_ones(one: Parts) -> None:
    bad = SigningIdentity("NoMSP", b"nobody", one.client.key)
    one.endorsers = [bad, *one.endorsers]


CODES: dict[Callable[[Parts], None], int] = {
    nothing: Code.VALID,
    declared_collection: Code.VALID,
    bad_endorsement_beside_good_ones: Code.VALID,
    empty_envelope: Code.NIL_ENVELOPE,
    mangled_envelope: Code.INVALID_OTHER_REASON,
    two_envelopes_in_one: Code.INVALID_OTHER_REASON,
    mangled_payload: Code.BAD_PAYLOAD,
    no_header: Code.BAD_COMMON_HEADER,
    unknown_type: Code.BAD_COMMON_HEADER,
    another_epoch: Code.BAD_COMMON_HEADER,
    no_nonce: Code.BAD_COMMON_HEADER,
    another_channel: Code.BAD_CREATOR_SIGNATURE,
    stranger: Code.BAD_CREATOR_SIGNATURE,
    unknown_member: Code.BAD_CREATOR_SIGNATURE,
    false_signature: Code.BAD_CREATOR_SIGNATURE,
    high_s_signature: Code.BAD_CREATOR_SIGNATURE,
    configuration: Code.UNSUPPORTED_TX_PAYLOAD,
    configuration_update_with_another_id: Code.UNSUPPORTED_TX_PAYLOAD,
    another_id: Code.BAD_PROPOSAL_TXID,
    mangled_transaction: Code.INVALID_ENDORSER_TRANSACTION,
    two_actions: Code.INVALID_ENDORSER_TRANSACTION,
    no_action: Code.INVALID_ENDORSER_TRANSACTION,
    action_of_another: Code.INVALID_ENDORSER_TRANSACTION,
    mangled_inner_payload: Code.INVALID_ENDORSER_TRANSACTION,
    another_proposal_hash: Code.INVALID_ENDORSER_TRANSACTION,
    mangled_response: Code.INVALID_ENDORSER_TRANSACTION,
    mangled_extension: Code.BAD_HEADER_EXTENSION,
    mangled_action: Code.BAD_RESPONSE_PAYLOAD,
    mangled_results: Code.BAD_RWSET,
    mangled_namespace: Code.BAD_RWSET,
    short_hash: Code.BAD_RWSET,
    namespace_twice: Code.ILLEGAL_WRITESET,
    foreign_write: Code.ILLEGAL_WRITESET,
    lifecycle_write: Code.ILLEGAL_WRITESET,
    undeclared_collection: Code.ILLEGAL_WRITESET,
    empty_key: Code.INVALID_WRITESET,
    long_key: Code.INVALID_WRITESET,
    long_key_read: Code.INVALID_WRITESET,
    long_range_read: Code.INVALID_WRITESET,
    long_collection_read: Code.INVALID_WRITESET,
    no_version: Code.INVALID_CHAINCODE,
    another_name: Code.INVALID_CHAINCODE,
    undefined_chaincode: Code.INVALID_CHAINCODE,
    no_chaincode_id: Code.INVALID_OTHER_REASON,
    event_of_another: Code.INVALID_OTHER_REASON,
    mangled_event: Code.INVALID_OTHER_REASON,
    no_endorsement: Code.ENDORSEMENT_POLICY_FAILURE,
    too_few_endorsements: Code.ENDORSEMENT_POLICY_FAILURE,
    one_organisation_many_times: Code.ENDORSEMENT_POLICY_FAILURE,
    endorsed_by_clients: Code.ENDORSEMENT_POLICY_FAILURE,
    endorsed_by_orderers: Code.ENDORSEMENT_POLICY_FAILURE,
    high_s_endorsements: Code.ENDORSEMENT_POLICY_FAILURE,
}
