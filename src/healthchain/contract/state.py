"""Where the contract keeps what on the public ledger: one table for each kind of value, under composite keys.

| table | attributes of the key | defined in |
|---|---|---|
| member, member-key, member-contact, membership | MSP id | members |
| policy | "in-force" | policies |
| proposal | proposal | governance |
| vote | proposal, MSP id | governance |
| licence | holder | licences |
| guardian | patient, guardian | guardians |
| life-event | patient, transaction id | life_events |
| merge | patient | merging |
| transfer | patient | custody |
| patient, patient-key | patient | patients |
| custody | MSP id of the custodian, patient | patients |
| compartment | compartment | patients |
| recipient | compartment, recipient, epoch | envelopes |
| consent | patient, MSP id of the grantee, consent | consents |
| order | patient, order | revocation |
| rotation | patient, transaction id | rekeying |
| session | patient, session | sessions |
| disclosure | patient, session, transaction id | disclosures |
| emergency | patient, session | emergency |
| pending-review | user, patient, session | emergency |
| record | patient, record | records |
| erasure | patient, transaction id | erasure |
| coverage | patient, coverage | coverage |
| authorisation | patient, authorisation | authorisations |
| encounter | patient, record | billing |
| billed | patient, record of the encounter, token | billing |
| claim | patient, claim | claim_states |
| claim-due | MSP id of the payer, patient, "claim" or "authorisation", its id | claims_due |
| report | report | reports |
| report-follow-up | report, follow-up | reports |
| report-request | report, request | reports |
| report-filed | MSP id of the hospital or the agency, report | reports |
| report-late | MSP id of the agency, report | reports |
| report-waiting | MSP id of the agency, report, request | reports |
| aggregate | aggregate | aggregates |
| aggregate-place | MSP id of the agency, year, finest condition, aggregate | aggregates |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec

from healthchain.chaincode.stub import MAX_CODE_POINT, Stub, composite_key, split_composite_key
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Event

DECODED_MAX = 1024

_encode = msgspec.json.Encoder().encode


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value on the ledger: compact JSON, fields in the order of the class."""


S = TypeVar("S", bound=msgspec.Struct)


class Table(Generic[S]):
    """All values of one kind; their keys are `composite_key(object_type, attributes)`."""

    def __init__(self, object_type: str, struct: type[S], *, seldom_changed: bool = False) -> None:
        """Of what nearly every call reads and hardly any writes, decoded values are kept, by their bytes."""
        self.object_type = object_type
        self._decoder = msgspec.json.Decoder(struct)
        self._decode = lru_cache(DECODED_MAX)(self._decoder.decode) if seldom_changed else self._decoder.decode

    def key(self, *attributes: str) -> str:
        return composite_key(self.object_type, attributes)

    def decode(self, value: bytes | None) -> S | None:
        return None if value is None else self._decode(value)

    def get(self, stub: Stub, *attributes: str) -> S | None:
        return self.decode(stub.get_state(self.key(*attributes)))

    def require(self, stub: Stub, unknown: Code, *attributes: str) -> S:
        """As `get`; refuses with this code where there is none."""
        found = self.get(stub, *attributes)
        if found is None:
            raise refusal(unknown)
        return found

    def get_many(self, stub: Stub, patient: str, ids: Sequence[str]) -> list[S | None]:
        return [self.decode(value) for value in stub.get_states([self.key(patient, one) for one in ids])]

    def put(self, stub: Stub, value: S, *attributes: str) -> None:
        stub.put_state(self.key(*attributes), _encode(value))

    def delete(self, stub: Stub, *attributes: str) -> None:
        stub.delete_state(self.key(*attributes))

    def scan(self, stub: Stub, *attributes: str) -> Iterator[tuple[list[str], S]]:
        """(all attributes of the key, value) under these first attributes, in key order."""
        return self._rows(stub.range_composite(self.object_type, attributes))

    def scan_from(self, stub: Stub, attributes: Sequence[str], start: str) -> Iterator[tuple[list[str], S]]:
        """As `scan`, but from the row whose next attribute is `start` ("" is the first)."""
        if not start:
            return self.scan(stub, *attributes)
        end = self.key(*attributes) + MAX_CODE_POINT
        return self._rows(stub.range_states(self.key(*attributes, start), end))

    def _rows(self, pairs: Iterable[tuple[str, bytes]]) -> Iterator[tuple[list[str], S]]:
        for key, value in pairs:
            yield split_composite_key(key)[1], self._decoder.decode(value)


def emit(stub: Stub, name: str, patient: str, ids: Iterable[str]) -> None:
    stub.set_event(name, _encode(Event(patient, tuple(ids))))
