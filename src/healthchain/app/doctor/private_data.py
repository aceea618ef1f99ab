"""Whether private values can be written, reach every member, and stay until somebody erases them.

Sources: Fabric gossip/privdata/distributor.go; protos peer/collection.proto.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from fabric_protos.peer import collection_pb2

from healthchain.app.doctor.findings import Code, Finding
from healthchain.wire.channel import Role

COLLECTIONS = "collections"


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
