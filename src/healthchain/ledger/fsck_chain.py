"""The blocks computed again in memory: every signature, code and commit hash, and the rows that the tables should have.

The rules are the ledger's (`quorum`, `validate`, `mvcc`), which are pure; nothing that a running peer computed is used.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from healthchain.ledger.channel import Channel
from healthchain.ledger.fsck_log import Findings, Frame
from healthchain.ledger.fsck_private import PrivateLog
from healthchain.ledger.ledger import RULES, chained_commit_hash, changes_rules, read_definitions
from healthchain.ledger.membership import read_memberships
from healthchain.ledger.mvcc import Outcome, check
from healthchain.ledger.quorum import BlockRefused, block_signature_checks, check_link
from healthchain.ledger.recovery import decode_block
from healthchain.ledger.state import (
    BLOCK,
    TRANSACTION,
    TX_BITS,
    U64,
    history_prefix,
    namespace_of,
    state_key,
    unpack_version,
)
from healthchain.ledger.validate import NO_FATE, Decoded, SignatureCheck, preliminary_codes
from healthchain.ledger.view import Value
from healthchain.wire.block import commit_hash, header_hash, transaction_codes
from healthchain.wire.codes import Code
from healthchain.wire.lifecycle import ChaincodeDefinition

BLOCK_LOG = "block log"


@dataclass(slots=True)
class Rebuilt:
    """What the blocks give. Of a value only its hash is kept: the memory holds keys, versions and hashes.

    `channel` is what is in force for the next block, as far as they were applied.
    """

    private: PrivateLog
    channel: Channel
    whole: bool = True
    tip_hash: bytes = b""
    commit_hashes: list[bytes] = field(default_factory=list)
    transaction_count: int = 0
    state: dict[bytes, bytes] = field(default_factory=dict)  # key -> version u64, SHA-256(value)
    metadata: dict[bytes, bytes] = field(default_factory=dict)
    hashed_metadata: dict[bytes, bytes] = field(default_factory=dict)
    keyed_namespaces: set[str] = field(default_factory=set)
    history: set[bytes] = field(default_factory=set)
    transactions: dict[bytes, bytes] = field(default_factory=dict)
    blocks: list[bytes] = field(default_factory=list)
    block_hashes: dict[bytes, bytes] = field(default_factory=dict)
    definitions: dict[str, ChaincodeDefinition] = field(default_factory=dict)
    _rules: dict[bytes, Value] = field(default_factory=dict)
    _sorted: list[bytes] = field(default_factory=list)
    _unsorted: list[bytes] = field(default_factory=list)

    # mvcc.CommittedVersions

    def version(self, key: bytes) -> int | None:
        row = self.state.get(key)
        return U64.unpack_from(row)[0] if row else None

    def hashed_version(self, key: bytes) -> int | None:
        return self.private.version(key)

    def range_versions(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, int]]:
        if self._unsorted:
            self._sorted = sorted({*self._sorted, *self._unsorted} & self.state.keys())
            self._unsorted = []
        for index in range(bisect_left(self._sorted, start), bisect_left(self._sorted, end)):
            version = self.version(self._sorted[index])
            if version is not None:
                yield self._sorted[index], version

    def metadata_of(self, key: bytes) -> bytes | None:
        return self.metadata.get(key)

    def hashed_metadata_of(self, key: bytes) -> bytes | None:
        return self.hashed_metadata.get(key)

    # ledger.RulesState

    def get(self, namespace: str, key: str) -> Value | None:
        return self._rules.get(state_key(namespace, key))

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]:
        first, last = state_key(namespace, start), state_key(namespace, end)
        for key in sorted(self._rules):
            if first <= key < last:
                yield key[len(state_key(namespace, "")) :].decode(), self._rules[key]

    def apply(self, outcome: Outcome) -> None:
        for key, version in outcome.overwritten:
            self.history.add(history_prefix(key) + U64.pack(version))
        for key, (version, value) in outcome.state.items():
            self._write(key, version, value)
        for key, version in outcome.renewed.items():
            before = self.state[key]
            self.history.add(history_prefix(key) + before[: U64.size])
            self.state[key] = U64.pack(version) + before[U64.size :]
        self.private.apply(outcome.hashed)
        self.private.renew(outcome.hashed_renewed)
        self._set_metadata(self.metadata, outcome.metadata)
        self._set_metadata(self.hashed_metadata, outcome.hashed_metadata)
        if changes_rules(outcome.state):
            self.definitions = read_definitions(self)
            self.channel = self.channel.following(read_memberships(self))

    def _set_metadata(self, table: dict[bytes, bytes], written: Mapping[bytes, tuple[int, bytes | None]]) -> None:
        for key, (_, encoded) in written.items():
            table.pop(key, None)
            if encoded is not None:
                table[key] = encoded
                self.keyed_namespaces.add(namespace_of(key))

    def _write(self, key: bytes, version: int, value: bytes | None) -> None:
        before = self.state.pop(key, None)
        if before is not None:
            self.history.add(history_prefix(key) + before[:8])
        if value is None:
            self.history.add(history_prefix(key) + U64.pack(version))
            self._rules.pop(key, None)
            return
        self.state[key] = U64.pack(version) + sha256(value).digest()
        if before is None:
            self._unsorted.append(key)
        if key.startswith(RULES):
            self._rules[key] = Value(value, unpack_version(version))


def rebuild(
    frames: Iterator[Frame],
    genesis: common_pb2.Block,
    channel: Channel,
    private: PrivateLog,
    findings: Findings,
    progress: Callable[[int], None],
) -> Rebuilt:
    """Up to the first block that is not whole: then `whole` is False, for nothing after it can be computed."""
    rebuilt = Rebuilt(private, channel)
    for frame in frames:
        number = len(rebuilt.blocks)
        block = _decoded(frame, number, findings)
        if block is None or not _linked(block, number, rebuilt, genesis, findings):
            rebuilt.whole = False
            return rebuilt
        _apply(block, frame, rebuilt, findings)
        progress(number)
    if not rebuilt.blocks:
        findings.add(BLOCK_LOG, "there is no block")
    rebuilt.whole = not any(one.where.startswith(BLOCK_LOG) for one in findings.found)
    return rebuilt


def _decoded(frame: Frame, number: int, findings: Findings) -> common_pb2.Block | None:
    if frame.body is None or frame.tag != number:
        findings.add(f"block {number}", "is not where it should be in the block log")
        return None
    try:
        return common_pb2.Block.FromString(frame.body)
    except DecodeError:
        findings.add(f"block {number}", "does not decode")
        return None


def _linked(
    block: common_pb2.Block,
    number: int,
    rebuilt: Rebuilt,
    genesis: common_pb2.Block,
    findings: Findings,
) -> bool:
    """Whether it is the block that the orderers agreed on; without that, what it holds means nothing."""
    where = f"block {number}"
    try:
        check_link(block, number, rebuilt.tip_hash)
    except BlockRefused as refused:
        findings.add(where, str(refused))
        return False
    if number == 0:
        if header_hash(block) != header_hash(genesis):
            findings.add(where, "is another channel's")
            return False
        return True
    return _signed(block, number, rebuilt.channel, findings)


def _signed(block: common_pb2.Block, number: int, channel: Channel, findings: Findings) -> bool:
    checks = block_signature_checks(block, channel)
    valid = {one.identity.fingerprint for one in checks if one.holds()}
    if len(valid) < channel.quorum:
        findings.add(f"block {number}", f"has {len(valid)} valid orderer signatures, {channel.quorum} are needed")
        return False
    if len(valid) < len(checks):
        findings.add(f"block {number}", f"{len(checks) - len(valid)} of its orderer signatures do not hold")
    return True


def _apply(block: common_pb2.Block, frame: Frame, rebuilt: Rebuilt, findings: Findings) -> None:
    number = block.header.number
    decoded = decode_block(block, rebuilt.channel)
    outcome = check(number, [one.effects for one in decoded], _preliminary(number, decoded, rebuilt), rebuilt)
    previous = rebuilt.commit_hashes[-1] if rebuilt.commit_hashes else b""
    committed = chained_commit_hash(outcome, previous)
    _compare_stored(block, outcome.codes, committed, findings)
    rebuilt.apply(outcome)
    for tx_id, row in _transactions(number, decoded, outcome.codes, rebuilt).items():
        rebuilt.transactions[tx_id] = row
    rebuilt.blocks.append(BLOCK.pack(frame.location, rebuilt.private.end(number)))
    rebuilt.commit_hashes.append(committed)
    rebuilt.transaction_count += len(decoded)
    rebuilt.tip_hash = header_hash(block)
    rebuilt.block_hashes[rebuilt.tip_hash] = U64.pack(number)


def _preliminary(number: int, decoded: Sequence[Decoded], rebuilt: Rebuilt) -> list[int]:
    if number == 0:
        return [one.code for one in decoded]
    verdicts: dict[tuple[bytes, bytes, bytes], bool] = {}

    def verdict(check: SignatureCheck) -> bool:
        """Each distinct one once in a block: a transaction may be there twice."""
        key = (check.identity.public_point, check.digest, check.signature)
        if key not in verdicts:
            verdicts[key] = check.holds()
        return verdicts[key]

    return preliminary_codes(
        decoded,
        verdict,
        rebuilt.channel,
        rebuilt.definitions,
        lambda tx_id: bytes.fromhex(tx_id) in rebuilt.transactions,
        rebuilt,
    )


def _compare_stored(block: common_pb2.Block, codes: Sequence[int], committed: bytes, findings: Findings) -> None:
    where = f"block {block.header.number}"
    stored = transaction_codes(block)
    if len(stored) != len(codes):
        findings.add(where, f"has {len(stored)} validation codes for {len(codes)} transactions")
    for index, (found, right) in enumerate(zip(stored, codes, strict=False)):
        if found != right:
            findings.add(where, f"transaction {index} has code {found}, and should have {Code.Name(right)}")
    try:
        if commit_hash(block) != committed:
            findings.add(where, "its commit hash is not what its transactions give")
    except DecodeError:
        findings.add(where, "its commit hash does not decode")


def _transactions(
    number: int, decoded: Sequence[Decoded], codes: Sequence[int], rebuilt: Rebuilt
) -> dict[bytes, bytes]:
    """transaction id -> row, for each id that this block is the first to settle; a valid entry goes first."""
    rows: dict[bytes, bytes] = {}
    for valid_ones in (True, False):
        for index, (transaction, code) in enumerate(zip(decoded, codes, strict=True)):
            if transaction.header is None or code in NO_FATE or (code == Code.VALID) != valid_ones:
                continue
            tx_id = bytes.fromhex(transaction.header.tx_id)
            if tx_id not in rebuilt.transactions and tx_id not in rows:
                rows[tx_id] = TRANSACTION.pack(number << TX_BITS | index, code)
    return rows
