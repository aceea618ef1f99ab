"""Key epochs: who holds a compartment's key from the next epoch on, and starting one.

A revocation starts one by itself. What takes a key away without the means to make a new one (a court's order, the end
of a guardian's office, a custodian that left, a member's removal) marks the compartments as due: nothing more is
written into them until the custodian, the patient or a guardian has rotated the key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, NamedTuple

from msgspec import Meta, field
from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import consents, envelopes, guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS, Consent
from healthchain.contract.envelopes import Address
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import Arguments, Counter, Id, Result, Role
from healthchain.contract.members import acting, user_of
from healthchain.contract.patients import PATIENTS, Patient, Use
from healthchain.contract.policies import STAFF
from healthchain.contract.state import State, Table, emit


class Rotation(State, frozen=True):
    by: str
    role: Role
    time_ms: int
    compartments: tuple[str, ...]


ROTATIONS = Table("rotation", Rotation)  # patient, transaction id


class Rekey(Result, frozen=True):
    """A compartment's next epoch, and to whom its key must be sealed."""

    compartment: str
    epoch: int
    recipients: list[str]


class Rekeys(Result, frozen=True):
    rekeys: list[Rekey]


class Holders(NamedTuple):
    """Of one compartment: those who stay, by name, and the envelopes of those who do not."""

    compartment: str
    staying: list[str]
    stale: list[Address]


def holders(stub: Stub, patient_id: str, patient: Patient, given: Iterable[Consent]) -> list[Holders]:
    """By compartment. Custodian, patient and guardians stay, and grantees by `consents.keyed` among those given."""
    permits = consents.keyed(stub, given)
    own = {patient.custodian, patient_id, *guardians.key_holders(stub, patient_id)}
    found = []
    for compartment in sorted(patient.compartments):
        staying = own.union(one.grantee for one in permits if compartment in one.compartments)
        held = envelopes.held(stub, compartment)
        found.append(Holders(compartment, sorted(staying), [one for one in held if one.recipient not in staying]))
    return found


def next_epochs(patient: Patient, concerned: Iterable[Holders]) -> list[Rekey]:
    return [Rekey(one.compartment, patient.compartments[one.compartment] + 1, one.staying) for one in concerned]


def start_epochs(
    stub: Stub, patient_id: str, patient: Patient, concerned: Collection[Holders], claimed: Mapping[str, int]
) -> None:
    """Transient: exactly the envelopes of the new epochs to those who stay. The others' envelopes are purged."""
    rekeys = next_epochs(patient, concerned)
    epochs = {one.compartment: one.epoch for one in rekeys}
    if claimed != epochs:
        raise refusal(Code.EPOCH_WRONG)
    envelopes.store(stub, {Address(one.compartment, to, one.epoch) for one in rekeys for to in one.recipients})
    envelopes.purge(stub, [address for one in concerned for address in one.stale])
    if epochs:
        compartments = {one: epochs.get(one, epoch) for one, epoch in sorted(patient.compartments.items())}
        due = tuple(one for one in patient.rekey if one not in epochs)
        PATIENTS.put(stub, replace(patient, compartments=compartments, rekey=due), patient_id)


def end_without_keys(stub: Stub, patient_id: str, patient: Patient, concerned: Iterable[Holders]) -> Patient:
    """For those who cannot seal: purge what is stale and mark the compartments as due."""
    lost = [one for one in concerned if one.stale]
    envelopes.purge(stub, [address for one in lost for address in one.stale])
    due = replace(patient, rekey=tuple(sorted({*patient.rekey, *(one.compartment for one in lost)})))
    if due != patient:
        PATIENTS.put(stub, due, patient_id)
    return due


class PreviewRotate(Arguments, frozen=True):
    """Without compartments, those that are due."""

    patient: Id
    compartments: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()


class Rotate(PreviewRotate, frozen=True):
    new_epochs: dict[Id, Counter] = field(default_factory=dict)


def preview_rotation(stub: Stub, arguments: PreviewRotate) -> Rekeys:
    """What `keys:Rotate` with the same arguments would require now."""
    patient, concerned, _ = _rotation(stub, arguments)
    return Rekeys(next_epochs(patient, concerned))


def rotate(stub: Stub, arguments: Rotate) -> None:
    """By the custodian's staff, the patient or a guardian. Transient: see `start_epochs`."""
    patient, concerned, role = _rotation(stub, arguments)
    start_epochs(stub, arguments.patient, patient, concerned, arguments.new_epochs)
    chosen = tuple(one.compartment for one in concerned)
    done = Rotation(user_of(stub.caller), role, stub.timestamp_ms, chosen)
    ROTATIONS.put(stub, done, arguments.patient, stub.tx_id)
    emit(stub, "keys:Rotated", arguments.patient, chosen)


def _rotation(stub: Stub, arguments: PreviewRotate) -> tuple[Patient, list[Holders], Role]:
    role = acting(stub).role
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    if role in STAFF:
        patients.require_custodian_or_self(stub, role, arguments.patient, patient)
    else:
        guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    patients.require_compartments(patient, arguments.compartments)
    chosen = set(arguments.compartments or patient.rekey)
    if not chosen:
        raise refusal(Code.REKEY_NOT_DUE)
    given = [consent for _, consent in CONSENTS.scan(stub, arguments.patient)]
    concerned = [one for one in holders(stub, arguments.patient, patient, given) if one.compartment in chosen]
    return patient, concerned, role
