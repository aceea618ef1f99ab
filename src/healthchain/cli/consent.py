"""`healthchain consent`: what was decided, who could read what by it, denials, and orders of a court.

Granting and revoking are commands of their own, since patients do that most (`commands`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import (
    Actions,
    Compartments,
    Consents,
    Days,
    Folder,
    Json,
    Org,
    Patient,
    Person,
    PurposeOption,
    Purposes,
    Role,
    one_of,
)
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthchain.contract.consents import Consent
    from healthchain.contract.explaining import Explained

app = group("What a patient permits and denies, and who could read what by it.")


@app.command("list", epilog="Example: healthchain consent list --dir consortium --patient PSEUDONYM")
def list_(folder: Folder, patient: Patient, json: Json = False) -> None:
    """As the patient: list all consents, former ones too."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records import consenting

    output = Output(as_json=json)

    async def work() -> list[Consent]:
        async with opened(folder) as consortium:
            return await consenting.list_consents(consortium.patient(patient), patient)

    with failures(output):
        found = run_async(work())
        lines = [_consent_line(one) for one in found]
        facts = {"consents": [msgspec.to_builtins(one) for one in found]}
        output.result(facts, "\n".join(lines) if lines else "no consents")


@app.command(epilog="Example: healthchain consent explain --dir consortium --patient PSEUDONYM --purpose TREAT")
def explain(
    folder: Folder,
    patient: Patient,
    purpose: PurposeOption = "TREAT",
    action: Annotated[str, typer.Option(help="read or contribute.")] = "read",
    org: Annotated[str | None, typer.Option(help="Only for this organisation; default: all concerned.")] = None,
    role: Annotated[str, typer.Option(help="With --org: for this role.")] = "clinician",
    person: Annotated[str | None, typer.Option(help="With --org: for this person.")] = None,
    json: Json = False,
) -> None:
    """As the patient: say who could use the records so, and by which consent. Nothing is opened.

    Each line names the rule that decides, the most specific one: that of the person, the role, the organisation, or by
    default the custodian's own; then its consent, and the compartments.
    """
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.contract import ids
    from healthchain.contract.explaining import Subject
    from healthchain.records import consenting

    output = Output(as_json=json)

    async def work() -> tuple[list[Explained], dict[str, str]]:
        async with opened(folder) as consortium:
            msp_id = consortium.topology.organisation(org).msp_id if org else None
            subjects = [Subject(msp_id, one_of(ids.Role, role, "role"), person)] if msp_id else []
            use = one_of(ids.Purpose, purpose, "purpose"), one_of(ids.Action, action, "action")
            actor = consortium.patient(patient)
            explained = await consenting.explain(actor, patient, *use, subjects)
            return explained, await consenting.names_of_compartments(actor, patient)

    with failures(output):
        found, names = run_async(work())
        facts = {"compartments": names, "subjects": [msgspec.to_builtins(one) for one in found]}
        lines = [line for one in found for line in _explained_lines(one, names)]
        output.result(facts, "\n".join(lines))


@app.command(
    epilog="Example: healthchain consent deny --dir consortium --patient PSEUDONYM --to city-clinic --person NAME"
)
def deny(
    folder: Folder,
    patient: Patient,
    to: Annotated[str, typer.Option(help="The organisation that may not; it can be the custodian too.")],
    role: Role = None,
    person: Person = None,
    purpose: Purposes = ["TREAT"],  # noqa: B006
    action: Actions = ["read"],  # noqa: B006
    compartment: Compartments = None,
    days: Days = 365,
    json: Json = False,
) -> None:
    """As the patient: deny an organisation, a role or one person in it. At once, and against what is permitted."""
    from healthchain.app.consortium import opened
    from healthchain.contract import ids
    from healthchain.contract.consents import Decision
    from healthchain.contract.policies import DAY_MS
    from healthchain.records import consenting
    from healthchain.records.actor import now_ms

    output = Output(as_json=json)

    async def work() -> str:
        async with opened(folder) as consortium:
            denial = consenting.Decision(
                grantee=consortium.topology.organisation(to).msp_id,
                purposes=tuple(one_of(ids.Purpose, one, "purpose") for one in purpose),
                actions=tuple(one_of(ids.Action, one, "action") for one in action),
                end_ms=now_ms() + days * DAY_MS,
                compartments=tuple(compartment or ()),
                decision=Decision.DENY,
                role=one_of(ids.Role, role, "role") if role else None,
                person=person,
                later_compartments=not compartment,
            )
            return await consenting.grant(consortium.patient(patient), denial)

    with failures(output):
        consent = run_async(work())
        output.result({"consent": consent}, f"denial {consent}")


@app.command(
    epilog="Example: healthchain consent order --dir consortium --org health-agency --patient PSEUDONYM"
    " --from city-clinic --text order.txt"
)
def order(
    folder: Folder,
    org: Org,
    patient: Patient,
    text: Annotated[typer.FileText, typer.Option(help="A file with the order's words, - for standard input.")],
    grantee: Annotated[str | None, typer.Option("--from", help="The organisation that may no longer.")] = None,
    consent: Consents = None,
    everything: Annotated[bool, typer.Option("--all", help="Or every consent.")] = False,
    user: Annotated[str, typer.Option("--user", help="Who records it.")] = "health-officer",
    json: Json = False,
) -> None:
    """As an agency: record a court's order that ends consents. Its text is sealed to those whom it concerns."""
    from healthchain.app.consortium import opened
    from healthchain.errors import BadInput
    from healthchain.records import consenting

    output = Output(as_json=json)

    async def work(words: str) -> str:
        async with opened(folder) as consortium:
            msp_id = consortium.topology.organisation(grantee).msp_id if grantee else None
            officer = consortium.staff(org, user)
            return await consenting.order(
                officer, patient, words, grantee=msp_id, consent_ids=consent or (), everything=everything
            )

    with failures(output):
        if [bool(grantee), bool(consent), everything].count(True) != 1:
            raise BadInput("say one of --from ORGANISATION, --consent ID and --all")
        try:
            words = text.read()
        except UnicodeDecodeError:
            raise BadInput("the order is not text in UTF-8") from None
        recorded = run_async(work(words))
        output.result({"order": recorded}, f"order {recorded}")


@app.command(
    "order-text",
    epilog="Example: healthchain consent order-text --dir consortium --org health-agency --user health-officer"
    " --patient PSEUDONYM --id ORDER",
)
def order_text(
    folder: Folder,
    org: Org,
    patient: Patient,
    user: Annotated[str, typer.Option("--user", help="Who reads it.")],
    order_id: Annotated[str, typer.Option("--id", help="The order's id, as `order` printed it.")],
    json: Json = False,
) -> None:
    """As the agency, the custodian or the patient: read the text of a court's order."""
    from healthchain.app.consortium import opened
    from healthchain.records import consenting

    output = Output(as_json=json)

    async def work() -> str:
        async with opened(folder) as consortium:
            return await consenting.text_of_order(consortium.staff(org, user), patient, order_id)

    with failures(output):
        words = run_async(work())
        output.result({"text": words}, words)


def _consent_line(one: Consent) -> str:
    import datetime

    until = datetime.datetime.fromtimestamp(one.end_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
    whom = "/".join(filter(None, (one.grantee, one.role or one.person)))
    what = f"{','.join(one.actions)} for {','.join(one.purposes)}"
    return f"{one.id}  {one.status:8} {one.decision:6}  {whom:40} {what:24} {len(one.compartments):2} until {until}"


def _explained_lines(one: Explained, names: Mapping[str, str]) -> list[str]:
    """One for each rule that decided, with the compartments that it decided of."""
    whom = "/".join(filter(None, (one.msp_id, one.role, one.person)))
    if not one.reasons:
        return [f"{whom:48} no: the consortium's policies"]
    decided: dict[tuple[bool, str, str], list[str]] = {}
    for reason in one.reasons:
        rule = reason.permitted, reason.level.value, reason.consent or ""
        decided.setdefault(rule, []).append(names.get(reason.compartment, reason.compartment))
    return [
        f"{whom:48} {'yes' if permitted else 'no '}  {level:12} {consent:22}  {', '.join(sorted(compartments))}"
        for (permitted, level, consent), compartments in decided.items()
    ]
