"""A new network's folder: every organisation's credentials and the channel's block 0, from the topology."""

from __future__ import annotations

import datetime
import secrets
from pathlib import Path

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from healthchain.config import Organisation, Topology
from healthchain.errors import BadInput
from healthchain.identity.folders import OrganisationFolder, write_private
from healthchain.wire.channel import BatchSize, ChannelConfig, Consenter, Organization, genesis_block
from healthchain.wire.proposal import NONCE_BYTES

FIRST_PORT = 7050  # where the orderers would listen
GENESIS = "genesis.block"


class GenesisMissing(BadInput):
    """The folder holds no network."""


def organisation_folder(folder: Path, topology: Topology, name: str) -> OrganisationFolder:
    return folder_of(folder, topology.organisation(name))


def folder_of(folder: Path, organisation: Organisation) -> OrganisationFolder:
    """Also of one that the topology does not have yet."""
    return OrganisationFolder(folder / "organizations", organisation.msp_id, organisation.domain)


def enrol_organisation(folder: Path, organisation: Organisation, now: datetime.datetime) -> OrganisationFolder:
    """Its authorities, peer, orderer and users."""
    credentials = folder_of(folder, organisation)
    users = {name: {"hc.role": role} for name, role in organisation.roles.items()}
    credentials.create(now, users, organisation.hosts)
    return credentials


def create(folder: Path, topology: Topology, now: datetime.datetime) -> None:
    """Credentials first and block 0 last: a folder without it is no network, and may be created again."""
    for organisation in topology.organisations:
        enrol_organisation(folder, organisation, now)
    first = organisation_folder(folder, topology, topology.organisations[0].name)
    creator = first.signing_identity(first.user("administrator")).serialized
    block = founding_block(folder, topology, creator, secrets.token_bytes(NONCE_BYTES), int(now.timestamp()))
    write_private(folder / GENESIS, block.SerializeToString(deterministic=True))


def founding_block(
    folder: Path, topology: Topology, creator: bytes, nonce: bytes, timestamp_s: int
) -> common_pb2.Block:
    """Block 0, from the organisations' public credentials in the folder. Raises CredentialsMissing."""
    organizations, consenters = [], []
    for index, organisation in enumerate(topology.organisations):
        credentials = folder_of(folder, organisation)
        organizations.append(Organization(organisation.name, organisation.msp_id, credentials.msp_config()))
        consenters.append(
            Consenter(
                id=index + 1,
                host=f"orderer0.{organisation.domain}",
                port=FIRST_PORT + 1000 * index,
                msp_id=organisation.msp_id,
                identity=credentials.orderer_certificate(),
            )
        )
    blocks = topology.blocks
    config = ChannelConfig(
        channel_id=topology.channel,
        organizations=tuple(organizations),
        consenters=tuple(consenters),
        batch=BatchSize(blocks.transactions_max, blocks.bytes_max, blocks.bytes_preferred, blocks.timeout_ms),
    )
    return genesis_block(config, creator, nonce, timestamp_s)


def read_genesis_block(folder: Path) -> common_pb2.Block:
    """Raises GenesisMissing."""
    try:
        return common_pb2.Block.FromString((folder / GENESIS).read_bytes())
    except FileNotFoundError:
        raise GenesisMissing("there is no network in this folder: make one with `healthchain init`") from None
    except DecodeError:
        raise GenesisMissing(f"{GENESIS} in the folder is damaged: every member has the same one, restore it") from None
