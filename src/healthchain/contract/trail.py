"""All that touched one patient, out of what the areas keep of it: nothing is written for the sake of the audit.

Case reports are not among it: on the ledger nothing joins a report to a patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from healthchain.chaincode.stub import Stub
from healthchain.contract.authorisations import AUTHORISATIONS
from healthchain.contract.billing import ENCOUNTERS
from healthchain.contract.claim_states import CLAIMS
from healthchain.contract.consents import CONSENTS, Decision
from healthchain.contract.coverage import COVERAGES
from healthchain.contract.disclosures import DISCLOSURES
from healthchain.contract.emergency import EMERGENCIES
from healthchain.contract.erasure import ERASURES
from healthchain.contract.guardians import GUARDIANS
from healthchain.contract.ids import Purpose, Result, Role
from healthchain.contract.life_events import LIFE_EVENTS
from healthchain.contract.members import organisation_of
from healthchain.contract.patients import CUSTODY, Patient
from healthchain.contract.records import HEADERS, Header, RecordStatus
from healthchain.contract.rekeying import ROTATIONS
from healthchain.contract.revocation import ORDERS
from healthchain.contract.sessions import SESSIONS, Session


class Happening(StrEnum):
    """In the order that entries of the same millisecond are listed in."""

    REGISTERED = "registered"
    LIFE_EVENT = "life-event"
    WRITTEN = "written"
    GRANTED = "granted"
    DENIED = "denied"
    SESSION_OPENED = "session-opened"
    SESSION_DELEGATED = "session-delegated"
    GLASS_BROKEN = "glass-broken"
    KEYS_RELEASED = "keys-released"
    DISCLOSED = "disclosed"
    SESSION_RENEWED = "session-renewed"
    SESSION_CLOSED = "session-closed"
    REVIEWED = "reviewed"
    REVOKED = "revoked"
    COURT_ORDERED = "court-ordered"
    KEYS_ROTATED = "keys-rotated"
    COVERED = "covered"
    COVERAGE_ENDED = "coverage-ended"
    ENCOUNTER_BOUND = "encounter-bound"
    AUTHORISATION_REQUESTED = "authorisation-requested"
    AUTHORISATION_ANSWERED = "authorisation-answered"
    CLAIM = "claim"
    ERASED = "erased"
    PATIENT_ERASED = "patient-erased"


ORDER = {happening: place for place, happening in enumerate(Happening)}


class Entry(Result, frozen=True, kw_only=True):
    """`ids` are of what is concerned: records, consent, session, claim; `version` goes with a written record.

    `detail` says which life event, state of the claim, answer or review.
    """

    time_ms: int
    happening: Happening
    user: str  # MSP/CN
    organisation: str = ""
    ids: tuple[str, ...] = ()
    version: int | None = None
    role: Role | None = None
    purpose: Purpose | None = None
    detail: str = ""


def entries(stub: Stub, patient_id: str, patient: Patient) -> list[Entry]:
    """In order of time."""
    parts = (
        _registered(stub, patient_id, patient),
        _life_events(stub, patient_id),
        _records(stub, patient_id),
        _consents(stub, patient_id),
        _sessions(stub, patient_id),
        _emergencies(stub, patient_id),
        _keys(stub, patient_id),
        _claims(stub, patient_id),
        _erasures(stub, patient_id),
    )
    return sorted((one for part in parts for one in part), key=_place)


def _place(entry: Entry) -> tuple[int, int, tuple[str, ...], int]:
    return entry.time_ms, ORDER[entry.happening], entry.ids, entry.version or 0


def _entry(
    time_ms: int,
    happening: Happening,
    user: str,
    *ids: str,
    version: int | None = None,
    role: Role | None = None,
    purpose: Purpose | None = None,
    detail: str = "",
) -> Entry:
    return Entry(
        time_ms=time_ms,
        happening=happening,
        user=user,
        organisation=organisation_of(user),
        ids=ids,
        version=version,
        role=role,
        purpose=purpose,
        detail=detail,
    )


def _registered(stub: Stub, patient_id: str, patient: Patient) -> Iterator[Entry]:
    custody = CUSTODY.get(stub, patient.custodian, patient_id)
    assert custody is not None, "every patient is in its custodian's index"
    yield _entry(custody.time_ms, Happening.REGISTERED, custody.by, role=custody.role)


def _life_events(stub: Stub, patient_id: str) -> Iterator[Entry]:
    for _, one in LIFE_EVENTS.scan(stub, patient_id):
        about = (one.about,) if one.about else ()
        yield _entry(one.time_ms, Happening.LIFE_EVENT, one.by, *about, role=one.role, detail=one.happening)


def _records(stub: Stub, patient_id: str) -> Iterator[Entry]:
    for (_, record), header in HEADERS.scan(stub, patient_id):
        for one in _versions(stub, patient_id, record, header):
            yield _entry(one.time_ms, Happening.WRITTEN, one.author, record, version=one.version)


def _versions(stub: Stub, patient_id: str, record: str, header: Header) -> list[Header]:
    """All headers that writes made. A record that was never amended needs no look into its history."""
    if header.version == 1:
        return [header]
    found = [HEADERS.decode(one.value) for one in stub.history(HEADERS.key(patient_id, record))]
    return [one for one in found if one is not None and one.status is not RecordStatus.ERASED]


def _consents(stub: Stub, patient_id: str) -> Iterator[Entry]:
    guardians = {guardian for (_, guardian), _ in GUARDIANS.scan(stub, patient_id)}
    for _, consent in CONSENTS.scan(stub, patient_id):
        given = Happening.GRANTED if consent.decision is Decision.PERMIT else Happening.DENIED
        role = Role.GUARDIAN if consent.granted_by.split("/", 1)[1] in guardians else Role.PATIENT
        yield _entry(consent.granted_ms, given, consent.granted_by, consent.id, role=role)
        if consent.ended_ms is not None and consent.ended_by is not None:
            yield _entry(consent.ended_ms, Happening.REVOKED, consent.ended_by, consent.id)
    for (_, order), one in ORDERS.scan(stub, patient_id):
        yield _entry(one.time_ms, Happening.COURT_ORDERED, one.by, order, *one.consents)


def _sessions(stub: Stub, patient_id: str) -> Iterator[Entry]:
    by_id: dict[str, Session] = {}
    for (_, session_id), session in SESSIONS.scan(stub, patient_id):
        by_id[session_id] = session
        if session.emergency:
            opened = Happening.GLASS_BROKEN
        else:
            opened = Happening.SESSION_DELEGATED if session.delegated_from else Happening.SESSION_OPENED
        yield _of_session(session.start_ms, opened, session, session_id)
        if session.closed_ms is not None:
            yield _of_session(session.closed_ms, Happening.SESSION_CLOSED, session, session_id)
        for time_ms in _renewals(stub, patient_id, session_id, session):
            yield _of_session(time_ms, Happening.SESSION_RENEWED, session, session_id)
    for (_, session_id, _), disclosure in DISCLOSURES.scan(stub, patient_id):
        records = [one.id for one in disclosure.records]
        yield _of_session(disclosure.time_ms, Happening.DISCLOSED, by_id[session_id], session_id, *records)


def _of_session(time_ms: int, happening: Happening, session: Session, *ids: str) -> Entry:
    return _entry(time_ms, happening, session.user, *ids, role=session.role, purpose=session.purpose)


def _renewals(stub: Stub, patient_id: str, session_id: str, session: Session) -> Iterator[int]:
    """When it was renewed; one that never was needs no look into its history."""
    if not session.renewals:
        return
    renewals = 0
    for one in reversed(list(stub.history(SESSIONS.key(patient_id, session_id)))):
        written = SESSIONS.decode(one.value)
        if written is not None and written.renewals > renewals:
            renewals = written.renewals
            yield one.timestamp_ms


def _emergencies(stub: Stub, patient_id: str) -> Iterator[Entry]:
    for (_, session_id), one in EMERGENCIES.scan(stub, patient_id):
        if one.released_by is not None and one.released_ms is not None:
            yield _entry(one.released_ms, Happening.KEYS_RELEASED, one.released_by, session_id)
        if one.decided_by is not None and one.decided_ms is not None:
            found = "justified" if one.justified else "not justified"
            yield _entry(one.decided_ms, Happening.REVIEWED, one.decided_by, session_id, detail=found)


def _keys(stub: Stub, patient_id: str) -> Iterator[Entry]:
    for _, one in ROTATIONS.scan(stub, patient_id):
        yield _entry(one.time_ms, Happening.KEYS_ROTATED, one.by, *one.compartments, role=one.role)


def _claims(stub: Stub, patient_id: str) -> Iterator[Entry]:
    for (_, coverage_id), coverage in COVERAGES.scan(stub, patient_id):
        yield _entry(coverage.time_ms, Happening.COVERED, coverage.by, coverage_id)
        if coverage.ended_by is not None:
            yield _entry(coverage.end_ms, Happening.COVERAGE_ENDED, coverage.ended_by, coverage_id)
    for (_, record), bound in ENCOUNTERS.scan(stub, patient_id):
        yield _entry(bound.time_ms, Happening.ENCOUNTER_BOUND, bound.by, record)
    for (_, authorisation), one in AUTHORISATIONS.scan(stub, patient_id):
        yield _entry(one.time_ms, Happening.AUTHORISATION_REQUESTED, one.by, authorisation)
        if one.answered_by is not None and one.answered_ms is not None:
            answer = "granted" if one.granted else "denied"
            yield _entry(
                one.answered_ms, Happening.AUTHORISATION_ANSWERED, one.answered_by, authorisation, detail=answer
            )
    for (_, claim_id), _ in CLAIMS.scan(stub, patient_id):
        yield from _claim(stub, patient_id, claim_id)


def _claim(stub: Stub, patient_id: str, claim_id: str) -> Iterator[Entry]:
    """Each state that it was in; what was written to it within a state is of the same time and user."""
    found = [CLAIMS.decode(one.value) for one in stub.history(CLAIMS.key(patient_id, claim_id))]
    states = [(one.state_ms, one.state_by, one.state) for one in reversed(found) if one is not None]
    for time_ms, by, state in dict.fromkeys(states):
        yield _entry(time_ms, Happening.CLAIM, by, claim_id, detail=state)


def _erasures(stub: Stub, patient_id: str) -> Iterator[Entry]:
    for _, erasure in ERASURES.scan(stub, patient_id):
        happening = Happening.PATIENT_ERASED if erasure.whole_patient else Happening.ERASED
        records = [one.id for one in erasure.records]
        yield _entry(erasure.time_ms, happening, erasure.by, *records, role=erasure.role)
