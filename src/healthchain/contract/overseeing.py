"""What the agency looks at: what is overdue, who is out, and what the members agreed to before."""

from __future__ import annotations

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import claims_due, report_reading, reviews
from healthchain.contract.claims_due import ListedDue
from healthchain.contract.ids import Arguments, Result
from healthchain.contract.members import MEMBERS, acting
from healthchain.contract.policies import IN_FORCE, POLICIES, Permission, Policies
from healthchain.contract.report_reading import Overview
from healthchain.contract.reviews import ListedEmergency


class BarredMember(Result, frozen=True):
    """`since_ms` is the clock of whoever cast the deciding vote."""

    msp_id: str
    standing: Standing
    since_ms: int


class PastPolicies(Result, frozen=True):
    """In force from then on, until the next one."""

    from_ms: int
    tx_id: str
    policies: Policies


class Oversee(Arguments, frozen=True):
    pass


class Oversight(Result, frozen=True):
    reviews: list[ListedEmergency]  # pending, the longest overdue first, as the claims
    claims: list[ListedDue]
    reports: Overview
    barred: list[BarredMember]  # by MSP id
    policies: list[PastPolicies]  # the newest first


def oversee(stub: Stub, arguments: Oversee) -> Oversight:
    """For the agency; it needs the right to receive reports, too."""
    acting(stub, Permission.OVERSEE)
    return Oversight(
        reviews=reviews.queue(stub, reviews.Queue()).emergencies,
        claims=claims_due.list_due(stub, claims_due.Due()).due,
        reports=report_reading.overdue(stub, report_reading.Overdue()),
        barred=_barred(stub),
        policies=_past_policies(stub),
    )


def _barred(stub: Stub) -> list[BarredMember]:
    found = []
    for (msp_id,), member in MEMBERS.scan(stub):
        if member.standing is not Standing.ACTIVE:
            newest = next(stub.history(MEMBERS.key(msp_id)))
            found.append(BarredMember(msp_id, member.standing, newest.timestamp_ms))
    return found


def _past_policies(stub: Stub) -> list[PastPolicies]:
    found = []
    for one in stub.history(POLICIES.key(IN_FORCE)):
        policies = POLICIES.decode(one.value)
        assert policies is not None, "policies are never deleted"
        found.append(PastPolicies(one.timestamp_ms, one.tx_id, policies))
    return found
