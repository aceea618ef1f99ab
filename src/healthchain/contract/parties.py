"""The parties of a coverage, an authorisation or a claim: one hospital, one payer, one patient. Nobody else."""

from __future__ import annotations

from healthchain.chaincode.stub import Stub
from healthchain.contract import guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS
from healthchain.contract.members import Acting
from healthchain.contract.policies import Permission


def require(stub: Stub, gate: Acting, patient_id: str, hospital: str, payer: str) -> None:
    """The hospital's staff that may claim, the payer's that may adjudicate, the patient or a guardian for claims."""
    patient = patients.registered(stub, patient_id)
    if gate.role in PERSONS:
        guardians.require_speaker(stub, patient_id, patient, Scope.CLAIMS)
    elif not (_acts_for(gate, hospital, Permission.CLAIM) or _acts_for(gate, payer, Permission.ADJUDICATE)):
        raise refusal(Code.CLAIM_PARTY)


def _acts_for(gate: Acting, organisation: str, permission: Permission) -> bool:
    return gate.caller.msp_id == organisation and gate.policies.may(permission, gate.member.kind, gate.role)


def require_member(gate: Acting, organisation: str) -> None:
    """For a step that one of the two organisations takes; the gate has looked at the permission."""
    if gate.caller.msp_id != organisation:
        raise refusal(Code.CLAIM_PARTY)
