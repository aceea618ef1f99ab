"""Reports of both hospitals to one of two agencies, and tables that it published."""

from __future__ import annotations

from typing import Any

from .chain import START_MS, Chain
from .consortium import ADMIN_A, DOCTOR_A, DOCTOR_B, HOUR, KEY, MEMBERS, OFFICER, ident, license_all, person

OTHER_OFFICER = person("CityAgency", "officer", "health-officer")
CITY_AGENCY = {"msp_id": "CityAgency", "kind": "agency", "name": "City", "contact": "it@city", "public_key": KEY}
FIRST_HOUR = (START_MS // HOUR + 1) * HOUR

OPEN, CONFIRMED, WITHDRAWN, LATE, BY_B, ELSEWHERE = (
    ident(f"report {one}") for one in ("open", "confirmed", "withdrawn", "late", "by b", "elsewhere")
)
ASKED, ANSWERED, ANSWER = (ident(f"request {one}") for one in ("asked", "answered", "answer"))
MONTH = ident("month")
RECEIPTS = "A" * 43 + "="


def filed(report: str, **changes: Any) -> dict[str, Any]:
    return {"id": report, "agency": "Agency", "known_ms": FIRST_HOUR - HOUR} | changes


def text(report: str, *place: str) -> dict[str, bytes]:
    return {"/".join(("report", report, *place)): b"sealed"}


def category(code: str, *parts: str) -> dict[str, Any]:
    return {"code": code, "parts": list(parts or (code,))}


def table(name: str, regions: list[dict[str, Any]], cells: list[int | None], **changes: Any) -> dict[str, Any]:
    """Of one month and one condition, by region."""
    return {
        "id": ident(name),
        "periods": [category("2024-02")],
        "regions": regions,
        "conditions": [category("444814009")],
        "cells": cells,
        "receipts": RECEIPTS,
    } | changes


def receipts(name: str) -> dict[str, bytes]:
    return {f"aggregate/{ident(name)}/receipts": b"sealed"}


def outbreak_chain() -> Chain:
    """The late report is of a case known three days ago. Of the month: north 20, all 31, east and south suppressed.

    Two requests about the open report: one answered, one due in a day.
    """
    chain = Chain()
    chain.submit(ADMIN_A, "members:Found", {"members": [*MEMBERS, CITY_AGENCY]})
    license_all(chain)
    chain.now_ms = FIRST_HOUR
    for report in (OPEN, CONFIRMED, WITHDRAWN):
        chain.submit(DOCTOR_A, "reports:File", filed(report), text(report, "body"))
    late = filed(LATE, known_ms=FIRST_HOUR - 72 * HOUR)
    chain.submit(DOCTOR_A, "reports:File", late, text(LATE, "body"))
    chain.submit(DOCTOR_B, "reports:File", filed(BY_B), text(BY_B, "body"))
    chain.submit(DOCTOR_B, "reports:File", filed(ELSEWHERE, agency="CityAgency"), text(ELSEWHERE, "body"))
    chain.submit(OFFICER, "reports:Acknowledge", {"id": CONFIRMED})
    chain.submit(DOCTOR_A, "reports:Withdraw", {"id": WITHDRAWN}, text(WITHDRAWN, "withdrawal"))
    for asked in (ASKED, ANSWERED):
        ask = {"id": asked, "report": OPEN, "due_ms": FIRST_HOUR + 24 * HOUR}
        chain.submit(OFFICER, "reports:Request", ask, text(OPEN, "request", asked))
    answer = {"id": ANSWER, "report": OPEN, "request": ANSWERED}
    chain.submit(DOCTOR_A, "reports:FollowUp", answer, text(OPEN, "follow-up", ANSWER))
    month = table("month", REGIONS, [20, None, None, 31])
    chain.submit(OFFICER, "aggregates:Publish", month, receipts("month"))
    return chain


REGIONS = [category("north"), category("east"), category("south"), category("all", "north", "east", "south")]
