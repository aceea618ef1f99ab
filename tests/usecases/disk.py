"""What is on the disks: many byte sequences at once, looked for at every position of every file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from healthchain.contract.ids import BODIES, ENVELOPES
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import PrivateValue, decode_body

WORD = 8
PIECE = 2 * WORD  # a piece of this length has a whole aligned word in it, wherever in a file it lies
STEP = 32


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def found(folder: Path, sequences: Iterable[bytes]) -> dict[bytes, list[Path]]:
    """Sequence -> the files that have it. Each is of 15 bytes or more.

    The words that a sequence may show to somebody who looks at every eighth byte are gathered, and the words of each
    file looked up among them: the time does not depend on how many sequences there are.
    """
    by_word: dict[int, list[tuple[bytes, int]]] = {}
    for one in sequences:
        assert len(one) >= PIECE - 1
        for phase in range(WORD):
            word = int.from_bytes(one[phase : phase + WORD], sys.byteorder)
            by_word.setdefault(word, []).append((one, phase))
    places: dict[bytes, list[Path]] = {}
    for path in files(folder):
        content = path.read_bytes()
        words = memoryview(content)[: len(content) // WORD * WORD].cast("Q")
        if by_word.keys().isdisjoint(words):
            continue
        for index, word in enumerate(words):
            for one, phase in by_word.get(word, ()):
                start = index * WORD - phase
                if content[start : start + len(one)] == one and path not in places.setdefault(one, []):
                    places[one].append(path)
    return {one: paths for one, paths in places.items() if paths}


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
