"""Commitments to amounts and reasons: SHA-256 over what is committed to and a salt of 256 bits.

Whoever knows the salt can open one, and nobody can open it to something else or test a guess without it. Nothing is
added up under commitments, so they need not be homomorphic (Pedersen), and a hash also binds those who have a quantum
computer.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from healthchain.contract.ids import Digest

SALT_BYTES = 32
MINOR_UNITS_MAX = 2**53
Minor = Annotated[int, Meta(ge=0, lt=MINOR_UNITS_MAX)]  # of the currency: cents
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", max_length=3)]  # ISO 4217
Salt = Digest


class Part(StrEnum):
    """What of a claim a commitment is about."""

    BILLED = "billed"  # of a line
    TOTAL = "total"
    PAID = "paid"  # of a line, by the last adjudication
    REASON = "reason"  # of a line: the CARC
    SETTLED = "settled"


def amount(patient: str, claim: str, part: Part, line: int, minor: int, currency: str, salt: bytes) -> bytes:
    """`line` is 0 for the whole claim."""
    return _digest(patient, claim, part, str(line), str(minor), currency, salt=salt)


def reason(patient: str, claim: str, line: int, carc: str, salt: bytes) -> bytes:
    """Claim adjustment reason codes are few, which is why this one is salted too."""
    return _digest(patient, claim, Part.REASON, str(line), carc, salt=salt)


def secret(patient: str, record: str, value: bytes) -> bytes:
    """To an encounter's secret of 256 bits, which needs no salt beside it."""
    return _digest(patient, record, "encounter", salt=value)


def _digest(*fields: str, salt: bytes) -> bytes:
    """Each field with its length in front, so that no two lists of fields are one string."""
    encoded = b"".join(len(one.encode()).to_bytes(4) + one.encode() for one in fields)
    return sha256(b"HealthChain/1/commitment\0" + encoded + salt).digest()
