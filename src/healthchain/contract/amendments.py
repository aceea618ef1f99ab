"""What can be proposed of the consortium itself: each change, when it makes sense, and what its enactment writes.

A change is checked when it is proposed and again when it is enacted, since others may have passed in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.membership import Membership, Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import policies
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Kind, Milliseconds, MspId, PublicKey, Result, Role
from healthchain.contract.members import MEMBER_KEYS, MEMBERS, MEMBERSHIPS, Member, MemberKey, Name, put_member
from healthchain.contract.policies import POLICIES, DecisionRule, Permission, Policies

MspConfig = Annotated[bytes, Meta(min_length=1, max_length=64 * 1024)]  # pb(Fabric's FabricMSPConfig)
OrdererCertificate = Annotated[bytes, Meta(max_length=16 * 1024)]  # PEM
PolicyName = Annotated[str, Meta(min_length=1, max_length=40)]

NEVER_WITHOUT = frozenset((Kind.HOSPITAL, Kind.AGENCY))
"""Kinds of which one member stays active: without them nobody keeps records, or licenses who does."""


class AddMember(Arguments, frozen=True, tag_field="change", tag="add-member"):
    """Without an orderer's certificate the member orders nothing until `RotateCertificates` brings one."""

    msp_id: MspId
    kind: Kind
    name: Name
    contact: Name
    public_key: PublicKey
    msp_config: MspConfig
    orderer: OrdererCertificate = b""


class SuspendMember(Arguments, frozen=True, tag_field="change", tag="suspend-member"):
    msp_id: MspId


class ResumeMember(Arguments, frozen=True, tag_field="change", tag="resume-member"):
    msp_id: MspId


class RemoveMember(Arguments, frozen=True, tag_field="change", tag="remove-member"):
    """For good. The envelopes that the member holds are purged afterwards, see `leaving`."""

    msp_id: MspId


class ChangePolicies(Arguments, frozen=True, tag_field="change", tag="change-policies"):
    """Names and values of `Policies`, all of them numbers; its bounds hold."""

    values: Annotated[dict[PolicyName, Milliseconds], Meta(min_length=1, max_length=40)]


class NarrowPermission(Arguments, frozen=True, tag_field="change", tag="narrow-permission"):
    """To these roles; `roles` null: as wide as `WIDEST` again."""

    permission: Permission
    roles: Annotated[tuple[Role, ...], Meta(min_length=1, max_length=10)] | None


class ChangeDecisionRule(Arguments, frozen=True, tag_field="change", tag="change-decision-rule"):
    """How the next proposals are decided, and those that are open."""

    decision: DecisionRule


class RotateEncryptionKey(Arguments, frozen=True, tag_field="change", tag="rotate-encryption-key"):
    """Of the proposer's own organisation. What was sealed before stays sealed to the old key."""

    public_key: PublicKey


class RotateCertificates(Arguments, frozen=True, tag_field="change", tag="rotate-certificates"):
    """Of the proposer's own organisation: its authorities, and its orderer's certificate (empty: as before)."""

    msp_config: MspConfig
    orderer: OrdererCertificate = b""


Amendment = (
    AddMember
    | SuspendMember
    | ResumeMember
    | RemoveMember
    | ChangePolicies
    | NarrowPermission
    | ChangeDecisionRule
    | RotateEncryptionKey
    | RotateCertificates
)


class MemberToAdd(Result, frozen=True, tag_field="change", tag="add-member"):
    """`AddMember` without certificates."""

    msp_id: str
    kind: Kind
    name: str
    contact: str
    public_key: bytes


class CertificatesToRotate(Result, frozen=True, tag_field="change", tag="rotate-certificates"):
    """`RotateCertificates` without them."""


Summary = (
    MemberToAdd
    | SuspendMember
    | ResumeMember
    | RemoveMember
    | ChangePolicies
    | NarrowPermission
    | ChangeDecisionRule
    | RotateEncryptionKey
    | CertificatesToRotate
)


def summary(change: Amendment) -> Summary:
    """For lists of many: certificates have tens of kilobytes."""
    match change:
        case AddMember():
            return MemberToAdd(change.msp_id, change.kind, change.name, change.contact, change.public_key)
        case RotateCertificates():
            return CertificatesToRotate()
    return change


class Consortium(NamedTuple):
    """As it is committed; the members by MSP id."""

    members: Mapping[str, Member]
    policies: Policies

    def active(self) -> dict[str, Kind]:
        return {msp_id: one.kind for msp_id, one in self.members.items() if one.standing is Standing.ACTIVE}


def consortium(stub: Stub, in_force: Policies) -> Consortium:
    return Consortium({msp_id: member for (msp_id,), member in MEMBERS.scan(stub)}, in_force)


def voters(change: Amendment, now: Consortium) -> dict[str, Kind]:
    """Active members by MSP id; one whose suspension or removal it is has no vote on that."""
    without = change.msp_id if isinstance(change, SuspendMember | RemoveMember) else None
    return {msp_id: kind for msp_id, kind in now.active().items() if msp_id != without}


def check(change: Amendment, proposer: str, now: Consortium) -> None:
    """Refuses what cannot be enacted as the consortium is now, or would change nothing; `proposer` is an MSP id."""
    match change:
        case AddMember(msp_id=msp_id):
            if msp_id in now.members:
                raise refusal(Code.MEMBER_EXISTS)
        case SuspendMember(msp_id=msp_id):
            _require_standing(now, msp_id, Standing.ACTIVE)
            _require_another(now, msp_id)
        case ResumeMember(msp_id=msp_id):
            _require_standing(now, msp_id, Standing.SUSPENDED)
        case RemoveMember(msp_id=msp_id):
            _require_standing(now, msp_id, Standing.ACTIVE, Standing.SUSPENDED)
            _require_another(now, msp_id)
        case ChangePolicies() | NarrowPermission() | ChangeDecisionRule():
            if changed_policies(change, now.policies) == now.policies:
                raise refusal(Code.CHANGE_VOID)
        case RotateEncryptionKey() | RotateCertificates():
            _require_standing(now, proposer, Standing.ACTIVE)


def enact(stub: Stub, change: Amendment, proposer: str, now: Consortium) -> None:
    """Only after `check`."""
    match change:
        case AddMember(msp_id=msp_id):
            put_member(stub, msp_id, Member(change.kind, change.name), change.contact, MemberKey(1, change.public_key))
            MEMBERSHIPS.put(stub, Membership(Standing.ACTIVE, change.msp_config, change.orderer), msp_id)
        case SuspendMember(msp_id=msp_id):
            _put_standing(stub, now, msp_id, Standing.SUSPENDED)
        case ResumeMember(msp_id=msp_id):
            _put_standing(stub, now, msp_id, Standing.ACTIVE)
        case RemoveMember(msp_id=msp_id):
            _put_standing(stub, now, msp_id, Standing.REMOVED)
        case ChangePolicies() | NarrowPermission() | ChangeDecisionRule():
            POLICIES.put(stub, changed_policies(change, now.policies), policies.IN_FORCE)
        case RotateEncryptionKey():
            key = MEMBER_KEYS.get(stub, proposer)
            assert key is not None, "put_member writes all"
            MEMBER_KEYS.put(stub, MemberKey(key.version + 1, change.public_key), proposer)
        case RotateCertificates():
            before = _membership(stub, proposer)
            orderer = change.orderer or before.orderer
            MEMBERSHIPS.put(stub, replace(before, msp_config=change.msp_config, orderer=orderer), proposer)


def changed_policies(change: ChangePolicies | NarrowPermission | ChangeDecisionRule, before: Policies) -> Policies:
    """Refuses what is no policy, or out of bounds, with POLICY_INVALID."""
    match change:
        case ChangePolicies(values=values):
            try:
                return msgspec.convert(msgspec.to_builtins(before) | values, Policies)
            except msgspec.ValidationError:
                raise refusal(Code.POLICY_INVALID) from None
        case NarrowPermission(permission=permission, roles=roles):
            others = {one: chosen for one, chosen in before.roles.items() if one is not permission}
            narrowed = others if roles is None else others | {permission: roles}
            return policies.checked(replace(before, roles=narrowed))
        case ChangeDecisionRule(decision=decision):
            return replace(before, decision=decision)


def _require_standing(now: Consortium, msp_id: str, *wanted: Standing) -> None:
    if msp_id not in now.members:
        raise refusal(Code.MEMBER_NOT_LISTED)
    if now.members[msp_id].standing not in wanted:
        raise refusal(Code.MEMBER_STANDING)


def _require_another(now: Consortium, msp_id: str) -> None:
    """Active, of the same kind, where the consortium cannot be without."""
    kind = now.members[msp_id].kind
    if kind in NEVER_WITHOUT and not any(one is kind for other, one in now.active().items() if other != msp_id):
        raise refusal(Code.LAST_OF_KIND)


def _put_standing(stub: Stub, now: Consortium, msp_id: str, standing: Standing) -> None:
    MEMBERS.put(stub, replace(now.members[msp_id], standing=standing), msp_id)
    MEMBERSHIPS.put(stub, replace(_membership(stub, msp_id), standing=standing), msp_id)


def _membership(stub: Stub, msp_id: str) -> Membership:
    found = MEMBERSHIPS.get(stub, msp_id)
    assert found is not None, "founding and adding write it"
    return found
