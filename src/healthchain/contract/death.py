"""A patient's death, as its custodian records it.

Records stay, and new ones come: findings after the death belong to them too. Consents hold until they end; guardians,
now as personal representatives, grant and revoke them. Only the patient's own identity does nothing any more. When and
of what somebody died is no matter of the ledger: it is in the sealed records.
"""

from __future__ import annotations

from healthchain.chaincode.stub import Stub
from healthchain.contract import life_events, patients
from healthchain.contract.ids import Arguments, Id
from healthchain.contract.life_events import Happening
from healthchain.contract.members import acting
from healthchain.contract.patients import PATIENTS, PatientStatus
from healthchain.contract.policies import Permission
from healthchain.contract.state import emit


class RecordDeath(Arguments, frozen=True):
    patient: Id


class RevokeDeath(RecordDeath, frozen=True):
    pass


def record_death(stub: Stub, arguments: RecordDeath) -> None:
    """By the custodian's staff."""
    _change(stub, arguments.patient, PatientStatus.DECEASED, Happening.DEATH_RECORDED)
    emit(stub, "patients:DeathRecorded", arguments.patient, ())


def revoke_death(stub: Stub, arguments: RevokeDeath) -> None:
    """By the custodian's staff, where it was recorded by mistake."""
    _change(stub, arguments.patient, PatientStatus.ACTIVE, Happening.DEATH_REVOKED)
    emit(stub, "patients:DeathRevoked", arguments.patient, ())


def _change(stub: Stub, patient_id: str, status: PatientStatus, happening: Happening) -> None:
    gate = acting(stub, Permission.MOVE_PATIENT)
    patient = patients.registered(stub, patient_id)
    patients.require_custodian(stub, patient)
    PATIENTS.put(stub, patients.with_status(patient, status), patient_id)
    life_events.note(stub, gate, patient_id, happening)
