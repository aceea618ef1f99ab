"""Members of the consortium: founding, their standing and HPKE keys, and the gate that every call passes.

After the founding, members change by proposal only (`governance`).
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta

from healthchain.chaincode.membership import OBJECT_TYPE, Membership, Standing
from healthchain.chaincode.stub import Caller, Stub
from healthchain.contract import policies
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import PERSONS, Arguments, Kind, MspId, PublicKey, Result, Role
from healthchain.contract.policies import POLICIES, Permission, Policies
from healthchain.contract.state import State, Table

Name = Annotated[str, Meta(min_length=1, max_length=200)]

ROLES_OF_KIND = {
    Kind.HOSPITAL: frozenset((Role.CLINICIAN, Role.ADMINISTRATOR, Role.PATIENT, Role.GUARDIAN)),
    Kind.INSURER: frozenset((Role.CLAIMS_AGENT, Role.ADMINISTRATOR)),
    Kind.AGENCY: frozenset((Role.HEALTH_OFFICER, Role.ADMINISTRATOR)),
}


STAFF_OF_KIND = {kind: roles - PERSONS for kind, roles in ROLES_OF_KIND.items()}


class Member(State, frozen=True):
    """Read by every call, so it stays small and hardly ever changes: key and contact are elsewhere."""

    kind: Kind
    name: str
    standing: Standing = Standing.ACTIVE


class MemberKey(State, frozen=True):
    version: int
    public_key: bytes


class MemberContact(State, frozen=True):
    contact: str


MEMBERS = Table("member", Member, seldom_changed=True)
MEMBER_KEYS = Table("member-key", MemberKey)
MEMBER_CONTACTS = Table("member-contact", MemberContact)
MEMBERSHIPS = Table(OBJECT_TYPE, Membership)  # what the network goes by


class Acting(NamedTuple):
    """Who calls, once the gate has let it through, and the policies in force."""

    caller: Caller
    member: Member
    role: Role
    policies: Policies

    @property
    def user(self) -> str:
        return user_of(self.caller)


def acting(stub: Stub, permission: Permission | None = None) -> Acting:
    """The gate of every function but the founding: 1 a member; 2 active; 3 a role of its kind; 4 permitted.

    Refuses with MEMBER_UNKNOWN, MEMBER_SUSPENDED, MEMBER_REMOVED, ROLE_FORBIDDEN, before anything else is looked at.
    """
    member, found = stub.get_states([MEMBERS.key(stub.caller.msp_id), POLICIES.key(policies.IN_FORCE)])
    return admitted(stub.caller, MEMBERS.decode(member), POLICIES.decode(found), permission)


def admitted(caller: Caller, member: Member | None, found: Policies | None, permission: Permission | None) -> Acting:
    """The same for a function that reads these values together with others."""
    member = require_active(member)
    assert found is not None, "the founding writes the policies"
    role = role_of(caller, member)
    if permission is not None and not found.may(permission, member.kind, role):
        raise refusal(Code.ROLE_FORBIDDEN)
    return Acting(caller, member, role, found)


def require_active(member: Member | None) -> Member:
    if member is None:
        raise refusal(Code.MEMBER_UNKNOWN)
    if member.standing is Standing.SUSPENDED:
        raise refusal(Code.MEMBER_SUSPENDED)
    if member.standing is Standing.REMOVED:
        raise refusal(Code.MEMBER_REMOVED)
    return member


def role_of(caller: Caller, member: Member) -> Role:
    """The caller's role, if this kind of organisation has such a role: an insurer has no clinicians."""
    for role in Role:
        if role == caller.role and role in ROLES_OF_KIND[member.kind]:
            return role
    raise refusal(Code.ROLE_FORBIDDEN)


def user_of(caller: Caller) -> str:
    """`MSP/CN`; an MSP id has no slash, so the first one separates."""
    return f"{caller.msp_id}/{caller.common_name}"


def organisation_of(user: str) -> str:
    """The MSP id of what `user_of` makes."""
    return user.split("/", 1)[0]


class Founder(Arguments, frozen=True):
    msp_id: MspId
    kind: Kind
    name: Name
    contact: Name
    public_key: PublicKey


class Found(Arguments, frozen=True):
    members: Annotated[tuple[Founder, ...], Meta(min_length=1, max_length=100)]
    policies: Policies = Policies()


def found(stub: Stub, arguments: Found) -> None:
    """Once only, by an administrator of one of the founders."""
    ids = [one.msp_id for one in arguments.members]
    if any(True for _ in MEMBERS.scan(stub)):
        raise refusal(Code.CONSORTIUM_FOUNDED)
    if len(set(ids)) != len(ids):
        raise refusal(Code.MEMBER_DUPLICATE)
    if stub.caller.msp_id not in ids:
        raise refusal(Code.FOUNDER_NOT_LISTED)
    if stub.caller.role != Role.ADMINISTRATOR:
        raise refusal(Code.ROLE_FORBIDDEN)
    for one in sorted(arguments.members, key=lambda one: one.msp_id):
        MEMBERSHIPS.put(stub, Membership(Standing.ACTIVE), one.msp_id)
        put_member(stub, one.msp_id, Member(one.kind, one.name), one.contact, MemberKey(1, one.public_key))
    POLICIES.put(stub, policies.checked(arguments.policies), policies.IN_FORCE)


def put_member(stub: Stub, msp_id: str, member: Member, contact: str, key: MemberKey) -> None:
    MEMBERS.put(stub, member, msp_id)
    MEMBER_CONTACTS.put(stub, MemberContact(contact), msp_id)
    MEMBER_KEYS.put(stub, key, msp_id)


class List(Arguments, frozen=True):
    pass


class ListedMember(Result, frozen=True):
    msp_id: str
    kind: Kind
    name: str
    standing: Standing
    contact: str
    key_version: int
    public_key: bytes


class Members(Result, frozen=True):
    members: list[ListedMember]


def list_members(stub: Stub, arguments: List) -> Members:
    """All members in the order of their MSP ids; open to any caller whom the channel knows."""
    listed = []
    for (msp_id,), member in MEMBERS.scan(stub):
        key, contact = MEMBER_KEYS.get(stub, msp_id), MEMBER_CONTACTS.get(stub, msp_id)
        assert key is not None, "put_member writes all"
        assert contact is not None, "put_member writes all"
        listed.append(
            ListedMember(
                msp_id, member.kind, member.name, member.standing, contact.contact, key.version, key.public_key
            )
        )
    return Members(listed)
