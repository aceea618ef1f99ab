"""Who orders, as a channel's configuration lists them: etcdraft's metadata, or SmartBFT's mapping and its policy.

Sources: Fabric orderer/consensus/etcdraft/membership.go (one change at a time; a consenter is known by its TLS
certificate), orderer/consensus/smartbft/configverifier.go (the policy for blocks follows from the mapping).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabric_protos.common import configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import identities_pb2, msp_principal_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2

from healthchain.identity.tls import is_tls_certificate_of
from healthchain.wire.block import quorum

RAFT, BFT = "etcdraft", "BFT"
CONSENSUS, ORDERERS, BLOCK_VALIDATION = "ConsensusType", "Orderers", "BlockValidation"


@dataclass(frozen=True, slots=True)
class Orderer:
    """A member's: both certificates in PEM, the one that signs blocks (Raft names none) and the one for TLS."""

    msp_id: str
    host: str
    port: int
    identity: bytes
    tls: bytes


def put_orderer(section: configtx_pb2.ConfigGroup, msp_config: bytes, orderer: Orderer) -> None:
    """In the place of the one that the member has, if any; `msp_config` is the one by which that is known."""
    if _kind(section).type == RAFT:
        _put_raft(section, msp_config, _raft_consenter(orderer))
    else:
        _put_bft(section, orderer.msp_id, orderer)


def remove_orderer(section: configtx_pb2.ConfigGroup, msp_config: bytes, msp_id: str) -> None:
    """If it has one."""
    if _kind(section).type == RAFT:
        _put_raft(section, msp_config, None)
    else:
        _put_bft(section, msp_id, None)


def orderer_of(section: configtx_pb2.ConfigGroup, msp_config: bytes, msp_id: str) -> Orderer | None:
    """As the channel has it."""
    if _kind(section).type == RAFT:
        for one in _raft(section).consenters:
            if is_tls_certificate_of(msp_config, one.server_tls_cert):
                return Orderer(msp_id, one.host, one.port, b"", one.server_tls_cert)
        return None
    for listed in _bft(section).consenter_mapping:
        if listed.msp_id == msp_id:
            return Orderer(msp_id, listed.host, listed.port, listed.identity, listed.server_tls_cert)
    return None


def names_identities(section: configtx_pb2.ConfigGroup) -> bool:
    """Whether the channel lists the certificates with which its orderers sign blocks: SmartBFT does."""
    return _kind(section).type != RAFT


def quorum_policy(consenters: Sequence[configuration_pb2.Consenter]) -> policies_pb2.Policy:
    """A block is valid with the signatures of a quorum: BlockValidation under SmartBFT."""
    principals = [
        msp_principal_pb2.MSPPrincipal(
            principal_classification=msp_principal_pb2.MSPPrincipal.IDENTITY,
            principal=identities_pb2.SerializedIdentity(mspid=one.msp_id, id_bytes=one.identity).SerializeToString(),
        )
        for one in consenters
    ]
    each = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(principals))]
    of_them = policies_pb2.SignaturePolicy.NOutOf(n=quorum(len(principals)), rules=each)
    rule = policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(n_out_of=of_them), identities=principals
    )
    return policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=rule.SerializeToString(deterministic=True))


def encoded_value(group: configtx_pb2.ConfigGroup, name: str) -> bytes:
    """Empty for one that the group does not have, and gets none by being asked for it."""
    return group.values[name].value if name in group.values else b""


def _put_raft(section: configtx_pb2.ConfigGroup, msp_config: bytes, new: raft_pb2.Consenter | None) -> None:
    kind, metadata = _kind(section), _raft(section)
    listed: list[raft_pb2.Consenter] = []
    for one in metadata.consenters:
        if not is_tls_certificate_of(msp_config, one.server_tls_cert):
            listed.append(one)
        elif new is not None:
            listed.append(new)
            new = None
    if new is not None:
        listed.append(new)
    changed = raft_pb2.ConfigMetadata(consenters=listed, options=metadata.options)
    kind.metadata = changed.SerializeToString(deterministic=True)
    section.values[CONSENSUS].value = kind.SerializeToString(deterministic=True)


def _put_bft(section: configtx_pb2.ConfigGroup, msp_id: str, new: Orderer | None) -> None:
    before = _bft(section).consenter_mapping
    others = [one for one in before if one.msp_id != msp_id]
    own = [one.id for one in before if one.msp_id == msp_id]
    if new is not None:
        number = own[0] if own else max((one.id for one in others), default=0) + 1
        others.append(_bft_consenter(number, new))
    others.sort(key=lambda one: one.id)
    mapping = configuration_pb2.Orderers(consenter_mapping=others)
    section.values[ORDERERS].value = mapping.SerializeToString(deterministic=True)
    validation = section.policies[BLOCK_VALIDATION].policy
    if validation.type == policies_pb2.Policy.SIGNATURE:  # on the embedded network the peers count a quorum themselves
        validation.CopyFrom(quorum_policy(others))


def _raft_consenter(one: Orderer) -> raft_pb2.Consenter:
    return raft_pb2.Consenter(host=one.host, port=one.port, client_tls_cert=one.tls, server_tls_cert=one.tls)


def _bft_consenter(number: int, one: Orderer) -> configuration_pb2.Consenter:
    return configuration_pb2.Consenter(
        id=number,
        host=one.host,
        port=one.port,
        msp_id=one.msp_id,
        identity=one.identity,
        client_tls_cert=one.tls,
        server_tls_cert=one.tls,
    )


def _kind(section: configtx_pb2.ConfigGroup) -> orderer_pb2.ConsensusType:
    return orderer_pb2.ConsensusType.FromString(encoded_value(section, CONSENSUS))


def _raft(section: configtx_pb2.ConfigGroup) -> raft_pb2.ConfigMetadata:
    return raft_pb2.ConfigMetadata.FromString(_kind(section).metadata)


def _bft(section: configtx_pb2.ConfigGroup) -> configuration_pb2.Orderers:
    return configuration_pb2.Orderers.FromString(encoded_value(section, ORDERERS))
