"""What waits for a payer: an index by payer of claims and authorisations, so that a missed deadline shows."""

from __future__ import annotations

from enum import StrEnum

from healthchain.chaincode.stub import Stub
from healthchain.contract.ids import Arguments, Kind, Result
from healthchain.contract.members import acting
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table


class Asked(StrEnum):
    """In the key, since a hospital chooses the ids: nobody hides a claim behind an authorisation of the same id."""

    CLAIM = "claim"
    AUTHORISATION = "authorisation"


class ClaimDue(State, frozen=True):
    due_ms: int


CLAIMS_DUE = Table("claim-due", ClaimDue)  # MSP id of the payer, patient, what is asked, its id


class Due(Arguments, frozen=True):
    pass


class ListedDue(ClaimDue, frozen=True, kw_only=True):
    payer: str
    patient: str
    asked: Asked
    id: str
    overdue: bool


class Listed(Result, frozen=True):
    due: list[ListedDue]


def list_due(stub: Stub, arguments: Due) -> Listed:
    """A payer's own, or all for the agency; the longest overdue first."""
    is_agency = acting(stub).member.kind is Kind.AGENCY
    acting(stub, Permission.OVERSEE if is_agency else Permission.ADJUDICATE)
    found = [
        ListedDue(
            due_ms=one.due_ms,
            payer=payer,
            patient=patient,
            asked=Asked(asked),
            id=id_,
            overdue=one.due_ms <= stub.timestamp_ms,
        )
        for (payer, patient, asked, id_), one in CLAIMS_DUE.scan(stub, *([] if is_agency else [stub.caller.msp_id]))
    ]
    return Listed(sorted(found, key=lambda one: (one.due_ms, one.patient, one.id)))
