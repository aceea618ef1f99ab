"""The dry run: who could use a patient's compartments so, and which rule says it. Nothing is opened or written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS, Consent
from healthchain.contract.deciding import Level, Person, Use, decide
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Action, Arguments, CommonName, Id, MspId, Purpose, Result, Role
from healthchain.contract.members import MEMBERS, STAFF_OF_KIND, acting
from healthchain.contract.policies import Permission, Policies

PERMISSIONS = {Action.READ: Permission.READ_RECORD, Action.CONTRIBUTE: Permission.WRITE_RECORD}


class Subject(Arguments, frozen=True):
    """Somebody of a member; without a person, everybody of that role whom no consent names."""

    msp_id: MspId
    role: Role
    person: CommonName | None = None


class Explain(Arguments, frozen=True):
    """Without subjects: the custodian's staff, and every role and person of those to whom a consent was given."""

    patient: Id
    purpose: Purpose
    action: Action = Action.READ
    subjects: Annotated[tuple[Subject, ...], Meta(max_length=50)] = ()


class Reason(Result, frozen=True):
    """`level` is of the rule that decided, `consent` the consent's id; none is the default rule."""

    compartment: str
    permitted: bool
    level: Level
    consent: str | None


class Explained(Result, frozen=True):
    msp_id: str
    role: Role
    person: str | None
    reasons: list[Reason]  # by compartment; none if the policies or its standing keep the subject from it anyway


class Explanation(Result, frozen=True):
    subjects: list[Explained]


def explain(stub: Stub, arguments: Explain) -> Explanation:
    """For the patient, guardians and the custodian's administrator."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    if gate.role in PERSONS:
        guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    elif gate.role is not Role.ADMINISTRATOR or gate.caller.msp_id != patient.custodian:
        raise refusal(Code.NOT_THE_CUSTODIAN)
    given = [consent for _, consent in CONSENTS.scan(stub, arguments.patient)]
    use = Use(arguments.action, arguments.purpose, stub.timestamp_ms)
    subjects = arguments.subjects or tuple(_concerned(stub, patient.custodian, given, use))
    explained = []
    for one in subjects:
        who = Person(one.msp_id, one.role, one.person or "")
        verdicts = decide(who, patient, _of(given, one.msp_id), use, patient.compartments)
        reasons = [Reason(compartment, *verdict) for compartment, verdict in verdicts.items()]
        may = _may(stub, gate.policies, one, arguments.action)
        explained.append(Explained(one.msp_id, one.role, one.person, reasons if may else []))
    return Explanation(explained)


def _of(given: Iterable[Consent], msp_id: str) -> Iterator[Consent]:
    return (one for one in given if one.grantee == msp_id)


def _may(stub: Stub, policies: Policies, subject: Subject, action: Action) -> bool:
    member = MEMBERS.get(stub, subject.msp_id)
    active = member is not None and member.standing is Standing.ACTIVE
    return active and member is not None and policies.may(PERMISSIONS[action], member.kind, subject.role)


def _concerned(stub: Stub, custodian: str, given: Iterable[Consent], use: Use) -> Iterator[Subject]:
    """By organisation: each role of its staff, in general and for every person that a consent in force names."""
    named: dict[str, set[str]] = {custodian: set()}
    for one in given:
        if one.in_force(use.now_ms):
            persons = named.setdefault(one.grantee, set())
            persons.update(one.exceptions)
            persons.update((one.person,) if one.person is not None else ())
    for msp_id in sorted(named):
        member = MEMBERS.get(stub, msp_id)
        assert member is not None, "a grantee is a member"
        for role in sorted(STAFF_OF_KIND[member.kind]):
            yield Subject(msp_id, role)
            for person in sorted(named[msp_id]):
                yield Subject(msp_id, role, person)
