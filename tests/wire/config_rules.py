"""Fabric's rules for an update of a channel's configuration, written down a second time from its sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fabric_protos.common.configtx_pb2 import Config, ConfigGroup, ConfigUpdate


def flat(group: ConfigGroup, path: str = "") -> Iterator[tuple[str, tuple[int, str, object]]]:
    """Fabric's configMap: every element under its path, with version, mod_policy and content."""
    members = tuple(sorted(kind + name for kind, names in named(group) for name in names))
    yield f"[Group] {path}", (group.version, group.mod_policy, members)
    for name, policy in group.policies.items():
        yield f"[Policy] {path}/{name}", (policy.version, policy.mod_policy, policy.policy.SerializeToString())
    for name, value in group.values.items():
        yield f"[Value] {path}/{name}", (value.version, value.mod_policy, value.value)
    for name, inner in group.groups.items():
        yield from flat(inner, f"{path}/{name}")


def named(group: ConfigGroup) -> tuple[tuple[str, Mapping[str, object]], ...]:
    return ("p ", group.policies), ("v ", group.values), ("g ", group.groups)


def unversioned(config: Config) -> dict[str, object]:
    """Element -> content, as `flat` has it, without versions."""
    return {path: (policy, content) for path, (_, policy, content) in flat(config.channel_group)}


def accept(config: Config, update: ConfigUpdate) -> None:
    """common/configtx/update.go: verifyReadSet, computeDeltaSet, verifyDeltaSet."""
    current, read, written = (dict(flat(one)) for one in (config.channel_group, update.read_set, update.write_set))
    assert all(current[path][0] == version for path, (version, _, _) in read.items())
    delta = {path: one for path, one in written.items() if path not in read or read[path][0] != one[0]}
    assert delta
    for path, (version, policy, _) in delta.items():
        assert policy in ("Admins", "/Channel/Application/Admins")
        assert version == (current[path][0] + 1 if path in current else 0)
