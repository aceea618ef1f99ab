"""`healthchain fabric membership`: what the members decided about one of them, in the channel's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from fabric_protos.common.configtx_pb2 import ConfigUpdateEnvelope

    from healthchain.fabric.membership import NodeAddresses
    from healthchain.records.channel_membership import Review

app = group("Make, sign and submit the channel's configuration update that a passed proposal about a member means.")

Id = Annotated[str, typer.Option("--id", help="The proposal's id, as `governance list` prints it.")]
File = Annotated[Path, typer.Option("--file", help="The update, which travels from administrator to administrator.")]


@app.command(epilog="Example: healthchain fabric membership update --dir consortium --org city-clinic --id ID --file U")
def update(
    folder: Folder,
    org: Org,
    proposal: Id,
    file: File,
    peer: Annotated[str, typer.Option(help="HOST:PORT of the member's peer; default: as this folder has it.")] = "",
    orderer: Annotated[str, typer.Option(help="HOST:PORT of its orderer.")] = "",
    orderer_tls: Annotated[Path | None, typer.Option(help="Its orderer's TLS certificate, in PEM.")] = None,
    json: Json = False,
) -> None:
    """Make the update that follows from a passed proposal, without signatures."""
    from healthchain.app.consortium import stored_topology
    from healthchain.app.fabric import channel_membership
    from healthchain.wire.config_update import encode_update

    output = Output(as_json=json)
    with failures(output):
        given = _given(peer, orderer, orderer_tls)
        made = run_async(channel_membership.make(folder, org, proposal, given))
        encoded = encode_update(stored_topology(folder).channel, made)
        file.write_bytes(encoded)
        output.result({"bytes": len(encoded)}, f"{file.name}: {len(encoded)} bytes, for administrators to sign")


@app.command(epilog="Example: healthchain fabric membership show --dir consortium --org city-clinic --id ID --file U")
def show(folder: Folder, org: Org, proposal: Id, file: File, json: Json = False) -> None:
    """Tell what an update changes and who signed it; refuse one that is not what the members decided."""
    from healthchain.app.fabric import channel_membership

    output = Output(as_json=json)
    with failures(output):
        review = run_async(channel_membership.look(folder, org, proposal, _read(folder, [file])))
        output.result(_facts(review), _text(review))


@app.command(epilog="Example: healthchain fabric membership sign --dir consortium --org city-clinic --id ID --file U")
def sign(folder: Folder, org: Org, proposal: Id, file: File, json: Json = False) -> None:
    """Add the organisation's administrator's signature, once the update was found to be what the members decided."""
    from healthchain.app.consortium import stored_topology
    from healthchain.app.fabric import channel_membership
    from healthchain.identity.folders import write_private
    from healthchain.wire.config_update import encode_update

    output = Output(as_json=json)
    with failures(output):
        envelope = _read(folder, [file])
        review = run_async(channel_membership.sign(folder, org, proposal, envelope))
        write_private(file, encode_update(stored_topology(folder).channel, envelope))
        output.result(_facts(review), _text(review))


@app.command(epilog="Example: healthchain fabric membership submit --dir consortium --org city-clinic --id ID --file U")
def submit(
    folder: Folder,
    org: Org,
    proposal: Id,
    file: Annotated[list[Path], typer.Option("--file", help="The signed update; repeat it for copies signed apart.")],
    json: Json = False,
) -> None:
    """Hand the signed update to an orderer, and wait until the members' peers have it."""
    from healthchain.app.fabric import channel_membership

    output = Output(as_json=json)
    with failures(output):
        new = run_async(channel_membership.submit(folder, org, proposal, _read(folder, file)))
        told = "the channel has its new configuration" if new else "the channel has this configuration already"
        output.result({"submitted": new}, told)


def _given(peer: str, orderer: str, orderer_tls: Path | None) -> NodeAddresses | None:
    from healthchain.errors import BadInput
    from healthchain.fabric.membership import NodeAddresses, split_address

    if not peer:
        if orderer or orderer_tls:
            raise BadInput("--orderer and --orderer-tls need --peer as well")
        return None
    if bool(orderer) != bool(orderer_tls):
        raise BadInput("--orderer and --orderer-tls go together")
    for address in filter(None, (peer, orderer)):
        split_address(address)
    return NodeAddresses(peer, orderer, orderer_tls.read_bytes() if orderer_tls else b"")


def _read(folder: Path, files: list[Path]) -> ConfigUpdateEnvelope:
    from healthchain.app.consortium import stored_topology
    from healthchain.wire.config_update import UpdateMalformed, decode_update, merged

    channel = stored_topology(folder).channel
    try:
        found = [one.read_bytes() for one in files]
    except OSError:
        raise UpdateMalformed("the update's file cannot be read: give one that `membership update` wrote") from None
    return merged([decode_update(channel, one) for one in found])


def _facts(review: Review) -> dict[str, Any]:
    found = review.signatures
    return {
        "changes": list(review.says),
        "signed": list(found.signed),
        "missing": list(found.missing),
        "needed": found.needed,
        "suffice": found.suffice,
    }


def _text(review: Review) -> str:
    found = review.signatures
    signed = f"signed by {len(found.signed)}, {found.needed} are needed: {', '.join(found.signed) or 'nobody yet'}"
    return "\n".join((*review.says, signed))
