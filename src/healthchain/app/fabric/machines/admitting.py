"""A member that comes later to a network on several machines: what is proposed of it, and its files at the others.

candidate(folder)           # at the newcomer, once its certificates are in place: the change to be proposed
admit(folder, members)      # at everybody, once the channel has it and the folder the larger topology

Nobody's file is trusted for what the channel tells: authorities are those of its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common.common_pb2 import Block
from fabric_protos.common.configtx_pb2 import Config
from google.protobuf.message import DecodeError

from healthchain.app.consortium import ADMINISTRATOR
from healthchain.app.fabric.machines.assembling import checked_parts, place
from healthchain.app.fabric.machines.enrolling import own_network
from healthchain.client.gateway import Connection
from healthchain.config import CHAINCODE, Topology
from healthchain.contract.amendments import AddMember
from healthchain.contract.ids import Kind
from healthchain.errors import BadInput
from healthchain.fabric import nodes
from healthchain.fabric.machines.public_part import PartUnfit, PublicPart
from healthchain.fabric.membership import member_msp
from healthchain.fabric.nodes import Member
from healthchain.identity.authorities import same_authorities
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder, write_private
from healthchain.network.provision import GENESIS, folder_of
from healthchain.records.actor import Actor
from healthchain.records.governing import config_block
from healthchain.records.keyring import Keyring
from healthchain.wire.channel import genesis_config
from healthchain.wire.transaction import TransactionInvalid


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


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whose files were put in place, with their SHA-256; and whether the channel's newest configuration was."""

    fingerprints: dict[str, str]
    configuration: bool


async def admit(folder: Path, members: Path) -> Admitted:
    """A newcomer's certificates; and the channel's newest configuration, for the newcomer's orderer to start from.

    The newcomer, whose peer has no channel to ask, has been given both blocks by another member, and gets everybody's
    certificates. Nobody's are other than the channel's. Raises BadInput, with nothing written.
    """
    topology, settings = own_network(folder)
    parts = checked_parts(folder, members)
    newest = folder / nodes.CHANNEL_BLOCK_FILE
    own = next(one for one in nodes.members(folder, topology, settings) if one.name == settings.organisation)
    asked = await _asked(own, topology) if own.ledger.exists() else None
    if not (folder / GENESIS).exists() or (asked is None and not newest.exists()):
        raise BadInput(
            f"a member gives you its {GENESIS} and {nodes.CHANNEL_BLOCK_FILE}: put both into this folder first"
        )
    config = _config(newest.read_bytes() if asked is None else asked)
    new = [one for one in parts.values() if _is_new(one, folder_of(folder, topology.organisation(one.name)), config)]
    place(folder, topology, new)
    if asked is not None:
        write_private(newest, asked)
    return Admitted({one.name: one.fingerprint() for one in new}, asked is not None)


async def _asked(own: Member, topology: Topology) -> bytes:
    """pb(Block), from the own peer: the others' certificates may not be here yet."""
    from healthchain.client.failover import RemoteGateway  # gRPC, which the embedded network needs not
    from healthchain.client.remote import Endpoint, Peer

    keyring = Keyring(own.credentials)
    async with Peer(Endpoint(own.peer, own.credentials.tls_authority(), msp_id=own.msp_id)) as peer:
        connection = Connection(RemoteGateway([peer]), keyring.identity(ADMINISTRATOR), topology.channel, CHAINCODE)
        return await config_block(Actor(connection, own.msp_id, keyring.organisation_key()))


def _config(block: bytes) -> Config:
    """Raises BadInput."""
    try:
        return genesis_config(Block.FromString(block))
    except (DecodeError, TransactionInvalid, IndexError):
        raise BadInput(f"{nodes.CHANNEL_BLOCK_FILE} is no configuration of a channel: ask a member for it") from None


def _is_new(part: PublicPart, credentials: OrganisationFolder, config: Config) -> bool:
    """Whether nothing of the member is here yet. Raises PartUnfit for another file than the members agreed on."""
    try:
        known, key = credentials.msp_config(), Keyring(credentials).public_key()
    except CredentialsMissing:
        known, key = b"", b""
    agreed = member_msp(config, credentials.msp_id) or known
    if not agreed:
        raise PartUnfit(f"{part.name} is not in the channel yet: run this once its update was submitted")
    if not same_authorities(part.authorities.msp_config(credentials.msp_id), agreed):
        raise _differs(part, "authorities are")
    if key and key != part.public_key():
        raise _differs(part, "encryption key is")
    return not key


def _differs(part: PublicPart, what: str) -> PartUnfit:
    return PartUnfit(
        f"the file of {part.name}: its {what} not what the members agreed on: take the file that is, and ask"
        f" {part.name} for its SHA-256 over another way"
    )
