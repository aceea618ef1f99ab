"""Validation up to MVCC once more, straight down the page: what Fabric does with one transaction of a block.

Follows core/common/validation/msgvalidation.go and core/committer/txvalidator/v20; decodes with protobuf alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import chaincode_event_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

HALF_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 >> 1


def plain_codes(
    envelopes: Sequence[bytes],
    channel_id: str,
    roots: Mapping[str, bytes],
    collections: Mapping[str, set[str]],
    known: set[str],
) -> list[int]:
    """`roots` has each member's CA certificate; `collections` each defined chaincode's; policy is the majority's."""
    codes: list[int] = []
    seen: set[str] = set()
    for envelope in envelopes:
        code, tx_id = plain_code(envelope, channel_id, roots, collections)
        if tx_id is not None:
            if tx_id in known or (code == 0 and tx_id in seen):
                code = 9
            elif code == 0:
                seen.add(tx_id)
        codes.append(code)
    return codes


def plain_code(
    raw: bytes, channel_id: str, roots: Mapping[str, bytes], collections: Mapping[str, set[str]]
) -> tuple[int, str | None]:
    """The code without regard to duplicates, and the transaction id if Fabric gets as far as looking for them."""
    if not raw:
        return 1, None
    try:
        envelope = common_pb2.Envelope.FromString(raw)
    except DecodeError:
        return 255, None
    if envelope.SerializeToString() != raw:
        return 255, None
    try:
        payload = common_pb2.Payload.FromString(envelope.payload)
    except DecodeError:
        return 2, None
    try:
        channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        signer = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    except DecodeError:
        return 3, None
    if channel.type not in (1, 2, 3) or channel.epoch or not signer.nonce or not signer.creator:
        return 3, None
    if channel.channel_id != channel_id:
        return 4, None
    creator = member(signer.creator, roots)
    if creator is None or not signed(creator, envelope.payload, envelope.signature):
        return 4, None
    if channel.type != 3:
        return 7, None
    if channel.tx_id != sha256(signer.nonce + signer.creator).hexdigest():
        return 8, None
    endorsed = endorsed_action(payload)
    if endorsed is None:
        return 5, None
    return action_code(channel, endorsed, roots, collections), channel.tx_id


def endorsed_action(payload: common_pb2.Payload) -> transaction_pb2.ChaincodeActionPayload | None:
    try:
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        if len(transaction.actions) != 1 or transaction.actions[0].header != payload.header.signature_header:
            return None
        action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
        response = proposal_response_pb2.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    except DecodeError:
        return None
    header = payload.header
    hashed = header.channel_header + header.signature_header + action.chaincode_proposal_payload
    return action if response.proposal_hash == sha256(hashed).digest() else None


def action_code(
    channel: common_pb2.ChannelHeader,
    endorsed: transaction_pb2.ChaincodeActionPayload,
    roots: Mapping[str, bytes],
    collections: Mapping[str, set[str]],
) -> int:
    signed_part = endorsed.action.proposal_response_payload
    response = proposal_response_pb2.ProposalResponsePayload.FromString(signed_part)
    try:
        extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel.extension)
    except DecodeError:
        return 19
    try:
        action = proposal_pb2.ChaincodeAction.FromString(response.extension)
    except DecodeError:
        return 21
    try:
        results = rwset_pb2.TxReadWriteSet.FromString(action.results)
    except DecodeError:
        return 22
    if not extension.HasField("chaincode_id") or not action.HasField("chaincode_id"):
        return 255
    chaincode = extension.chaincode_id.name
    if not chaincode or not action.chaincode_id.version or action.chaincode_id.name != chaincode:
        return 25
    code = results_code(results)
    if code:
        return code
    if action.events:
        try:
            if chaincode_event_pb2.ChaincodeEvent.FromString(action.events).chaincode_id != chaincode:
                return 255
        except DecodeError:
            return 255
    if chaincode not in collections and chaincode != "_lifecycle":
        return 25
    code = writes_code(results, chaincode, collections)
    return code or policy_code(endorsed, signed_part, roots)


def results_code(results: rwset_pb2.TxReadWriteSet) -> int:
    for namespace in results.ns_rwset:
        try:
            kv_rwset_pb2.KVRWSet.FromString(namespace.rwset)
            for one in namespace.collection_hashed_rwset:
                hashed = kv_rwset_pb2.HashedRWSet.FromString(one.hashed_rwset)
                keys = [read.key_hash for read in hashed.hashed_reads]
                keys += [write.key_hash for write in hashed.hashed_writes]
                values = [write.value_hash for write in hashed.hashed_writes if not write.is_delete]
                if any(len(digest) != 32 for digest in keys + values):
                    return 22
                if any(write.is_purge and not write.is_delete for write in hashed.hashed_writes):
                    return 22
        except DecodeError:
            return 22
    names = [namespace.namespace for namespace in results.ns_rwset]
    return 23 if len(set(names)) < len(names) else 0


def writes_code(results: rwset_pb2.TxReadWriteSet, chaincode: str, collections: Mapping[str, set[str]]) -> int:
    longest = 0
    for namespace in results.ns_rwset:
        public = kv_rwset_pb2.KVRWSet.FromString(namespace.rwset)
        prefix = len(namespace.namespace.encode()) + 1
        names: list[Any] = [*public.reads, *public.writes]
        texts = [one.key for one in names] + [one.start_key for one in public.range_queries_info]
        longest = max([longest, *(prefix + len(text.encode()) for text in texts)])
        written = set()
        for one in namespace.collection_hashed_rwset:
            hashed = kv_rwset_pb2.HashedRWSet.FromString(one.hashed_rwset)
            if hashed.hashed_reads or hashed.hashed_writes:
                longest = max(longest, prefix + len(one.collection_name.encode()) + 1 + 32)
            if hashed.hashed_writes:
                written.add(one.collection_name)
        name = namespace.namespace
        called = name in collections and name not in ("_lifecycle", "ehr")
        if (public.writes or written) and name != chaincode and not called:
            return 23
        if not written <= collections.get(name, set()):
            return 23
        if any(not 0 < len(write.key.encode()) <= 480 for write in public.writes):
            return 24
    return 24 if longest > 511 else 0


def policy_code(
    endorsed: transaction_pb2.ChaincodeActionPayload, signed_part: bytes, roots: Mapping[str, bytes]
) -> int:
    organisations = set()
    for one in endorsed.action.endorsements:
        certificate = member(one.endorser, roots)
        if certificate is not None and signed(certificate, signed_part + one.endorser, one.signature):
            units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
            if [unit.value for unit in units] == ["peer"]:
                organisations.add(identities_pb2.SerializedIdentity.FromString(one.endorser).mspid)
    return 0 if len(organisations) > len(roots) // 2 else 10


def member(serialized: bytes, roots: Mapping[str, bytes]) -> x509.Certificate | None:
    """The certificate, if the CA of the organisation that it names issued it."""
    try:
        identity = identities_pb2.SerializedIdentity.FromString(serialized)
        certificate = x509.load_pem_x509_certificate(identity.id_bytes)
        root = x509.load_pem_x509_certificate(roots[identity.mspid])
        certificate.verify_directly_issued_by(root)
    except (DecodeError, ValueError, KeyError, TypeError, InvalidSignature):
        return None
    return certificate


def signed(certificate: x509.Certificate, message: bytes, signature: bytes) -> bool:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return decode_dss_signature(signature)[1] <= HALF_ORDER
