"""The channel's configuration as its peers have it, against what is on disk here; and how far each peer is.

Sources: Fabric common/channelconfig; orderer/common/cluster/util.go, where orderers know each other by public key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2
from fabric_protos.msp import msp_config_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2
from fabric_protos.peer import configuration_pb2 as peer_pb2
from google.protobuf.message import DecodeError

from healthchain.app.doctor.findings import Code, Finding

CAPABILITY = "V2_5"
"""Of the application: before it there is no purging of private data."""
CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Consenter:
    """An orderer as the others know it; certificates in PEM, `identity` only with SmartBFT."""

    address: str
    tls_certificate: bytes
    identity: bytes


@dataclass(frozen=True, slots=True)
class Configured:
    """What the channel says; authorities in PEM, addresses as HOST:PORT, by the organisation's name."""

    capabilities: frozenset[str]
    authorities: Mapping[str, tuple[bytes, ...]]
    tls_authorities: Mapping[str, tuple[bytes, ...]]
    anchors: Mapping[str, tuple[str, ...]]
    endpoints: Mapping[str, tuple[str, ...]]
    consenters: tuple[Consenter, ...]


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What an organisation has here; None for what cannot be read, which is found elsewhere."""

    organisation: str
    peer: str
    orderer: str
    authority: bytes | None
    tls_authority: bytes | None
    orderer_tls: bytes | None
    orderer_identity: bytes | None


@dataclass(frozen=True, slots=True)
class Chain:
    """How far one peer is, and the hash of its last block."""

    organisation: str
    height: int
    last_hash: bytes


def read_config(block: bytes) -> tuple[int, Configured]:
    """Its sequence, and what it says, from pb(Block) of a configuration. Raises DecodeError."""
    try:
        envelope = common_pb2.Envelope.FromString(common_pb2.Block.FromString(block).data.data[0])
        payload = common_pb2.Payload.FromString(envelope.payload)
        config = configtx_pb2.ConfigEnvelope.FromString(payload.data).config
        return config.sequence, _configured(config.channel_group)
    except IndexError as error:
        raise DecodeError("this is no configuration block") from error


def judge(configured: Configured, on_disk: Sequence[OnDisk]) -> list[Finding]:
    found = [finding for one in on_disk for finding in _organisation(configured, one)]
    if CAPABILITY not in configured.capabilities and not _later(configured.capabilities):
        found.append(Finding(Code.CAPABILITY_MISSING, "", CHANNEL, f"application capability {CAPABILITY}"))
    return found


def highest(chains: Sequence[Chain]) -> int:
    return max((one.height for one in chains), default=0)


def judge_chains(chains: Sequence[Chain], later: Mapping[str, int]) -> list[Finding]:
    """`later`: the heights, by organisation, that those which were behind have some seconds afterwards."""
    found = [
        Finding(Code.PEER_BEHIND, name, "peer", f"{height} blocks; another had {highest(chains)} before")
        for name, height in later.items()
        if height < highest(chains)
    ]
    by_height: dict[int, list[Chain]] = defaultdict(list)
    for one in chains:
        by_height[one.height].append(one)
    for height, same in by_height.items():
        if len({one.last_hash for one in same}) > 1:
            names = ", ".join(sorted(one.organisation for one in same))
            found.append(Finding(Code.PEER_FORKED, "", "peers", f"block {height - 1} of {names}"))
    return found


def _organisation(configured: Configured, one: OnDisk) -> Iterator[Finding]:
    def finding(code: Code, node: str, what: str) -> Finding:
        return Finding(code, one.organisation, node, what)

    if one.organisation not in configured.authorities:
        yield finding(Code.MEMBER_MISSING, CHANNEL, "no organisation of this name")
        return
    for node, own, known in (
        ("authority", one.authority, configured.authorities),
        ("TLS authority", one.tls_authority, configured.tls_authorities),
    ):
        if own is not None and not any(_same(own, other) for other in known.get(one.organisation, ())):
            yield finding(Code.AUTHORITY_UNKNOWN, node, "the one on disk is not in the channel's configuration")
    anchors = configured.anchors.get(one.organisation, ())
    if not anchors:
        yield finding(Code.ANCHOR_PEER_MISSING, CHANNEL, f"none; its peer is {one.peer}")
    elif one.peer not in anchors:
        yield finding(Code.ANCHOR_PEER_OTHER, CHANNEL, f"{', '.join(anchors)}; its peer is {one.peer}")
    if one.orderer not in configured.endpoints.get(one.organisation, ()):
        yield finding(Code.ENDPOINT_MISSING, CHANNEL, f"its orderer is {one.orderer}")
    yield from _consenter(configured, one)


def _consenter(configured: Configured, one: OnDisk) -> Iterator[Finding]:
    known = next((each for each in configured.consenters if each.address == one.orderer), None)
    if known is None:
        yield Finding(Code.CONSENTER_MISSING, one.organisation, "orderer", f"no consenter at {one.orderer}")
        return
    if one.orderer_tls is not None and not _same_key(one.orderer_tls, known.tls_certificate):
        yield Finding(Code.CONSENTER_OTHER_CERTIFICATE, one.organisation, "orderer", "its TLS certificate")
    if known.identity and one.orderer_identity is not None and one.orderer_identity != known.identity:
        yield Finding(Code.CONSENTER_OTHER_CERTIFICATE, one.organisation, "orderer", "its signing certificate")


def _configured(group: configtx_pb2.ConfigGroup) -> Configured:
    application, orderer = group.groups["Application"], group.groups["Orderer"]
    msps = {name: _msp(one) for name, one in application.groups.items()}
    capabilities = configuration_pb2.Capabilities.FromString(application.values["Capabilities"].value)
    return Configured(
        capabilities=frozenset(capabilities.capabilities),
        authorities={name: tuple(one.root_certs) for name, one in msps.items()},
        tls_authorities={name: tuple(one.tls_root_certs) for name, one in msps.items()},
        anchors={name: _anchors(one) for name, one in application.groups.items()},
        endpoints={name: _endpoints(one) for name, one in orderer.groups.items()},
        consenters=_consenters(orderer),
    )


def _msp(group: configtx_pb2.ConfigGroup) -> msp_config_pb2.FabricMSPConfig:
    config = msp_config_pb2.MSPConfig.FromString(group.values["MSP"].value).config
    return msp_config_pb2.FabricMSPConfig.FromString(config)


def _anchors(group: configtx_pb2.ConfigGroup) -> tuple[str, ...]:
    anchors = peer_pb2.AnchorPeers.FromString(group.values["AnchorPeers"].value).anchor_peers
    return tuple(f"{one.host}:{one.port}" for one in anchors)


def _endpoints(group: configtx_pb2.ConfigGroup) -> tuple[str, ...]:
    return tuple(configuration_pb2.OrdererAddresses.FromString(group.values["Endpoints"].value).addresses)


def _consenters(orderer: configtx_pb2.ConfigGroup) -> tuple[Consenter, ...]:
    kind = orderer_pb2.ConsensusType.FromString(orderer.values["ConsensusType"].value)
    if kind.type == "etcdraft":
        raft = raft_pb2.ConfigMetadata.FromString(kind.metadata).consenters
        return tuple(Consenter(f"{one.host}:{one.port}", one.server_tls_cert, b"") for one in raft)
    mapped = configuration_pb2.Orderers.FromString(orderer.values["Orderers"].value).consenter_mapping
    return tuple(Consenter(f"{one.host}:{one.port}", one.server_tls_cert, one.identity) for one in mapped)


def _later(capabilities: frozenset[str]) -> bool:
    """A channel names only the latest that it has, V3_0 for instance."""
    return any(one.startswith("V") and one > CAPABILITY for one in capabilities)


def _same(first: bytes, second: bytes) -> bool:
    one, other = _loaded(first), _loaded(second)
    return one is not None and one == other


def _same_key(first: bytes, second: bytes) -> bool:
    one, other = _loaded(first), _loaded(second)
    return one is not None and other is not None and one.public_key() == other.public_key()


def _loaded(pem: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None
