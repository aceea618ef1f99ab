"""Where the nodes of each organisation are: on this machine, or as a file says of several.

[city-clinic]                                  # as the topology names it; what is left out has the value shown
peer = "peer0.DOMAIN:7051"                     # as everybody reaches it
orderer = "orderer0.DOMAIN:7050"               # as everybody reaches it
listen = "0.0.0.0"                             # the address of its own machine that these two listen on
admin = "localhost:7053"                       # the orderer's administration: for this organisation only
chaincode = "localhost:9999"                   # the contract's service: for this organisation's peer only
callback = "localhost:7052"                    # the peer's, for chaincodes that it would start itself; there are none
peer_operations = "localhost:9443"             # health and metrics: for this organisation only
orderer_operations = "localhost:8443"
folder = "/opt/healthchain"                    # where the organisation's folder is put on its machine
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from healthchain.config import Organisation, Topology
from healthchain.errors import BadInput

LOCAL = "localhost"
ANY_PORT = "127.0.0.1:0"  # of what nobody asks
_ADDRESS = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?:[1-9][0-9]{0,4}\Z"

Address = Annotated[str, Meta(pattern=_ADDRESS)]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")]
Folder = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+\Z", max_length=200)]


class HostsInvalid(BadInput):
    """The hosts file cannot be used; the text names the place and what to do."""


class Nodes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One organisation's addresses, each HOST:PORT; `folder` is empty where all are on this machine."""

    peer: str
    orderer: str
    admin: str
    chaincode: str
    callback: str
    peer_operations: str
    orderer_operations: str
    listen: str
    folder: str = ""


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says of one organisation."""

    peer: Address = ""
    orderer: Address = ""
    listen: Host = "0.0.0.0"  # noqa: S104 (a firewall decides who comes near)
    admin: Address = "localhost:7053"
    chaincode: Address = "localhost:9999"
    callback: Address = "localhost:7052"
    peer_operations: Address = "localhost:9443"
    orderer_operations: Address = "localhost:8443"
    folder: Folder = "/opt/healthchain"


def local_nodes(port: int) -> Nodes:
    """All on this machine, from this port on."""
    peer, orderer, admin, chaincode, callback = (f"{LOCAL}:{port + index}" for index in range(5))
    return Nodes(peer, orderer, admin, chaincode, callback, ANY_PORT, ANY_PORT, LOCAL)


def read_hosts(text: str, topology: Topology) -> dict[str, Nodes]:
    """Of every organisation of the topology; an empty text gives all the values shown above. Raises HostsInvalid."""
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise HostsInvalid(f"the hosts file: {error}") from None
    given = {name: _given(name, table) for name, table in tables.items()}
    unknown = sorted(set(given) - {one.name for one in topology.organisations})
    if unknown:
        raise HostsInvalid(f"the hosts file: the topology has no {unknown[0]}: use its names")
    hosts = {one.name: _completed(one, given.get(one.name, _Given())) for one in topology.organisations}
    for name, nodes in hosts.items():
        _require_usable(name, nodes)
    _require_apart(hosts)
    return hosts


def host_and_port(address: str) -> tuple[str, int]:
    """Of HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def _given(name: str, table: object) -> _Given:
    try:
        return msgspec.convert(table, _Given)
    except msgspec.ValidationError as error:
        raise HostsInvalid(f"the hosts file: [{name}]: {error}") from None


def _completed(organisation: Organisation, given: _Given) -> Nodes:
    peer = given.peer or f"peer0.{organisation.domain}:7051"
    orderer = given.orderer or f"orderer0.{organisation.domain}:7050"
    return Nodes(**{**msgspec.structs.asdict(given), "peer": peer, "orderer": orderer})


def _require_usable(name: str, nodes: Nodes) -> None:
    for kind, address in _addresses(nodes):
        host, port = host_and_port(address)
        if port > 65535:
            raise HostsInvalid(f"the hosts file: {name}.{kind}: there is no port above 65535")
        if re.fullmatch(r"[0-9.]+", host) and not _is_ipv4(host):
            raise HostsInvalid(f"the hosts file: {name}.{kind}: {host} is neither a name nor an IPv4 address")
    ports: dict[int, str] = {}
    for kind, address in _addresses(nodes):
        other = ports.setdefault(host_and_port(address)[1], kind)
        if other != kind:
            raise HostsInvalid(f"the hosts file: {name}.{kind} has the port of {name}.{other}: give it another one")


def _require_apart(hosts: dict[str, Nodes]) -> None:
    """What everybody reaches is at one address only."""
    seen: dict[str, str] = {}
    for name, nodes in hosts.items():
        for kind, address in (("peer", nodes.peer), ("orderer", nodes.orderer)):
            other = seen.setdefault(address, name)
            if other != name:
                raise HostsInvalid(f"the hosts file: {name}.{kind} is where {other} has a node: change one of them")


def _addresses(nodes: Nodes) -> Sequence[tuple[str, str]]:
    kinds = ("peer", "orderer", "admin", "chaincode", "callback", "peer_operations", "orderer_operations")
    return [(kind, getattr(nodes, kind)) for kind in kinds]


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
