"""A compartment that a patient gets later: for records that shall be shared apart from the others.

It reaches an existing grantee only if its consent says so. All patients start with the same number, so that it tells
nothing; how many one has later is public.
"""

from __future__ import annotations

from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import consents, envelopes, guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS, Consent
from healthchain.contract.envelopes import Address
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import COMPARTMENTS_MAX, PERSONS, Arguments, Id, Result
from healthchain.contract.members import acting
from healthchain.contract.patients import PATIENTS, Patient
from healthchain.contract.state import emit


class AddCompartment(Arguments, frozen=True):
    patient: Id
    compartment: Id


class Recipients(Result, frozen=True):
    """To whom the key of the first epoch must be sealed."""

    recipients: list[str]


def preview(stub: Stub, arguments: AddCompartment) -> Recipients:
    """What `patients:AddCompartment` with the same arguments would require now."""
    patient, extended = _plan(stub, arguments)
    return Recipients(_recipients(stub, arguments.patient, patient, extended))


def add(stub: Stub, arguments: AddCompartment) -> None:
    """By the custodian's staff, the patient or a guardian. Transient: envelopes of epoch 1 to `Recipients`."""
    patient, extended = _plan(stub, arguments)
    patients.take_compartments(stub, arguments.patient, (arguments.compartment,))
    recipients = _recipients(stub, arguments.patient, patient, extended)
    envelopes.store(stub, {Address(arguments.compartment, to, 1) for to in recipients})
    compartments = dict(sorted({**patient.compartments, arguments.compartment: 1}.items()))
    PATIENTS.put(stub, replace(patient, compartments=compartments), arguments.patient)
    for one in extended:
        covered = tuple(sorted((*one.compartments, arguments.compartment)))
        CONSENTS.put(stub, replace(one, compartments=covered), arguments.patient, one.grantee, one.id)
    emit(stub, "patients:CompartmentAdded", arguments.patient, (arguments.compartment,))


def _plan(stub: Stub, arguments: AddCompartment) -> tuple[Patient, list[Consent]]:
    """The patient, and the consents that the compartment will belong to."""
    role = acting(stub).role
    patient = patients.active(stub, arguments.patient)
    if role in PERSONS:
        guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    else:
        patients.require_custodian_or_self(stub, role, arguments.patient, patient)
    if len(patient.compartments) >= COMPARTMENTS_MAX:
        raise refusal(Code.COMPARTMENT_LIMIT)
    given = [consent for _, consent in CONSENTS.scan(stub, arguments.patient)]
    return patient, [one for one in given if one.later_compartments and one.lasts(stub.timestamp_ms)]


def _recipients(stub: Stub, patient_id: str, patient: Patient, extended: list[Consent]) -> list[str]:
    grantees = {one.grantee for one in consents.keyed(stub, extended)}
    return sorted({patient.custodian, patient_id, *guardians.key_holders(stub, patient_id), *grantees})
