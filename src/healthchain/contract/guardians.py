"""Guardians and proxies: who else speaks for a patient, for what, and how long. And the patient itself.

An identity of a patient or guardian counts only if the patient's custodian issued it: otherwise any member's CA
could make one up.
"""

from __future__ import annotations

from enum import StrEnum

from healthchain.chaincode.stub import Caller, Stub
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Role
from healthchain.contract.patients import Patient
from healthchain.contract.state import State, Table


class Scope(StrEnum):
    """What a guardian may do in the patient's place."""

    READ = "read"
    CONSENT = "consent"  # grant and revoke
    CLAIMS = "claims"  # follow, appeal


KEYED = frozenset((Scope.READ, Scope.CONSENT))  # whoever consents seals keys to others


class Guardian(State, frozen=True):
    """From start_ms (inclusive) to end_ms (exclusive), unless ended before. The key is what envelopes are sealed to."""

    scopes: tuple[Scope, ...]
    start_ms: int
    end_ms: int
    public_key: bytes
    by: str
    time_ms: int
    ended_ms: int | None = None
    ended_by: str | None = None

    def in_force(self, now_ms: int) -> bool:
        return self.ended_ms is None and self.start_ms <= now_ms < self.end_ms


GUARDIANS = Table("guardian", Guardian)  # patient, the guardian's id


def key_holders(stub: Stub, patient_id: str) -> list[str]:
    """Guardians who hold, or will hold, the patient's keys: those who read or consent, until their office ends."""
    return [
        guardian
        for (_, guardian), one in GUARDIANS.scan(stub, patient_id)
        if one.ended_ms is None and stub.timestamp_ms < one.end_ms and KEYED.intersection(one.scopes)
    ]


def is_self(caller: Caller, patient_id: str, patient: Patient) -> bool:
    return caller.role == Role.PATIENT and caller.patient == patient_id and caller.msp_id == patient.custodian


def speaks(stub: Stub, patient_id: str, patient: Patient, scope: Scope) -> bool:
    """The patient, or a guardian of theirs with this scope now. A guardian's common name is its id."""
    caller = stub.caller
    if caller.role != Role.GUARDIAN or caller.msp_id != patient.custodian:
        return is_self(caller, patient_id, patient)
    guardian = GUARDIANS.get(stub, patient_id, caller.common_name)
    return guardian is not None and scope in guardian.scopes and guardian.in_force(stub.timestamp_ms)


def require_speaker(stub: Stub, patient_id: str, patient: Patient, scope: Scope) -> None:
    """Refuses with NOT_THE_PATIENT, or GUARDIAN_SCOPE to a guardian."""
    if not speaks(stub, patient_id, patient, scope):
        raise refusal(Code.GUARDIAN_SCOPE if stub.caller.role == Role.GUARDIAN else Code.NOT_THE_PATIENT)


def recipient_of(caller: Caller, patient_id: str) -> str:
    """How envelopes name the caller: its organisation, the patient itself, or the guardian's id."""
    if caller.role == Role.PATIENT:
        return patient_id
    return caller.common_name if caller.role == Role.GUARDIAN else caller.msp_id
