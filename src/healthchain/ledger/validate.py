"""Validation of a block, in numbered steps, up to MVCC (which needs each peer's own state: see `mvcc`).

Sources: Fabric core/common/validation/msgvalidation.go, core/committer/txvalidator/v20. All of this file is a pure
function of the block, the channel's configuration, the chaincode definitions, the metadata of keys and the signatures'
verdicts, so that a process which hosts several peers may do it once. The steps, for each transaction, and the codes
they give:

 1. the envelope and its headers decode (1, 2, 3, 255)
 2. the creator is a valid member of the channel and signed the envelope (4)
 3. the transaction id follows from nonce and creator; the type is an endorser transaction (6, 7, 8)
 4. the endorsed action decodes and belongs to this proposal (5, 19 to 23, 25, 255)
 5. the transaction id is new, on the ledger and in this block (9)
 6. the chaincode is defined, and writes only where it may, itself or by calling others; all keys fit the state
    database (23, 24, 25)
 7. valid endorsements satisfy the policy of every key written (10: `endorsing`), and no transaction of the block before
    this one, valid up to here, wrote the metadata of a key that this one writes (10)
 8. what was read is still so (11, 12): `mvcc.check`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from healthchain.identity.keys import signature_holds
from healthchain.identity.msp import Identity, IdentityRefused
from healthchain.ledger.channel import Channel
from healthchain.ledger.endorsing import KeyMetadata, Written, required_policies
from healthchain.ledger.membership import GOVERNING
from healthchain.ledger.mvcc import Effects, effects, keys_fit
from healthchain.ledger.simulate import KEY_BYTES_MAX
from healthchain.wire.codes import Code
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition
from healthchain.wire.transaction import (
    Action,
    Header,
    NamespaceAction,
    TransactionInvalid,
    decode_action,
    decode_header,
)

Definitions = Mapping[str, ChaincodeDefinition]

BEFORE_DUPLICATES = frozenset(
    {
        Code.BAD_CREATOR_SIGNATURE,
        Code.INVALID_ENDORSER_TRANSACTION,
        Code.UNSUPPORTED_TX_PAYLOAD,
        Code.BAD_PROPOSAL_TXID,
    }
)
"""Codes of steps 2 to 4 that Fabric gives before it looks for duplicates; those of step 1 leave no header at all."""


NO_FATE = frozenset(
    {
        Code.BAD_CREATOR_SIGNATURE,
        Code.BAD_PROPOSAL_TXID,
        Code.UNSUPPORTED_TX_PAYLOAD,
        Code.DUPLICATE_TXID,
    }
)
"""Codes of an entry that says nothing of the transaction id it carries: it is another's, or settled before."""


class SignatureCheck(NamedTuple):
    """One signature to verify: `digest` is SHA-256 of the signed bytes."""

    identity: Identity
    digest: bytes
    signature: bytes

    def holds(self) -> bool:
        return signature_holds(self.identity.public_key, self.digest, self.signature)


@dataclass(slots=True)
class Decoded:
    """A transaction as far as it decodes; `code` is what its form alone gives."""

    code: int
    header: Header | None = None
    action: Action | None = None
    creator: SignatureCheck | None = None
    endorsements: tuple[SignatureCheck, ...] = ()
    effects: Effects | None = None

    def checks(self) -> Iterator[SignatureCheck]:
        if self.creator is not None:
            yield self.creator
        yield from self.endorsements


def decode_transactions(
    envelopes: Sequence[bytes], channel: Channel, headers: Sequence[Header] | None = None
) -> list[Decoded]:
    """`headers`, one for each envelope, save decoding what an orderer of this process has decoded already."""
    if headers is not None:
        return [decode_endorsed(header, channel) for header in headers]
    return [decode_transaction(envelope, channel) for envelope in envelopes]


def decode_transaction(envelope: bytes, channel: Channel) -> Decoded:
    """Steps 1 to 4 without the signatures' verdicts; which signatures to verify is part of the result."""
    try:
        return decode_endorsed(decode_header(envelope), channel)
    except TransactionInvalid as invalid:
        return Decoded(invalid.code)


def decode_endorsed(header: Header, channel: Channel) -> Decoded:
    """As `decode_transaction`, from step 2 on."""
    decoded = Decoded(Code.VALID, header)
    try:
        if header.channel_id != channel.id:
            raise TransactionInvalid(Code.BAD_CREATOR_SIGNATURE)
        decoded.creator = creator_check(header, channel)
    except TransactionInvalid as invalid:
        decoded.code = invalid.code
        return decoded
    try:
        action = decoded.action = decode_action(header)
    except TransactionInvalid as invalid:
        decoded.code = invalid.code
        return decoded
    decoded.endorsements = tuple(_endorsement_checks(action, channel))
    decoded.effects = effects(action)
    return decoded


def creator_check(header: Header, channel: Channel) -> SignatureCheck:
    """Step 2's question; raises TransactionInvalid if the creator is no valid member at all."""
    try:
        identity = channel.msps.identify(header.creator)
    except IdentityRefused:
        raise TransactionInvalid(Code.BAD_CREATOR_SIGNATURE) from None
    return SignatureCheck(identity, sha256(header.payload).digest(), header.signature)


def _endorsement_checks(action: Action, channel: Channel) -> Iterator[SignatureCheck]:
    """Endorsers that are no valid members just do not count."""
    for endorsement in action.endorsements:
        try:
            identity = channel.msps.identify(endorsement.endorser)
        except IdentityRefused:
            continue
        digest = sha256(action.response_payload + endorsement.endorser).digest()
        yield SignatureCheck(identity, digest, endorsement.signature)


def preliminary_codes(
    decoded: Sequence[Decoded],
    verdict: Callable[[SignatureCheck], bool],
    channel: Channel,
    definitions: Definitions,
    is_known: Callable[[str], bool],
    state: KeyMetadata,
) -> list[int]:
    """Steps 2 to 7, given each signature's verdict, which transaction ids are on the ledger, and keys' metadata."""
    codes = []
    seen: set[str] = set()
    changed = _Changed()
    for transaction in decoded:
        code = _code(transaction, verdict, channel, definitions, state)
        if code == Code.VALID and changed.touched_by(transaction):
            code = Code.ENDORSEMENT_POLICY_FAILURE  # step 7
        if transaction.header is not None and code not in BEFORE_DUPLICATES:
            tx_id = transaction.header.tx_id
            if is_known(tx_id) or (code == Code.VALID and tx_id in seen):
                code = Code.DUPLICATE_TXID  # step 5
            elif code == Code.VALID:
                seen.add(tx_id)
                changed.add(transaction)
        codes.append(code)
    return codes


class _Changed:
    """Keys whose metadata a transaction of the block writes: under which policy a later one writes them is not known.

    That an earlier one fails at MVCC changes nothing (statebased/vpmanagerimpl.go).
    """

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self._hashed: set[bytes] = set()

    def add(self, transaction: Decoded) -> None:
        written = transaction.effects
        if written is not None:
            self._keys.update(key for key, _ in written.metadata)
            self._hashed.update(key for key, _ in written.hashed_metadata)

    def touched_by(self, transaction: Decoded) -> bool:
        written = transaction.effects
        if written is None or not (self._keys or self._hashed):
            return False
        return not (self._keys.isdisjoint(written.keys()) and self._hashed.isdisjoint(written.hashed_keys()))


def _code(
    transaction: Decoded,
    verdict: Callable[[SignatureCheck], bool],
    channel: Channel,
    definitions: Definitions,
    state: KeyMetadata,
) -> int:
    if transaction.creator is None:
        return transaction.code  # steps 1 and 2
    if not verdict(transaction.creator):
        return Code.BAD_CREATOR_SIGNATURE  # step 2
    action = transaction.action
    if action is None or transaction.code != Code.VALID:
        return transaction.code  # steps 3 and 4
    assert transaction.effects is not None
    code = _writes_allowed(action, definitions)
    if code == Code.VALID and not keys_fit(transaction.effects):
        code = Code.INVALID_WRITESET
    if code != Code.VALID:
        return code  # step 6
    endorsers = [check.identity for check in transaction.endorsements if verdict(check)]
    required = required_policies(action.chaincode, map(_written, action.namespaces), definitions, state)
    satisfied = all(channel.endorsement_satisfied(policy, endorsers) for policy in required)
    return Code.VALID if satisfied else Code.ENDORSEMENT_POLICY_FAILURE  # step 7


def _writes_allowed(action: Action, definitions: Definitions) -> int:
    """Step 6. A chaincode writes its namespace, and those of others that it called; declared collections only.

    The definitions' namespace and the governing one are written by their own transactions only, and no key of theirs
    has a policy of its own: what decides on members is endorsed by a majority of them.
    """
    if action.chaincode not in definitions and action.chaincode != LIFECYCLE:
        return Code.INVALID_CHAINCODE
    callable_ = definitions.keys() - {LIFECYCLE, GOVERNING}
    for namespace in action.namespaces:
        written = [one.name for one in namespace.collections if one.writes or one.metadata]
        touched = namespace.writes or namespace.metadata or written
        if touched and namespace.name not in (action.chaincode, *callable_):
            return Code.ILLEGAL_WRITESET
        if namespace.name in (LIFECYCLE, GOVERNING) and _metadata_written(namespace):
            return Code.ILLEGAL_WRITESET
        definition = definitions.get(namespace.name)
        if not {one.name for one in (definition.collections if definition else ())}.issuperset(written):
            return Code.ILLEGAL_WRITESET
        for key, _ in (*namespace.writes, *namespace.metadata):
            if not 0 < len(key.encode()) <= KEY_BYTES_MAX:
                return Code.INVALID_WRITESET
    return Code.VALID


def _metadata_written(namespace: NamespaceAction) -> bool:
    return bool(namespace.metadata) or any(one.metadata for one in namespace.collections)


def _written(namespace: NamespaceAction) -> Written:
    """A collection that is there twice counts as a whole."""
    hashes: dict[str, list[bytes]] = {one.name: [] for one in namespace.collections}
    for one in namespace.collections:
        hashes[one.name] += [*(write.key_hash for write in one.writes), *(key for key, _ in one.metadata)]
    return Written(namespace.name, [key for key, _ in (*namespace.writes, *namespace.metadata)], hashes)
