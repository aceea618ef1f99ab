"""The private log against what the blocks say: which values have to be there, which must be gone, and where they are.

An erased entry has lost its key, so of those only the number can be checked, for each transaction.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from healthchain.ledger.fsck_log import Findings, Frame
from healthchain.ledger.mvcc import PrivateHashWrite
from healthchain.ledger.private import decode_body
from healthchain.ledger.state import HASHED, NOWHERE, TX_BITS, U64
from healthchain.wire.lifecycle import ChaincodeDefinition

PRIVATE_LOG = "private log"


class _Stored(NamedTuple):
    location: int
    extra: int
    value_hash: bytes


class PrivateLog:
    """Fed with the blocks' hashed writes in order; afterwards it knows the rows of two tables."""

    def __init__(self, frames: Iterable[Frame], findings: Findings) -> None:
        self._findings = findings
        self._stored: dict[tuple[int, bytes], _Stored] = {}
        self._erased: Counter[int] = Counter()
        self._purged: Counter[int] = Counter()
        self._ends: dict[int, int] = {}
        self._end = 0
        self._live: defaultdict[bytes, list[int]] = defaultdict(list)
        self._held: dict[bytes, int] = {}
        self.hashed: dict[bytes, bytes] = {}
        self.orphans: dict[bytes, bytes] = {}
        for frame in frames:
            self._read(frame)

    def _read(self, frame: Frame) -> None:
        self._ends[frame.tag >> TX_BITS] = frame.end
        if frame.body is None:
            self._erased[frame.tag] += not frame.damaged
            return
        try:
            value = decode_body(frame.body)
        except (struct.error, UnicodeDecodeError):
            self._findings.add(PRIVATE_LOG, f"an entry of block {frame.tag >> TX_BITS} does not decode")
            return
        if (frame.tag, value.hashed_key) in self._stored:
            self._findings.add(PRIVATE_LOG, f"a value of block {frame.tag >> TX_BITS} is there twice")
        self._stored[frame.tag, value.hashed_key] = _Stored(frame.location, frame.extra, value.value_hash)

    def end(self, number: int) -> int:
        """Where the log ended after a block."""
        self._end = self._ends.get(number, self._end)
        return self._end

    def version(self, key: bytes) -> int | None:
        row = self.hashed.get(key)
        return U64.unpack_from(row)[0] if row else None

    def apply(self, writes: Mapping[bytes, tuple[int, PrivateHashWrite]]) -> None:
        """One block's last writes by key: key -> (packed version, write)."""
        for key, (version, write) in writes.items():
            if write.purge:
                self._purge(key, version)
            if write.value_hash is None:
                self.hashed.pop(key, None)
                self._keep_orphan(key)
            else:
                self._write(key, version, write.value_hash)

    def renew(self, versions: Mapping[bytes, int]) -> None:
        """Of keys whose metadata was written."""
        for key, version in versions.items():
            _, value_hash, location = HASHED.unpack(self.hashed[key])
            self.hashed[key] = HASHED.pack(version, value_hash, location)

    def _purge(self, key: bytes, version: int) -> None:
        self._held.pop(key, None)
        for earlier in self._live.pop(key, []):
            self._purged[earlier] += 1
            if self._stored.pop((earlier, key), None) is not None:
                numbers = f"written in block {earlier >> TX_BITS} and purged in block {version >> TX_BITS}"
                self._findings.add(PRIVATE_LOG, f"a value {numbers} is still on the disk")

    def _write(self, key: bytes, version: int, value_hash: bytes) -> None:
        self._live[key].append(version)
        stored = self._stored.get((version, key))
        before = self._held.get(key, NOWHERE)
        location = NOWHERE
        if stored is not None and stored.value_hash != value_hash:
            self._findings.add(PRIVATE_LOG, f"a value of block {version >> TX_BITS} is not the one that was committed")
        elif stored is not None:
            location = self._held[key] = stored.location
            if stored.extra != before:
                self._findings.add(
                    PRIVATE_LOG, f"a value of block {version >> TX_BITS} does not lead to the one before it"
                )
        self.hashed[key] = HASHED.pack(version, value_hash, location)
        if location == NOWHERE:
            self._keep_orphan(key)
        else:
            self.orphans.pop(key, None)

    def _keep_orphan(self, key: bytes) -> None:
        """The table `orphans` has where the newest held value is, if it is not the current one."""
        held = self._held.get(key)
        if held is None:
            self.orphans.pop(key, None)
        else:
            self.orphans[key] = U64.pack(held)

    def finish(self, definitions: Mapping[str, ChaincodeDefinition], msp_id: str | None) -> None:
        """After the last block: what is missing, and what nobody wrote or purged."""
        missing: Counter[int] = Counter()
        for key, versions in self._live.items():
            expected = msp_id is None or msp_id in _members(key, definitions)
            for version in versions:
                if self._stored.pop((version, key), None) is None and expected:
                    missing[version >> TX_BITS] += 1
        for number in sorted(missing):
            self._findings.add(
                PRIVATE_LOG, f"{missing[number]} values of block {number} are missing, and no purge erased them"
            )
        surplus = Counter(version >> TX_BITS for version, _ in self._stored)
        for version, count in self._erased.items():
            if count > self._purged[version]:
                surplus[version >> TX_BITS] += count - self._purged[version]
        for number in sorted(surplus):
            self._findings.add(
                PRIVATE_LOG, f"{surplus[number]} entries of block {number} belong to no write that is committed"
            )


def _members(key: bytes, definitions: Mapping[str, ChaincodeDefinition]) -> tuple[str, ...]:
    """Whose peers hold a private value, from its key in the table `hashed`: namespace 00 collection 00 hash."""
    namespace, _, rest = key[:-33].decode(errors="replace").partition("\x00")
    definition = definitions.get(namespace)
    for collection in definition.collections if definition else ():
        if collection.name == rest:
            return collection.member_msp_ids
    return ()
