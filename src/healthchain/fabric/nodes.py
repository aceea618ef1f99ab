"""What a Fabric network here consists of: its settings, and each organisation's nodes, ports and files.

DIR/fabric/settings.json, channel.block, collections.json, builder/
DIR/fabric/ORGANISATION/{orderer,peer}/     configuration and ledgers
DIR/fabric/ORGANISATION/{orderer,peer,chaincode}.{pid,log}
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from healthchain.config import ORGANISATIONS_MAX, Topology
from healthchain.errors import BadInput, HealthChainError
from healthchain.fabric.hosts import Nodes, host_and_port, local_nodes
from healthchain.identity.folders import OrganisationFolder, write_private
from healthchain.network.provision import organisation_folder

FOLDER = "fabric"
SETTINGS = "settings.json"
SETTINGS_FILE = Path(FOLDER) / SETTINGS
CHANNEL_BLOCK = "channel.block"  # the newest configuration, once there is another than block 0's
CHANNEL_BLOCK_FILE = Path(FOLDER) / CHANNEL_BLOCK
BASE_PORT, PORT_STEP = 7051, 20
BFT_ORDERERS_MIN = 4  # one of them may fail
PROGRAMS = ("orderer", "peer", "osnadmin")


class Consensus(StrEnum):
    """How the orderers agree: on crashes only, or also on members that lie (SmartBFT)."""

    RAFT = "raft"
    BFT = "bft"


class FabricFailed(HealthChainError):
    """One of Fabric's programs did not do what it was asked; the text ends with what it said last."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`organisation` and `hosts` are of a folder that `export` made: whose it is, and where everybody's nodes are."""

    consensus: Consensus
    base_port: int = BASE_PORT
    organisation: str = ""
    hosts: dict[str, Nodes] = {}


@dataclass(frozen=True, slots=True)
class Member:
    """One organisation's peer, orderer and chaincode service; addresses are HOST:PORT."""

    name: str
    credentials: OrganisationFolder
    folder: Path
    nodes: Nodes

    @property
    def msp_id(self) -> str:
        return self.credentials.msp_id

    @property
    def peer(self) -> str:
        return self.nodes.peer

    @property
    def port(self) -> int:
        return host_and_port(self.peer)[1]

    @property
    def orderer(self) -> str:
        return self.nodes.orderer

    @property
    def orderer_admin(self) -> str:
        return self.nodes.admin

    @property
    def chaincode(self) -> str:
        return self.nodes.chaincode

    @property
    def ledger(self) -> Path:
        """Its peer's `fileSystemPath`."""
        return self.folder / "peer" / "ledger"

    @property
    def tls_root(self) -> Path:
        return self.credentials.tls_root


def absolute(path: Path) -> Path:
    """As nodes need it, which run in folders of their own."""
    return Path(os.path.abspath(path))


def is_fabric(folder: Path) -> bool:
    """Whether the consortium in the folder runs on Fabric, not in one process."""
    return (folder / FOLDER / SETTINGS).exists()


def members(folder: Path, topology: Topology, settings: Settings) -> list[Member]:
    root = absolute(folder)
    return [
        Member(
            one.name,
            organisation_folder(root, topology, one.name),
            root / FOLDER / one.name,
            settings.hosts.get(one.name) or local_nodes(settings.base_port + PORT_STEP * index),
        )
        for index, one in enumerate(topology.organisations)
    ]


def write_settings(folder: Path, settings: Settings) -> None:
    write_private(folder / SETTINGS_FILE, encode_settings(settings))


def encode_settings(settings: Settings) -> bytes:
    return msgspec.json.format(msgspec.json.encode(settings), indent=1) + b"\n"


def read_settings(folder: Path) -> Settings:
    """Raises BadInput."""
    try:
        return msgspec.json.decode((folder / FOLDER / SETTINGS).read_bytes(), type=Settings)
    except FileNotFoundError:
        raise BadInput("there is no Fabric network in this folder: make one with `healthchain fabric init`") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput(f"{FOLDER}/{SETTINGS} in the folder is damaged: restore it") from None


def require_possible(topology: Topology, settings: Settings) -> None:
    """Raises BadInput for settings that no network can be made with."""
    if settings.consensus == Consensus.BFT and len(topology.organisations) < BFT_ORDERERS_MIN:
        raise BadInput(f"SmartBFT needs {BFT_ORDERERS_MIN} organisations or more: choose --consensus raft")
    if not 1024 <= settings.base_port <= 65535 - PORT_STEP * ORGANISATIONS_MAX:
        raise BadInput("the base port is too low or too high: choose one from 1024 to 64535")


def require_all_here(settings: Settings) -> None:
    """Raises BadInput for a folder of one organisation among machines."""
    if settings.organisation:
        raise BadInput(
            f"this folder is {settings.organisation}'s part of a network on several machines: its units or its compose"
            " file start and stop it, see docs/fabric-production.md"
        )


def require_programs(programs: Path, needed: Sequence[str] = PROGRAMS) -> None:
    """Raises BadInput."""
    missing = [name for name in needed if not (programs / name).is_file()]
    if missing:
        raise BadInput(f"the folder of --bin lacks {', '.join(missing)}: give the one with Fabric's released programs")
