"""Updates of a channel's configuration: what is in one, what it makes of the channel, who signs it and how it travels.

What one should say is told elsewhere (`fabric.membership`). Sources: internal/configtxlator/update/update.go (what is
in an update), common/configtx/update.go (how it is applied), internal/peer/channel/{signconfigtx,create}.go (the file).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.common.configtx_pb2 import (
    Config,
    ConfigGroup,
    ConfigPolicy,
    ConfigUpdate,
    ConfigUpdateEnvelope,
    ConfigValue,
)
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from healthchain.errors import BadInput
from healthchain.wire.transaction import CONFIG_UPDATE

_Element = TypeVar("_Element", ConfigPolicy, ConfigValue)


class UpdateMalformed(BadInput):
    """A file is no update of this channel's configuration, or not one that can be taken."""


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


def is_outdated(config: Config, update: ConfigUpdate) -> bool:
    """Whether something that it was computed from has another version by now."""
    return _is_outdated(config.channel_group, update.read_set)


def update_envelope(update: ConfigUpdate) -> ConfigUpdateEnvelope:
    """Without signatures: the administrators add theirs."""
    return ConfigUpdateEnvelope(config_update=update.SerializeToString(deterministic=True))


def sign_update(envelope: ConfigUpdateEnvelope, creator: bytes, nonce: bytes, sign: Callable[[bytes], bytes]) -> None:
    """Add one administrator's signature, over the signature header and the update."""
    header = common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString()
    envelope.signatures.add(signature_header=header, signature=sign(header + envelope.config_update))


def merged(envelopes: Sequence[ConfigUpdateEnvelope]) -> ConfigUpdateEnvelope:
    """One update with all its signatures. Raises UpdateMalformed where they are not of one update."""
    if len({one.config_update for one in envelopes}) != 1:
        raise UpdateMalformed("these files are of different updates: sign copies of one file")
    together = ConfigUpdateEnvelope(config_update=envelopes[0].config_update)
    for one in envelopes:
        together.signatures.extend(found for found in one.signatures if found not in together.signatures)
    return together


def encode_update(channel_id: str, envelope: ConfigUpdateEnvelope) -> bytes:
    """The file that travels between administrators; Fabric's own `peer channel signconfigtx` takes it as well."""
    header = common_pb2.ChannelHeader(type=CONFIG_UPDATE, channel_id=channel_id)
    payload = common_pb2.Payload(
        header=common_pb2.Header(channel_header=header.SerializeToString()), data=envelope.SerializeToString()
    )
    return common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()


def decode_update(channel_id: str, encoded: bytes) -> ConfigUpdateEnvelope:
    """Raises UpdateMalformed."""
    try:
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(encoded).payload)
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        envelope = ConfigUpdateEnvelope.FromString(payload.data)
        named = ConfigUpdate.FromString(envelope.config_update).channel_id
    except (DecodeError, UnicodeDecodeError):
        raise UpdateMalformed("the file is no configuration update: give one that `membership update` wrote") from None
    if header.type != CONFIG_UPDATE or {header.channel_id, named} != {channel_id}:
        raise UpdateMalformed(f"the file is no configuration update of the channel {channel_id}")
    return envelope


def update_transaction(
    channel_id: str,
    envelope: ConfigUpdateEnvelope,
    creator: bytes,
    nonce: bytes,
    sign: Callable[[bytes], bytes],
    timestamp_ns: int,
) -> common_pb2.Envelope:
    """What one of the administrators submits to an orderer."""
    timestamp = Timestamp()
    timestamp.FromNanoseconds(timestamp_ns)
    header = common_pb2.ChannelHeader(type=CONFIG_UPDATE, channel_id=channel_id, timestamp=timestamp)
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString(),
        ),
        data=envelope.SerializeToString(),
    ).SerializeToString()
    return common_pb2.Envelope(payload=payload, signature=sign(payload))


def differing(one: ConfigGroup, other: ConfigGroup, path: str = "Channel") -> Iterator[str]:
    """Paths of the elements in which two configurations differ, versions aside: `Channel/Orderer/BatchSize`."""
    if one.mod_policy != other.mod_policy:
        yield f"{path} (who may change it)"
    yield from _differing(one.policies, other.policies, path)
    yield from _differing(one.values, other.values, path)
    for name in sorted(set(one.groups) | set(other.groups)):
        if name in one.groups and name in other.groups:
            yield from differing(one.groups[name], other.groups[name], f"{path}/{name}")
        else:
            yield f"{path}/{name}"


def _differing(one: Mapping[str, _Element], other: Mapping[str, _Element], path: str) -> Iterator[str]:
    for name in sorted(set(one) | set(other)):
        if name not in one or name not in other or _content(one[name]) != _content(other[name]):
            yield f"{path}/{name}"


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


def _is_outdated(current: ConfigGroup, read: ConfigGroup) -> bool:
    if current.version != read.version:
        return True
    for name, value in read.values.items():
        if name not in current.values or current.values[name].version != value.version:
            return True
    for name, policy in read.policies.items():
        if name not in current.policies or current.policies[name].version != policy.version:
            return True
    for name, group in read.groups.items():
        if name not in current.groups or _is_outdated(current.groups[name], group):
            return True
    return False


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
