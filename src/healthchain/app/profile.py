"""What Fabric's own tools and SDKs need to know of an organisation here: CORE_PEER_* variables, a connection profile.

Both name files in the consortium's folder, which are in cryptogen's layout; neither holds a key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from healthchain.config import Topology
from healthchain.errors import BadInput
from healthchain.fabric.nodes import is_fabric, members, read_settings
from healthchain.identity.folders import OrganisationFolder
from healthchain.network.provision import organisation_folder
from healthchain.network.serving.server import organisation_ports

HOST = "localhost"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One organisation: its folder, and where its peer and orderer listen, as HOST:PORT."""

    credentials: OrganisationFolder
    address: str
    orderer: str

    @property
    def tls_root(self) -> Path:
        return self.credentials.peer / "tls" / "ca.crt"


def endpoints(folder: Path, topology: Topology, base_port: int, host: str = HOST) -> dict[str, Endpoint]:
    """Of all organisations, by name: as `healthchain up` serves them, or as Fabric's nodes are configured.

    On Fabric `base_port` and `host` mean nothing. Raises BadInput.
    """
    root = folder.resolve()
    if is_fabric(folder):
        listed = members(root, topology, read_settings(folder))
        return {one.name: Endpoint(one.credentials, one.peer, one.orderer) for one in listed}
    names = [one.name for one in topology.organisations]
    return {
        name: Endpoint(organisation_folder(root, topology, name), f"{host}:{port}", f"{host}:{port}")
        for name, port in organisation_ports(names, base_port).items()
    }


def peer_environment(endpoint: Endpoint, user: str, channel: str) -> dict[str, str]:
    """For Fabric's `peer`, acting as one of the organisation's users. It wants FABRIC_CFG_PATH as well, its own.

    Raises BadInput for somebody whom the organisation has not enrolled.
    """
    credentials = endpoint.credentials.user(user)
    if not credentials.is_dir():
        raise BadInput("the organisation has not enrolled such a user: try administrator")
    variables = {
        "CORE_PEER_ADDRESS": endpoint.address,
        "CORE_PEER_LOCALMSPID": endpoint.credentials.msp_id,
        "CORE_PEER_MSPCONFIGPATH": str(credentials / "msp"),
        "CORE_PEER_TLS_ENABLED": "true",
        "CORE_PEER_TLS_ROOTCERT_FILE": str(endpoint.tls_root),
        "CHANNEL_NAME": channel,
        "ORDERER_ADDRESS": endpoint.orderer,
        "ORDERER_CA": str(endpoint.tls_root),
    }
    certificate, key = credentials / "tls" / "client.crt", credentials / "tls" / "client.key"
    if certificate.is_file():  # patients have none; nor have networks that an earlier version made
        variables |= {
            "CORE_PEER_TLS_CLIENTAUTHREQUIRED": "true",
            "CORE_PEER_TLS_CLIENTCERT_FILE": str(certificate),
            "CORE_PEER_TLS_CLIENTKEY_FILE": str(key),
        }
    return variables


def connection_profile(found: dict[str, Endpoint], organisation: str, channel: str) -> str:
    """Fabric's common connection profile, version 1.0, seen from one organisation, as JSON."""
    peers = {name: one.credentials.peer.name for name, one in found.items()}
    document = {
        "name": f"{channel}-{organisation}",
        "version": "1.0.0",
        "client": {"organization": organisation, "connection": {"timeout": {"peer": {"endorser": "300"}}}},
        "channels": {channel: {"peers": {peer: {} for peer in peers.values()}}},
        "organizations": {
            name: {"mspid": one.credentials.msp_id, "peers": [peers[name]]} for name, one in found.items()
        },
        "peers": {
            peers[name]: {
                "url": f"grpcs://{one.address}",
                "tlsCACerts": {"pem": one.credentials.tls_authority().decode()},
                "grpcOptions": {"ssl-target-name-override": peers[name], "hostnameOverride": peers[name]},
            }
            for name, one in found.items()
        },
    }
    return json.dumps(document, indent=2)
