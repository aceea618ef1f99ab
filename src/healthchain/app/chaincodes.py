"""Other makers' chaincodes in a consortium: where their services listen, kept in the folder, and what was agreed on.

DIR/chaincodes/NAME.json    as Fabric's `connection.json` of a chaincode-as-a-service package

gRPC is imported where there is a service: it takes 16 MiB, and most networks have none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from fabric_protos.common import policies_pb2

from healthchain.config import CHAINCODE
from healthchain.errors import BadInput
from healthchain.identity.folders import write_private
from healthchain.wire.collection_file import read_collections
from healthchain.wire.lifecycle import ChaincodeDefinition
from healthchain.wire.policy_text import members_named, read_policy

if TYPE_CHECKING:
    from healthchain.network.external import Endpoint, External

CHAINCODES = "chaincodes"
NAME = re.compile(r"[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*")
VERSION = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
NAME_MAX = 64
RESERVED = frozenset((CHAINCODE, "qscc", "cscc", "lscc", "escc", "vscc"))


class ChaincodeInvalid(BadInput):
    """What was asked to be deployed cannot be; nothing was written."""


class Connection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names are Fabric's; `package_id` is ours, empty: whatever the service registers as."""

    address: str
    package_id: str = ""
    tls_required: bool = False
    root_cert: str = ""
    client_cert: str = ""
    client_key: str = ""

    def endpoint(self) -> Endpoint:
        from healthchain.network.external import Endpoint

        return Endpoint(
            self.address,
            self.package_id or None,
            root_certificate=self.root_cert.encode() if self.tls_required else None,
            client_certificate=self.client_cert.encode() or None,
            client_key=self.client_key.encode() or None,
        )


def stored_connections(folder: Path) -> dict[str, Connection]:
    """By name of the chaincode. Raises ChaincodeInvalid."""
    found = {}
    for path in sorted((folder / CHAINCODES).glob("*.json")):
        try:
            found[path.stem] = msgspec.json.decode(path.read_bytes(), type=Connection)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ChaincodeInvalid(f"{CHAINCODES}/{path.name} in the folder is damaged: deploy it again") from None
    return found


def store_connection(folder: Path, name: str, connection: Connection) -> None:
    content = msgspec.json.format(msgspec.json.encode(connection), indent=2)
    write_private(folder / CHAINCODES / f"{name}.json", content + b"\n")


def services(connections: Mapping[str, Connection]) -> dict[str, External]:
    if not connections:
        return {}
    from healthchain.network.external import External

    return {name: External(one.endpoint()) for name, one in connections.items()}


def agreed_definition(
    name: str, version: str, policy: str | None, collections: bytes | None, *, init_required: bool = False
) -> ChaincodeDefinition:
    """`policy` as `wire.policy_text` reads it, `collections` as `wire.collection_file` does. Raises BadInput."""
    if not NAME.fullmatch(name) or len(name) > NAME_MAX or name in RESERVED:
        raise ChaincodeInvalid("a chaincode's name has letters and digits, - and _ between them, and is not taken")
    if not VERSION.fullmatch(version):
        raise ChaincodeInvalid("a version has letters, digits, and . _ + -")
    signed_by = read_policy(policy).SerializeToString() if policy else None
    declared = read_collections(collections) if collections else ()
    return ChaincodeDefinition(name, version, 1, declared, signed_by, init_required)


def require_members(definition: ChaincodeDefinition, members: Sequence[str]) -> None:
    """Whoever its policy and collections name must be one. Raises ChaincodeInvalid."""
    named = {msp_id for one in definition.collections for msp_id in one.member_msp_ids}
    for policy in (definition.signature_policy, *(one.endorsement_policy for one in definition.collections)):
        if policy is not None:
            named.update(members_named(policies_pb2.SignaturePolicyEnvelope.FromString(policy)))
    unknown = sorted(named - set(members))
    if unknown:
        raise ChaincodeInvalid(f"no member of the channel is {', '.join(unknown)}: choose from {', '.join(members)}")
