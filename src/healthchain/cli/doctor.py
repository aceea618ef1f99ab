"""`healthchain doctor`: what is wrong with a network, in words and with the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.options import Folder, Json
from healthchain.cli.output import FOUND, Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.app.doctor.findings import Finding, Report


def doctor(
    folder: Folder,
    days: Annotated[
        int, typer.Option("--days", min=0, max=3650, help="Warn of certificates that expire within so many days.")
    ] = 30,
    base_port: Annotated[
        int | None,
        typer.Option("--base-port", min=1, max=65535, help="As `healthchain up` has it, if it runs; not for Fabric."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is wrong with a network, and what to do; exit status 4 if anything is, beyond warnings."""
    from healthchain.app.doctor.examination import Options, examine

    output = Output(as_json=json)
    with failures(output):
        report = run_async(examine(folder, Options(days, base_port)))
        facts = {
            "errors": report.errors,
            "findings": [_facts(one) for one in report.findings],
            "examined": list(report.examined),
            "unanswered": list(report.unanswered),
        }
        output.result(facts, _text(report))
        if report.errors:
            raise typer.Exit(FOUND)


def _facts(one: Finding) -> dict[str, Any]:
    return {
        "code": one.code.name,
        "severity": one.code.severity,
        "organisation": one.organisation,
        "node": one.node,
        "wrong": one.code.value.wrong,
        "what": one.what,
        "remedy": one.code.remedy,
    }


def _text(report: Report) -> str:
    lines = []
    for one in report.findings:
        where = f"{one.organisation}: {one.node}" if one.organisation else one.node
        lines += [f"{one.code.severity.upper()} {one.code.name}: {where}"]
        lines += [f"  {one.code.value.wrong}", f"  {one.what}", f"  to do: {one.code.remedy}"]
    warnings = len(report.findings) - report.errors
    counted = (
        f"{_number(report.errors, 'error')}, {_number(warnings, 'warning')}" if report.findings else "nothing is wrong"
    )
    lines.append(f"{counted}; examined: {'; '.join(report.examined)}")
    lines += [f"not answered: {one}" for one in report.unanswered]
    return "\n".join(lines)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
