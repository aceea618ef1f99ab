"""`healthchain claims`: cover a patient, bill FHIR Claims, decide, appeal, pay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org, Patient
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.contract.claim_reading import ListedClaim
    from healthchain.contract.claims_due import ListedDue
    from healthchain.records.claim_texts import Body, Explanation
    from healthchain.records.fhir_claims import ItemDecision, Money

app = group("Bill a patient's coverage; decide by line, appeal, pay.")

Id = Annotated[str, typer.Option("--id", help="The claim's id, as `submit` printed it.")]
Agent = Annotated[str, typer.Option("--user", help="Who acts for the payer.")]
Party = Annotated[str, typer.Option("--user", help="Who acts; a patient by its pseudonym.")]


@app.command(
    epilog="Example: healthchain claims cover --dir consortium --org mutual-insurance --patient PSEUDONYM"
    " --plan plan.txt --days 365"
)
def cover(
    folder: Folder,
    org: Org,
    patient: Patient,
    plan: Annotated[typer.FileText, typer.Option(help="A file with plan and subscriber, - for standard input.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long; a year back is covered too.")] = 365,
    rank: Annotated[int, typer.Option(min=1, max=9, help="1 pays first.")] = 1,
    user: Agent = "claims-agent",
    json: Json = False,
) -> None:
    """As a payer: cover a patient. What the plan says is sealed to payer, custodian and patient."""
    from healthchain.app.consortium import opened
    from healthchain.contract.policies import DAY_MS
    from healthchain.records.actor import now_ms
    from healthchain.records.coverage import Period, enrol

    output = Output(as_json=json)

    async def work(text: str) -> str:
        async with opened(folder) as consortium:
            period = Period(now_ms() - 365 * DAY_MS, now_ms() + days * DAY_MS)
            return await enrol(consortium.staff(org, user), patient, text, period, rank)

    with failures(output):
        coverage = run_async(work(_text(plan)))
        output.result({"coverage": coverage}, f"coverage {coverage}")


@app.command(
    epilog="Example: healthchain claims submit --dir consortium --org general-hospital --patient PSEUDONYM"
    " --coverage COVERAGE claim.json"
)
def submit(
    folder: Folder,
    org: Org,
    patient: Patient,
    coverage: Annotated[str, typer.Option(help="The coverage that is billed, as `cover` printed it.")],
    file: Annotated[Path, typer.Argument(help="A FHIR R4 Claim whose items refer to imported encounters.")],
    primary: Annotated[str | None, typer.Option(help="The claim that this one is secondary to.")] = None,
    json: Json = False,
) -> None:
    """As a hospital: bill a FHIR Claim. Each line has its encounter's record attached."""
    from healthchain.app.consortium import opened
    from healthchain.app.input import read_file
    from healthchain.records import claiming
    from healthchain.records.fhir_claims import ParsedClaim, parse_claim

    output = Output(as_json=json)

    async def work(claim: ParsedClaim) -> str:
        async with opened(folder) as consortium:
            options = claiming.ClaimOptions(coverage, primary=primary)
            return await claiming.submit(consortium.custodian(org), patient, claim, options)

    with failures(output):
        claim = parse_claim(read_file(file))
        found = run_async(work(claim))
        facts = {"claim": found, "lines": len(claim.items), "total": str(claim.total)}
        output.result(facts, f"claim {found}: {len(claim.items)} lines, {claim.total}")


@app.command(
    "list", epilog="Example: healthchain claims list --dir consortium --org mutual-insurance --patient PSEUDONYM"
)
def list_(folder: Folder, org: Org, patient: Patient, user: Party = "claims-agent", json: Json = False) -> None:
    """As a party: list the patient's claims that one has a part in."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.claiming import list_claims

    output = Output(as_json=json)

    async def work() -> list[ListedClaim]:
        async with opened(folder) as consortium:
            return await list_claims(consortium.staff(org, user), patient)

    with failures(output):
        found = run_async(work())
        lines = [f"{one.id}  {one.state:21} {one.hospital} to {one.payer}, {len(one.lines)} lines" for one in found]
        output.result({"claims": msgspec.to_builtins(found)}, "\n".join(lines) if lines else "no claims")


@app.command(
    epilog="Example: healthchain claims show --dir consortium --org general-hospital --user PSEUDONYM"
    " --patient PSEUDONYM --id ID"
)
def show(folder: Folder, org: Org, patient: Patient, claim: Id, user: Party, json: Json = False) -> None:
    """As a party: open a claim, checked against the ledger, and its last explanation of benefit."""
    import json as encoder

    from healthchain.app.consortium import opened
    from healthchain.records import claiming

    output = Output(as_json=json)

    async def work() -> tuple[str, Body, Explanation | None]:
        async with opened(folder) as consortium:
            actor = consortium.staff(org, user)
            shown = await claiming.get(actor, patient, claim)
            body = await claiming.body_of(actor, patient, claim)
            explained = await claiming.explanation_of(actor, patient, claim) if shown.adjudications else None
            return shown.state.value, body, explained

    with failures(output):
        state, body, explained = run_async(work())
        facts: dict[str, Any] = {"state": state, "claim": encoder.loads(body.resource), "explanation": None}
        lines = [f"{state}, {body.total.amount} billed"]
        lines += [f"line {one.number}: {one.billed.amount} for {one.service}" for one in body.lines]
        if explained is not None:
            facts["explanation"] = encoder.loads(explained.resource)
            paid = [(one.line, one.paid.amount if one.paid else "nothing", one.carc) for one in explained.lines]
            lines += [f"line {line}: {amount} paid{f', CARC {carc}' if carc else ''}" for line, amount, carc in paid]
        output.result(facts, "\n".join(lines))


@app.command(
    epilog="Example: healthchain claims adjudicate --dir consortium --org mutual-insurance --patient PSEUDONYM"
    " --id ID 1=125.00 2=100.00:45 3=0:197"
)
def adjudicate(
    folder: Folder,
    org: Org,
    patient: Patient,
    claim: Id,
    decisions: Annotated[list[str], typer.Argument(help="LINE=PAID, or LINE=PAID:CARC where less is paid.")],
    user: Agent = "claims-agent",
    json: Json = False,
) -> None:
    """As the payer: decide on every line; the explanation of benefit is sealed to the parties."""
    from healthchain.app.consortium import opened
    from healthchain.records import claim_payer, claiming

    output = Output(as_json=json)

    async def work() -> list[str]:
        async with opened(folder) as consortium:
            payer = consortium.staff(org, user)
            currency = (await claiming.body_of(payer, patient, claim)).total.currency
            chosen = [_decision(one, currency) for one in decisions]
            await claim_payer.adjudicate(payer, patient, claim, chosen)
            return [one.outcome.value for one in (await claiming.get(payer, patient, claim)).decisions]

    with failures(output):
        outcomes = run_async(work())
        output.result({"outcomes": outcomes}, ", ".join(outcomes))


@app.command(
    epilog="Example: healthchain claims appeal --dir consortium --org general-hospital --user PSEUDONYM"
    " --patient PSEUDONYM --id ID --why why.txt"
)
def appeal(
    folder: Folder,
    org: Org,
    patient: Patient,
    claim: Id,
    user: Party,
    why: Annotated[typer.FileText, typer.Option(help="A file with the grounds, - for standard input.")],
    json: Json = False,
) -> None:
    """As the hospital or the patient: have a decision looked at again, once."""
    from healthchain.app.consortium import opened
    from healthchain.records import claiming

    output = Output(as_json=json)

    async def work(text: str) -> None:
        async with opened(folder) as consortium:
            await claiming.appeal(consortium.staff(org, user), patient, claim, text)

    with failures(output):
        run_async(work(_text(why)))
        output.result({"appealed": True}, "appealed")


@app.command(
    epilog="Example: healthchain claims settle --dir consortium --org mutual-insurance --patient PSEUDONYM --id ID"
)
def settle(
    folder: Folder, org: Org, patient: Patient, claim: Id, user: Agent = "claims-agent", json: Json = False
) -> None:
    """As the payer: record the payment of what the last explanation says."""
    from healthchain.app.consortium import opened
    from healthchain.records import claim_payer

    output = Output(as_json=json)

    async def work() -> Money:
        async with opened(folder) as consortium:
            return await claim_payer.settle(consortium.staff(org, user), patient, claim)

    with failures(output):
        paid = run_async(work())
        output.result({"paid": str(paid)}, f"{paid} paid")


@app.command(epilog="Example: healthchain claims due --dir consortium --org mutual-insurance")
def due(folder: Folder, org: Org, user: Agent = "claims-agent", json: Json = False) -> None:
    """As a payer or the agency: list what waits for a payer, the longest overdue first."""
    import datetime

    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.claim_payer import due as waiting

    output = Output(as_json=json)

    async def work() -> list[ListedDue]:
        async with opened(folder) as consortium:
            return await waiting(consortium.staff(org, user))

    with failures(output):
        found = run_async(work())
        lines = []
        for one in found:
            by = datetime.datetime.fromtimestamp(one.due_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
            lines.append(f"{by}  {one.id}  {one.patient}  {one.payer}{'  overdue' if one.overdue else ''}")
        output.result({"due": msgspec.to_builtins(found)}, "\n".join(lines) if lines else "nothing waits")


def _text(file: typer.FileText) -> str:
    """Raises BadInput."""
    from healthchain.errors import BadInput

    try:
        text = file.read()
    except UnicodeDecodeError:
        raise BadInput("the file is not text in UTF-8") from None
    if not text.strip():
        raise BadInput("the file is empty")
    return text


def _decision(text: str, currency: str) -> ItemDecision:
    """Of `2=100.00:45`. Raises BadInput."""
    from healthchain.errors import BadInput
    from healthchain.records.fhir_claims import ItemDecision, money

    line, _, rest = text.partition("=")
    paid, _, carc = rest.partition(":")
    if not line.isascii() or not line.isdigit() or not paid:
        raise BadInput("a decision looks like 1=125.00, or 2=100.00:45 where less is paid than billed")
    return ItemDecision(int(line), money(paid, currency), carc)
