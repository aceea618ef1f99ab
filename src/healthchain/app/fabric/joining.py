"""A member that comes to a Fabric network on this machine, leaves it or has new certificates, once its channel says so.

All are what `local.up` does to a folder whose topology has one organisation more or less, or other certificates: nodes
are started and join, and the contract's next definition names the members of now in its collections.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from healthchain.app.consortium import ADMINISTRATOR, TOPOLOGY, opened, stored_topology
from healthchain.app.fabric import local
from healthchain.app.joining import extended
from healthchain.app.renewing import prepared, put_in_place
from healthchain.config import Organisation, Topology, read_topology, write_topology
from healthchain.errors import BadInput
from healthchain.fabric import nodes
from healthchain.fabric.hosts import Nodes, host_and_port, local_nodes
from healthchain.fabric.membership import addresses_of, member_msp
from healthchain.identity.folders import CredentialsMissing, write_private
from healthchain.network.provision import folder_of
from healthchain.records.actor import Actor
from healthchain.records.channel_membership import current_config, is_member
from healthchain.records.governing import config_block


async def join(folder: Path, spec: Organisation, programs: Path, say: local.Say) -> None:
    """Start the nodes of a member whom the channel has; an attempt that was cut off goes on.

    Raises BadInput before the channel has it, and what `local.up` raises.
    """
    topology = _checked(folder, programs)
    if spec not in topology.organisations:
        larger = extended(topology, spec)
        own = _prepared_msp(folder, spec)
        async with opened(folder) as consortium:
            asking = consortium.staff(topology.organisations[0].name, ADMINISTRATOR)
            config = await current_config(asking)
            if member_msp(config, spec.msp_id) != own:
                raise BadInput(
                    f"the channel does not have {spec.name} with these certificates: propose it, and once it has"
                    " passed let `healthchain fabric membership` change the channel"
                )
            await _keep_config(folder, asking)
        _, port = host_and_port(addresses_of(config, spec.msp_id).peer)
        _write(folder, larger, _hosts(folder, topology) | {spec.name: local_nodes(port)})
    await local.up(folder, programs, say)


async def leave(folder: Path, name: str, programs: Path, say: local.Say) -> None:
    """End the nodes of a member whom the channel has no more; its ledgers and credentials stay where they are.

    Raises BadInput while the channel has it, and what `local.up` raises. May be repeated.
    """
    topology = _checked(folder, programs)
    leaving = [one for one in topology.organisations if one.name == name]
    for one in leaving:
        staying = tuple(other for other in topology.organisations if other != one)
        smaller = read_topology(write_topology(replace(topology, organisations=staying)))
        async with opened(folder) as consortium:
            asking = consortium.staff(staying[0].name, ADMINISTRATOR)
            if is_member(await current_config(asking), one.msp_id):
                raise BadInput(
                    f"the channel has {name} still: once the members have removed or suspended it, let"
                    " `healthchain fabric membership` change the channel"
                )
            await _keep_config(folder, asking)
        ended = local.end(folder, name)
        _write(folder, smaller, _hosts(folder, topology))
        say(f"{name} has left: {ended} processes ended")
    await local.up(folder, programs, say)


async def renew(folder: Path, name: str, programs: Path, say: local.Say) -> None:
    """Put a member's new certificates in place of the old ones, and start its nodes with them.

    Raises BadInput before the channel has them, and what `local.up` raises.
    """
    topology = _checked(folder, programs)
    organisation = topology.organisation(name)
    following = prepared(folder, organisation)
    async with opened(folder) as consortium:
        other = next(one.name for one in topology.organisations if one.name != name)
        config = await current_config(consortium.staff(other, ADMINISTRATOR))
        if member_msp(config, organisation.msp_id) != following.msp_config():
            raise BadInput(
                f"the channel does not have {name}'s new certificates: propose them, and once they have passed let"
                " `healthchain fabric membership` change the channel"
            )
    local.end(folder, name)
    put_in_place(folder, organisation)
    say(f"{name} has new certificates")
    await local.up(folder, programs, say)


def _prepared_msp(folder: Path, spec: Organisation) -> bytes:
    try:
        return folder_of(folder, spec).msp_config()
    except CredentialsMissing:
        raise BadInput(f"{spec.name} has no credentials here: `healthchain governance prepare` makes them") from None


def _checked(folder: Path, programs: Path) -> Topology:
    nodes.require_programs(programs)
    nodes.require_all_here(nodes.read_settings(folder))
    return stored_topology(folder)


async def _keep_config(folder: Path, asking: Actor) -> None:
    """From this block a new orderer starts: it knows who orders by now."""
    write_private(folder / nodes.FOLDER / nodes.CHANNEL_BLOCK, await config_block(asking))


def _hosts(folder: Path, topology: Topology) -> dict[str, Nodes]:
    """As they are: nobody's ports move when another organisation goes."""
    settings = nodes.read_settings(folder)
    return settings.hosts | {one.name: one.nodes for one in nodes.members(folder, topology, settings)}


def _write(folder: Path, topology: Topology, hosts: dict[str, Nodes]) -> None:
    """Ports first: they are nobody's without the topology."""
    nodes.write_settings(folder, replace(nodes.read_settings(folder), hosts=hosts))
    write_private(folder / TOPOLOGY, write_topology(topology).encode())
