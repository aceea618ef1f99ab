"""Block 0 of a network on several machines, which each organisation makes for itself from all members' files.

Nothing in it is of chance: equal files give equal bytes, so that the members compare one hash and trust nobody.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509

from healthchain.app.fabric.machines.enrolling import own_network, requests_of
from healthchain.config import Topology
from healthchain.errors import BadInput
from healthchain.fabric import nodes
from healthchain.fabric.channel import fabric_block
from healthchain.fabric.machines.public_part import SUFFIX, PartUnfit, PublicPart, check_part, place_part, read_parts
from healthchain.fabric.nodes import Settings
from healthchain.identity.folders import write_private
from healthchain.identity.msp import serialize_identity
from healthchain.network.provision import GENESIS, folder_of, founding_block
from healthchain.records.keyring import Keyring
from healthchain.wire.proposal import NONCE_BYTES


def assemble(folder: Path, members: Path) -> tuple[str, dict[str, str]]:
    """Puts the others' certificates and block 0 in the folder; the block's hash, and those of the members' files.

    Raises BadInput, with nothing written; so for files that give another block 0 than the one that is there.
    """
    topology, settings = own_network(folder)
    parts = checked_parts(folder, members)
    encoded = _block(topology, settings, parts)
    block = folder / GENESIS
    if block.exists() and block.read_bytes() != encoded:
        raise BadInput(
            f"there is another {GENESIS} here already, and these members' files do not give it: once a node has started"
            " it stays; before that, if the members agreed on new files, remove it and run this again"
        )
    place(folder, topology, [part for name, part in parts.items() if name != settings.organisation])
    if not block.exists():
        write_private(block, encoded)
    return sha256(encoded).hexdigest(), {name: part.fingerprint() for name, part in parts.items()}


def checked_parts(folder: Path, members: Path) -> dict[str, PublicPart]:
    """Every member's file, by name. Raises BadInput."""
    topology, settings = own_network(folder)
    parts = read_parts(members, topology)
    _require_own(folder, parts[settings.organisation])
    now = datetime.datetime.now(datetime.UTC)
    for name, part in parts.items():
        asked = {one.name: one for one in requests_of(folder, topology, settings, name)}
        check_part(part, topology.organisation(name).msp_id, [asked["orderer0"], asked["orderer0-tls"]], now)
    return parts


def place(folder: Path, topology: Topology, parts: Iterable[PublicPart]) -> None:
    """The public key last: where it is, all is."""
    for part in parts:
        credentials = folder_of(folder, topology.organisation(part.name))
        place_part(part, credentials)
        Keyring(credentials).write_public_key(part.public_key())


def _block(topology: Topology, settings: Settings, parts: dict[str, PublicPart]) -> bytes:
    """Made aside, so that a folder that must not have it stays as it is."""
    with TemporaryDirectory() as aside:
        place(Path(aside), topology, parts.values())
        who, nonce = _creator(topology, parts), _nonce(topology, parts)
        founding = founding_block(Path(aside), topology, who, nonce, _youngest_s(parts))
        block = fabric_block(founding, nodes.members(Path(aside), topology, settings), settings.consensus)
    return block.SerializeToString(deterministic=True)


def _require_own(folder: Path, part: PublicPart) -> None:
    path = folder / f"{part.name}{SUFFIX}"
    if not path.exists() or path.read_bytes() != part.encode():
        raise PartUnfit(f"{path.name} among the members' files is not this folder's: run `healthchain fabric install`")


def _creator(topology: Topology, parts: dict[str, PublicPart]) -> bytes:
    """Somebody has to be; nobody signs block 0."""
    first = topology.organisations[0]
    return serialize_identity(first.msp_id, parts[first.name].orderer.encode())


def _nonce(topology: Topology, parts: dict[str, PublicPart]) -> bytes:
    every = b"".join(parts[one.name].encode() for one in topology.organisations)
    return sha256(every).digest()[:NONCE_BYTES]


def _youngest_s(parts: dict[str, PublicPart]) -> int:
    """From when all orderers' certificates were valid: block 0 bears that time."""
    valid_from = [x509.load_pem_x509_certificate(one.orderer.encode()).not_valid_before_utc for one in parts.values()]
    return int(max(valid_from).timestamp())
