"""Compartment key envelopes: which must come with a call, and who holds one of which epoch.

The ciphertexts are private and purgeable. Their addresses are public, so that a purge finds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from healthchain.chaincode.stub import Stub
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import ENVELOPES, envelope_key
from healthchain.contract.state import State, Table

ENVELOPE_BYTES_MAX = 16 * 1024


class Address(NamedTuple):
    """Orders by compartment, recipient, epoch, as the table does."""

    compartment: str
    recipient: str
    epoch: int

    @property
    def key(self) -> str:
        return envelope_key(self.compartment, self.epoch, self.recipient)


class Sealed(State, frozen=True):
    epoch: int


RECIPIENTS = Table("recipient", Sealed)


def store(stub: Stub, required: AbstractSet[Address], optional: AbstractSet[Address] = frozenset()) -> None:
    """Take all required and any optional envelopes from the transient data, where nothing else may be."""
    transient = stub.transient
    if any(not transient.get(address.key) for address in sorted(required)):
        raise refusal(Code.ENVELOPE_MISSING)
    given = {address.key: address for address in sorted(required | optional) if address.key in transient}
    if len(given) != len(transient):
        raise refusal(Code.ENVELOPE_UNEXPECTED)
    for key in sorted(given):
        _put(stub, given[key], transient)


def _put(stub: Stub, address: Address, transient: Mapping[str, bytes]) -> None:
    ciphertext = transient[address.key]
    if not ciphertext:
        raise refusal(Code.ENVELOPE_MISSING)
    if len(ciphertext) > ENVELOPE_BYTES_MAX:
        raise refusal(Code.ENVELOPE_TOO_LARGE)
    stub.put_private(ENVELOPES, address.key, ciphertext)
    RECIPIENTS.put(stub, Sealed(address.epoch), *_attributes(address))


def held(stub: Stub, compartment: str, *recipient: str) -> list[Address]:
    """Every envelope of the compartment (for one recipient, if given), by recipient and epoch."""
    rows = RECIPIENTS.scan(stub, compartment, *recipient)
    return [Address(compartment, attributes[1], sealed.epoch) for attributes, sealed in rows]


def purge(stub: Stub, addresses: Iterable[Address]) -> None:
    for address in sorted(addresses):
        stub.purge_private(ENVELOPES, address.key)
        RECIPIENTS.delete(stub, *_attributes(address))


def _attributes(address: Address) -> tuple[str, str, str]:
    return address.compartment, address.recipient, f"{address.epoch:010}"
