"""What a removed member leaves behind: keys sealed to it, which any other member's administrator has purged.

They are many and lie under their compartments, so first some are looked for, then those are purged, until none is left.
Those that came with an offer of custody lie under the patient; there are few, and after a removal none is added.
A purge takes away no key that the member has opened before: the compartments are due for new ones (`rekeying`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import custody, envelopes
from healthchain.contract.codes import Code, refusal
from healthchain.contract.custody import TRANSFERS
from healthchain.contract.envelopes import RECIPIENTS
from healthchain.contract.ids import Arguments, Id, Limit, MspId, Result, StartId
from healthchain.contract.members import MEMBERS, Acting, acting
from healthchain.contract.patients import COMPARTMENT_OWNERS, PATIENTS
from healthchain.contract.policies import Permission
from healthchain.contract.state import emit

COMPARTMENTS_AT_ONCE = 200


class Left(Arguments, frozen=True):
    """Looks at `limit` compartments from `start` on."""

    msp_id: MspId
    start: StartId = ""
    limit: Limit = 1000


class LeftKeys(Result, frozen=True):
    """In these compartments; `next` is where to look further."""

    compartments: list[str]
    next: str | None


def left(stub: Stub, arguments: Left) -> LeftKeys:
    """An envelope of the compartment, or an offer of custody of its patient, which has the keys of all."""
    _require_removed(stub, arguments.msp_id)
    offered = _offered(stub, arguments.msp_id)
    looked_at: dict[str, bool] = {}  # compartment -> whether it has one
    for (compartment, recipient, _), _ in RECIPIENTS.scan_from(stub, (), arguments.start):
        if compartment not in looked_at and len(looked_at) == arguments.limit:
            return LeftKeys([one for one, has in looked_at.items() if has], compartment)
        has_one = recipient == arguments.msp_id or compartment in offered
        looked_at[compartment] = looked_at.get(compartment, False) or has_one
    return LeftKeys([one for one, has in looked_at.items() if has], None)


class PurgeMember(Arguments, frozen=True):
    msp_id: MspId
    compartments: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=COMPARTMENTS_AT_ONCE)]


class Purged(Result, frozen=True):
    envelopes: int
    offers: int


def purge_member(stub: Stub, arguments: PurgeMember) -> Purged:
    """All envelopes of a removed member in these compartments, and offers to it of custody of their patients.

    On every peer. Whatever it could open is due for new keys.
    """
    gate = _require_removed(stub, arguments.msp_id)
    compartments = sorted(set(arguments.compartments))
    held = [address for one in compartments for address in envelopes.held(stub, one, arguments.msp_id)]
    envelopes.purge(stub, held)
    lost = {one.compartment for one in held}
    offers = 0
    for patient_id, theirs in _by_patient(stub, compartments):
        patient = PATIENTS.get(stub, patient_id)
        assert patient is not None, "a compartment's owner is registered"
        due = lost & theirs
        if custody.end_offer_to(stub, gate, patient_id, arguments.msp_id):
            offers += 1
            due = set(patient.compartments)
        if due:
            PATIENTS.put(stub, replace(patient, rekey=tuple(sorted(due.union(patient.rekey)))), patient_id)
    emit(stub, "governance:Purged", "", ())
    return Purged(len(held), offers)


def _offered(stub: Stub, msp_id: str) -> set[str]:
    """Compartments of the patients of whom this member is offered custody."""
    found: set[str] = set()
    for (patient_id,), transfer in TRANSFERS.scan(stub):
        if transfer.to == msp_id:
            patient = PATIENTS.get(stub, patient_id)
            assert patient is not None, "whoever is offered is registered"
            found.update(patient.compartments)
    return found


def _by_patient(stub: Stub, compartments: Iterable[str]) -> list[tuple[str, set[str]]]:
    """In the order of pseudonyms; a compartment that nobody has is left out."""
    found: dict[str, set[str]] = {}
    for one in compartments:
        owner = COMPARTMENT_OWNERS.get(stub, one)
        if owner is not None:
            found.setdefault(owner.patient, set()).add(one)
    return sorted(found.items())


def _require_removed(stub: Stub, msp_id: str) -> Acting:
    gate = acting(stub, Permission.VOTE)
    member = MEMBERS.require(stub, Code.MEMBER_NOT_LISTED, msp_id)
    if member.standing is not Standing.REMOVED:
        raise refusal(Code.MEMBER_STANDING)
    return gate
