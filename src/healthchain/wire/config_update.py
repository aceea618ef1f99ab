"""The configuration updates that a passed proposal means on Fabric: computed here, signed by the administrators.

The embedded network goes by the contract's own rows (docs/decisions/0009); a Fabric channel needs these. Sources:
internal/configtxlator/update/update.go (what is in an update), common/configtx/update.go (how it is applied).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeVar

from fabric_protos.common import common_pb2, configuration_pb2
from fabric_protos.common.configtx_pb2 import (
    Config,
    ConfigGroup,
    ConfigPolicy,
    ConfigUpdate,
    ConfigUpdateEnvelope,
    ConfigValue,
)
from fabric_protos.msp import msp_config_pb2

from healthchain.errors import BadInput
from healthchain.wire.channel import Consenter, Organization, orderers_value, organization_group

_Element = TypeVar("_Element", ConfigPolicy, ConfigValue)

APPLICATION, ORDERER, MSP, ORDERERS = "Application", "Orderer", "MSP", "Orderers"


def with_member(config: Config, member: Organization, certificate: bytes, host: str, port: int) -> Config:
    """Add it, or give it a new MSP and orderer; the orderer is left as it is where the certificate is empty."""
    changed = _copy(config)
    application, orderer = (changed.channel_group.groups[name] for name in (APPLICATION, ORDERER))
    _put_organization(application, member, ("Endorsement",))
    if certificate:
        _put_organization(orderer, member, ())
        others = [one for one in _consenters(orderer) if one.msp_id != member.msp_id]
        own = [one.id for one in _consenters(orderer) if one.msp_id == member.msp_id]
        number = own[0] if own else max((one.id for one in others), default=0) + 1
        _put_consenters(orderer, [*others, Consenter(number, host, port, member.msp_id, certificate)])
    elif _group_of(orderer, member.msp_id) is not None:
        _put_organization(orderer, member, ())
    return changed


def without_member(config: Config, msp_id: str) -> Config:
    """Neither member nor orderer any more."""
    changed = _copy(config)
    for name in (APPLICATION, ORDERER):
        group = changed.channel_group.groups[name]
        own = _group_of(group, msp_id)
        if own is not None:
            del group.groups[own]
    orderer = changed.channel_group.groups[ORDERER]
    _put_consenters(orderer, [one for one in _consenters(orderer) if one.msp_id != msp_id])
    return changed


def config_update(channel_id: str, before: Config, after: Config) -> ConfigUpdate:
    """Only what differs, with the version after that in `before`. Raises BadInput where nothing does."""
    read, written, differs = _difference(before.channel_group, after.channel_group)
    if not differs:
        raise BadInput("the channel's configuration says this already")
    return ConfigUpdate(channel_id=channel_id, read_set=read, write_set=written)


def applied(config: Config, update: ConfigUpdate) -> Config:
    """The configuration after the update, as Fabric's orderers compute it."""
    group = _overlaid(config.channel_group, update.write_set)
    return Config(sequence=config.sequence + 1, channel_group=group)


def update_envelope(update: ConfigUpdate) -> ConfigUpdateEnvelope:
    """Without signatures: the administrators add theirs."""
    return ConfigUpdateEnvelope(config_update=update.SerializeToString(deterministic=True))


def sign_update(envelope: ConfigUpdateEnvelope, creator: bytes, nonce: bytes, sign: Callable[[bytes], bytes]) -> None:
    """Add one administrator's signature, over the signature header and the update."""
    header = common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString()
    envelope.signatures.add(signature_header=header, signature=sign(header + envelope.config_update))


def _put_organization(section: ConfigGroup, member: Organization, extra: tuple[str, ...]) -> None:
    """Under the name it has, or its MSP id; the rest of it stays as it is."""
    name = _group_of(section, member.msp_id)
    if name is None:
        section.groups[member.name].CopyFrom(organization_group(member, extra))
    else:
        made = organization_group(member, extra)
        section.groups[name].values[MSP].value = made.values[MSP].value


def _group_of(section: ConfigGroup, msp_id: str) -> str | None:
    for name in sorted(section.groups):
        config = msp_config_pb2.MSPConfig.FromString(section.groups[name].values[MSP].value).config
        if msp_config_pb2.FabricMSPConfig.FromString(config).name == msp_id:
            return name
    return None


def _consenters(orderer: ConfigGroup) -> Iterator[Consenter]:
    orderers = configuration_pb2.Orderers.FromString(orderer.values[ORDERERS].value)
    for one in orderers.consenter_mapping:
        yield Consenter(one.id, one.host, one.port, one.msp_id, one.identity)


def _put_consenters(orderer: ConfigGroup, consenters: list[Consenter]) -> None:
    ordered = sorted(consenters, key=lambda one: one.id)
    orderer.values[ORDERERS].value = orderers_value(ordered).SerializeToString(deterministic=True)


def _difference(before: ConfigGroup, after: ConfigGroup) -> tuple[ConfigGroup, ConfigGroup, bool]:
    """Read set, write set, and whether the groups differ."""
    read, written, same = ConfigGroup(version=before.version), ConfigGroup(version=before.version), ConfigGroup()
    _elements(before.policies, after.policies, same.policies, written.policies)
    _elements(before.values, after.values, same.values, written.values)
    for name in sorted(after.groups):
        known = name in before.groups
        group_read, group_written, differs = _difference(
            before.groups[name] if known else ConfigGroup(), after.groups[name]
        )
        if not known:
            group_written.version, group_written.mod_policy = 0, after.groups[name].mod_policy
            written.groups[name].CopyFrom(group_written)
        elif differs:
            read.groups[name].CopyFrom(group_read)
            written.groups[name].CopyFrom(group_written)
        else:
            same.groups[name].CopyFrom(group_read)
    if before.mod_policy == after.mod_policy and _names(before) == _names(after):
        return read, written, any(_names(written))
    read.MergeFrom(same)
    written.MergeFrom(same)
    read.version, written.version, written.mod_policy = before.version, before.version + 1, after.mod_policy
    return read, written, True


def _elements(
    before: MutableMapping[str, _Element],
    after: MutableMapping[str, _Element],
    same: MutableMapping[str, _Element],
    written: MutableMapping[str, _Element],
) -> None:
    for name in sorted(after):
        version = before[name].version + 1 if name in before else 0
        if name in before and _content(before[name]) == _content(after[name]):
            same[name].version = before[name].version
        else:
            written[name].CopyFrom(after[name])
            written[name].version = version


def _content(element: ConfigPolicy | ConfigValue) -> tuple[str, bytes]:
    if isinstance(element, ConfigPolicy):
        return element.mod_policy, element.policy.SerializeToString(deterministic=True)
    return element.mod_policy, element.value


def _names(group: ConfigGroup) -> tuple[list[str], list[str], list[str]]:
    return sorted(group.policies), sorted(group.values), sorted(group.groups)


def _overlaid(current: ConfigGroup, written: ConfigGroup) -> ConfigGroup:
    """A group with a new version has the members that are written; one without keeps the others."""
    result = ConfigGroup()
    result.CopyFrom(current)
    if written.version != current.version:
        result.version, result.mod_policy = written.version, written.mod_policy
        for kept, named in (
            (result.policies, written.policies),
            (result.values, written.values),
            (result.groups, written.groups),
        ):
            for name in sorted(set(kept) - set(named)):
                del kept[name]
    for name, policy in written.policies.items():
        if name not in current.policies or policy.version != current.policies[name].version:
            result.policies[name].CopyFrom(policy)
    for name, value in written.values.items():
        if name not in current.values or value.version != current.values[name].version:
            result.values[name].CopyFrom(value)
    for name, group in written.groups.items():
        known = name in current.groups
        result.groups[name].CopyFrom(_overlaid(current.groups[name], group) if known else group)
    return result


def _copy(config: Config) -> Config:
    changed = Config()
    changed.CopyFrom(config)
    return changed
