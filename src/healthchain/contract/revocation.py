"""Revoking consents: the grantee's envelopes are purged and the compartments concerned start a new key epoch.

What a grantee has read before cannot be unread. It keeps what another of its consents still covers.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta, field
from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import consents, envelopes, guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS, Consent, ConsentStatus
from healthchain.contract.envelopes import Address
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import Arguments, Counter, Id, MspId, Result
from healthchain.contract.members import acting
from healthchain.contract.patients import PATIENTS, Patient
from healthchain.contract.state import emit


class PreviewRevoke(Arguments, frozen=True):
    """Either consents or a grantee; a grantee means all its consents that are not yet revoked."""

    patient: Id
    consents: Annotated[tuple[Id, ...], Meta(max_length=500)] = ()
    grantee: MspId | None = None


class Revoke(PreviewRevoke, frozen=True):
    new_epochs: dict[Id, Counter] = field(default_factory=dict)


class Rekey(Result, frozen=True):
    """A compartment's next epoch, and to whom its key must be sealed."""

    compartment: str
    epoch: int
    recipients: list[str]


class Rekeys(Result, frozen=True):
    rekeys: list[Rekey]


class _Plan(NamedTuple):
    revoked: list[Consent]
    rekeys: list[Rekey]
    stale: list[Address]


def preview(stub: Stub, arguments: PreviewRevoke) -> Rekeys:
    """What `consents:Revoke` with the same arguments would require now."""
    return Rekeys(_plan(stub, arguments, _own(stub, arguments)).rekeys)


def revoke(stub: Stub, arguments: Revoke) -> None:
    """By the patient. Transient: exactly the envelopes of the new epochs to those who stay recipients."""
    patient = _own(stub, arguments)
    plan = _plan(stub, arguments, patient)
    epochs = {one.compartment: one.epoch for one in plan.rekeys}
    if arguments.new_epochs != epochs:
        raise refusal(Code.EPOCH_WRONG)
    envelopes.store(stub, {Address(one.compartment, to, one.epoch) for one in plan.rekeys for to in one.recipients})
    envelopes.purge(stub, plan.stale)
    for consent in plan.revoked:
        consents.end(stub, arguments.patient, consent)
    if epochs:
        compartments = {one: epochs.get(one, epoch) for one, epoch in sorted(patient.compartments.items())}
        PATIENTS.put(stub, replace(patient, compartments=compartments), arguments.patient)
    emit(stub, "consents:Revoked", arguments.patient, [one.id for one in plan.revoked])


def _own(stub: Stub, arguments: PreviewRevoke) -> Patient:
    acting(stub)
    patient = patients.active(stub, arguments.patient)
    guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    return patient


def _plan(stub: Stub, arguments: PreviewRevoke, patient: Patient) -> _Plan:
    """Stale: every envelope whose recipient is neither custodian nor patient nor has a consent that lasts."""
    given = [consent for _, consent in CONSENTS.scan(stub, arguments.patient)]
    revoked = _chosen(arguments, given)
    chosen = {one.id for one in revoked}
    lasting = [one for one in given if one.id not in chosen and one.lasts(stub.timestamp_ms)]
    rekeys: list[Rekey] = []
    stale: list[Address] = []
    for compartment, epoch in sorted(patient.compartments.items()):
        staying = {patient.custodian, arguments.patient}
        staying.update(one.grantee for one in lasting if compartment in one.compartments)
        lost = [one for one in envelopes.held(stub, compartment) if one.recipient not in staying]
        if lost:
            rekeys.append(Rekey(compartment, epoch + 1, sorted(staying)))
            stale += lost
    return _Plan(revoked, rekeys, stale)


def _chosen(arguments: PreviewRevoke, given: list[Consent]) -> list[Consent]:
    if bool(arguments.consents) == (arguments.grantee is not None):
        raise refusal(Code.ARGUMENTS_INVALID)
    if arguments.grantee is not None:
        active = ConsentStatus.ACTIVE
        found = [one for one in given if one.grantee == arguments.grantee and one.status is active]
        if not found:
            raise refusal(Code.CONSENT_UNKNOWN)
        return found
    wanted = set(arguments.consents)
    found = [one for one in given if one.id in wanted]
    if len(found) != len(wanted):
        raise refusal(Code.CONSENT_UNKNOWN)
    if any(one.status is ConsentStatus.REVOKED for one in found):
        raise refusal(Code.CONSENT_REVOKED)
    return found
