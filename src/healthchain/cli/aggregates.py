"""`healthchain aggregates`: publish counts of reports without small ones; show them; trace a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.contract.aggregates import ShownAggregate
    from healthchain.records.publishing import Axes, Traced

app = group("Publish counts of case reports, small ones suppressed; show and trace them.")

Id = Annotated[str, typer.Option("--id", help="The table's id, as `publish` printed it.")]
Officer = Annotated[str, typer.Option("--user", help="Who acts for the agency.")]


@app.command(epilog="Example: healthchain aggregates publish --dir consortium --org health-agency axes.json")
def publish(
    folder: Folder,
    org: Org,
    axes: Annotated[Path, typer.Argument(help="A JSON file, as above.")],
    user: Officer = "health-officer",
    json: Json = False,
) -> None:
    """As the agency: count the reports by these axes, suppress, publish to all members.

    AXES is like {"periods": [{"code": "winter", "parts": ["2024-01", "2024-02"]}], "regions": [{"code": "US-Boston",
    "parts": ["US-Boston"]}], "conditions": [{"code": "flu", "parts": ["6142004"]}]}: each code sums up its parts, which
    are months, regions and conditions as `reports open --json` shows them.
    """
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.app.input import read_file
    from healthchain.contract.suppression import Contradiction, Intractable
    from healthchain.errors import BadInput
    from healthchain.records import publishing

    output = Output(as_json=json)

    async def work(wanted: Axes) -> ShownAggregate:
        async with opened(folder) as consortium:
            officer = consortium.staff(org, user)
            table = await publishing.publish(officer, await publishing.open_cases(officer), wanted)
            return await publishing.get(officer, table)

    with failures(output):
        try:
            wanted = msgspec.json.decode(read_file(axes), type=publishing.Axes)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"the axes cannot be read: {error}") from None
        try:
            found = run_async(work(wanted))
        except Contradiction:
            raise BadInput("tables published before count other reports of these places: choose others") from None
        except Intractable:
            raise BadInput(
                "the categories overlap in too many ways to be checked: choose parts and their sums"
            ) from None
        facts = {"table": found.id, "cells": len(found.cells), "suppressed": sum(one is None for one in found.cells)}
        output.result(facts, f"table {found.id}\n{_table(found)}")


@app.command("list", epilog="Example: healthchain aggregates list --dir consortium --org mutual-insurance")
def list_(
    folder: Folder,
    org: Org,
    user: Annotated[str, typer.Option("--user", help="Who looks: any member may.")] = "administrator",
    json: Json = False,
) -> None:
    """Show all published tables; * is suppressed."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.publishing import list_tables

    output = Output(as_json=json)

    async def work() -> list[ShownAggregate]:
        async with opened(folder) as consortium:
            return await list_tables(consortium.staff(org, user))

    with failures(output):
        found = run_async(work())
        facts: list[Any] = [msgspec.to_builtins(one) for one in found]
        text = "\n".join(f"table {one.id} of {one.agency}\n{_table(one)}" for one in found)
        output.result({"tables": facts}, text or "no tables")


@app.command(epilog="Example: healthchain aggregates trace --dir consortium --org health-agency --id TABLE --cell 0")
def trace(
    folder: Folder,
    org: Org,
    table: Id,
    cell: Annotated[int, typer.Option(min=0, help="The cell's number in the table, from 0.")],
    user: Officer = "health-officer",
    json: Json = False,
) -> None:
    """As the agency that published: list the reports that a cell counts."""
    from dataclasses import asdict

    from healthchain.app.consortium import opened
    from healthchain.records import publishing

    output = Output(as_json=json)

    async def work() -> Traced:
        async with opened(folder) as consortium:
            return await publishing.trace(consortium.staff(org, user), table, cell)

    with failures(output):
        found = run_async(work())
        lines = [f"{one}{'  withdrawn since' if one in found.withdrawn else ''}" for one in found.reports]
        output.result(asdict(found), "\n".join(lines) if lines else "no reports")


def _table(one: ShownAggregate) -> str:
    """A line for each cell."""
    places = [
        (period.code, region.code, condition.code)
        for period in one.periods
        for region in one.regions
        for condition in one.conditions
    ]
    cells = zip(places, one.cells, strict=True)
    return "\n".join(f"  {number:3}  {'  '.join(place)}  {_count(cell)}" for number, (place, cell) in enumerate(cells))


def _count(cell: int | None) -> str:
    return "*" if cell is None else str(cell)
