"""The channel's configuration as Fabric writes it: the genesis block, and what a peer reads back from it.

Sources: Fabric common/configtx/configtx.proto, internal/configtxgen/encoder/encoder.go; SmartBFT consenters as in
orderer/smartbft/configuration.proto. Maps are encoded deterministically: two runs give one block 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2, msp_principal_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from healthchain.errors import BadInput
from healthchain.wire.block import new_block
from healthchain.wire.proposal import transaction_id
from healthchain.wire.transaction import CONFIG, TransactionInvalid, decode_header

Role = msp_principal_pb2.MSPRole


class ChannelMalformed(BadInput):
    """Block 0 is not a channel configuration that this version understands."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A member of the channel: its MSP as pb(FabricMSPConfig)."""

    name: str
    msp_id: str
    msp_config: bytes


@dataclass(frozen=True, slots=True)
class Consenter:
    """A designated orderer; `identity` is its certificate in PEM."""

    id: int
    host: str
    port: int
    msp_id: str
    identity: bytes


@dataclass(frozen=True, slots=True)
class BatchSize:
    """When a block is cut: whichever limit is met first."""

    max_message_count: int = 500
    absolute_max_bytes: int = 10 * 1024 * 1024
    preferred_max_bytes: int = 2 * 1024 * 1024
    timeout_ms: int = 200


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    channel_id: str
    organizations: tuple[Organization, ...]
    consenters: tuple[Consenter, ...]
    batch: BatchSize = field(default_factory=BatchSize)


def genesis_block(config: ChannelConfig, creator: bytes, nonce: bytes, timestamp_s: int) -> common_pb2.Block:
    """Block 0: one CONFIG envelope without signature, as configtxgen makes it."""
    envelope = configtx_pb2.ConfigEnvelope(config=configtx_pb2.Config(channel_group=_channel_group(config)))
    channel_header = common_pb2.ChannelHeader(
        type=CONFIG,
        version=1,
        timestamp=Timestamp(seconds=timestamp_s),
        channel_id=config.channel_id,
        tx_id=transaction_id(nonce, creator),
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=channel_header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString(),
        ),
        data=_bytes(envelope),
    )
    return new_block(0, b"", [common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()])


def genesis_config(block: common_pb2.Block) -> configtx_pb2.Config:
    """As it is in block 0, which `read_genesis` has accepted, or in another configuration block."""
    return configtx_pb2.ConfigEnvelope.FromString(decode_header(block.data.data[0]).data).config


def read_genesis(block: common_pb2.Block) -> ChannelConfig:
    """The configuration in block 0; raises ChannelMalformed."""
    try:
        header = decode_header(block.data.data[0])
        group = genesis_config(block).channel_group
        application, orderer = group.groups["Application"], group.groups["Orderer"]
        config = ChannelConfig(
            channel_id=header.channel_id,
            organizations=tuple(
                _read_organization(name, application.groups[name]) for name in sorted(application.groups)
            ),
            consenters=_read_consenters(orderer),
            batch=_read_batch(orderer),
        )
    except (DecodeError, TransactionInvalid, IndexError, ValueError) as error:
        raise ChannelMalformed("block 0 is not a channel configuration") from error
    _require(header.type == CONFIG and len(block.data.data) == 1, "block 0 is not one configuration")
    _require(header.tx_id == transaction_id(header.nonce, header.creator), "block 0 has a false transaction id")
    _require_complete(config)
    return config


def read_organizations(block: common_pb2.Block) -> tuple[Organization, ...]:
    """The members that a channel's configuration block names, whatever orders there. Raises ChannelMalformed."""
    try:
        application = genesis_config(block).channel_group.groups["Application"]
        return tuple(_read_organization(name, application.groups[name]) for name in sorted(application.groups))
    except (DecodeError, TransactionInvalid, IndexError, ValueError) as error:
        raise ChannelMalformed("the block is not a channel configuration") from error


def _require_complete(config: ChannelConfig) -> None:
    """Members and orderers are there, and none of them twice: quorum and majority count them."""
    msp_ids = {one.msp_id for one in config.organizations}
    ids = {one.id for one in config.consenters}
    identities = {one.identity for one in config.consenters}
    _require(bool(config.channel_id) and bool(msp_ids) and bool(ids), "block 0 names no channel, member or orderer")
    _require(len(msp_ids) == len(config.organizations), "block 0 names a member twice")
    _require(len(ids) == len(identities) == len(config.consenters), "block 0 names an orderer twice")
    _require(all(one.msp_id in msp_ids for one in config.consenters), "an orderer of block 0 belongs to no member")
    batch = config.batch
    sizes = (batch.max_message_count, batch.absolute_max_bytes, batch.preferred_max_bytes, batch.timeout_ms)
    _require(min(sizes) > 0, "a batch limit of block 0 is not positive")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ChannelMalformed(otherwise)


def config_hash(block: common_pb2.Block) -> bytes:
    return sha256(block.data.data[0]).digest()


def role_policy(msp_ids: Sequence[str], role: Role.MSPRoleType) -> policies_pb2.SignaturePolicyEnvelope:
    """OR over one role in each organisation."""
    principals = [
        msp_principal_pb2.MSPPrincipal(
            principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
            principal=Role(msp_identifier=msp_id, role=role).SerializeToString(),
        )
        for msp_id in msp_ids
    ]
    signed_by = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(principals))]
    rule = policies_pb2.SignaturePolicy(n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=1, rules=signed_by))
    return policies_pb2.SignaturePolicyEnvelope(rule=rule, identities=principals)


def _channel_group(config: ChannelConfig) -> configtx_pb2.ConfigGroup:
    values: dict[str, Message] = {
        "HashingAlgorithm": configuration_pb2.HashingAlgorithm(name="SHA256"),
        "BlockDataHashingStructure": configuration_pb2.BlockDataHashingStructure(width=2**32 - 1),
        "Capabilities": _capability("V3_0"),
    }
    group = _group(values, _meta_policies("Admins", "Readers", "Writers"))
    group.groups["Application"].CopyFrom(_application_group(config))
    group.groups["Orderer"].CopyFrom(_orderer_group(config))
    return group


def _application_group(config: ChannelConfig) -> configtx_pb2.ConfigGroup:
    policies = _meta_policies("Admins", "Readers", "Writers", "Endorsement", "LifecycleEndorsement")
    group = _group({"Capabilities": _capability("V2_5")}, policies)
    for organization in config.organizations:
        group.groups[organization.name].CopyFrom(organization_group(organization, ("Endorsement",)))
    return group


def _orderer_group(config: ChannelConfig) -> configtx_pb2.ConfigGroup:
    batch = config.batch
    values: dict[str, Message] = {
        "ConsensusType": orderer_pb2.ConsensusType(type="BFT"),
        "BatchSize": orderer_pb2.BatchSize(
            max_message_count=batch.max_message_count,
            absolute_max_bytes=batch.absolute_max_bytes,
            preferred_max_bytes=batch.preferred_max_bytes,
        ),
        "BatchTimeout": orderer_pb2.BatchTimeout(timeout=f"{batch.timeout_ms}ms"),
        "Capabilities": _capability("V2_0"),
        "Orderers": orderers_value(config.consenters),
    }
    group = _group(values, _meta_policies("Admins", "Readers", "Writers", "BlockValidation"))
    for organization in config.organizations:
        group.groups[organization.name].CopyFrom(organization_group(organization, ()))
    return group


def orderers_value(consenters: Sequence[Consenter]) -> configuration_pb2.Orderers:
    return configuration_pb2.Orderers(
        consenter_mapping=[
            configuration_pb2.Consenter(id=c.id, host=c.host, port=c.port, msp_id=c.msp_id, identity=c.identity)
            for c in consenters
        ]
    )


def organization_group(organization: Organization, extra: tuple[str, ...]) -> configtx_pb2.ConfigGroup:
    msp = msp_config_pb2.MSPConfig(type=0, config=organization.msp_config)
    roles = {"Readers": Role.MEMBER, "Writers": Role.MEMBER, "Admins": Role.ADMIN}
    roles |= dict.fromkeys(extra, Role.PEER)
    policies = {
        name: policies_pb2.Policy(
            type=policies_pb2.Policy.SIGNATURE, value=_bytes(role_policy([organization.msp_id], role))
        )
        for name, role in roles.items()
    }
    return _group({"MSP": msp}, policies)


def _meta_policies(*names: str) -> dict[str, policies_pb2.Policy]:
    """ANY for reading and writing, MAJORITY for endorsing and administration, as in Fabric's sample configuration."""
    any_rule, majority = policies_pb2.ImplicitMetaPolicy.ANY, policies_pb2.ImplicitMetaPolicy.MAJORITY
    sub_policies = {"LifecycleEndorsement": "Endorsement", "BlockValidation": "Writers"}
    rules = {"Readers": any_rule, "Writers": any_rule, "BlockValidation": any_rule}
    return {
        name: policies_pb2.Policy(
            type=policies_pb2.Policy.IMPLICIT_META,
            value=policies_pb2.ImplicitMetaPolicy(
                sub_policy=sub_policies.get(name, name), rule=rules.get(name, majority)
            ).SerializeToString(),
        )
        for name in names
    }


def _group(values: Mapping[str, Message], policies: Mapping[str, policies_pb2.Policy]) -> configtx_pb2.ConfigGroup:
    group = configtx_pb2.ConfigGroup(mod_policy="Admins")
    for name, value in values.items():
        group.values[name].CopyFrom(configtx_pb2.ConfigValue(value=_bytes(value), mod_policy="Admins"))
    for name, policy in policies.items():
        group.policies[name].CopyFrom(configtx_pb2.ConfigPolicy(policy=policy, mod_policy="Admins"))
    return group


def _capability(name: str) -> configuration_pb2.Capabilities:
    return configuration_pb2.Capabilities(capabilities={name: configuration_pb2.Capability()})


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _read_organization(name: str, group: configtx_pb2.ConfigGroup) -> Organization:
    config = msp_config_pb2.MSPConfig.FromString(group.values["MSP"].value).config
    return Organization(name, msp_config_pb2.FabricMSPConfig.FromString(config).name, config)


def _read_consenters(group: configtx_pb2.ConfigGroup) -> tuple[Consenter, ...]:
    orderers = configuration_pb2.Orderers.FromString(group.values["Orderers"].value)
    return tuple(
        Consenter(c.id, c.host, c.port, c.msp_id, c.identity)
        for c in sorted(orderers.consenter_mapping, key=lambda c: c.id)
    )


def _read_batch(group: configtx_pb2.ConfigGroup) -> BatchSize:
    size = orderer_pb2.BatchSize.FromString(group.values["BatchSize"].value)
    timeout = orderer_pb2.BatchTimeout.FromString(group.values["BatchTimeout"].value).timeout
    return BatchSize(
        size.max_message_count, size.absolute_max_bytes, size.preferred_max_bytes, int(timeout.removesuffix("ms"))
    )
