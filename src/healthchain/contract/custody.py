"""Custody of a patient passes to another hospital: offered and accepted, or assigned by the agency.

The offer carries the compartments' keys in a message sealed to the new custodian, which seals them to itself when it
accepts. An agency has no keys: after it has assigned a custodian, the patient or a guardian hands them over. Either way
the old custodian's right ends at once. Whatever becomes of an offer, somebody has keys who should no longer have them,
so all compartments are due for new ones (`rekeying`). See docs/decisions/0014.
"""

from __future__ import annotations

from msgspec.structs import replace

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import consents, envelopes, guardians, licences, life_events, messages, patients, registry
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS, Decision
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import Arguments, Id, Kind, Milliseconds, MspId, Result
from healthchain.contract.licences import LICENCES, Act
from healthchain.contract.life_events import Happening
from healthchain.contract.members import MEMBERS, Acting, acting
from healthchain.contract.patients import CUSTODY, PATIENTS, Patient, Use
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit


class Transfer(State, frozen=True):
    """An offer, until end_ms (exclusive). `compartments` are the epochs whose keys it carries: id -> the latest."""

    id: str
    to: str
    end_ms: int
    compartments: dict[str, int]
    by: str
    time_ms: int


TRANSFERS = Table("transfer", Transfer)  # patient


class Offer(Arguments, frozen=True):
    id: Id
    patient: Id
    to: MspId
    end_ms: Milliseconds


def offer(stub: Stub, arguments: Offer) -> None:
    """By the custodian's staff, once an earlier one is withdrawn. Transient: `offered_keys`, sealed to the hospital."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    patients.require_custodian(stub, patient)
    _require_hospital(stub, arguments.to, patient)
    if not stub.timestamp_ms < arguments.end_ms:
        raise refusal(Code.PERIOD_INVALID)
    if TRANSFERS.get(stub, arguments.patient) is not None:
        raise refusal(Code.TRANSFER_EXISTS)
    messages.store(stub, {offered_keys(arguments.patient, arguments.id)})
    transfer = Transfer(
        id=arguments.id,
        to=arguments.to,
        end_ms=arguments.end_ms,
        compartments=patient.compartments,
        by=gate.user,
        time_ms=stub.timestamp_ms,
    )
    TRANSFERS.put(stub, transfer, arguments.patient)
    life_events.note(stub, gate, arguments.patient, Happening.CUSTODY_OFFERED, arguments.to)
    emit(stub, "custody:Offered", arguments.patient, (arguments.id,))


def offered_keys(patient_id: str, transfer_id: str) -> str:
    """In MESSAGES."""
    return messages.message_key("custody", patient_id, transfer_id, "keys")


class Withdraw(Arguments, frozen=True):
    patient: Id


class Refuse(Withdraw, frozen=True):
    pass


class Accept(Withdraw, frozen=True):
    pass


class Fetch(Withdraw, frozen=True):
    pass


def withdraw(stub: Stub, arguments: Withdraw) -> None:
    """By the custodian's staff, also of an offer that is over."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    patient = patients.registered(stub, arguments.patient)
    patients.require_custodian(stub, patient)
    transfer = TRANSFERS.require(stub, Code.TRANSFER_UNKNOWN, arguments.patient)
    _decline(stub, arguments.patient, patient, transfer)
    life_events.note(stub, gate, arguments.patient, Happening.CUSTODY_WITHDRAWN, transfer.to)
    emit(stub, "custody:Withdrawn", arguments.patient, (transfer.id,))


def refuse(stub: Stub, arguments: Refuse) -> None:
    """By staff of the hospital to which it was offered."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    patient = patients.registered(stub, arguments.patient)
    transfer = _offered(stub, arguments.patient)
    _decline(stub, arguments.patient, patient, transfer)
    life_events.note(stub, gate, arguments.patient, Happening.CUSTODY_REFUSED, transfer.to)
    emit(stub, "custody:Refused", arguments.patient, (transfer.id,))


class OfferedKeys(Result, frozen=True):
    id: str
    ciphertext: bytes


def fetch(stub: Stub, arguments: Fetch) -> OfferedKeys:
    """For staff of the hospital to which it was offered."""
    acting(stub, Permission.MOVE_PATIENT)
    transfer = _offered(stub, arguments.patient)
    sealed = messages.fetch(stub, offered_keys(arguments.patient, transfer.id))
    return OfferedKeys(transfer.id, sealed.ciphertext)


def accept(stub: Stub, arguments: Accept) -> None:
    """By staff of the licensed hospital to which it was offered. Transient: envelopes of every epoch to it."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    transfer = _offered(stub, arguments.patient)
    _require_licence(stub, transfer.to)
    if transfer.compartments != patient.compartments:
        raise refusal(Code.TRANSFER_STALE)
    envelopes.store(stub, patients.all_keys(patient, transfer.to))
    _end_offer(stub, arguments.patient, transfer)
    _pass(stub, arguments.patient, patient, transfer.to)
    life_events.note(stub, gate, arguments.patient, Happening.CUSTODY_ACCEPTED, patient.custodian)
    emit(stub, "custody:Accepted", arguments.patient, (transfer.id,))


class Assign(Arguments, frozen=True):
    patient: Id
    to: MspId


def assign(stub: Stub, arguments: Assign) -> None:
    """By the agency, where the custodian is suspended or removed; to a licensed hospital."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    if gate.member.kind is not Kind.AGENCY:
        raise refusal(Code.ROLE_FORBIDDEN)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    registry.require_inactive(stub, patient.custodian)
    _require_hospital(stub, arguments.to, patient)
    _require_licence(stub, arguments.to)
    purge(stub, arguments.patient)
    _pass(stub, arguments.patient, patient, arguments.to)
    life_events.note(stub, gate, arguments.patient, Happening.CUSTODY_ASSIGNED, arguments.to)
    emit(stub, "custody:Assigned", arguments.patient, ())


class HandKeys(Arguments, frozen=True):
    patient: Id


def hand_keys(stub: Stub, arguments: HandKeys) -> None:
    """By the patient or a guardian. Transient: the envelopes that the custodian lacks, and any to replace its own."""
    gate = acting(stub)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    every = patients.all_keys(patient, patient.custodian)
    held = {each for one in patient.compartments for each in envelopes.held(stub, one, patient.custodian)}
    envelopes.store(stub, every - held, every)
    life_events.note(stub, gate, arguments.patient, Happening.KEYS_HANDED, patient.custodian)
    emit(stub, "custody:KeysHanded", arguments.patient, ())


def purge(stub: Stub, patient_id: str) -> None:
    """What is left of an offer."""
    transfer = TRANSFERS.get(stub, patient_id)
    if transfer is not None:
        _end_offer(stub, patient_id, transfer)


def end_offer_to(stub: Stub, gate: Acting, patient_id: str, msp_id: str) -> bool:
    """Whether there was an offer to this hospital; then whoever calls makes all of the patient's compartments due."""
    transfer = TRANSFERS.get(stub, patient_id)
    if transfer is None or transfer.to != msp_id:
        return False
    _end_offer(stub, patient_id, transfer)
    life_events.note(stub, gate, patient_id, Happening.CUSTODY_WITHDRAWN, transfer.to)
    return True


def _pass(stub: Stub, patient_id: str, patient: Patient, to: str) -> None:
    """The old custodian's envelopes go, and the new one's consents: it needs none. Who registered the patient stays."""
    left = patients.without(stub, patient, patient.custodian)
    PATIENTS.put(stub, replace(_all_due(left), custodian=to), patient_id)
    entry = CUSTODY.get(stub, patient.custodian, patient_id)
    assert entry is not None, "every patient is in its custodian's index"
    CUSTODY.delete(stub, patient.custodian, patient_id)
    CUSTODY.put(stub, entry, to, patient_id)
    for _, consent in CONSENTS.scan(stub, patient_id, to):
        if consent.decision is Decision.PERMIT and consent.lasts(stub.timestamp_ms):
            consents.end(stub, patient_id, consent)


def _offered(stub: Stub, patient_id: str) -> Transfer:
    """To the caller's organisation, and not over."""
    transfer = TRANSFERS.get(stub, patient_id)
    if transfer is None or transfer.to != stub.caller.msp_id or stub.timestamp_ms >= transfer.end_ms:
        raise refusal(Code.TRANSFER_UNKNOWN)
    return transfer


def _decline(stub: Stub, patient_id: str, patient: Patient, transfer: Transfer) -> None:
    _end_offer(stub, patient_id, transfer)
    PATIENTS.put(stub, _all_due(patient), patient_id)


def _all_due(patient: Patient) -> Patient:
    return replace(patient, rekey=tuple(sorted(patient.compartments)))


def _end_offer(stub: Stub, patient_id: str, transfer: Transfer) -> None:
    TRANSFERS.delete(stub, patient_id)
    messages.purge(stub, [offered_keys(patient_id, transfer.id)])


def _require_hospital(stub: Stub, msp_id: str, patient: Patient) -> None:
    member = MEMBERS.get(stub, msp_id)
    if member is None or member.kind is not Kind.HOSPITAL or member.standing is not Standing.ACTIVE:
        raise refusal(Code.CUSTODIAN_INVALID)
    if msp_id == patient.custodian:
        raise refusal(Code.CUSTODIAN_INVALID)


def _require_licence(stub: Stub, hospital: str) -> None:
    """The hospital's own: whoever signs for it need not be a practitioner."""
    licences.require_found(stub, Act.RECORD, stub.get_states([LICENCES.key(hospital)]))
