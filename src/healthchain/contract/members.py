"""Members of the consortium: founding, their HPKE keys, which roles exist in which kind of organisation."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from healthchain.chaincode.stub import Caller, Stub
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Kind, MspId, PublicKey, Result, Role
from healthchain.contract.state import State, Table

Name = Annotated[str, Meta(min_length=1, max_length=200)]

STAFF = frozenset((Role.CLINICIAN, Role.ADMINISTRATOR))
ROLES_OF_KIND = {
    Kind.HOSPITAL: frozenset((Role.CLINICIAN, Role.ADMINISTRATOR, Role.PATIENT)),
    Kind.INSURER: frozenset((Role.CLAIMS_AGENT, Role.ADMINISTRATOR)),
    Kind.AGENCY: frozenset((Role.HEALTH_OFFICER, Role.ADMINISTRATOR)),
}


class Member(State, frozen=True):
    """Read by every write of a record, so it stays small and hardly ever changes: the key is elsewhere."""

    kind: Kind
    name: str


class MemberKey(State, frozen=True):
    version: int
    public_key: bytes


MEMBERS = Table("member", Member)
MEMBER_KEYS = Table("member-key", MemberKey)


class Founder(Arguments, frozen=True):
    msp_id: MspId
    kind: Kind
    name: Name


class Found(Arguments, frozen=True):
    members: Annotated[tuple[Founder, ...], Meta(min_length=1, max_length=100)]


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
        MEMBERS.put(stub, Member(one.kind, one.name), one.msp_id)


class PublishKey(Arguments, frozen=True):
    public_key: PublicKey


def publish_key(stub: Stub, arguments: PublishKey) -> None:
    """Of the caller's own organisation. Envelopes sealed to an older key stay as they are."""
    require_role(stub.caller, calling_member(stub), frozenset((Role.ADMINISTRATOR,)))
    msp_id = stub.caller.msp_id
    current = MEMBER_KEYS.get(stub, msp_id)
    version = current.version + 1 if current else 1
    MEMBER_KEYS.put(stub, MemberKey(version, arguments.public_key), msp_id)


class List(Arguments, frozen=True):
    pass


class ListedMember(Result, frozen=True):
    msp_id: str
    kind: Kind
    name: str
    key_version: int  # 0: none published yet
    public_key: bytes | None


class Members(Result, frozen=True):
    members: list[ListedMember]


def list_members(stub: Stub, arguments: List) -> Members:
    """All members in the order of their MSP ids; open to any caller whom the channel knows."""
    listed = []
    for (msp_id,), member in MEMBERS.scan(stub):
        key = MEMBER_KEYS.get(stub, msp_id)
        version, public_key = (key.version, key.public_key) if key else (0, None)
        listed.append(ListedMember(msp_id, member.kind, member.name, version, public_key))
    return Members(listed)


def calling_member(stub: Stub) -> Member:
    """The caller's organisation; refused with MEMBER_UNKNOWN before anything else is looked at."""
    return known_member(MEMBERS.get(stub, stub.caller.msp_id))


def known_member(member: Member | None) -> Member:
    if member is None:
        raise refusal(Code.MEMBER_UNKNOWN)
    return member


def role_of(caller: Caller, member: Member) -> Role:
    """The caller's role, if this kind of organisation has such a role: an insurer has no clinicians."""
    for role in Role:
        if role == caller.role and role in ROLES_OF_KIND[member.kind]:
            return role
    raise refusal(Code.ROLE_FORBIDDEN)


def require_role(caller: Caller, member: Member, roles: frozenset[Role]) -> Role:
    role = role_of(caller, member)
    if role not in roles:
        raise refusal(Code.ROLE_FORBIDDEN)
    return role


def user_of(caller: Caller) -> str:
    """`MSP/CN`; an MSP id has no slash, so the first one separates."""
    return f"{caller.msp_id}/{caller.common_name}"
