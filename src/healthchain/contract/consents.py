"""Consents: given by the patient or a guardian, in force for a period, looked at again at each use (`deciding`).

A consent that expires is out of force at once; its envelopes are purged at the patient's next revocation.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import envelopes, guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.envelopes import Address
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import (
    PERSONS,
    Action,
    Arguments,
    CommonName,
    Id,
    Milliseconds,
    MspId,
    Purpose,
    Result,
    Role,
)
from healthchain.contract.members import MEMBERS, STAFF_OF_KIND, acting, user_of
from healthchain.contract.patients import Patient
from healthchain.contract.state import State, Table, emit


class ConsentStatus(StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"


class Decision(StrEnum):
    PERMIT = "permit"
    DENY = "deny"


class Consent(State, frozen=True):
    """From start_ms (inclusive) to end_ms (exclusive), unless revoked; lists are sorted.

    It is for everybody of the grantee organisation, or for one role or one person of it; a permit may except persons.
    `later_compartments` tells that a compartment which the patient gets later belongs to it too.
    """

    id: str
    grantee: str
    compartments: tuple[str, ...]
    purposes: tuple[Purpose, ...]
    actions: tuple[Action, ...]
    start_ms: int
    end_ms: int
    status: ConsentStatus
    granted_by: str
    granted_ms: int
    decision: Decision = Decision.PERMIT
    role: Role | None = None
    person: str | None = None  # a common name
    exceptions: tuple[str, ...] = ()
    later_compartments: bool = False
    ended_by: str | None = None
    ended_ms: int | None = None

    def lasts(self, now_ms: int) -> bool:
        """Neither revoked nor expired; it may still lie ahead, but its grantee holds the keys already."""
        return self.status is ConsentStatus.ACTIVE and now_ms < self.end_ms

    def in_force(self, now_ms: int) -> bool:
        return self.lasts(now_ms) and self.start_ms <= now_ms


CONSENTS = Table("consent", Consent)


class Grant(Arguments, frozen=True):
    """`role` or `person` narrow it to a part of the organisation; `exceptions` are persons to whom a permit is none."""

    id: Id
    patient: Id
    grantee: MspId
    compartments: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=100)]
    purposes: Annotated[tuple[Purpose, ...], Meta(min_length=1, max_length=20)]
    actions: Annotated[tuple[Action, ...], Meta(min_length=1, max_length=10)]
    start_ms: Milliseconds
    end_ms: Milliseconds
    decision: Decision = Decision.PERMIT
    role: Role | None = None
    person: CommonName | None = None
    exceptions: Annotated[tuple[CommonName, ...], Meta(max_length=50)] = ()
    later_compartments: bool = False


def grant(stub: Stub, arguments: Grant) -> None:
    """By the patient or a guardian. Transient: a permit's envelopes to the grantee, see `_addresses`."""
    acting(stub)
    patient = patients.active(stub, arguments.patient)
    guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    _check_grantee(stub, arguments, patient)
    patients.require_compartments(patient, arguments.compartments)
    if not max(arguments.start_ms, stub.timestamp_ms) < arguments.end_ms:
        raise refusal(Code.PERIOD_INVALID)
    if any(consent.id == arguments.id for _, consent in CONSENTS.scan(stub, arguments.patient)):
        raise refusal(Code.CONSENT_EXISTS)
    consent = _consent(stub, arguments)
    required, optional = _addresses(stub, patient, consent)
    envelopes.store(stub, required, optional)
    CONSENTS.put(stub, consent, arguments.patient, consent.grantee, consent.id)
    emit(stub, "consents:Granted", arguments.patient, (consent.id,))


def _check_grantee(stub: Stub, arguments: Grant, patient: Patient) -> None:
    """The custodian's staff can be denied, and permitted nothing: its own rule does that (`deciding`)."""
    member = MEMBERS.get(stub, arguments.grantee)
    if member is None or member.standing is not Standing.ACTIVE:
        raise refusal(Code.GRANTEE_UNKNOWN)
    permit = arguments.decision is Decision.PERMIT
    if permit and arguments.grantee == patient.custodian:
        raise refusal(Code.GRANTEE_IS_CUSTODIAN)
    if arguments.role is not None and arguments.role not in STAFF_OF_KIND[member.kind]:
        raise refusal(Code.GRANTEE_ROLE)
    named = arguments.person is not None
    if (named and arguments.role is not None) or (arguments.exceptions and (named or not permit)):
        raise refusal(Code.GRANTEE_AMBIGUOUS)


def _consent(stub: Stub, arguments: Grant) -> Consent:
    return Consent(
        id=arguments.id,
        grantee=arguments.grantee,
        compartments=tuple(sorted(set(arguments.compartments))),
        purposes=tuple(sorted(set(arguments.purposes))),
        actions=tuple(sorted(set(arguments.actions))),
        start_ms=arguments.start_ms,
        end_ms=arguments.end_ms,
        status=ConsentStatus.ACTIVE,
        granted_by=user_of(stub.caller),
        granted_ms=stub.timestamp_ms,
        decision=arguments.decision,
        role=arguments.role,
        person=arguments.person,
        exceptions=tuple(sorted(set(arguments.exceptions))),
        later_compartments=arguments.later_compartments,
    )


def _addresses(stub: Stub, patient: Patient, consent: Consent) -> tuple[set[Address], set[Address]]:
    """Required: the current epoch if the grantee has no envelope yet. Optional: that again, older epochs."""
    required: set[Address] = set()
    optional: set[Address] = set()
    if consent.decision is Decision.DENY:
        return required, optional
    for compartment in consent.compartments:
        epoch = patient.compartments[compartment]
        current = Address(compartment, consent.grantee, epoch)
        if current not in envelopes.held(stub, compartment, consent.grantee):
            required.add(current)
        optional.update(Address(compartment, consent.grantee, one) for one in range(1, epoch + 1))
    return required, optional


def keyed(stub: Stub, given: Iterable[Consent]) -> list[Consent]:
    """Permits that last, and so entitle their grantees to keys: a suspended one too, and none that was removed."""
    permits = [one for one in given if one.decision is Decision.PERMIT and one.lasts(stub.timestamp_ms)]
    grantees = sorted({one.grantee for one in permits})
    members = {one: MEMBERS.get(stub, one) for one in grantees}
    removed = {one for one, member in members.items() if member is None or member.standing is Standing.REMOVED}
    return [one for one in permits if one.grantee not in removed]


class List(Arguments, frozen=True):
    patient: Id


class Consents(Result, frozen=True):
    consents: list[Consent]


def list_consents(stub: Stub, arguments: List) -> Consents:
    """All for the patient, guardians and the custodian's staff; for another member those given to it."""
    caller = stub.caller
    role = acting(stub).role
    patient = patients.registered(stub, arguments.patient)
    if role in PERSONS:
        guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    grantee = () if caller.msp_id == patient.custodian else (caller.msp_id,)
    return Consents([consent for _, consent in CONSENTS.scan(stub, arguments.patient, *grantee)])


def end(stub: Stub, patient_id: str, consent: Consent) -> None:
    ended = replace(consent, status=ConsentStatus.REVOKED, ended_by=user_of(stub.caller), ended_ms=stub.timestamp_ms)
    CONSENTS.put(stub, ended, patient_id, consent.grantee, consent.id)
