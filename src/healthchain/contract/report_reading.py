"""What the two parties of a case report see of it, and what the agency sees late. See `reports`."""

from __future__ import annotations

from enum import StrEnum

from msgspec.structs import asdict

from healthchain.chaincode.stub import Stub
from healthchain.contract import messages, reports
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Id, Kind, Limit, Result, StartId
from healthchain.contract.members import Acting, acting
from healthchain.contract.policies import Permission
from healthchain.contract.reports import FILED, FOLLOW_UPS, LATE, REQUESTS, WAITING, FollowUp, Late, Report, Request


class Get(Arguments, frozen=True):
    id: Id


class ListedFollowUp(FollowUp, frozen=True, kw_only=True):
    id: str


class ListedRequest(Request, frozen=True, kw_only=True):
    id: str


class ListedReport(Report, frozen=True, kw_only=True):
    """`late` is by how much the deadline was missed, in milliseconds."""

    id: str
    late: int


class ShownReport(Result, frozen=True):
    report: ListedReport
    follow_ups: list[ListedFollowUp]
    requests: list[ListedRequest]


def get(stub: Stub, arguments: Get) -> ShownReport:
    """For the hospital and the agency; follow-ups and requests in order of time."""
    report = _for_a_party(stub, _party(stub), arguments.id)
    follow_ups = [ListedFollowUp(id=one, **asdict(each)) for (_, one), each in FOLLOW_UPS.scan(stub, arguments.id)]
    requests = [ListedRequest(id=one, **asdict(each)) for (_, one), each in REQUESTS.scan(stub, arguments.id)]
    return ShownReport(
        report=ListedReport(id=arguments.id, late=report.late_ms, **asdict(report)),
        follow_ups=sorted(follow_ups, key=lambda one: (one.time_ms, one.id)),
        requests=sorted(requests, key=lambda one: (one.time_ms, one.id)),
    )


class List(Arguments, frozen=True):
    start: StartId = ""
    limit: Limit = 100


class Reports(Result, frozen=True):
    """`next` is where the next page starts, "" after the last."""

    reports: list[ListedReport]
    next: str


def list_reports(stub: Stub, arguments: List) -> Reports:
    """By id: those that the caller's hospital filed, or that are addressed to its agency."""
    party = _party(stub).caller.msp_id
    found: list[ListedReport] = []
    for (_, report_id), _filed in FILED.scan_from(stub, [party], arguments.start):
        if len(found) == arguments.limit:
            return Reports(found, report_id)
        report = reports.known(stub, report_id)
        found.append(ListedReport(id=report_id, late=report.late_ms, **asdict(report)))
    return Reports(found, "")


class Overdue(Arguments, frozen=True):
    pass


class LateReport(Late, frozen=True, kw_only=True):
    id: str


class OverdueRequest(Result, frozen=True):
    report: str
    id: str
    hospital: str
    due_ms: int


class Measured(Result, frozen=True):
    """Of a hospital: how many reports came late, and by how much at most."""

    hospital: str
    late: int
    late_ms_max: int


class Overview(Result, frozen=True):
    hospitals: list[Measured]
    late: list[LateReport]
    requests: list[OverdueRequest]


def overdue(stub: Stub, arguments: Overdue) -> Overview:
    """For an agency: which reports to it came late, and which of its requests wait beyond their time."""
    agency = acting(stub, Permission.RECEIVE_REPORT).caller.msp_id
    late = [LateReport(id=report_id, **asdict(one)) for (_, report_id), one in LATE.scan(stub, agency)]
    by_hospital: dict[str, list[int]] = {}
    for each in late:
        by_hospital.setdefault(each.hospital, []).append(each.late_ms)
    requests = [
        OverdueRequest(report_id, request_id, one.hospital, one.due_ms)
        for (_, report_id, request_id), one in WAITING.scan(stub, agency)
        if one.due_ms <= stub.timestamp_ms
    ]
    return Overview(
        hospitals=[Measured(hospital, len(by), max(by)) for hospital, by in sorted(by_hospital.items())],
        late=sorted(late, key=lambda one: (-one.late_ms, one.id)),
        requests=sorted(requests, key=lambda one: (one.due_ms, one.report, one.id)),
    )


class Part(StrEnum):
    BODY = "body"
    FOLLOW_UP = "follow-up"
    WITHDRAWAL = "withdrawal"
    REQUEST = "request"


class Message(Arguments, frozen=True):
    """`part_id` is the id of the follow-up or the request."""

    id: Id
    part: Part
    part_id: Id | None = None


def fetch(stub: Stub, arguments: Message) -> messages.Sealed:
    """For those to whom it is sealed: the agency; a request for the hospital, too."""
    gate = _party(stub)
    _for_a_party(stub, gate, arguments.id)
    if gate.member.kind is not Kind.AGENCY and arguments.part is not Part.REQUEST:
        raise refusal(Code.REPORT_SEALED)
    return messages.fetch(stub, _place(arguments))


def _place(asked: Message) -> str:
    part_id = asked.part_id or ""
    return {
        Part.BODY: reports.body_message(asked.id),
        Part.FOLLOW_UP: reports.follow_up_message(asked.id, part_id),
        Part.WITHDRAWAL: reports.withdrawal_message(asked.id),
        Part.REQUEST: reports.request_message(asked.id, part_id),
    }[asked.part]


def _party(stub: Stub) -> Acting:
    """Who may report, or receive reports."""
    is_agency = acting(stub).member.kind is Kind.AGENCY
    return acting(stub, Permission.RECEIVE_REPORT if is_agency else Permission.REPORT_CASE)


def _for_a_party(stub: Stub, gate: Acting, report_id: str) -> Report:
    report = reports.known(stub, report_id)
    if gate.caller.msp_id not in (report.hospital, report.agency):
        raise refusal(Code.REPORT_OF_ANOTHER)
    return report
