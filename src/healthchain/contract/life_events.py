"""What became of a patient besides records, consents and reading: guardians, death, merge, custody. Only ever added to.

For the audit trail, since the values that rules go by keep no history of theirs.
"""

from __future__ import annotations

from enum import StrEnum

from healthchain.chaincode.stub import Stub
from healthchain.contract.ids import Role
from healthchain.contract.members import Acting
from healthchain.contract.state import State, Table


class Happening(StrEnum):
    """`about` is a guardian's id, the other pseudonym, or the other organisation, in this order."""

    GUARDIAN_APPOINTED = "guardian-appointed"
    GUARDIAN_ENDED = "guardian-ended"
    DEATH_RECORDED = "death-recorded"  # about nothing
    DEATH_REVOKED = "death-revoked"
    MERGE_PROPOSED = "merge-proposed"
    MERGE_WITHDRAWN = "merge-withdrawn"
    MERGED = "merged"
    CUSTODY_OFFERED = "custody-offered"
    CUSTODY_WITHDRAWN = "custody-withdrawn"
    CUSTODY_REFUSED = "custody-refused"
    CUSTODY_ACCEPTED = "custody-accepted"  # from the organisation
    CUSTODY_ASSIGNED = "custody-assigned"
    KEYS_HANDED = "keys-handed"


class LifeEvent(State, frozen=True):
    happening: Happening
    by: str
    role: Role
    time_ms: int
    about: str = ""


LIFE_EVENTS = Table("life-event", LifeEvent)  # patient, transaction id


def note(stub: Stub, gate: Acting, patient_id: str, happening: Happening, about: str = "") -> None:
    """At most one for each patient in a transaction."""
    event = LifeEvent(happening, gate.user, gate.role, stub.timestamp_ms, about)
    LIFE_EVENTS.put(stub, event, patient_id, stub.tx_id)
