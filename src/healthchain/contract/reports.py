"""Case reports: a hospital tells an agency of a case, in time; the agency confirms, asks, and sees what is late.

What is reported is sealed to the agency alone. Public are the parties, the times and the hour in which the case became
known: neither patient nor condition nor region, so that the deadline is measured without telling of whom.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import licences, messages
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Id, Kind, Milliseconds, MspId
from healthchain.contract.licences import Act
from healthchain.contract.members import MEMBERS, Acting, acting
from healthchain.contract.policies import DAY_MS, HOUR_MS, Permission
from healthchain.contract.state import State, Table, emit

ANSWER_MS_MAX = 90 * DAY_MS
Hour = Annotated[int, Meta(ge=0, lt=2**53, multiple_of=HOUR_MS)]


class Report(State, frozen=True):
    """In time if time_ms <= deadline_ms. The agency checks known_ms against what is sealed."""

    hospital: str
    agency: str
    by: str
    time_ms: int
    known_ms: int
    deadline_ms: int
    acknowledged_by: str | None = None
    acknowledged_ms: int | None = None
    withdrawn_by: str | None = None
    withdrawn_ms: int | None = None

    @property
    def late_ms(self) -> int:
        return max(0, self.time_ms - self.deadline_ms)


class FollowUp(State, frozen=True):
    """`request` is what it answers."""

    by: str
    time_ms: int
    request: str | None


class Request(State, frozen=True):
    by: str
    time_ms: int
    due_ms: int


class Filed(State, frozen=True):
    """A line of a party's list."""


class Late(State, frozen=True):
    hospital: str
    late_ms: int


class Waiting(State, frozen=True):
    hospital: str
    due_ms: int


REPORTS = Table("report", Report)  # report
FOLLOW_UPS = Table("report-follow-up", FollowUp)  # report, follow-up
REQUESTS = Table("report-request", Request)  # report, request
FILED = Table("report-filed", Filed)  # MSP id of the hospital or the agency, report
LATE = Table("report-late", Late)  # MSP id of the agency, report
WAITING = Table("report-waiting", Waiting)  # MSP id of the agency, report, request


class File(Arguments, frozen=True):
    """`known_ms`: when the case became known, rounded down to the hour (UTC)."""

    id: Id
    agency: MspId
    known_ms: Hour


def file(stub: Stub, arguments: File) -> None:
    """By a licensed hospital. Transient: `body_message`."""
    gate = acting(stub, Permission.REPORT_CASE)
    licences.require(stub, Act.REPORT)
    addressee = MEMBERS.get(stub, arguments.agency)
    if addressee is None or addressee.kind is not Kind.AGENCY or addressee.standing is not Standing.ACTIVE:
        raise refusal(Code.REPORT_ADDRESSEE)
    if arguments.known_ms > stub.timestamp_ms:
        raise refusal(Code.REPORT_TIME)
    if REPORTS.get(stub, arguments.id) is not None:
        raise refusal(Code.REPORT_EXISTS)
    messages.store(stub, {body_message(arguments.id)})
    report = Report(
        hospital=gate.caller.msp_id,
        agency=arguments.agency,
        by=gate.user,
        time_ms=stub.timestamp_ms,
        known_ms=arguments.known_ms,
        deadline_ms=arguments.known_ms + gate.policies.case_report_ms,
    )
    REPORTS.put(stub, report, arguments.id)
    FILED.put(stub, Filed(), report.hospital, arguments.id)
    FILED.put(stub, Filed(), report.agency, arguments.id)
    if report.late_ms:
        LATE.put(stub, Late(report.hospital, report.late_ms), report.agency, arguments.id)
    emit(stub, "reports:Filed", "", (arguments.id,))


def body_message(report_id: str) -> str:
    """In MESSAGES, as all of a report: sealed to the agency alone."""
    return messages.message_key("report", report_id, "body")


def follow_up_message(report_id: str, follow_up_id: str) -> str:
    return messages.message_key("report", report_id, "follow-up", follow_up_id)


def withdrawal_message(report_id: str) -> str:
    return messages.message_key("report", report_id, "withdrawal")


def request_message(report_id: str, request_id: str) -> str:
    """Sealed to the hospital and the agency."""
    return messages.message_key("report", report_id, "request", request_id)


class Acknowledge(Arguments, frozen=True):
    id: Id


def acknowledge(stub: Stub, arguments: Acknowledge) -> None:
    """By the agency, once: it has opened the report."""
    gate = acting(stub, Permission.RECEIVE_REPORT)
    report = addressed(stub, gate, arguments.id)
    if report.withdrawn_ms is not None:
        raise refusal(Code.REPORT_WITHDRAWN)
    if report.acknowledged_ms is not None:
        raise refusal(Code.REPORT_ACKNOWLEDGED)
    done = replace(report, acknowledged_by=gate.user, acknowledged_ms=stub.timestamp_ms)
    REPORTS.put(stub, done, arguments.id)
    emit(stub, "reports:Acknowledged", "", (arguments.id,))


class AddFollowUp(Arguments, frozen=True):
    id: Id
    report: Id
    request: Id | None = None


def follow_up(stub: Stub, arguments: AddFollowUp) -> None:
    """By the hospital, of its own accord or as answer to a request. Transient: `follow_up_message`."""
    gate = acting(stub, Permission.REPORT_CASE)
    licences.require(stub, Act.REPORT)
    report = _own(stub, gate, arguments.report)
    if FOLLOW_UPS.get(stub, arguments.report, arguments.id) is not None:
        raise refusal(Code.REPORT_EXISTS)
    if arguments.request is not None:
        if WAITING.get(stub, report.agency, arguments.report, arguments.request) is None:
            raise refusal(Code.REQUEST_UNKNOWN)
        WAITING.delete(stub, report.agency, arguments.report, arguments.request)
    messages.store(stub, {follow_up_message(arguments.report, arguments.id)})
    added = FollowUp(gate.user, stub.timestamp_ms, arguments.request)
    FOLLOW_UPS.put(stub, added, arguments.report, arguments.id)
    emit(stub, "reports:FollowedUp", "", (arguments.report, arguments.id))


class Withdraw(Arguments, frozen=True):
    id: Id


def withdraw(stub: Stub, arguments: Withdraw) -> None:
    """By the hospital: it was no case. No figure counts it from now on. Transient: `withdrawal_message`."""
    gate = acting(stub, Permission.REPORT_CASE)
    report = _own(stub, gate, arguments.id)
    messages.store(stub, {withdrawal_message(arguments.id)})
    for (agency, report_id, request_id), _ in WAITING.scan(stub, report.agency, arguments.id):
        WAITING.delete(stub, agency, report_id, request_id)
    REPORTS.put(stub, replace(report, withdrawn_by=gate.user, withdrawn_ms=stub.timestamp_ms), arguments.id)
    emit(stub, "reports:Withdrawn", "", (arguments.id,))


class Ask(Arguments, frozen=True):
    id: Id
    report: Id
    due_ms: Milliseconds


def request(stub: Stub, arguments: Ask) -> None:
    """By the agency: it needs to know more until due_ms. Transient: `request_message`."""
    gate = acting(stub, Permission.RECEIVE_REPORT)
    report = addressed(stub, gate, arguments.report)
    if report.withdrawn_ms is not None:
        raise refusal(Code.REPORT_WITHDRAWN)
    if not stub.timestamp_ms < arguments.due_ms <= stub.timestamp_ms + ANSWER_MS_MAX:
        raise refusal(Code.PERIOD_INVALID)
    if REQUESTS.get(stub, arguments.report, arguments.id) is not None:
        raise refusal(Code.REPORT_EXISTS)
    messages.store(stub, {request_message(arguments.report, arguments.id)})
    REQUESTS.put(stub, Request(gate.user, stub.timestamp_ms, arguments.due_ms), arguments.report, arguments.id)
    waiting = Waiting(report.hospital, arguments.due_ms)
    WAITING.put(stub, waiting, report.agency, arguments.report, arguments.id)
    emit(stub, "reports:Requested", "", (arguments.report, arguments.id))


def known(stub: Stub, report_id: str) -> Report:
    return REPORTS.require(stub, Code.REPORT_UNKNOWN, report_id)


def addressed(stub: Stub, gate: Acting, report_id: str) -> Report:
    """A report to the caller's agency, withdrawn or not."""
    report = known(stub, report_id)
    if report.agency != gate.caller.msp_id:
        raise refusal(Code.REPORT_OF_ANOTHER)
    return report


def _own(stub: Stub, gate: Acting, report_id: str) -> Report:
    """A report of the caller's hospital that still stands."""
    report = known(stub, report_id)
    if report.hospital != gate.caller.msp_id:
        raise refusal(Code.REPORT_OF_ANOTHER)
    if report.withdrawn_ms is not None:
        raise refusal(Code.REPORT_WITHDRAWN)
    return report
