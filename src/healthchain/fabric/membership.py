"""Who is in a channel's configuration: a member added, renewed or taken out, and which administrators have signed that.

What no vote decides is where a member's nodes are (`NodeAddresses`): it says so itself, and each administrator who
signs sees it. A member's authorities and what it may do change with a majority's signatures only, not with its own:
Fabric's default would let it (`guard`). Source: Fabric common/channelconfig/{application,orderer}org.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from fabric_protos.common import common_pb2, configuration_pb2
from fabric_protos.common.configtx_pb2 import Config, ConfigGroup, ConfigUpdateEnvelope, ConfigValue
from fabric_protos.msp import msp_config_pb2
from fabric_protos.peer import configuration_pb2 as peer_pb2
from google.protobuf.message import DecodeError, Message

from healthchain.errors import BadInput
from healthchain.fabric.consenters import (
    Orderer,
    encoded_value,
    names_identities,
    orderer_of,
    put_orderer,
    remove_orderer,
)
from healthchain.identity.keys import signature_holds
from healthchain.identity.msp import MSP, IdentityRefused, MSPMalformed, MSPs, Role
from healthchain.identity.policy import majority
from healthchain.identity.tls import (
    is_one_certificate,
    is_tls_certificate_of,
    tls_authorities,
    tls_authority_keys,
    unusual_extensions,
)
from healthchain.wire.channel import Organization, organization_group

APPLICATION, ORDERER = "Application", "Orderer"
MSP_VALUE, ANCHOR_PEERS, ENDPOINTS = "MSP", "AnchorPeers", "Endpoints"
VOTED = "/Channel/Application/Admins"
"""A majority of the members' administrators."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class NodeAddresses:
    """HOST:PORT of the anchor peer and of the orderer, and the orderer's TLS certificate in PEM; empty: it has none."""

    peer: str = ""
    orderer: str = ""
    orderer_tls: bytes = b""


@dataclass(frozen=True, slots=True)
class Signatures:
    """Of administrators, by MSP id, and how many of the members' are needed."""

    signed: tuple[str, ...]
    missing: tuple[str, ...]
    needed: int
    suffice: bool


def with_member(config: Config, member: Organization, certificate: bytes, at: NodeAddresses) -> Config:
    """Add it, or give it a new MSP and orderer; `certificate` is the orderer's identity in PEM.

    Where no orderer's address is given, it gets none, and one that it has stays as it is.
    """
    changed = _copy(config)
    application, orderer = (changed.channel_group.groups[name] for name in (APPLICATION, ORDERER))
    before = member_msp(changed, member.msp_id) or member.msp_config
    own = _put_organization(application, member, ("Endorsement",))
    if at.peer:
        host, port = split_address(at.peer)
        _put(own, ANCHOR_PEERS, peer_pb2.AnchorPeers(anchor_peers=[peer_pb2.AnchorPeer(host=host, port=port)]))
    if at.orderer:
        own = _put_organization(orderer, member, ())
        _put(own, ENDPOINTS, configuration_pb2.OrdererAddresses(addresses=[at.orderer]))
        host, port = split_address(at.orderer)
        put_orderer(orderer, before, Orderer(member.msp_id, host, port, certificate, at.orderer_tls))
    elif group_name(orderer, member.msp_id) is not None:
        _put_organization(orderer, member, ())
    return changed


def without_member(config: Config, msp_id: str) -> Config:
    """Neither member nor orderer any more."""
    changed = _copy(config)
    before = member_msp(changed, msp_id)
    for name in (APPLICATION, ORDERER):
        section = changed.channel_group.groups[name]
        own = group_name(section, msp_id)
        if own is not None:
            del section.groups[own]
    remove_orderer(changed.channel_group.groups[ORDERER], before, msp_id)
    return changed


def guard(group: ConfigGroup) -> None:
    """Let an organisation's authorities and its policies change with a majority's signatures only."""
    group.mod_policy = VOTED
    group.values[MSP_VALUE].mod_policy = VOTED
    for name in group.policies:
        group.policies[name].mod_policy = VOTED


def addresses_of(config: Config, msp_id: str) -> NodeAddresses:
    """As the channel has them. Raises DecodeError for a configuration that nobody accepted yet and that is none."""
    application, section = (config.channel_group.groups[name] for name in (APPLICATION, ORDERER))
    name = group_name(application, msp_id)
    anchors = b"" if name is None else encoded_value(application.groups[name], ANCHOR_PEERS)
    peer = next((f"{one.host}:{one.port}" for one in peer_pb2.AnchorPeers.FromString(anchors).anchor_peers), "")
    orderer = orderer_of(section, member_msp(config, msp_id), msp_id)
    if orderer is None:
        return NodeAddresses(peer)
    return NodeAddresses(peer, f"{orderer.host}:{orderer.port}", orderer.tls)


def require_usable(config: Config, member: Organization, certificate: bytes, at: NodeAddresses) -> None:
    """Raises BadInput for certificates that are not the member's, or an address or authority that another member has.

    SmartBFT's orderers take a consenter whose certificate is none, and then end, all of them and for good. Under Raft
    an orderer is known by the authority of its TLS certificate: whoever named another's would take its place.
    """
    if at.orderer:
        if not is_one_certificate(at.orderer_tls):
            raise BadInput(
                "the orderer's TLS certificate must be one certificate in PEM, and nothing else, with a usual key"
            )
        if certificate or names_identities(config.channel_group.groups[ORDERER]):
            _require_orderer(member.msp_config, certificate)
        for one in filter(None, (certificate, at.orderer_tls)):
            _require_usual(one)
        if not is_tls_certificate_of(member.msp_config, at.orderer_tls):
            raise BadInput("the orderer's TLS certificate was not issued by the authority that the members voted on")
    own = tls_authority_keys(member.msp_config)
    for other in (one for one in members_of(config) if one != member.msp_id):
        taken = addresses_of(config, other)
        if {at.peer, at.orderer} & ({taken.peer, taken.orderer} - {""}):
            raise BadInput(f"{other} has one of these addresses already")
        if own & tls_authority_keys(member_msp(config, other)):
            raise BadInput(f"an authority for TLS in the member's MSP configuration is {other}'s: its orderer would go")


def _require_orderer(msp_config: bytes, certificate: bytes) -> None:
    try:
        role = MSP.from_config(msp_config).validate(certificate).role
    except (MSPMalformed, IdentityRefused) as refused:
        raise BadInput(f"the orderer's certificate cannot be used: {refused}") from None
    if role is not Role.ORDERER:
        raise BadInput("the orderer's certificate is not an orderer's")


def _require_usual(certificate: bytes) -> None:
    unusual = unusual_extensions(certificate)
    if unusual:
        raise BadInput(
            f"an orderer's certificate has extensions that none may have ({', '.join(unusual)}): have it signed without"
        )


def members_of(config: Config) -> list[str]:
    """MSP ids of who endorses."""
    return _msp_ids(config.channel_group.groups[APPLICATION])


def member_msp(config: Config, msp_id: str) -> bytes:
    """pb(FabricMSPConfig); empty for one that the channel does not have."""
    for section in (APPLICATION, ORDERER):
        group = config.channel_group.groups[section]
        name = group_name(group, msp_id)
        if name is not None:
            return _msp_config(group.groups[name])
    return b""


def orderers_of(config: Config) -> Iterator[tuple[str, bytes]]:
    """HOST:PORT of each, and the authorities in PEM by which its TLS certificate is known."""
    section = config.channel_group.groups[ORDERER]
    for name in sorted(section.groups):
        group = section.groups[name]
        roots = tls_authorities(_msp_config(group))
        for address in configuration_pb2.OrdererAddresses.FromString(encoded_value(group, ENDPOINTS)).addresses:
            yield address, roots


def signatures(config: Config, envelope: ConfigUpdateEnvelope) -> Signatures:
    """Which members' administrators have signed the update, as an orderer with this configuration counts them."""
    msps = {}
    for msp_id in members_of(config):
        try:
            msps[msp_id] = MSP.from_config(member_msp(config, msp_id))
        except MSPMalformed:
            continue
    known, signed = MSPs(msps), set()
    for one in envelope.signatures:
        try:
            header = common_pb2.SignatureHeader.FromString(one.signature_header)
            identity = known.identify(header.creator)
        except (DecodeError, IdentityRefused):
            continue
        digest = sha256(one.signature_header + envelope.config_update).digest()
        if identity.role is Role.ADMIN and signature_holds(identity.public_key, digest, one.signature):
            signed.add(identity.msp_id)
    members, orderers = (_msp_ids(config.channel_group.groups[name]) for name in (APPLICATION, ORDERER))
    suffice = all(len(signed.intersection(one)) >= majority(len(one)) for one in (members, orderers))
    missing = tuple(one for one in members if one not in signed)
    return Signatures(tuple(sorted(signed)), missing, majority(len(members)), suffice)


def split_address(address: str) -> tuple[str, int]:
    """Raises BadInput."""
    host, _, port = address.rpartition(":")
    if not _HOST.fullmatch(host) or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadInput("an address must be HOST:PORT, a name or IPv4 address with a port from 1 to 65535")
    return host, int(port)


def group_name(section: ConfigGroup, msp_id: str) -> str | None:
    for name in sorted(section.groups):
        if _msp(section.groups[name]).name == msp_id:
            return name
    return None


def _msp_ids(section: ConfigGroup) -> list[str]:
    return sorted(_msp(section.groups[name]).name for name in section.groups)


def _put_organization(section: ConfigGroup, member: Organization, extra: tuple[str, ...]) -> ConfigGroup:
    """Under the name it has, or its MSP id; the rest of it stays as it is."""
    name = group_name(section, member.msp_id)
    made = organization_group(member, extra)
    if name is None:
        guard(made)
        section.groups[member.name].CopyFrom(made)
        return section.groups[member.name]
    section.groups[name].values[MSP_VALUE].value = made.values[MSP_VALUE].value
    return section.groups[name]


def _put(group: ConfigGroup, name: str, value: Message) -> None:
    """The organisation's own administrator may change it."""
    encoded = value.SerializeToString(deterministic=True)
    if encoded_value(group, name) != encoded:
        group.values[name].CopyFrom(ConfigValue(value=encoded, mod_policy="Admins"))


def _msp(group: ConfigGroup) -> msp_config_pb2.FabricMSPConfig:
    return msp_config_pb2.FabricMSPConfig.FromString(_msp_config(group))


def _msp_config(group: ConfigGroup) -> bytes:
    return msp_config_pb2.MSPConfig.FromString(encoded_value(group, MSP_VALUE)).config


def _copy(config: Config) -> Config:
    changed = Config()
    changed.CopyFrom(config)
    return changed
