"""Whether private values can be written, stay until somebody erases them, and then go.

Sources: Fabric core/ledger/pvtdatastorage, gossip/privdata/distributor.go; protos peer/collection.proto.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.peer import collection_pb2

from healthchain.app.doctor.findings import Code, Finding
from healthchain.wire.channel import Role

DEFAULT_INTERVAL = 100  # Fabric sampleconfig/core.yaml
_INTERVAL = re.compile(r"^[^#\n]*?\"?\bpurgeInterval\"?\s*:\s*(\d+)", re.MULTILINE)
COLLECTIONS = "collections"


@dataclass(frozen=True, slots=True)
class PurgeInterval:
    """A peer's, as its core.yaml has it; None if that cannot be read."""

    organisation: str
    blocks: int | None


def read_interval(organisation: str, core: Path) -> PurgeInterval:
    try:
        return PurgeInterval(organisation, interval(core.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return PurgeInterval(organisation, None)


def interval(core: str) -> int:
    """`ledger.pvtdataStore.purgeInterval` of a core.yaml, in YAML or JSON; no other key has this name."""
    found = _INTERVAL.search(core)
    return int(found[1]) if found else DEFAULT_INTERVAL


def judge_interval(one: PurgeInterval) -> Iterator[Finding]:
    if one.blocks is None:
        yield Finding(Code.FILE_DAMAGED, one.organisation, "peer", "core.yaml")
    elif one.blocks != 1:
        yield Finding(Code.PURGE_INTERVAL, one.organisation, "peer", f"each {one.blocks} blocks")


def judge(
    package: collection_pb2.CollectionConfigPackage,
    expected: Sequence[str],
    msp_ids: Mapping[str, str],
    answering: Collection[str],
) -> Iterator[Finding]:
    """`msp_ids` by organisation; `answering` are those whose peers do, one an organisation."""
    defined = {one.static_collection_config.name: one.static_collection_config for one in package.config}
    for name in expected:
        if name not in defined:
            yield Finding(Code.COLLECTION_MISSING, "", COLLECTIONS, name)
    for name, config in defined.items():
        members = _members(config)
        for organisation, msp_id in msp_ids.items():
            if msp_id not in members:
                yield Finding(Code.COLLECTION_MEMBER_MISSING, organisation, COLLECTIONS, name)
        peers = sum(msp_ids[one] in members for one in answering)
        others = max(peers - 1, 0)  # the endorsing peer hands the value to others than itself
        if config.required_peer_count > others:
            what = f"{name}: {config.required_peer_count} required, {others} other peers"
            yield Finding(Code.COLLECTION_PEERS_TOO_MANY, "", COLLECTIONS, what)
        if config.block_to_live:
            yield Finding(Code.COLLECTION_EXPIRES, "", COLLECTIONS, f"{name}: after {config.block_to_live} blocks")


def _members(config: collection_pb2.StaticCollectionConfig) -> set[str]:
    principals = config.member_orgs_policy.signature_policy.identities
    return {Role.FromString(one.principal).msp_identifier for one in principals}
