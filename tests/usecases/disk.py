"""What is on the disks: many byte sequences at once, looked for at every position of every file."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from healthchain.contract.ids import BODIES, ENVELOPES
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import PrivateValue, decode_body

PIECE = 16
STEP = 32


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def found(folder: Path, sequences: Iterable[bytes]) -> dict[bytes, list[Path]]:
    """Sequence -> the files that have it. The time depends little on how many of 7 bytes or more there are.

    The words that a sequence may show to somebody who looks at every eighth byte (every fourth, for a short sequence)
    are gathered, and the words of each file looked up among them.
    """
    long, short, shortest = _Words("Q"), _Words("I"), set()
    for one in set(sequences):
        if len(one) >= 2 * long.size - 1:
            long.add(one)
        elif len(one) >= 2 * short.size - 1:
            short.add(one)
        else:
            shortest.add(one)
    places: dict[bytes, list[Path]] = {}
    for path in files(folder):
        content = path.read_bytes()
        for one in {*long.within(content), *short.within(content), *(one for one in shortest if one in content)}:
            places.setdefault(one, []).append(path)
    return places


class _Words:
    """Sequences by each whole word that may lie aligned in them."""

    def __init__(self, kind: Literal["I", "Q"]) -> None:
        self.size = struct.calcsize(kind)
        self._kind: Literal["I", "Q"] = kind
        self._sequences: dict[int, list[tuple[bytes, int]]] = {}

    def add(self, sequence: bytes) -> None:
        for phase in range(self.size):
            word = int.from_bytes(sequence[phase : phase + self.size], sys.byteorder)
            self._sequences.setdefault(word, []).append((sequence, phase))

    def within(self, content: bytes) -> Iterator[bytes]:
        words = memoryview(content)[: len(content) // self.size * self.size].cast(self._kind)
        if self._sequences.keys().isdisjoint(words):
            return
        for index, word in enumerate(words):
            for one, phase in self._sequences.get(word, ()):
                start = index * self.size - phase
                if content[start : start + len(one)] == one:
                    yield one


def pieces(values: Iterable[bytes]) -> set[bytes]:
    """Of each value many short pieces, spread over all of it: a fragment of a value is a leak too."""
    return {value[at : at + PIECE] for value in values for at in range(0, len(value) - PIECE + 1, STEP)}


def private_values(ledger: Ledger) -> list[PrivateValue]:
    """Every private value that the peer holds of any block: bodies and envelopes."""
    return [decode_body(body) for number in range(1, ledger.height) for body in ledger.private_bodies(number).values()]


def bodies(ledger: Ledger, patient: str) -> dict[str, bytes]:
    """Key of the collection -> ciphertext, of all versions of the patient's records."""
    return {one.key: one.value for one in private_values(ledger) if _is_in(one, BODIES) and patient in one.key}


def envelopes(ledger: Ledger, compartments: Iterable[str], recipient: str = "") -> dict[str, bytes]:
    """Key of the collection -> ciphertext, of these compartments, for this recipient or for all."""
    return {
        one.key: one.value
        for one in private_values(ledger)
        if _is_in(one, ENVELOPES) and any(each in one.key for each in compartments) and recipient in one.key
    }


def _is_in(value: PrivateValue, collection: str) -> bool:
    return value.hashed_key.split(b"\0")[1] == collection.encode()
