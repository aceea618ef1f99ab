"""Aggregates: who publishes, sees and traces; which tables are refused since they give a small count away."""

from __future__ import annotations

import random

import pytest

from .chain import Chain
from .consortium import ADMIN_A, AGENT, DOCTOR_A, NOBODY, OFFICER, PATIENT, STRANGER, ident, person
from .outbreak_stage import MONTH, OTHER_OFFICER, REGIONS, category, outbreak_chain, receipts, table
from .table import Row, Success, by_name, check_refused

NAME = "new"
SENT = receipts(NAME)
NORTH, EAST, SOUTH, ALL = REGIONS
WEST = category("west")
NEXT = [category("2024-03")]
TABLE = table(NAME, [WEST, category("far")], [None, 7])
YEARLY = table(NAME, [WEST], [7], periods=[category("2024")])
COASTS = category("coasts", "east", "west")
INLAND = category("inland", "north", "east")
TWO_MONTHS = [category("Q1", "2024-02", "2024-03")]

PUBLISH_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "aggregates:Publish", TABLE, SENT),
    Row("by a hospital", "ROLE_FORBIDDEN", ADMIN_A, "aggregates:Publish", TABLE, SENT),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "aggregates:Publish", TABLE, SENT),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "aggregates:Publish", TABLE, SENT),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "aggregates:Publish", TABLE, SENT),
    Row("twice", "AGGREGATE_EXISTS", OFFICER, "aggregates:Publish", TABLE | {"id": MONTH}, receipts("month")),
    Row("a cell too few", "AGGREGATE_SHAPE", OFFICER, "aggregates:Publish", TABLE | {"cells": [7]}, SENT),
    Row("a cell too many", "AGGREGATE_SHAPE", OFFICER, "aggregates:Publish", TABLE | {"cells": [7] * 3}, SENT),
    Row("a code twice", "AGGREGATE_SHAPE", OFFICER, "aggregates:Publish", table(NAME, [WEST, WEST], [7, 7]), SENT),
    Row(
        "a place by two codes",
        "AGGREGATE_SHAPE",
        OFFICER,
        "aggregates:Publish",
        table(NAME, [WEST, category("far", "west")], [7, 7]),
        SENT,
    ),
    Row(
        "too many places",
        "AGGREGATE_SHAPE",
        OFFICER,
        "aggregates:Publish",
        table(
            NAME,
            [category("all", *(f"r{one}" for one in range(200)))],
            [7],
            conditions=[category("any", *(f"c{one}" for one in range(101)))],
        ),
        SENT,
    ),
    Row(
        "by the year", "ARGUMENTS_INVALID", OFFICER, "aggregates:Publish", TABLE | {"periods": [category("2024")]}, SENT
    ),
    Row("no cells", "ARGUMENTS_INVALID", OFFICER, "aggregates:Publish", TABLE | {"cells": []}, SENT),
    Row("a negative count", "ARGUMENTS_INVALID", OFFICER, "aggregates:Publish", TABLE | {"cells": [-1, 7]}, SENT),
    Row("half a case", "ARGUMENTS_INVALID", OFFICER, "aggregates:Publish", TABLE | {"cells": [7.5, 7]}, SENT),
    Row("a name", "ARGUMENTS_INVALID", OFFICER, "aggregates:Publish", table(NAME, [category("a b")], [7]), SENT),
    Row("no commitment", "ARGUMENTS_INVALID", OFFICER, "aggregates:Publish", TABLE | {"receipts": ""}, SENT),
    Row("without receipts", "MESSAGE_MISSING", OFFICER, "aggregates:Publish", TABLE),
    Row("with more", "MESSAGE_UNEXPECTED", OFFICER, "aggregates:Publish", TABLE, SENT | {"more": b"x"}),
    Row("one case", "CELL_SMALL", OFFICER, "aggregates:Publish", TABLE | {"cells": [1, 7]}, SENT),
    Row("one less than agreed", "CELL_SMALL", OFFICER, "aggregates:Publish", TABLE | {"cells": [4, 7]}, SENT),
    Row(
        "a cell beside its total",
        "CELL_DERIVABLE",
        OFFICER,
        "aggregates:Publish",
        table(NAME, [WEST, category("far"), category("both", "west", "far")], [None, 7, 10]),
        SENT,
    ),
    Row(
        "the rest of an earlier table", "CELL_DERIVABLE", OFFICER, "aggregates:Publish", table(NAME, [EAST], [7]), SENT
    ),
    Row(
        "a sum that differs by one region",
        "CELL_DERIVABLE",
        OFFICER,
        "aggregates:Publish",
        table(NAME, [INLAND], [22]),
        SENT,
    ),
    Row(
        "a sum that differs by a month",
        "CELL_DERIVABLE",
        OFFICER,
        "aggregates:Publish",
        table(NAME, [NORTH], [23], periods=TWO_MONTHS),
        SENT,
    ),
    Row(
        "a sum that differs by a condition",
        "CELL_DERIVABLE",
        OFFICER,
        "aggregates:Publish",
        table(NAME, [NORTH], [23], conditions=[category("any", "444814009", "10509002")]),
        SENT,
    ),
    Row("another count", "CELL_CONTRADICTS", OFFICER, "aggregates:Publish", table(NAME, [NORTH], [21]), SENT),
    Row("more than all", "CELL_CONTRADICTS", OFFICER, "aggregates:Publish", table(NAME, [INLAND], [40]), SENT),
]

ROWS = [
    *PUBLISH_ROWS,
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "aggregates:Get", {"id": MONTH}),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "aggregates:Get", {"id": MONTH}),
    Row("of no such id", "AGGREGATE_UNKNOWN", AGENT, "aggregates:Get", {"id": ident(NAME)}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "aggregates:List", {}),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "aggregates:List", {}),
    Row("of none", "ARGUMENTS_INVALID", AGENT, "aggregates:List", {"limit": 0}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "aggregates:Trace", {"id": MONTH}),
    Row("by a hospital", "ROLE_FORBIDDEN", DOCTOR_A, "aggregates:Trace", {"id": MONTH}),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "aggregates:Trace", {"id": MONTH}),
    Row("by another agency", "AGGREGATE_OF_ANOTHER", OTHER_OFFICER, "aggregates:Trace", {"id": MONTH}),
    Row("of no such id", "AGGREGATE_UNKNOWN", OFFICER, "aggregates:Trace", {"id": ident(NAME)}),
]

SUCCESSES = [
    Success("of other regions", OFFICER, "aggregates:Publish", TABLE, SENT),
    Success("by the administrator", person("Agency", "admin", "administrator"), "aggregates:Publish", TABLE, SENT),
    Success("exactly what was agreed", OFFICER, "aggregates:Publish", TABLE | {"cells": [5, 0]}, SENT),
    Success("the same again", OFFICER, "aggregates:Publish", table(NAME, REGIONS, [20, None, None, 31]), SENT),
    Success("of the next month", OFFICER, "aggregates:Publish", table(NAME, [EAST], [7], periods=NEXT), SENT),
    Success("another agency's cases", OTHER_OFFICER, "aggregates:Publish", table(NAME, [EAST], [7]), SENT),
    Success("a sum with others", OFFICER, "aggregates:Publish", table(NAME, [COASTS], [9]), SENT),
    Success("suppressed altogether", OFFICER, "aggregates:Publish", table(NAME, [EAST], [None]), SENT),
    Success("large differences", OFFICER, "aggregates:Publish", table(NAME, [INLAND], [26]), SENT),
    Success("by a patient", PATIENT, "aggregates:Get", {"id": MONTH}),
    Success("by the agency", OFFICER, "aggregates:Trace", {"id": MONTH}),
]


@pytest.fixture(scope="session")
def built_chain() -> Chain:
    return outbreak_chain()


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_a_table_that_joins_two_others_is_held_against_both(chain: Chain) -> None:
    """Neither month tells of the east; a sum over both months, and one over two regions, together do."""
    later = table("later", REGIONS, [30, None, None, 50], periods=NEXT)
    chain.submit(OFFICER, "aggregates:Publish", later, receipts("later"))
    both = table("both", [EAST, SOUTH], [16, 15], periods=TWO_MONTHS)
    chain.submit(OFFICER, "aggregates:Publish", both, receipts("both"))
    gives_away = table(NAME, [INLAND], [44], periods=NEXT)  # 14 in the east next month, hence 2 in this one
    check_refused(chain, Row("joined", "CELL_DERIVABLE", OFFICER, "aggregates:Publish", gives_away, SENT))


def test_a_table_is_held_against_those_it_is_connected_with_through_others(chain: Chain) -> None:
    """East and south of 2024 are 11 together. A sum over two years, less the later one, tells of the east alone."""
    both = table("both", [EAST], [17], periods=[category("both", "2024-02", "2025-02")])
    chain.submit(OFFICER, "aggregates:Publish", both, receipts("both"))
    later = table(NAME, [EAST], [10], periods=[category("2025-02")])
    check_refused(chain, Row("connected", "CELL_DERIVABLE", OFFICER, "aggregates:Publish", later, SENT))


def test_what_cannot_be_compared_any_more_is_refused(chain: Chain) -> None:
    for one in range(3):
        regions = [category(f"r{number}") for number in range(390)]
        many = table(f"many {one}", regions, [7] * 390)
        chain.submit(OFFICER, "aggregates:Publish", many, receipts(f"many {one}"))
    last = table(NAME, [category(f"s{number}") for number in range(30)], [7] * 30)
    check_refused(chain, Row("too many", "BATCH_TOO_LARGE", OFFICER, "aggregates:Publish", last, SENT))


def test_sums_that_overlap_at_random_are_refused(chain: Chain) -> None:
    chance = random.Random(1)  # noqa: S311 (no secret)
    names = [f"r{number}" for number in range(60)]
    regions = [category(f"s{number}", *chance.sample(names, 20)) for number in range(55)]
    counts: list[int | None] = [sum(20 + int(one[1:]) for one in region["parts"]) for region in regions]
    sent = table(NAME, regions, counts)
    check_refused(chain, Row("at random", "BATCH_TOO_LARGE", OFFICER, "aggregates:Publish", sent, SENT))


def test_few_cells_of_very_many_places_are_not_compared_without_end(chain: Chain) -> None:
    """Three tables of one cell and 20,000 places each, as many as are compared at once; and then a small one."""
    conditions = [category("any", "444814009", *(f"c{number}" for number in range(99)))]
    for one in range(3):
        regions = [category(f"r{one}", *(f"r{one}-{number}" for number in range(200)))]
        huge = table(f"huge {one}", regions, [7000], conditions=conditions)
        earlier = {"periods": [category("2023-02")]}  # not that of the stage
        chain.submit(OFFICER, "aggregates:Publish", huge | earlier, receipts(f"huge {one}"))
    last = table(NAME, [WEST], [7], periods=[category("2023-03")])
    check_refused(chain, Row("too many", "BATCH_TOO_LARGE", OFFICER, "aggregates:Publish", last, SENT))


def test_all_members_see_what_was_published_and_nobody_the_receipts(chain: Chain) -> None:
    shown = chain.evaluate(AGENT, "aggregates:Get", {"id": MONTH})["aggregate"]
    assert (shown["agency"], shown["cells"]) == ("Agency", [20, None, None, 31])
    listed = chain.evaluate(AGENT, "aggregates:List", {})
    assert [(one["id"], one["periods"]) for one in listed["aggregates"]] == [(MONTH, ["2024-02"])]
    assert "reports" not in shown


def test_a_list_has_pages(chain: Chain) -> None:
    chain.submit(OFFICER, "aggregates:Publish", TABLE, SENT)
    page = chain.evaluate(AGENT, "aggregates:List", {"limit": 1})
    rest = chain.evaluate(AGENT, "aggregates:List", {"start": page["next"]})
    assert [one["id"] for one in page["aggregates"] + rest["aggregates"]] == sorted((MONTH, ident(NAME)))
    assert rest["next"] == ""
