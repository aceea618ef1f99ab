"""Texts that are sealed to named parties: bodies of claims and case reports, reasons, comments.

Every peer holds the ciphertext, in a private collection, purgeable. Who may fetch one is each area's own rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from healthchain.chaincode.stub import Stub
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import MESSAGES, Result

MESSAGE_BYTES_MAX = 1 << 20


def message_key(area: str, *parts: str) -> str:
    """In MESSAGES and in the transient data: for example `claim/<id>/body`."""
    return "/".join((area, *parts))


def store(stub: Stub, required: AbstractSet[str], optional: AbstractSet[str] = frozenset()) -> frozenset[str]:
    """Take these messages from the transient data, where nothing else may be; answers with the keys of those there."""
    transient = stub.transient
    given = sorted((required | optional) & transient.keys())
    if required - set(given) or not all(transient[key] for key in given):
        raise refusal(Code.MESSAGE_MISSING)
    if any(key not in given for key in transient):
        raise refusal(Code.MESSAGE_UNEXPECTED)
    if any(len(transient[key]) > MESSAGE_BYTES_MAX for key in given):
        raise refusal(Code.MESSAGE_TOO_LARGE)
    for key in given:
        stub.put_private(MESSAGES, key, transient[key])
    return frozenset(given)


class Sealed(Result, frozen=True):
    ciphertext: bytes


def fetch(stub: Stub, key: str) -> Sealed:
    """MESSAGE_UNKNOWN if it never was or is purged."""
    found = stub.get_private(MESSAGES, key)
    if found is None:
        raise refusal(Code.MESSAGE_UNKNOWN)
    return Sealed(found)


def purge(stub: Stub, keys: Iterable[str]) -> None:
    for key in sorted(keys):
        stub.purge_private(MESSAGES, key)
