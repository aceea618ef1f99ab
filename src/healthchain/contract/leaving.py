"""What a removed member leaves behind: key envelopes, which any other member's administrator has purged.

They are many and lie under their compartments, so first some are looked for, then those are purged, until none is left.
A purge takes away no key that the member has opened before: the compartments are due for new ones (`rekeying`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import envelopes
from healthchain.contract.codes import Code, refusal
from healthchain.contract.envelopes import RECIPIENTS
from healthchain.contract.ids import Arguments, Id, Limit, MspId, Result, StartId
from healthchain.contract.members import MEMBERS, acting
from healthchain.contract.patients import COMPARTMENT_OWNERS, PATIENTS
from healthchain.contract.policies import Permission
from healthchain.contract.state import emit

COMPARTMENTS_AT_ONCE = 200


class Left(Arguments, frozen=True):
    """Looks at all envelopes of `limit` compartments from `start` on."""

    msp_id: MspId
    start: StartId = ""
    limit: Limit = 1000


class LeftEnvelopes(Result, frozen=True):
    """In these compartments; `next` is where to look further."""

    compartments: list[str]
    next: str | None


def left(stub: Stub, arguments: Left) -> LeftEnvelopes:
    _require_removed(stub, arguments.msp_id)
    looked_at: dict[str, bool] = {}  # compartment -> whether it has one
    for (compartment, recipient, _), _ in RECIPIENTS.scan_from(stub, (), arguments.start):
        if compartment not in looked_at and len(looked_at) == arguments.limit:
            return LeftEnvelopes([one for one, has in looked_at.items() if has], compartment)
        looked_at[compartment] = looked_at.get(compartment, False) or recipient == arguments.msp_id
    return LeftEnvelopes([one for one, has in looked_at.items() if has], None)


class PurgeMember(Arguments, frozen=True):
    msp_id: MspId
    compartments: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=COMPARTMENTS_AT_ONCE)]


class Purged(Result, frozen=True):
    envelopes: int


def purge_member(stub: Stub, arguments: PurgeMember) -> Purged:
    """All envelopes of a removed member in these compartments, on every peer; where it had one, a new key is due."""
    _require_removed(stub, arguments.msp_id)
    compartments = sorted(set(arguments.compartments))
    held = [address for one in compartments for address in envelopes.held(stub, one, arguments.msp_id)]
    envelopes.purge(stub, held)
    _require_new_keys(stub, sorted({one.compartment for one in held}))
    emit(stub, "governance:Purged", "", ())
    return Purged(len(held))


def _require_new_keys(stub: Stub, compartments: Iterable[str]) -> None:
    by_patient: dict[str, set[str]] = {}
    for one in compartments:
        owner = COMPARTMENT_OWNERS.get(stub, one)
        assert owner is not None, "no envelope is of a compartment that nobody has"
        by_patient.setdefault(owner.patient, set()).add(one)
    for patient_id, lost in sorted(by_patient.items()):
        patient = PATIENTS.get(stub, patient_id)
        assert patient is not None, "a compartment's owner is registered"
        PATIENTS.put(stub, replace(patient, rekey=tuple(sorted(lost.union(patient.rekey)))), patient_id)


def _require_removed(stub: Stub, msp_id: str) -> None:
    acting(stub, Permission.VOTE)
    member = MEMBERS.get(stub, msp_id)
    if member is None:
        raise refusal(Code.MEMBER_NOT_LISTED)
    if member.standing is not Standing.REMOVED:
        raise refusal(Code.MEMBER_STANDING)
