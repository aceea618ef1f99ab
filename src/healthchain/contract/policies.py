"""What the members agreed to in numbers: every policy value with its bounds, and which role may do what.

All values are under one key, since most functions look at one of them; a change is a proposal (`governance`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field
from msgspec.structs import replace

from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Kind, Role
from healthchain.contract.state import State, Table

MINUTE_MS = 60 * 1000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
RECORD_BYTES_LIMIT = 1 << 20
BATCH_RECORDS_LIMIT = 500


class Permission(StrEnum):
    """What a role may be allowed to do; `WIDEST` says to whom each can be given at all."""

    REGISTER_PATIENT = "register-patient"
    APPOINT_GUARDIAN = "appoint-guardian"
    MOVE_PATIENT = "move-patient"  # death, merge, transfer of custody
    WRITE_RECORD = "write-record"
    ERASE_RECORD = "erase-record"
    READ_RECORD = "read-record"
    BREAK_GLASS = "break-glass"
    RELEASE_KEYS = "release-keys"
    REVIEW_BREAK_GLASS = "review-break-glass"
    RECORD_ORDER = "record-order"  # of a court
    LICENSE = "license"
    COVER = "cover"
    CLAIM = "claim"
    ADJUDICATE = "adjudicate"
    REPORT_CASE = "report-case"
    RECEIVE_REPORT = "receive-report"
    PUBLISH_AGGREGATE = "publish-aggregate"
    PROPOSE = "propose"
    VOTE = "vote"
    AUDIT = "audit"  # of its own patients
    OVERSEE = "oversee"  # the agency's queues


STAFF = frozenset((Role.CLINICIAN, Role.ADMINISTRATOR))
_AGENCY = frozenset((Role.HEALTH_OFFICER, Role.ADMINISTRATOR))
_INSURER = frozenset((Role.CLAIMS_AGENT, Role.ADMINISTRATOR))
_ADMINISTRATOR = frozenset((Role.ADMINISTRATOR,))

WIDEST: dict[Permission, dict[Kind, frozenset[Role]]] = {
    Permission.REGISTER_PATIENT: {Kind.HOSPITAL: STAFF},
    Permission.APPOINT_GUARDIAN: {Kind.HOSPITAL: STAFF},
    Permission.MOVE_PATIENT: {Kind.HOSPITAL: STAFF, Kind.AGENCY: _AGENCY},
    Permission.WRITE_RECORD: {Kind.HOSPITAL: STAFF},
    Permission.ERASE_RECORD: {Kind.HOSPITAL: STAFF},
    Permission.READ_RECORD: {
        Kind.HOSPITAL: frozenset((Role.CLINICIAN,)),
        Kind.INSURER: frozenset((Role.CLAIMS_AGENT,)),
        Kind.AGENCY: frozenset((Role.HEALTH_OFFICER,)),
    },
    Permission.BREAK_GLASS: {Kind.HOSPITAL: frozenset((Role.CLINICIAN,))},
    Permission.RELEASE_KEYS: {Kind.HOSPITAL: STAFF},
    Permission.REVIEW_BREAK_GLASS: {Kind.HOSPITAL: _ADMINISTRATOR, Kind.AGENCY: _AGENCY},
    Permission.RECORD_ORDER: {Kind.AGENCY: _AGENCY},
    Permission.LICENSE: {Kind.AGENCY: _AGENCY},
    Permission.COVER: {Kind.INSURER: _INSURER},
    Permission.CLAIM: {Kind.HOSPITAL: STAFF},
    Permission.ADJUDICATE: {Kind.INSURER: _INSURER},
    Permission.REPORT_CASE: {Kind.HOSPITAL: STAFF},
    Permission.RECEIVE_REPORT: {Kind.AGENCY: _AGENCY},
    Permission.PUBLISH_AGGREGATE: {Kind.AGENCY: _AGENCY},
    Permission.PROPOSE: dict.fromkeys(Kind, _ADMINISTRATOR),
    Permission.VOTE: dict.fromkeys(Kind, _ADMINISTRATOR),
    Permission.AUDIT: dict.fromkeys(Kind, _ADMINISTRATOR),
    Permission.OVERSEE: {Kind.AGENCY: _AGENCY},
}


def widest(permission: Permission) -> frozenset[Role]:
    return frozenset().union(*WIDEST[permission].values())


class Share(StrEnum):
    """Of the active members, how many must be for a proposal."""

    MAJORITY = "majority"
    TWO_THIRDS = "two-thirds"
    ALL = "all"

    def of(self, members: int) -> int:
        return {Share.MAJORITY: members // 2 + 1, Share.TWO_THIRDS: (2 * members + 2) // 3, Share.ALL: members}[self]


class DecisionRule(State, frozen=True):
    """Enough members overall, and of each kind at least this many (or all, where there are fewer of that kind)."""

    share: Share = Share.MAJORITY
    hospitals: Annotated[int, Meta(ge=0, le=50)] = 1
    insurers: Annotated[int, Meta(ge=0, le=50)] = 1
    agencies: Annotated[int, Meta(ge=0, le=50)] = 1

    def of_kind(self, kind: Kind) -> int:
        return {Kind.HOSPITAL: self.hospitals, Kind.INSURER: self.insurers, Kind.AGENCY: self.agencies}[kind]


class Policies(State, frozen=True):
    """The values in force. Times in milliseconds; what the bounds refuse was never agreed to."""

    session_ms_max: Annotated[int, Meta(ge=MINUTE_MS, le=DAY_MS)] = 12 * HOUR_MS
    break_glass_ms_max: Annotated[int, Meta(ge=5 * MINUTE_MS, le=DAY_MS)] = 4 * HOUR_MS
    break_glass_review_ms: Annotated[int, Meta(ge=HOUR_MS, le=90 * DAY_MS)] = 7 * DAY_MS
    record_bytes_max: Annotated[int, Meta(ge=4096, le=RECORD_BYTES_LIMIT)] = RECORD_BYTES_LIMIT
    batch_records_max: Annotated[int, Meta(ge=1, le=BATCH_RECORDS_LIMIT)] = BATCH_RECORDS_LIMIT
    case_report_ms: Annotated[int, Meta(ge=HOUR_MS, le=90 * DAY_MS)] = DAY_MS
    cell_min: Annotated[int, Meta(ge=3, le=1000)] = 5
    claim_filing_ms: Annotated[int, Meta(ge=DAY_MS, le=3 * 365 * DAY_MS)] = 365 * DAY_MS
    claim_answer_ms: Annotated[int, Meta(ge=HOUR_MS, le=365 * DAY_MS)] = 30 * DAY_MS
    claim_appeal_ms: Annotated[int, Meta(ge=DAY_MS, le=365 * DAY_MS)] = 60 * DAY_MS
    claim_kept_ms: Annotated[int, Meta(ge=0, le=10 * 365 * DAY_MS)] = 90 * DAY_MS
    proposal_ms: Annotated[int, Meta(ge=HOUR_MS, le=365 * DAY_MS)] = 30 * DAY_MS
    decision: DecisionRule = DecisionRule()
    roles: dict[Permission, tuple[Role, ...]] = field(default_factory=dict)
    """Permissions narrowed to fewer roles than `WIDEST` gives; what is not named is as wide as that."""

    def may(self, permission: Permission, kind: Kind, role: Role) -> bool:
        widest_roles = WIDEST[permission].get(kind, frozenset())
        narrowed = self.roles.get(permission)
        return role in widest_roles and (narrowed is None or role in narrowed)


def checked(values: Policies) -> Policies:
    """In the one form that is kept; refuses a permission given to a role that can never have it, or to nobody."""
    roles = {}
    for permission in Permission:
        chosen = values.roles.get(permission)
        if chosen is None:
            continue
        if not chosen or not widest(permission).issuperset(chosen):
            raise refusal(Code.POLICY_INVALID)
        roles[permission] = tuple(sorted(set(chosen)))
    return replace(values, roles=roles)


POLICIES = Table("policy", Policies, seldom_changed=True)
IN_FORCE = "in-force"
