"""Revoking consents: the grantee's envelopes are purged and the compartments concerned start a new key epoch.

What a grantee has read before cannot be unread. It keeps what another of its consents still covers. By order of a court
the agency ends consents too; it has no keys, so the compartments are left due for a new one (`rekeying`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from healthchain.chaincode.stub import Stub
from healthchain.contract import consents, guardians, messages, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS, Consent, ConsentStatus
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Arguments, Counter, Id, Kind, MspId
from healthchain.contract.members import acting
from healthchain.contract.patients import Patient, Use
from healthchain.contract.policies import Permission
from healthchain.contract.rekeying import Holders, Rekeys, end_without_keys, holders, next_epochs, start_epochs
from healthchain.contract.state import State, Table, emit


class Chosen(Arguments, frozen=True):
    """Either consents, or a grantee, or everything; the latter two mean all consents that are not yet revoked."""

    patient: Id
    consents: Annotated[tuple[Id, ...], Meta(max_length=500)] = ()
    grantee: MspId | None = None
    everything: bool = False


class PreviewRevoke(Chosen, frozen=True):
    pass


class Revoke(Chosen, frozen=True):
    new_epochs: dict[Id, Counter] = field(default_factory=dict)


def preview(stub: Stub, arguments: PreviewRevoke) -> Rekeys:
    """What `consents:Revoke` with the same arguments would require now."""
    patient = _own(stub, arguments)
    _, concerned = _plan(stub, arguments, patient)
    return Rekeys(next_epochs(patient, concerned))


def revoke(stub: Stub, arguments: Revoke) -> None:
    """By the patient or a guardian. Transient: exactly the envelopes of the new epochs to those who stay recipients."""
    patient = _own(stub, arguments)
    revoked, concerned = _plan(stub, arguments, patient)
    start_epochs(stub, arguments.patient, patient, concerned, arguments.new_epochs)
    for consent in revoked:
        consents.end(stub, arguments.patient, consent)
    emit(stub, "consents:Revoked", arguments.patient, [one.id for one in revoked])


class CourtOrder(State, frozen=True):
    """`consents` (by id) ended with it; the text is sealed to the custodian, the patient and the agency."""

    by: str
    time_ms: int
    consents: tuple[str, ...]


ORDERS = Table("order", CourtOrder)  # patient, order


class Order(Chosen, frozen=True, kw_only=True):
    id: Id


def order(stub: Stub, arguments: Order) -> None:
    """A court's, recorded by the agency: it ends consents at once. Transient: its text, see `order_text`."""
    gate = acting(stub, Permission.RECORD_ORDER)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    if ORDERS.get(stub, arguments.patient, arguments.id) is not None:
        raise refusal(Code.ORDER_EXISTS)
    revoked, concerned = _plan(stub, arguments, patient)
    messages.store(stub, {order_text(arguments.patient, arguments.id)})
    end_without_keys(stub, arguments.patient, patient, concerned)
    for consent in revoked:
        consents.end(stub, arguments.patient, consent)
    ended = tuple(sorted(one.id for one in revoked))
    ORDERS.put(stub, CourtOrder(gate.user, stub.timestamp_ms, ended), arguments.patient, arguments.id)
    emit(stub, "consents:Ordered", arguments.patient, (arguments.id, *ended))


def order_text(patient_id: str, order_id: str) -> str:
    """In MESSAGES."""
    return messages.message_key("order", patient_id, order_id, "text")


class OrderText(Arguments, frozen=True):
    patient: Id
    id: Id


def fetch_order(stub: Stub, arguments: OrderText) -> messages.Sealed:
    """For those to whom it is sealed: the patient, guardians, the custodian's staff, the agency."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    if gate.role in PERSONS:
        guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    elif gate.member.kind is not Kind.AGENCY:
        patients.require_custodian_or_self(stub, gate.role, arguments.patient, patient)
    return messages.fetch(stub, order_text(arguments.patient, arguments.id))


def purge(stub: Stub, patient_id: str) -> None:
    """The texts of all orders, when the patient is erased: why a court ordered something tells of them."""
    messages.purge(stub, [order_text(patient_id, one) for (_, one), _ in ORDERS.scan(stub, patient_id)])


def _own(stub: Stub, arguments: Chosen) -> Patient:
    acting(stub)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    return patient


def _plan(stub: Stub, arguments: Chosen, patient: Patient) -> tuple[list[Consent], list[Holders]]:
    """What is revoked, and the compartments that somebody loses by it, or has lost by a consent that expired."""
    given = [consent for _, consent in CONSENTS.scan(stub, arguments.patient)]
    revoked = _chosen(arguments, given)
    chosen = {one.id for one in revoked}
    staying = [one for one in given if one.id not in chosen]
    return revoked, [one for one in holders(stub, arguments.patient, patient, staying) if one.stale]


def _chosen(arguments: Chosen, given: list[Consent]) -> list[Consent]:
    if [bool(arguments.consents), arguments.grantee is not None, arguments.everything].count(True) != 1:
        raise refusal(Code.ARGUMENTS_INVALID)
    if not arguments.consents:
        active = [one for one in given if one.status is ConsentStatus.ACTIVE]
        found = [one for one in active if arguments.everything or one.grantee == arguments.grantee]
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
