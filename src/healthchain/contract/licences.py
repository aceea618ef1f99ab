"""Licences: the agency's word that a hospital or a practitioner may do acts of a kind, for a time.

A licence is looked at when somebody acts. One that lapsed stops tomorrow's records, not yesterday's.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict, replace

from healthchain.chaincode.stub import Caller, Stub
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Kind, Limit, Milliseconds, Result
from healthchain.contract.members import MEMBERS, acting, organisation_of, user_of
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit

_HOLDER = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[^\x00-\x1f\x7f\U0010ffff]{1,64})?"
Holder = Annotated[str, Meta(pattern=rf"^{_HOLDER}\Z", max_length=129)]
"""A hospital by its MSP id, or a practitioner as MSP/CN; the slash tells which."""
StartHolder = Annotated[str, Meta(pattern=rf"^({_HOLDER})?\Z", max_length=129)]
Number = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9./-]*\Z", min_length=1, max_length=40)]


class Act(StrEnum):
    RECORD = "record"
    CLAIM = "claim"
    REPORT = "report"
    EMERGENCY = "emergency"  # breaking the glass


class LicenceStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class Licence(State, frozen=True):
    """From start_ms (inclusive) to end_ms (exclusive), while it is not suspended; one for each holder."""

    number: str
    acts: tuple[Act, ...]
    start_ms: int
    end_ms: int
    status: LicenceStatus
    by: str  # MSP/CN of who wrote this state of it
    time_ms: int

    def allows(self, act: Act, now_ms: int) -> bool:
        return self.status is LicenceStatus.ACTIVE and self.start_ms <= now_ms < self.end_ms and act in self.acts


LICENCES = Table("licence", Licence, seldom_changed=True)


class Issue(Arguments, frozen=True):
    """Replaces a licence that the holder has."""

    holder: Holder
    number: Number
    acts: Annotated[tuple[Act, ...], Meta(min_length=1, max_length=10)]
    start_ms: Milliseconds
    end_ms: Milliseconds


def keys_of(caller: Caller) -> list[str]:
    """The states that `require` looks at, for a function that reads them together with others."""
    return [LICENCES.key(caller.msp_id), LICENCES.key(user_of(caller))]


def require(stub: Stub, act: Act) -> None:
    """The caller and its hospital are licensed for this now, or LICENCE_MISSING."""
    require_found(stub, act, stub.get_states(keys_of(stub.caller)))


def require_found(stub: Stub, act: Act, found: Sequence[bytes | None]) -> None:
    for licence in map(LICENCES.decode, found):
        if licence is None or not licence.allows(act, stub.timestamp_ms):
            raise refusal(Code.LICENCE_MISSING)


def issue(stub: Stub, arguments: Issue) -> None:
    """By the agency, to a hospital or a practitioner of one."""
    by = acting(stub, Permission.LICENSE).user
    hospital = MEMBERS.get(stub, organisation_of(arguments.holder))
    if hospital is None or hospital.kind is not Kind.HOSPITAL:
        raise refusal(Code.LICENCE_HOLDER)
    if not max(arguments.start_ms, stub.timestamp_ms) < arguments.end_ms:
        raise refusal(Code.PERIOD_INVALID)
    licence = Licence(
        number=arguments.number,
        acts=tuple(sorted(set(arguments.acts))),
        start_ms=arguments.start_ms,
        end_ms=arguments.end_ms,
        status=LicenceStatus.ACTIVE,
        by=by,
        time_ms=stub.timestamp_ms,
    )
    LICENCES.put(stub, licence, arguments.holder)
    emit(stub, "licences:Issued", "", ())


class Suspend(Arguments, frozen=True):
    holder: Holder


class Reinstate(Suspend, frozen=True):
    pass


def suspend(stub: Stub, arguments: Suspend) -> None:
    """By the agency; nothing that the holder writes from now on is taken."""
    _change(stub, arguments.holder, LicenceStatus.ACTIVE, LicenceStatus.SUSPENDED)


def reinstate(stub: Stub, arguments: Reinstate) -> None:
    _change(stub, arguments.holder, LicenceStatus.SUSPENDED, LicenceStatus.ACTIVE)


def _change(stub: Stub, holder: str, before: LicenceStatus, after: LicenceStatus) -> None:
    by = acting(stub, Permission.LICENSE).user
    licence = LICENCES.require(stub, Code.LICENCE_UNKNOWN, holder)
    if licence.status is not before:
        raise refusal(Code.LICENCE_STATUS)
    LICENCES.put(stub, replace(licence, status=after, by=by, time_ms=stub.timestamp_ms), holder)
    emit(stub, "licences:Changed", "", ())


class List(Arguments, frozen=True):
    start: StartHolder = ""
    limit: Limit = 100


class ListedLicence(Licence, frozen=True, kw_only=True):
    holder: str


class Licences(Result, frozen=True):
    licences: list[ListedLicence]
    next: str | None


def list_licences(stub: Stub, arguments: List) -> Licences:
    """By holder, from `start` on; `next` starts the next page. For every member, since a licence is public."""
    acting(stub)
    found: list[ListedLicence] = []
    for (holder,), one in LICENCES.scan_from(stub, (), arguments.start):
        if len(found) == arguments.limit:
            return Licences(found, holder)
        found.append(ListedLicence(holder=holder, **asdict(one)))
    return Licences(found, None)
