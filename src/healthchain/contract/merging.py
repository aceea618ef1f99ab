"""Two pseudonyms of one person: both custodians say so, then the first is merged into the second. Nothing undoes it.

Records, consents and keys stay where they are, under the pseudonym that they were sealed for: reading goes on there,
nothing new is added, and the registry names the successor. The successor's own identity acts for both.
"""

from __future__ import annotations

from collections.abc import Set

from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import life_events, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Id
from healthchain.contract.life_events import Happening
from healthchain.contract.members import Acting, acting, organisation_of
from healthchain.contract.patients import PATIENTS, PatientStatus
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit


class Merge(State, frozen=True):
    """A proposal; there is one at most for a patient, and none once it was confirmed."""

    into: str
    by: str
    time_ms: int


MERGES = Table("merge", Merge)  # patient


class Propose(Arguments, frozen=True):
    patient: Id
    into: Id


class Confirm(Propose, frozen=True):
    pass


def propose(stub: Stub, arguments: Propose) -> None:
    """By staff of either custodian."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    if arguments.patient == arguments.into:
        raise refusal(Code.ARGUMENTS_INVALID)
    both = [patients.active(stub, one) for one in (arguments.patient, arguments.into)]
    if gate.caller.msp_id not in [one.custodian for one in both]:
        raise refusal(Code.NOT_THE_CUSTODIAN)
    if MERGES.get(stub, arguments.patient) is not None:
        raise refusal(Code.MERGE_EXISTS)
    MERGES.put(stub, Merge(arguments.into, gate.user, stub.timestamp_ms), arguments.patient)
    life_events.note(stub, gate, arguments.patient, Happening.MERGE_PROPOSED, arguments.into)
    emit(stub, "merging:Proposed", arguments.patient, (arguments.into,))


def confirm(stub: Stub, arguments: Confirm) -> None:
    """By staff of the other custodian; where one hospital is both, by another of its users."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    patient, into = [patients.active(stub, one) for one in (arguments.patient, arguments.into)]
    custodians = {patient.custodian, into.custodian}
    if gate.caller.msp_id not in custodians:
        raise refusal(Code.NOT_THE_CUSTODIAN)
    proposed = MERGES.get(stub, arguments.patient)
    if proposed is None or proposed.into != arguments.into:
        raise refusal(Code.MERGE_UNKNOWN)
    _require_both(gate, proposed, custodians)
    if patient.status is not into.status:  # the dead would act again as the living
        raise refusal(Code.PATIENT_STATUS)
    merged = replace(patients.with_status(patient, PatientStatus.MERGED), merged_into=arguments.into)
    PATIENTS.put(stub, merged, arguments.patient)
    MERGES.delete(stub, arguments.patient)
    life_events.note(stub, gate, arguments.patient, Happening.MERGED, arguments.into)
    life_events.note(stub, gate, arguments.into, Happening.MERGED, arguments.patient)
    emit(stub, "merging:Confirmed", arguments.patient, (arguments.into,))


def _require_both(gate: Acting, proposed: Merge, custodians: Set[str]) -> None:
    """Each custodian has said so, and never one user alone."""
    proven_by = {gate.caller.msp_id, organisation_of(proposed.by)}
    if proven_by != custodians or gate.user == proposed.by:
        raise refusal(Code.MERGE_UNPROVEN)


class Withdraw(Arguments, frozen=True):
    patient: Id


def withdraw(stub: Stub, arguments: Withdraw) -> None:
    """By staff of either custodian: also how the other one says no."""
    gate = acting(stub, Permission.MOVE_PATIENT)
    patient = patients.registered(stub, arguments.patient)
    proposed = MERGES.require(stub, Code.MERGE_UNKNOWN, arguments.patient)
    if gate.caller.msp_id not in (patient.custodian, patients.registered(stub, proposed.into).custodian):
        raise refusal(Code.NOT_THE_CUSTODIAN)
    MERGES.delete(stub, arguments.patient)
    life_events.note(stub, gate, arguments.patient, Happening.MERGE_WITHDRAWN, proposed.into)
    emit(stub, "merging:Withdrawn", arguments.patient, (proposed.into,))
