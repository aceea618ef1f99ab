"""`healthchain governance`: propose a change of the consortium, vote, look, and act on what was decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.app.consortium import Consortium
    from healthchain.config import Organisation
    from healthchain.contract.amendments import Amendment
    from healthchain.contract.governance import ListedProposal, Outcome, ProposalSummary, ProposalWithVotes
    from healthchain.contract.leaving import Purged
    from healthchain.contract.members import ListedMember
    from healthchain.contract.policies import Policies
    from healthchain.records.actor import Actor

app = group("Change the consortium itself: its members, policies and keys, by proposals and votes.")

Id = Annotated[str, typer.Option("--id", help="The proposal's id, as `propose` and `list` print it.")]
Comment = Annotated[str | None, typer.Option("--comment", help="Why; every member reads it.")]
Sealed = Annotated[bool, typer.Option("--sealed", help="Seal the comment to the members of now.")]
Member = typer.Option(help="The member, as the topology names it, or its MSP id.")
Name = Annotated[str, typer.Option("--name", help="The new organisation's name.")]
KindOption = Annotated[str, typer.Option("--kind", help="hospital, insurer or agency.")]
Title = Annotated[str, typer.Option("--title", help="How the new organisation is called.")]


@app.command(epilog="Example: healthchain governance propose --dir consortium --org city-clinic --set cell_min=10")
def propose(
    folder: Folder,
    org: Org,
    suspend: Annotated[str | None, Member] = None,
    resume: Annotated[str | None, Member] = None,
    remove: Annotated[str | None, Member] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=NUMBER of a policy, bounds: docs/governance.md; several make one proposal."),
    ] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="A new encryption key of this organisation.")] = False,
    change: Annotated[
        typer.FileText | None, typer.Option("--change", help="A file with any change as JSON, - for standard input.")
    ] = None,
    comment: Comment = None,
    sealed: Sealed = False,
    json: Json = False,
) -> None:
    """As an administrator: propose one change. Proposing is no vote."""
    from healthchain.app.consortium import opened
    from healthchain.contract.amendments import RemoveMember, ResumeMember, RotateEncryptionKey, SuspendMember
    from healthchain.errors import BadInput
    from healthchain.records import governing

    output = Output(as_json=json)

    async def work(given: Amendment | None) -> str:
        async with opened(folder) as consortium:
            administrator = _administrator(consortium, org)
            if new_key:
                given = RotateEncryptionKey(consortium.keyring(org).rotate_key().public_bytes)
            elif suspend:
                given = SuspendMember(_msp_id(consortium, suspend))
            elif resume:
                given = ResumeMember(_msp_id(consortium, resume))
            elif remove:
                given = RemoveMember(_msp_id(consortium, remove))
            assert given is not None
            return await governing.propose(administrator, given, comment, sealed=sealed)

    with failures(output):
        if sum(map(bool, (suspend, resume, remove, values, new_key, change))) != 1:
            raise BadInput("choose one change: --suspend, --resume, --remove, --set, --new-key or --change")
        given = _policies_of(values) if values else _change_in(change) if change else None
        proposal = run_async(work(given))
        output.result({"proposal": proposal}, proposal)


@app.command(epilog="Example: healthchain governance vote --dir consortium --org health-agency --id ID --for")
def vote(
    folder: Folder,
    org: Org,
    proposal: Id,
    in_favour: Annotated[bool, typer.Option("--for/--against", help="The vote; it cannot be changed.")],
    comment: Comment = None,
    sealed: Sealed = False,
    json: Json = False,
) -> None:
    """As an administrator: cast the organisation's one vote. The deciding vote enacts the change."""
    from healthchain.app.consortium import opened
    from healthchain.records import governing

    output = Output(as_json=json)

    async def work() -> Outcome:
        async with opened(folder) as consortium:
            administrator = _administrator(consortium, org)
            return await governing.vote(administrator, proposal, in_favour=in_favour, comment=comment, sealed=sealed)

    with failures(output):
        outcome = run_async(work())
        why = f", {outcome.reason}" if outcome.reason else ""
        output.result({"status": outcome.status, "reason": outcome.reason}, f"{outcome.status}{why}")


@app.command("list", epilog="Example: healthchain governance list --dir consortium --org city-clinic")
def list_(folder: Folder, org: Org, json: Json = False) -> None:
    """List all proposals, the oldest first."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records import governing

    output = Output(as_json=json)

    async def work() -> list[ProposalSummary]:
        async with opened(folder) as consortium:
            return await governing.proposals(_administrator(consortium, org))

    with failures(output):
        found = run_async(work())
        facts = {"proposals": [msgspec.to_builtins(one) for one in found]}
        output.result(facts, "\n".join(map(_line, found)) if found else "no proposals")


@app.command(epilog="Example: healthchain governance show --dir consortium --org city-clinic --id ID")
def show(folder: Folder, org: Org, proposal: Id, json: Json = False) -> None:
    """Show a proposal with its votes and comments; sealed ones are opened where they were sealed to this member."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records import governing

    output = Output(as_json=json)

    async def work() -> tuple[ProposalWithVotes, dict[str, str]]:
        async with opened(folder) as consortium:
            administrator = _administrator(consortium, org)
            found = await governing.proposal(administrator, proposal)
            return found, await governing.comments(administrator, found)

    with failures(output):
        found, comments = run_async(work())
        inline = {voter: " ".join(text.split()) for voter, text in comments.items()}  # a line of it is nobody's vote
        about = f"\n  {inline['']}" if "" in inline else ""
        lines = [
            f"{'for' if one.in_favour else 'against':8} {one.by:40} {inline.get(one.msp_id, '')}".rstrip()
            for one in found.votes
        ]
        text = "\n".join((f"{_line(found.proposal)}{about}", *lines))
        output.result(msgspec.to_builtins(found) | {"comments": comments}, text)


@app.command(epilog="Example: healthchain governance members --dir consortium --org city-clinic")
def members(folder: Folder, org: Org, json: Json = False) -> None:
    """List the members, suspended and removed ones too."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.members import list_members

    output = Output(as_json=json)

    async def work() -> list[ListedMember]:
        async with opened(folder) as consortium:
            return await list_members(_administrator(consortium, org))

    with failures(output):
        found = run_async(work())
        lines = [f"{one.msp_id:32} {one.kind:10} {one.standing:10} {one.name}, {one.contact}" for one in found]
        output.result({"members": msgspec.to_builtins(found)}, "\n".join(lines))


@app.command(epilog="Example: healthchain governance policies --dir consortium --org city-clinic")
def policies(folder: Folder, org: Org, json: Json = False) -> None:
    """Show the policies in force."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records import governing

    output = Output(as_json=json)

    async def work() -> Policies:
        async with opened(folder) as consortium:
            return await governing.policies(_administrator(consortium, org))

    with failures(output):
        facts = msgspec.to_builtins(run_async(work()))
        output.result(facts, "\n".join(f"{name:24} {_plain(value)}" for name, value in facts.items()))


@app.command(
    "config-update",
    epilog="Example: healthchain governance config-update --dir consortium --org city-clinic --id ID --out update.pb",
)
def config_update(
    folder: Folder,
    org: Org,
    proposal: Id,
    out: Annotated[Path, typer.Option("--out", help="Where Fabric's ConfigUpdateEnvelope goes.")],
    sign: Annotated[list[str] | None, typer.Option(help="Whose administrator signs it; may be repeated.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where a new orderer listens.")] = 7050,
    json: Json = False,
) -> None:
    """Write what an enacted proposal means for the configuration of a Fabric channel."""
    from hashlib import sha256

    from healthchain.app.consortium import ADMINISTRATOR, opened
    from healthchain.records import governing
    from healthchain.wire.config_update import update_envelope

    output = Output(as_json=json)

    async def work() -> bytes:
        async with opened(folder) as consortium:
            genesis = consortium.network.channel.genesis
            administrator = _administrator(consortium, org)
            envelope = update_envelope(await governing.fabric_update(administrator, genesis, proposal, port))
            for name in sign or ():
                governing.sign_as(consortium.keyring(name).identity(ADMINISTRATOR), envelope)
            return envelope.SerializeToString()

    with failures(output):
        encoded = run_async(work())
        out.write_bytes(encoded)
        facts = {"bytes": len(encoded), "sha256": sha256(encoded).hexdigest(), "signatures": len(sign or ())}
        output.result(facts, f"{out.name}: {facts['bytes']} bytes, {facts['signatures']} signatures")


@app.command(epilog="Example: healthchain governance purge --dir consortium --org health-agency --member MutualMSP")
def purge(folder: Folder, org: Org, member: Annotated[str, Member], json: Json = False) -> None:
    """As an administrator: purge the keys that are sealed to a removed member, on every peer."""
    from healthchain.app.consortium import opened
    from healthchain.records import governing

    output = Output(as_json=json)

    async def work() -> Purged:
        async with opened(folder) as consortium:
            return await governing.purge_removed(_administrator(consortium, org), _msp_id(consortium, member))

    with failures(output):
        purged = run_async(work())
        facts = {"purged": purged.envelopes, "offers": purged.offers}
        output.result(facts, f"{purged.envelopes} envelopes and {purged.offers} offers of custody purged")


@app.command(epilog="Example: healthchain governance prepare --dir consortium --name island-hospital --kind hospital")
def prepare(folder: Folder, name: Name, kind: KindOption, title: Title = "", json: Json = False) -> None:
    """Make a new organisation's keys and certificates, and print what to propose (`propose --change`)."""
    import msgspec

    from healthchain.app.consortium import stored_topology
    from healthchain.app.joining import prepare_organisation

    output = Output(as_json=json)
    with failures(output):
        change = prepare_organisation(folder, stored_topology(folder), specification(name, kind, title))
        output.raw(msgspec.json.encode(change))


@app.command(epilog="Example: healthchain governance join --dir consortium --name island-hospital --kind hospital")
def join(folder: Folder, name: Name, kind: KindOption, title: Title = "", json: Json = False) -> None:
    """Once the members have added the organisation: start its peer and orderer, which fetch every block."""
    from healthchain.app.joining import join as start

    output = Output(as_json=json)
    with failures(output):
        run_async(start(folder, specification(name, kind, title)))
        output.result({"joined": name}, f"{name} has joined")


def _administrator(consortium: Consortium, organisation: str) -> Actor:
    from healthchain.app.consortium import ADMINISTRATOR

    return consortium.staff(organisation, ADMINISTRATOR)


def _msp_id(consortium: Consortium, member: str) -> str:
    names = {one.name: one.msp_id for one in consortium.topology.organisations}
    return names.get(member, member)


def specification(name: str, kind: str, title: str) -> Organisation:
    import msgspec

    from healthchain.config import Organisation
    from healthchain.errors import BadInput

    try:
        return msgspec.convert({"name": name, "kind": kind, "title": title or name}, Organisation)
    except msgspec.ValidationError as error:
        raise BadInput(f"the new organisation: {error}") from None


def _policies_of(values: list[str]) -> Amendment:
    from healthchain.contract.amendments import ChangePolicies
    from healthchain.errors import BadInput

    chosen = {}
    for one in values:
        name, _, number = one.partition("=")
        if not name or not number.isdecimal():
            raise BadInput("--set takes NAME=NUMBER, for example cell_min=10: see `healthchain governance policies`")
        chosen[name] = int(number)
    return ChangePolicies(chosen)


def _change_in(file: typer.FileText) -> Amendment:
    import msgspec

    from healthchain.contract.amendments import Amendment
    from healthchain.errors import BadInput

    try:
        found: Amendment = msgspec.json.decode(file.read(), type=Amendment)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the change: {error}") from None
    return found


def _line(one: ListedProposal | ProposalSummary) -> str:
    import datetime

    import msgspec

    proposed = datetime.datetime.fromtimestamp(one.time_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
    change: dict[str, Any] = msgspec.to_builtins(one.change)
    about = change.get("msp_id") or change.get("permission") or _plain(change.get("values", ""))
    return f"{proposed}  {one.id}  {one.status:8}  {one.by:32} {change['change']} {about}".rstrip()


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_plain(inner)}" for key, inner in value.items())
    return str(value)
