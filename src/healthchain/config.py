"""The topology file: which organisations form the consortium, who is enrolled there, how blocks are cut.

channel = "health"

[[organisations]]
name = "general-hospital"
title = "General Hospital"
kind = "hospital"              # hospital, insurer or agency
users = ["clinician"]          # besides the administrator, whom each organisation has
domain_name = "hospital.org"   # optional: its own, for networks on several machines; else NAME.healthchain.example
hosts = ["ledger.hospital.org"]  # optional: names or addresses by which clients on other machines reach its nodes

[blocks]                       # all optional
transactions_max = 500
bytes_preferred = 2097152
bytes_max = 67108864           # of one transaction
timeout_ms = 200
"""

from __future__ import annotations

import ipaddress
import tomllib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from healthchain.errors import BadInput

DOMAIN = "healthchain.example"
DOMAIN_LENGTH_MAX = 49  # health-officer@DOMAIN is a common name, and X.509 has 64 letters for one
CHAINCODE = "ehr"
ORGANISATIONS_MAX = 50
PSEUDONYM_LENGTH = 22  # of what stands for a patient; no MSP id is that long, so that neither passes for the other
TRANSACTION_BYTES_MAX = 1 << 20  # what a large import's transaction takes, with room to spare
KIND_USERS = {"hospital": "clinician", "insurer": "claims-agent", "agency": "health-officer"}

Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*\Z", max_length=40)]
HOSTS_MAX = 20
_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
HostName = Annotated[str, Meta(pattern=rf"^({_LABEL}(\.{_LABEL})*|[0-9a-f:]+)\Z", max_length=253)]
"""Of a machine, in DNS, or its IP address."""
DomainName = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-+[a-z0-9]+)*(\.[a-z0-9]+(-+[a-z0-9]+)*)+\Z")]


class TopologyInvalid(BadInput):
    """The topology file cannot be used; the text names the place and what to do."""


class Organisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member: one peer and one designated orderer, an authority of its own, its enrolled users."""

    name: Slug
    kind: Literal["hospital", "insurer", "agency"]
    title: Annotated[str, Meta(min_length=1, max_length=200)] = ""
    users: tuple[Slug, ...] = ()
    domain_name: DomainName = ""
    hosts: Annotated[tuple[HostName, ...], Meta(max_length=HOSTS_MAX)] = ()

    @property
    def msp_id(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("-")) + "MSP"

    @property
    def domain(self) -> str:
        return self.domain_name or f"{self.name}.{DOMAIN}"

    @property
    def roles(self) -> dict[str, str]:
        """User name -> `hc.role`: a user is named after its role."""
        names = ("administrator", KIND_USERS[self.kind], *self.users)
        return {name: name for name in dict.fromkeys(names)}


class Blocks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block is cut at whichever limit is met first; an idle network cuts at once."""

    transactions_max: Annotated[int, Meta(ge=1, le=10_000)] = 500
    bytes_preferred: Annotated[int, Meta(ge=1024, le=64 << 20)] = 2 << 20
    bytes_max: Annotated[int, Meta(ge=TRANSACTION_BYTES_MAX, le=90 << 20)] = 64 << 20
    timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] = 200


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    organisations: Annotated[tuple[Organisation, ...], Meta(min_length=1, max_length=ORGANISATIONS_MAX)]
    channel: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9.-]*\Z", max_length=60)] = "health"
    blocks: Blocks = Blocks()

    def organisation(self, name: str) -> Organisation:
        """Raises BadInput for a name that the consortium does not have."""
        for one in self.organisations:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.organisations)
        raise BadInput(f"there is no such organisation: choose one of {known}")


DEFAULT = Topology(
    organisations=(
        Organisation("general-hospital", "hospital", "General Hospital"),
        Organisation("city-clinic", "hospital", "City Clinic"),
        Organisation("mutual-insurance", "insurer", "Mutual Insurance"),
        Organisation("health-agency", "agency", "Health Agency"),
    )
)


def read_topology(text: str) -> Topology:
    """Raises TopologyInvalid."""
    try:
        topology = msgspec.convert(tomllib.loads(text), Topology)
    except (ValueError, RecursionError) as error:  # TOML's and msgspec's errors are ValueErrors
        raise TopologyInvalid(f"the topology file: {error}") from None
    if topology.blocks.bytes_preferred > topology.blocks.bytes_max:
        raise TopologyInvalid("the topology file: blocks.bytes_preferred is more than blocks.bytes_max; lower it")
    names = [one.name for one in topology.organisations]
    if len(set(names)) != len(names) or len({one.msp_id for one in topology.organisations}) != len(names):
        raise TopologyInvalid("the topology file: two organisations have one name; rename one of them")
    if len({one.domain for one in topology.organisations}) != len(names):
        raise TopologyInvalid("the topology file: two organisations have one domain_name; give each its own")
    for one in topology.organisations:
        if len(one.domain) > DOMAIN_LENGTH_MAX:
            raise TopologyInvalid(
                f"the topology file: {one.name}: its domain has more than {DOMAIN_LENGTH_MAX} letters: give a shorter"
                " domain_name"
            )
        known = {"administrator", *KIND_USERS.values()}
        if not known.issuperset(one.users):
            raise TopologyInvalid(f"the topology file: users of {one.name}: choose from {', '.join(sorted(known))}")
        if len(one.msp_id) == PSEUDONYM_LENGTH:
            raise TopologyInvalid(
                f"the topology file: the name {one.name} makes an MSP id of {PSEUDONYM_LENGTH} letters, which only"
                " pseudonyms have: choose a longer or shorter one"
            )
        _require_addresses(one)
    if not {"hospital", "agency"}.issubset(one.kind for one in topology.organisations):
        raise TopologyInvalid("the topology file: a consortium needs a hospital, and an agency which licenses it")
    return topology


def _require_addresses(organisation: Organisation) -> None:
    for host in organisation.hosts:
        try:
            _ = ":" in host and ipaddress.ip_address(host)
        except ValueError:
            raise TopologyInvalid(f"the topology file: hosts of {organisation.name}: {host} is no IP address") from None


def write_topology(topology: Topology) -> str:
    """TOML that `read_topology` reads back to an equal topology."""
    lines = [f'channel = "{topology.channel}"', "", "[blocks]"]
    lines += [f"{name} = {value}" for name, value in msgspec.structs.asdict(topology.blocks).items()]
    for one in topology.organisations:
        lines += ["", "[[organisations]]", f'name = "{one.name}"', f'kind = "{one.kind}"']
        lines += [f"title = {_quoted(one.title)}"] if one.title else []
        lines += [f"domain_name = {_quoted(one.domain_name)}"] if one.domain_name else []
        lines += [f"hosts = [{', '.join(_quoted(host) for host in one.hosts)}]"] if one.hosts else []
        lines += [f"users = [{', '.join(_quoted(user) for user in one.users)}]"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string; its escapes are JSON's."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
