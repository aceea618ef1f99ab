"""The slow, obvious twin of the access rules for one patient: who may read, write and hold keys of what."""

from __future__ import annotations

from dataclasses import dataclass, field

from healthchain.chaincode.stub import Caller

from .consortium import ALICE, K, sealed

CUSTODIAN = "HospitalA"


@dataclass
class Consent:
    grantee: str
    compartments: set[str]
    purposes: set[str]
    actions: set[str]
    start_ms: int
    end_ms: int
    revoked: bool = False


@dataclass
class Session:
    """`due_ms` is an emergency's, until it is reviewed; `origin` the session that a colleague passed on."""

    caller: Caller
    purpose: str
    scope: set[str]
    end_ms: int
    emergency: bool = False
    due_ms: int | None = None
    origin: str | None = None
    disclosed: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Record:
    compartment: str
    version: int
    body: bytes
    author: str  # MSP id


@dataclass
class Model:
    consents: dict[str, Consent] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(K, 1))
    envelopes: set[tuple[str, int, str]] = field(
        default_factory=lambda: {(one, 1, to) for one in K for to in (CUSTODIAN, ALICE)}
    )

    def readable(self, caller: Caller, purpose: str, now_ms: int) -> set[str]:
        if caller.role == "patient":
            return set(K) if purpose == "PATRQT" else set()
        if purpose == "PATRQT":
            return set()
        if caller.msp_id == CUSTODIAN and purpose in {"TREAT", "ETREAT", "HOPERAT"}:
            return set(K)
        return self._consented(caller, "read", now_ms, purpose)

    def writable(self, caller: Caller, now_ms: int) -> set[str]:
        return set(K) if caller.msp_id == CUSTODIAN else self._consented(caller, "contribute", now_ms, None)

    def _consented(self, caller: Caller, action: str, now_ms: int, purpose: str | None) -> set[str]:
        found: set[str] = set()
        for one in self.consents.values():
            in_force = not one.revoked and one.start_ms <= now_ms < one.end_ms
            fits = action in one.actions and (purpose is None or purpose in one.purposes)
            if one.grantee == caller.msp_id and in_force and fits:
                found |= one.compartments
        return found

    def visible(self, caller: Caller, session_id: str, now_ms: int) -> set[str]:
        """The compartments that a read in this session may let out; none if it allows no read at all."""
        session = self.sessions.get(session_id)
        if session is None or session.caller != caller or not self.runs(session, now_ms):
            return set()
        return session.scope if session.emergency else session.scope & self.readable(caller, session.purpose, now_ms)

    def runs(self, session: Session, now_ms: int) -> bool:
        origin = self.sessions[session.origin] if session.origin else None
        return now_ms < session.end_ms and (origin is None or now_ms < origin.end_ms)

    def is_overdue(self, caller: Caller, now_ms: int) -> bool:
        own = [one.due_ms for one in self.sessions.values() if one.caller == caller]
        return any(one is not None and one <= now_ms for one in own)

    def read(self, session_id: str, records: set[str]) -> bool:
        """Whether the ledger says already that this session reads these records as they are now."""
        session = self.sessions[session_id]
        versions = {(one, self.records[one].version) for one in records}
        return session.caller.role == "patient" or versions <= session.disclosed

    def grant(self, consent_id: str, consent: Consent) -> dict[str, bytes]:
        """The envelopes that must come along."""
        self.consents[consent_id] = consent
        missing = {
            (one, self.epochs[one], consent.grantee)
            for one in consent.compartments
            if (one, self.epochs[one], consent.grantee) not in self.envelopes
        }
        self.envelopes |= missing
        return _transient(missing)

    def revoke(self, consent_id: str, now_ms: int) -> tuple[dict[str, int], dict[str, bytes]]:
        """New epochs and the envelopes that must come along."""
        self.consents[consent_id].revoked = True
        epochs: dict[str, int] = {}
        fresh: set[tuple[str, int, str]] = set()
        for compartment in K:
            staying = {CUSTODIAN, ALICE}
            for one in self.consents.values():
                if not one.revoked and now_ms < one.end_ms and compartment in one.compartments:
                    staying.add(one.grantee)
            lost = {one for one in self.envelopes if one[0] == compartment and one[2] not in staying}
            if lost:
                epochs[compartment] = self.epochs[compartment] + 1
                fresh |= {(compartment, epochs[compartment], to) for to in staying}
            self.envelopes -= lost
        self.epochs |= epochs
        self.envelopes |= fresh
        return epochs, _transient(fresh)


def _transient(addresses: set[tuple[str, int, str]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for compartment, epoch, recipient in sorted(addresses):
        found |= sealed([compartment], epoch, recipient)
    return found
