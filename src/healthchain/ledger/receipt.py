"""Receipts: one file that proves, without network or ledger, that a transaction is committed and what it wrote.

A receipt holds a statement, and signatures over all of it by peers of a majority of the members. The statement carries
its own evidence: the transaction, the block's header with its orderers' signatures, block 0, and the members'
certificates at that height. Anybody can found a consortium and sign as it: whose receipt it is, the fingerprint tells.

The header names all transactions of its block by one hash, and a receipt shows nobody else's: that this one is among
them, and valid, is what the peers attest.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from fabric_protos.common import common_pb2
from msgspec import Meta

from healthchain.chaincode.membership import Membership
from healthchain.errors import BadInput, HealthChainError
from healthchain.identity.msp import IdentityRefused, Role
from healthchain.ledger.channel import Channel
from healthchain.ledger.membership import GOVERNING
from healthchain.ledger.quorum import BlockRefused, check_quorum
from healthchain.ledger.validate import Decoded, SignatureCheck, decode_transaction
from healthchain.wire.block import Metadata, header_hash, new_block
from healthchain.wire.codes import Code
from healthchain.wire.transaction import Action

FORMAT: Literal["healthchain-receipt/1"] = "healthchain-receipt/1"
RECEIPT_BYTES_MAX = 64 << 20
Members = dict[str, Membership]


class ReceiptRefused(HealthChainError):
    """The receipt proves nothing: the text says which step failed."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block's header, its metadata entry of its orderers' signatures, and one of its transactions."""

    number: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    previous_hash: bytes
    data_hash: bytes
    signatures: bytes
    envelope: bytes


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The envelope is transaction `index` of the block that has this header, and its validation code is `code`.

    It wrote `key` in the governing chaincode's state. `genesis` is the envelope of block 0. `members_then` are the
    membership rows that held for the block, `members_now` those that hold where the statement is made. `attesters` are
    the peers that sign it, as pb(SerializedIdentity).
    """

    format: Literal["healthchain-receipt/1"]
    key: str
    index: Annotated[int, Meta(ge=0)]
    code: int
    attested_ms: int
    block: Evidence
    genesis: bytes
    members_then: Members
    members_now: Members
    attesters: tuple[bytes, ...]

    def digest(self) -> bytes:
        return sha256(msgspec.json.encode(self)).digest()


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: compact JSON in the order of the fields, bytes in base64; there is one way to write it.

    `signatures` are over the statement's digest, one of each attester, in their order.
    """

    statement: Statement
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt proves: `value` is what the transaction wrote under `key`, None if it deleted it."""

    channel: str
    key: str
    value: bytes | None
    tx_id: str
    time_ms: int  # the creator's clock
    creator: str  # MSP/CN
    endorsers: tuple[str, ...]  # MSP ids, as `attesters`
    block: int
    block_hash: str
    attested_ms: int
    attesters: tuple[str, ...]
    fingerprint: str


def encode_receipt(receipt: Receipt) -> bytes:
    return msgspec.json.encode(receipt)


def verify_receipt(encoded: bytes, fingerprint: str | None = None) -> Verified:
    """Pure. Raises ReceiptRefused unless, in this order:

    1. the file is a receipt in the one way to write it; 2. it is of the consortium of this fingerprint, if one is
    given; 3. all signatures hold, and they are of peers of a majority of the members; 4. a quorum of
    orderers signed the block's header; 5. the transaction is valid: its creator signed it, and peers of a majority of
    the members endorsed it; 6. it wrote what the receipt is of. Certificates have to be valid at the time of the
    transaction, and the attesters' at the time of their attestation.
    """
    receipt = _decoded(encoded)
    statement = receipt.statement
    genesis = new_block(0, b"", [statement.genesis])
    try:
        then, now = Channel(genesis, statement.members_then), Channel(genesis, statement.members_now)
    except BadInput as malformed:  # the channel's, or that of a member's MSP
        raise ReceiptRefused(f"its block 0 is none: {malformed}") from None
    found = fingerprint_of(genesis, statement.members_now)
    if fingerprint is not None and fingerprint.lower() != found:
        raise ReceiptRefused("it is of another consortium, or of other members: compare the fingerprints")
    attesters = _attesters(receipt, now)
    decoded = _transaction(statement, then)
    header = decoded.header
    assert header is not None
    time_ms = header.timestamp_ns // 1_000_000
    block = _checked_header(statement.block, then, time_ms)
    action, endorsers = _checked_transaction(decoded, then, time_ms)
    creator = then.msps.identify(header.creator)
    return Verified(
        channel=then.id,
        key=statement.key,
        value=_written(action, statement.key),
        tx_id=header.tx_id,
        time_ms=time_ms,
        creator=f"{creator.msp_id}/{creator.common_name}",
        endorsers=endorsers,
        block=statement.block.number,
        block_hash=header_hash(block).hex(),
        attested_ms=statement.attested_ms,
        attesters=attesters,
        fingerprint=found,
    )


def fingerprint_of(genesis: common_pb2.Block, members: Members) -> str:
    """SHA-256 over block 0 and the members' present certificates, in hexadecimal: it changes when members do."""
    return sha256(header_hash(genesis) + msgspec.json.encode(sorted(members.items()))).hexdigest()


def _decoded(encoded: bytes) -> Receipt:
    """Step 1. Writing it again must give every byte of the file: so nothing can be added or spelled otherwise."""
    if len(encoded) > RECEIPT_BYTES_MAX:
        raise ReceiptRefused("it is larger than any receipt")
    try:
        receipt = msgspec.json.decode(encoded, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ReceiptRefused("it does not decode as a receipt") from None
    if encode_receipt(receipt) != encoded:
        raise ReceiptRefused("it is not written as a receipt is: something was added or changed")
    return receipt


def _attesters(receipt: Receipt, now: Channel) -> tuple[str, ...]:
    """Step 3. One that does not hold spoils the receipt, so that no byte can be altered and none left out."""
    statement, digest = receipt.statement, receipt.statement.digest()
    if len(receipt.signatures) != len(statement.attesters):
        raise ReceiptRefused("a signature is missing")
    found: list[str] = []
    for attester, signature in zip(statement.attesters, receipt.signatures, strict=True):
        try:
            identity = now.msps.identify(attester)
        except IdentityRefused as refused:
            raise ReceiptRefused(f"who attests it is no member: {refused}") from None
        holds = _holds(SignatureCheck(identity, digest, signature), statement.attested_ms)
        if identity.role is not Role.PEER or not holds:
            raise ReceiptRefused("a signature is not a peer's, or not of this statement")
        found.append(identity.msp_id)
    if len(set(found)) != len(found) or len(found) < now.majority:
        raise ReceiptRefused(f"{len(set(found))} members' peers attest it, {now.majority} are needed")
    return tuple(sorted(found))


def _checked_header(evidence: Evidence, then: Channel, time_ms: int) -> common_pb2.Block:
    """Step 4."""
    header = common_pb2.BlockHeader(
        number=evidence.number, previous_hash=evidence.previous_hash, data_hash=evidence.data_hash
    )
    metadata = [b""] * len(Metadata)
    metadata[Metadata.SIGNATURES] = evidence.signatures
    block = common_pb2.Block(header=header, metadata=common_pb2.BlockMetadata(metadata=metadata))
    try:
        check_quorum(block, then, lambda check: _holds(check, time_ms))
    except BlockRefused as refused:
        raise ReceiptRefused(str(refused)) from None
    return block


def _transaction(statement: Statement, then: Channel) -> Decoded:
    """Step 5: its form. Whether it conflicted with another only the ledgers tell: `code` is what they attest."""
    decoded = decode_transaction(statement.block.envelope, then)
    if statement.code != Code.VALID or decoded.code != Code.VALID:
        raise ReceiptRefused("the transaction is not valid: it changed nothing")
    return decoded


def _checked_transaction(decoded: Decoded, then: Channel, time_ms: int) -> tuple[Action, tuple[str, ...]]:
    """Step 5: its signatures. What was endorsed, and by whom."""
    creator, action = decoded.creator, decoded.action
    assert creator is not None
    assert action is not None
    if not _holds(creator, time_ms):
        raise ReceiptRefused("the transaction's signature is not its creator's")
    endorsers = [one.identity for one in decoded.endorsements if _holds(one, time_ms)]
    if action.chaincode != GOVERNING or not then.endorsement_satisfied(None, endorsers):
        raise ReceiptRefused("the transaction is not endorsed by peers of a majority of the members")
    return action, tuple(sorted({one.msp_id for one in endorsers}))


def _written(action: Action, key: str) -> bytes | None:
    """Step 6."""
    for namespace in action.namespaces:
        writes = dict(namespace.writes)
        if namespace.name == GOVERNING and key in writes:
            return writes[key]
    raise ReceiptRefused("the transaction did not write what the receipt is of")


def _holds(check: SignatureCheck, time_ms: int) -> bool:
    try:
        check.identity.require_unexpired(time_ms)
    except IdentityRefused:
        return False
    return check.holds()
