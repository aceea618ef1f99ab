"""What was read in which session: before a record's body leaves, the ledger says so. And the list of all sessions.

Rows are only ever added, under the transaction's own id, so that no disclosure conflicts with another.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import asdict

from healthchain.chaincode.stub import Stub
from healthchain.contract import guardians, patients
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Arguments, Id, Limit, Result, Role, StartId
from healthchain.contract.members import Acting, acting, organisation_of
from healthchain.contract.patients import Patient
from healthchain.contract.sessions import SESSIONS, Session
from healthchain.contract.state import State, Table


class DisclosedRecord(State, frozen=True, array_like=True, order=True):
    id: str
    version: int


class Disclosure(State, frozen=True):
    """One batch of records, by id; `outside` tells that the reader is not of the patient's custodian."""

    records: tuple[DisclosedRecord, ...]
    time_ms: int
    outside: bool


DISCLOSURES = Table("disclosure", Disclosure)  # patient, session, transaction id


def disclosed(stub: Stub, patient_id: str, session_id: str) -> Iterator[DisclosedRecord]:
    """All that this session may have seen; one that was disclosed twice comes twice."""
    for _, disclosure in DISCLOSURES.scan(stub, patient_id, session_id):
        yield from disclosure.records


class List(Arguments, frozen=True):
    patient: Id
    start: StartId = ""
    limit: Limit = 100


class ListedSession(Session, frozen=True, kw_only=True):
    """`reads` counts each disclosure of each record, `disclosed` has what they were of."""

    id: str
    organisation: str
    reads: int
    disclosed: tuple[DisclosedRecord, ...]


class Sessions(Result, frozen=True):
    sessions: list[ListedSession]
    next: str | None


def list_sessions(stub: Stub, arguments: List) -> Sessions:
    """All for the patient, guardians and the custodian's administrator, for others their own; by session id."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    sees_all = _sees_all(stub, gate, arguments.patient, patient)
    found: list[ListedSession] = []
    for (_, session_id), session in SESSIONS.scan_from(stub, (arguments.patient,), arguments.start):
        if not sees_all and session.user != gate.user:
            continue
        if len(found) == arguments.limit:
            return Sessions(found, session_id)
        found.append(_listed(stub, session_id, session))
    return Sessions(found, None)


def _sees_all(stub: Stub, gate: Acting, patient_id: str, patient: Patient) -> bool:
    if gate.role in PERSONS:
        guardians.require_speaker(stub, patient_id, patient, Scope.READ)
        return True
    return gate.role is Role.ADMINISTRATOR and gate.caller.msp_id == patient.custodian


def _listed(stub: Stub, session_id: str, session: Session) -> ListedSession:
    read = list(disclosed(stub, session.patient, session_id))
    return ListedSession(
        id=session_id,
        organisation=organisation_of(session.user),
        reads=len(read),
        disclosed=tuple(sorted(set(read))),
        **asdict(session),
    )
