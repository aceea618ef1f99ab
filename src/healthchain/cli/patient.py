"""`healthchain patient`: guardians, custody, death, merge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org, Patient, one_of
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.contract.guardians import ListedGuardian

app = group("Guardians, custody, death and merge.")

User = Annotated[str, typer.Option("--user", help="Who signs for the organisation.")]
Guardian = Annotated[str, typer.Option("--guardian", help="The guardian's id.")]
To = Annotated[str, typer.Option("--to", help="The hospital that shall be the custodian.")]


@app.command(
    epilog="Example: healthchain patient appoint-guardian --dir consortium --org general-hospital"
    " --patient PSEUDONYM --scope read --scope consent"
)
def appoint_guardian(
    folder: Folder,
    org: Org,
    patient: Patient,
    scope: Annotated[list[str], typer.Option(help="read, consent or claims; repeat for several.")],
    guardian: Annotated[str | None, typer.Option(help="Who is a guardian already; default: a new one.")] = None,
    days: Annotated[int, typer.Option(min=1, max=36500, help="For how long.")] = 365,
    user: User = "clinician",
    json: Json = False,
) -> None:
    """As the custodian: enrol a guardian, and seal the patient's keys to it where its scope needs them."""
    from healthchain.app.consortium import opened
    from healthchain.contract.guardians import Scope
    from healthchain.contract.policies import DAY_MS
    from healthchain.records.actor import now_ms
    from healthchain.records.guardians import Office, appoint
    from healthchain.records.keyring import random_id

    output = Output(as_json=json)

    async def work() -> str:
        async with opened(folder) as consortium:
            scopes = tuple(one_of(Scope, one, "scope") for one in scope)
            chosen = guardian or random_id()
            public_key = consortium.enrol_guardian(chosen, org)
            office = Office(chosen, public_key, scopes, now_ms() + days * DAY_MS)
            await appoint(consortium.staff(org, user), patient, office)
            return chosen

    with failures(output):
        appointed = run_async(work())
        output.result({"guardian": appointed}, f"guardian {appointed}")


@app.command(epilog="Example: healthchain patient end-guardian --dir consortium --patient PSEUDONYM --guardian ID")
def end_guardian(
    folder: Folder,
    patient: Patient,
    guardian: Guardian,
    org: Annotated[str | None, typer.Option("--org", help="As this custodian; default: as the patient.")] = None,
    user: User = "clinician",
    json: Json = False,
) -> None:
    """As the patient, or the custodian: end a guardian's office; its keys are purged, new ones come into force."""
    from healthchain.app.consortium import opened
    from healthchain.records.guardians import end

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            actor = consortium.staff(org, user) if org else consortium.patient(patient)
            await end(actor, patient, guardian)

    with failures(output):
        run_async(work())
        output.result({"ended": True}, "ended")


@app.command(epilog="Example: healthchain patient guardians --dir consortium --patient PSEUDONYM")
def guardians(folder: Folder, patient: Patient, json: Json = False) -> None:
    """As the patient: list guardians, former ones too."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.guardians import list_guardians

    output = Output(as_json=json)

    async def work() -> list[ListedGuardian]:
        async with opened(folder) as consortium:
            return await list_guardians(consortium.patient(patient), patient)

    with failures(output):
        found = run_async(work())
        lines = [f"{one.id}  {'former' if one.ended_ms else '':6}  {', '.join(one.scopes)}" for one in found]
        facts = {"guardians": [msgspec.to_builtins(one) for one in found]}
        output.result(facts, "\n".join(lines) if lines else "no guardians")


@app.command(
    epilog="Example: healthchain patient offer --dir consortium --org general-hospital --patient PSEUDONYM"
    " --to city-clinic"
)
def offer(
    folder: Folder,
    org: Org,
    patient: Patient,
    to: To,
    days: Annotated[int, typer.Option(min=1, max=365, help="For how long.")] = 7,
    user: User = "clinician",
    json: Json = False,
) -> None:
    """As the custodian: offer custody to another hospital, with all keys sealed to it."""
    from healthchain.app.consortium import opened
    from healthchain.contract.policies import DAY_MS
    from healthchain.records import custody

    output = Output(as_json=json)

    async def work() -> str:
        async with opened(folder) as consortium:
            msp_id = consortium.topology.organisation(to).msp_id
            lasts_ms = days * DAY_MS
            return await custody.offer(consortium.staff(org, user), patient, msp_id, lasts_ms)

    with failures(output):
        made = run_async(work())
        output.result({"offer": made}, f"offer {made}")


@app.command(epilog="Example: healthchain patient withdraw --dir consortium --org general-hospital --patient PSEUDONYM")
def withdraw(folder: Folder, org: Org, patient: Patient, user: User = "clinician", json: Json = False) -> None:
    """As the custodian: take the offer of custody back; its keys are purged."""
    from healthchain.app.consortium import opened
    from healthchain.records import custody

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            await custody.withdraw(consortium.staff(org, user), patient)

    with failures(output):
        run_async(work())
        output.result({"withdrawn": True}, "withdrawn")


@app.command(epilog="Example: healthchain patient refuse --dir consortium --org city-clinic --patient PSEUDONYM")
def refuse(folder: Folder, org: Org, patient: Patient, user: User = "clinician", json: Json = False) -> None:
    """As the hospital to which custody was offered: say no; the keys are purged."""
    from healthchain.app.consortium import opened
    from healthchain.records import custody

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            await custody.refuse(consortium.staff(org, user), patient)

    with failures(output):
        run_async(work())
        output.result({"refused": True}, "refused")


@app.command(epilog="Example: healthchain patient accept --dir consortium --org city-clinic --patient PSEUDONYM")
def accept(folder: Folder, org: Org, patient: Patient, json: Json = False) -> None:
    """As the hospital to which custody was offered: take it, renew all keys, enrol the patient and its guardians."""
    from healthchain.app.consortium import opened
    from healthchain.records import custody

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            await custody.accept(consortium.custodian(org), patient)
            await consortium.move_wallets(patient, org)

    with failures(output):
        run_async(work())
        output.result({"custodian": org}, f"{org} is the custodian")


@app.command(
    epilog="Example: healthchain patient assign --dir consortium --org health-agency --patient PSEUDONYM"
    " --to city-clinic"
)
def assign(
    folder: Folder, org: Org, patient: Patient, to: To, user: User = "administrator", json: Json = False
) -> None:
    """As the agency: give a suspended or removed hospital's patient to another one, which has no keys yet."""
    from healthchain.app.consortium import opened
    from healthchain.records import custody

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            msp_id = consortium.topology.organisation(to).msp_id
            await custody.assign(consortium.staff(org, user), patient, msp_id)
            await consortium.move_wallets(patient, to)

    with failures(output):
        run_async(work())
        output.result({"custodian": to}, f"{to} is the custodian")


@app.command(epilog="Example: healthchain patient hand-keys --dir consortium --org city-clinic --patient PSEUDONYM")
def hand_keys(folder: Folder, org: Org, patient: Patient, json: Json = False) -> None:
    """As the patient: give every key to the custodian that was assigned, which renews them."""
    from healthchain.app.consortium import opened
    from healthchain.records import custody

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            await custody.hand_keys(consortium.patient(patient), patient)
            await custody.settle(consortium.custodian(org), patient)

    with failures(output):
        run_async(work())
        output.result({"handed": True}, f"{org} holds every key")


@app.command(epilog="Example: healthchain patient death --dir consortium --org general-hospital --patient PSEUDONYM")
def death(
    folder: Folder,
    org: Org,
    patient: Patient,
    mistaken: Annotated[bool, typer.Option("--mistaken", help="The patient lives: revoke it.")] = False,
    user: User = "clinician",
    json: Json = False,
) -> None:
    """As the custodian: record a patient's death, which ends what the patient's own identity may do."""
    from healthchain.app.consortium import opened
    from healthchain.records.patients import record_death, revoke_death

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            change = revoke_death if mistaken else record_death
            await change(consortium.staff(org, user), patient)

    with failures(output):
        run_async(work())
        output.result({"deceased": not mistaken}, "revoked" if mistaken else "recorded")


@app.command(
    epilog="Example: healthchain patient merge --dir consortium --org general-hospital --patient PSEUDONYM"
    " --into PSEUDONYM"
)
def merge(
    folder: Folder,
    org: Org,
    patient: Patient,
    into: Annotated[str, typer.Option("--into", help="The pseudonym that stays.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="The other custodian has proposed it.")] = False,
    user: User = "clinician",
    json: Json = False,
) -> None:
    """As a custodian: say that two pseudonyms are one person's. It counts once both custodians have said so."""
    from healthchain.app.consortium import opened
    from healthchain.records.patients import confirm_merge, propose_merge

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            say = confirm_merge if confirm else propose_merge
            await say(consortium.staff(org, user), patient, into)

    with failures(output):
        run_async(work())
        output.result({"merged": confirm}, "merged" if confirm else "proposed: the other custodian confirms it")
