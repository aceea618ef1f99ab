"""One peer's ledger: its block log, its private log and its state, moved forward one block at a time.

A block goes through `prepare` (rules, no I/O but reads), `Commit.write` (make private values durable, then the block,
then erase what it purged) and `apply` (the tables). A crash between any two leaves a ledger that `recovery` completes.
An entry of the block log has the block's number as its tag, and as its extra where the private log ended: up to there
all was durable.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from fabric_protos.common import common_pb2

from healthchain.ledger.channel import Channel
from healthchain.ledger.committed import Committed
from healthchain.ledger.membership import PREFIX, read_memberships
from healthchain.ledger.mvcc import Outcome, PrivateHashWrite, check
from healthchain.ledger.private import body_holds, body_key, decode_body
from healthchain.ledger.segments import LogCorrupted, SegmentedLog
from healthchain.ledger.state import (
    NOWHERE,
    TX_BITS,
    TX_MASK,
    U64,
    BlockUpdate,
    HashedEntry,
    StateStore,
    history_prefix,
    namespace_of,
    state_key,
)
from healthchain.ledger.validate import NO_FATE, Decoded
from healthchain.ledger.view import Value
from healthchain.wire.block import header_hash, put_commit, transaction_codes
from healthchain.wire.codes import Code
from healthchain.wire.lifecycle import (
    FIELDS,
    LIFECYCLE,
    METADATA_END,
    METADATA_START,
    ChaincodeDefinition,
    DefinitionMalformed,
    field_key,
    read_definition,
)

Bodies = Mapping[bytes, bytes]
"""`private.body_key` -> private log body, of one block."""
RULES = (state_key(LIFECYCLE, ""), PREFIX)
"""How keys of the state begin that say what holds for the next block."""


@dataclass(slots=True)
class Commit:
    """One block on its way to disk; `write` may run on another thread, and touches only the two logs."""

    ledger: Ledger
    number: int
    codes: Sequence[int]
    encoded_block: bytes
    private_entries: Sequence[tuple[int, int, bytes]]
    private_keys: Sequence[bytes]
    erase: Sequence[int]
    update: BlockUpdate
    private_locations: list[int] = field(default_factory=list)

    def write(self) -> None:
        """Private values first: a durable block always finds its values.

        Raises OSError or LogCorrupted with both logs as they were before: the block may be written again.
        """
        blocks, private = self.ledger.block_log, self.ledger.private_log
        block_end, private_end = blocks.end, private.end
        try:
            self._write()
        except (OSError, LogCorrupted):
            blocks.truncate(block_end)  # first: a block must never be there without its values
            private.truncate(private_end)
            raise

    def _write(self) -> None:
        ledger = self.ledger
        if self.private_entries:
            self.private_locations = ledger.private_log.append(self.private_entries)
            ledger.private_log.sync()
        entry = (self.number, ledger.private_log.end, self.encoded_block)
        self.update.block_location = ledger.block_log.append([entry])[0]
        ledger.block_log.sync()
        if self.erase:
            for location in self.erase:
                ledger.private_log.erase(location)
            ledger.private_log.sync()
        self.update.private_location = ledger.private_log.end

    def adopt(self, block_location: int, private: Mapping[bytes, int], private_end: int) -> None:
        """Instead of `write`, for a block that is in the logs already: `private` is `body_key` -> location."""
        for key in self.private_keys:
            entry = self.update.hashed[key]
            assert entry is not None
            self.private_locations.append(private[body_key(key, entry.value_hash)])
        self.update.block_location, self.update.private_location = block_location, private_end
        for location in self.erase:
            self.ledger.private_log.erase(location)
        self.ledger.private_log.sync()


class Ledger(Committed):
    """Open with `recovery.open_ledger`. One thread; only `Commit.write` may run on another, one at a time."""

    def __init__(self, folder: Path, channel: Channel) -> None:
        self.folder = folder
        self.channel = channel  # in force for the next block
        block_log, private_log = SegmentedLog(folder / "blocks"), SegmentedLog(folder / "private")
        self.state = StateStore(folder / "state")
        super().__init__(self.state, block_log, private_log)
        self.definitions: dict[str, ChaincodeDefinition] = {}
        self.keyed_namespaces = self.state.namespaces_with_metadata()
        self.tip_hash = b""

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Committed]:
        """Committed state as it is now, whatever is committed while it is read: for a chaincode that takes its time."""
        reader = self.state.snapshot()
        try:
            yield Committed(reader, self.block_log, self.private_log)
        finally:
            reader.close()

    def private_bodies(self, number: int) -> dict[bytes, bytes]:
        """The private values that block `number` wrote and this peer still holds, for a peer that was down."""
        bodies = {}
        for _, body in self._private_entries(number):
            found = decode_body(body)
            bodies[body_key(found.hashed_key, found.value_hash)] = body
        return bodies

    def private_writes(self, number: int) -> dict[int, dict[tuple[str, str], list[tuple[str, bytes]]]]:
        """As `private_bodies`, for who reads them: index in the block -> (namespace, collection) -> keys and values."""
        found: dict[int, dict[tuple[str, str], list[tuple[str, bytes]]]] = {}
        for version, body in self._private_entries(number):
            value = decode_body(body)
            sets = found.setdefault(version & TX_MASK, {})
            sets.setdefault(value.collection, []).append((value.key, value.value))
        return found

    def _private_entries(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Packed version and body of each."""
        if number == 0:
            return
        start, end = self._private_span(number)
        for entry in self.private_log.scan(start):
            if entry.location >= end:
                break
            if entry.body is not None and entry.tag >> TX_BITS == number:
                yield entry.tag, entry.body

    def _private_span(self, number: int) -> tuple[int, int]:
        before, at = self.state.block(number - 1), self.state.block(number)
        assert before is not None
        assert at is not None
        return before[1], at[1]

    # MVCC's questions (mvcc.CommittedVersions)

    def version(self, key: bytes) -> int | None:
        return self.state.version(key)

    def hashed_version(self, key: bytes) -> int | None:
        entry = self.state.hashed(key)
        return entry.version if entry else None

    def range_versions(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, int]]:
        for key, _, version in self.state.range(start, end):
            yield key, version

    def metadata_of(self, key: bytes) -> bytes | None:
        return self.state.metadata(key) if self._may_have_metadata(key) else None

    def hashed_metadata_of(self, key: bytes) -> bytes | None:
        return self.state.hashed_metadata(key) if self._may_have_metadata(key) else None

    def _may_have_metadata(self, key: bytes) -> bool:
        """Nothing is looked up for chaincodes that have none (privacyenabledstate/optimization.go)."""
        return bool(self.keyed_namespaces) and namespace_of(key) in self.keyed_namespaces

    # Commit

    def prepare(
        self, block: common_pb2.Block, decoded: Sequence[Decoded], codes: Sequence[int], bodies: Bodies
    ) -> Commit:
        """Decide every transaction's final code against this peer's state, and all that the block will change.

        The block must be the next one and checked (`quorum.check_block`); `codes` are `validate.preliminary_codes`.
        """
        number = block.header.number
        assert number == self.height, (number, self.height)
        outcome = check(number, [one.effects for one in decoded], codes, self)
        return self._commit(block, decoded, outcome, bodies)

    def replay(self, block: common_pb2.Block, decoded: Sequence[Decoded], bodies: Bodies) -> Commit:
        """As `prepare`, for a block of the own log that was validated before: its stored codes decide."""
        outcome = Outcome(codes=list(transaction_codes(block)))
        for index, (transaction, code) in enumerate(zip(decoded, outcome.codes, strict=True)):
            if code == Code.VALID and transaction.effects is not None:
                outcome.write(block.header.number << TX_BITS | index, transaction.effects, self)
        return self._commit(block, decoded, outcome, bodies)

    def _commit(self, block: common_pb2.Block, decoded: Sequence[Decoded], outcome: Outcome, bodies: Bodies) -> Commit:
        number = block.header.number
        commit_hash = chained_commit_hash(outcome, self.state.commit_hash)
        state = {**outcome.state, **self._renewed(outcome)} if outcome.renewed else outcome.state
        update = BlockUpdate(
            number=number,
            header_hash=header_hash(block),
            block_location=NOWHERE,
            private_location=NOWHERE,
            commit_hash=commit_hash,
            state=state,
            old_versions={key: self._old_version(key, outcome) for key in state},
            hashed={},
            orphans={},
            metadata={key: encoded for key, (_, encoded) in outcome.metadata.items()},
            hashed_metadata={key: encoded for key, (_, encoded) in outcome.hashed_metadata.items()},
            transactions=self._transactions(decoded, outcome.codes),
            history=[history_prefix(key) + U64.pack(version) for key, version in outcome.overwritten],
        )
        commit = Commit(self, number, outcome.codes, b"", [], [], [], update)
        self._plan_private(outcome.hashed, bodies, commit)
        self._renew_hashed(outcome, commit)
        put_commit(block, outcome.codes, commit_hash)
        commit.encoded_block = block.SerializeToString()
        return commit

    def _renewed(self, outcome: Outcome) -> dict[bytes, tuple[int, bytes | None]]:
        """Rows whose value stays, with their new versions."""
        rows: dict[bytes, tuple[int, bytes | None]] = {}
        for key, version in outcome.renewed.items():
            found = self.state.get(key)
            assert found is not None
            rows[key] = (version, found[0])
        return rows

    def _old_version(self, key: bytes, outcome: Outcome) -> int | None:
        return outcome.committed[key] if key in outcome.committed else self.state.version(key)

    def _transactions(self, decoded: Sequence[Decoded], codes: Sequence[int]) -> dict[bytes, tuple[int, int]]:
        """Every new transaction id of the block, with the entry that settles it: the valid one, or else the first."""
        found: dict[bytes, tuple[int, int]] = {}
        for index, (transaction, code) in enumerate(zip(decoded, codes, strict=True)):
            header = transaction.header
            if header is None or code in NO_FATE:
                continue
            tx_id = bytes.fromhex(header.tx_id)
            if code == Code.VALID:
                found[tx_id] = (index, code)
            elif code != Code.INVALID_ENDORSER_TRANSACTION or self.state.transaction(tx_id) is None:
                found.setdefault(tx_id, (index, code))  # code 5 comes before the check for duplicates
        return found

    def _plan_private(
        self, writes: Mapping[bytes, tuple[int, PrivateHashWrite]], bodies: Bodies, commit: Commit
    ) -> None:
        """Which values to append and which to erase, and the hashed table's changes (locations come in `apply`)."""
        entries, keys, erase = [], [], []
        hashed: dict[bytes, HashedEntry | None] = {}
        orphans: dict[bytes, int | None] = {}
        for key, (version, write) in writes.items():
            held, is_orphan = self._held(key)
            if write.purge:
                erase += self._value_chain(held)
                held = NOWHERE
            hashed[key] = None
            if write.value_hash is not None:
                hashed[key] = HashedEntry(version, write.value_hash, NOWHERE)
                body = bodies.get(body_key(key, write.value_hash))
                if body is not None and body_holds(body, key, write.value_hash):
                    keys.append(key)
                    entries.append((version, held, body))
                    held = NOWHERE  # from now on the new value leads to it
            if held != NOWHERE:
                orphans[key] = held
            elif is_orphan:
                orphans[key] = None
        commit.private_entries, commit.private_keys, commit.erase = entries, keys, erase
        commit.update.hashed, commit.update.orphans = hashed, orphans

    def _renew_hashed(self, outcome: Outcome, commit: Commit) -> None:
        """The value, and where it is, stay; it was written when its entry in the private log says."""
        renewed = {}
        for key, version in outcome.hashed_renewed.items():
            entry = commit.update.hashed[key] if key in commit.update.hashed else self.state.hashed(key)
            assert entry is not None
            renewed[key] = entry._replace(version=version)
        commit.update.hashed = {**commit.update.hashed, **renewed}

    def _held(self, key: bytes) -> tuple[int, bool]:
        """Where the newest value that this peer holds of a private key is, and whether that is an orphan."""
        existing = self.state.hashed(key)
        if existing is not None and existing.location != NOWHERE:
            return existing.location, False
        orphan = self.state.orphan(key)
        return (NOWHERE, False) if orphan is None else (orphan, True)

    def _value_chain(self, location: int) -> list[int]:
        """Where a key's values are, newest first, with those that an interrupted purge has erased already."""
        chain: list[int] = []
        while location != NOWHERE:
            chain.append(location)
            entry = self.private_log.frame(location)
            if entry is None:
                raise LogCorrupted("a private value that has to be purged is damaged: run `healthchain verify`")
            location = entry.extra
        return chain

    def apply(self, commit: Commit) -> None:
        """Move the tables forward. Afterwards the block's transactions are committed on this peer."""
        hashed = dict(commit.update.hashed)
        for key, location in zip(commit.private_keys, commit.private_locations, strict=True):
            entry = hashed[key]
            assert entry is not None
            hashed[key] = entry._replace(location=location)
        commit.update.hashed = hashed
        self.state.apply(commit.update)
        self.tip_hash = commit.update.header_hash
        for keys in (commit.update.metadata, commit.update.hashed_metadata):
            self.keyed_namespaces.update(namespace_of(key) for key in keys)
        if changes_rules(commit.update.state):
            self.load_rules()

    def load_rules(self) -> None:
        """What the state says of the next block's rules: the chaincodes that are defined, and who takes part."""
        self.definitions = read_definitions(self)
        self.channel = self.channel.following(read_memberships(self))

    def close(self) -> None:
        """Without making the tables durable: that is `recovery.close_ledger`."""
        self.state.close()
        self.block_log.close()
        self.private_log.close()


def changes_rules(keys: Iterable[bytes]) -> bool:
    """Whether writing these keys may change what `load_rules` reads."""
    return any(key.startswith(RULES) for key in keys)


class RulesState(Protocol):
    """As much of a `View` as the rules are read from."""

    def get(self, namespace: str, key: str) -> Value | None: ...
    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]: ...


def read_definitions(state: RulesState) -> dict[str, ChaincodeDefinition]:
    """By name. What is incomplete or does not decode defines nothing, on every peer alike."""
    found = {}
    for key, _ in state.range(LIFECYCLE, METADATA_START, METADATA_END):
        name = key.removeprefix(METADATA_START)
        values = [state.get(LIFECYCLE, field_key(name, one)) for one in FIELDS]
        encoded = [value.value for value in values if value is not None]
        try:
            if len(encoded) == len(FIELDS):
                found[name] = read_definition(name, *encoded)
        except DefinitionMalformed:
            continue
    return found


def chained_commit_hash(outcome: Outcome, previous: bytes) -> bytes:
    """SHA-256 of the block's codes, its updates in key order and the commit hash before: equal on peers that agree."""
    digest = sha256(len(outcome.codes).to_bytes(4, "big") + bytes(outcome.codes))
    parts: list[bytes] = []
    for key in sorted(outcome.state):
        version, value = outcome.state[key]
        parts += (_framed(key), version.to_bytes(8, "big"), b"\x00" if value is None else b"\x01" + _framed(value))
    for key in sorted(outcome.hashed):
        version, write = outcome.hashed[key]
        parts += (_framed(key), version.to_bytes(8, "big"), bytes((write.purge,)), write.value_hash or b"")
    for mark, table in ((b"metadata", outcome.metadata), (b"hashed metadata", outcome.hashed_metadata)):
        for key in sorted(table):
            version, encoded = table[key]
            parts += (mark, _framed(key), version.to_bytes(8, "big"), _framed(encoded or b""))
    digest.update(b"".join(parts))
    digest.update(previous)
    return digest.digest()


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
