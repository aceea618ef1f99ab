"""A member that comes later to a network on several machines: what is proposed of it, and its files at the others.

candidate(folder)           # at the newcomer, once its certificates are in place: the change to be proposed
admit(folder, members)      # at everybody, once the channel has it and the folder the larger topology
"""

from __future__ import annotations

from pathlib import Path

from healthchain.app.consortium import ADMINISTRATOR, opened
from healthchain.app.fabric.machines.assembling import checked_parts, place_others
from healthchain.app.fabric.machines.enrolling import own_network
from healthchain.contract.amendments import AddMember
from healthchain.contract.ids import Kind
from healthchain.errors import BadInput
from healthchain.fabric import nodes
from healthchain.identity.folders import CredentialsMissing, write_private
from healthchain.network.provision import GENESIS, folder_of
from healthchain.records.channel_membership import config_block
from healthchain.records.keyring import Keyring


def candidate(folder: Path) -> AddMember:
    """Raises BadInput before `install`."""
    topology, settings = own_network(folder)
    organisation = topology.organisation(settings.organisation)
    credentials = folder_of(folder, organisation)
    try:
        orderer = credentials.orderer_certificate()
    except CredentialsMissing:
        raise BadInput("the certificates are not in place: run `healthchain fabric install` first") from None
    return AddMember(
        msp_id=organisation.msp_id,
        kind=Kind(organisation.kind),
        name=organisation.title or organisation.name,
        contact=f"{ADMINISTRATOR}@{organisation.domain}",
        public_key=Keyring(credentials).organisation_key().public_bytes,
        msp_config=credentials.msp_config(),
        orderer=orderer,
    )


async def admit(folder: Path, members: Path) -> bool:
    """All members' certificates; and the channel's newest configuration, for the newcomer's orderer to start from.

    False at the newcomer, whose peer has no channel to ask: it gets both blocks from another member.
    Raises BadInput, with nothing written.
    """
    topology, settings = own_network(folder)
    parts = checked_parts(folder, members)
    if not (folder / GENESIS).exists():
        raise BadInput(f"there is no {GENESIS} here: a member gives it to you, with {nodes.CHANNEL_BLOCK_FILE}")
    place_others(folder, topology, settings, parts)
    own = next(one for one in nodes.members(folder, topology, settings) if one.name == settings.organisation)
    if not own.ledger.exists():
        return False
    async with opened(folder) as consortium:
        newest = await config_block(consortium.staff(own.name, ADMINISTRATOR))
    write_private(folder / nodes.CHANNEL_BLOCK_FILE, newest)
    return True
