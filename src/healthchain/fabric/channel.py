"""Block 0 as Fabric's own nodes want it: ours, with what the embedded network has no use for.

Sources: Fabric internal/configtxgen/encoder/encoder.go, common/policies/bft.go, sampleconfig/configtx.yaml.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2
from fabric_protos.orderer.smartbft import configuration_pb2 as bft_pb2
from fabric_protos.peer import configuration_pb2 as peer_pb2
from google.protobuf.message import Message

from healthchain.fabric.consenters import quorum_policy
from healthchain.fabric.hosts import host_and_port
from healthchain.fabric.membership import guard
from healthchain.fabric.nodes import Consensus, Member
from healthchain.wire.block import new_block


def fabric_block(block: common_pb2.Block, members: Sequence[Member], consensus: Consensus) -> common_pb2.Block:
    """The same members, policies and batch sizes; in addition where nodes listen, and how the orderers agree."""
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    config = configtx_pb2.ConfigEnvelope.FromString(payload.data)
    groups = config.config.channel_group.groups
    for one in members:
        host, port = host_and_port(one.peer)
        anchor = peer_pb2.AnchorPeers(anchor_peers=[peer_pb2.AnchorPeer(host=host, port=port)])
        _set(groups["Application"].groups[one.name], "AnchorPeers", anchor)
        endpoints = configuration_pb2.OrdererAddresses(addresses=[one.orderer])
        _set(groups["Orderer"].groups[one.name], "Endpoints", endpoints)
        for section in ("Application", "Orderer"):
            guard(groups[section].groups[one.name])
    agree = _agree_by_raft if consensus == Consensus.RAFT else _agree_by_bft
    agree(groups["Orderer"], members)
    payload.data = _bytes(config)
    return new_block(0, b"", [common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()])


def _agree_by_raft(orderer: configtx_pb2.ConfigGroup, members: Sequence[Member]) -> None:
    metadata = raft_pb2.ConfigMetadata(
        consenters=[
            raft_pb2.Consenter(
                host=host,
                port=port,
                client_tls_cert=_tls_certificate(one),
                server_tls_cert=_tls_certificate(one),
            )
            for one in members
            for host, port in (host_and_port(one.orderer),)
        ],
        options=raft_pb2.Options(
            tick_interval="500ms",
            election_tick=10,
            heartbeat_tick=1,
            max_inflight_blocks=5,
            snapshot_interval_size=16 << 20,
        ),
    )
    del orderer.values["Orderers"]
    _set(orderer, "ConsensusType", orderer_pb2.ConsensusType(type="etcdraft", metadata=_bytes(metadata)))


def _agree_by_bft(orderer: configtx_pb2.ConfigGroup, members: Sequence[Member]) -> None:
    sizes = orderer_pb2.BatchSize.FromString(orderer.values["BatchSize"].value)
    options = bft_pb2.Options(
        request_batch_max_count=sizes.max_message_count,
        request_batch_max_bytes=sizes.absolute_max_bytes,
        request_batch_max_interval=orderer_pb2.BatchTimeout.FromString(orderer.values["BatchTimeout"].value).timeout,
        incoming_message_buffer_size=200,
        request_pool_size=100_000,
        request_forward_timeout="5s",
        request_complain_timeout="20s",
        request_auto_remove_timeout="3m0s",
        view_change_resend_interval="5s",
        view_change_timeout="20s",
        leader_heartbeat_timeout="1m0s",
        leader_heartbeat_count=10,
        collect_timeout="1s",
        request_max_bytes=sizes.absolute_max_bytes,
        leader_rotation=bft_pb2.Options.ROTATION_OFF,
    )
    consenters = [
        configuration_pb2.Consenter(
            id=index + 1,
            host=host,
            port=port,
            msp_id=one.msp_id,
            identity=one.credentials.orderer_certificate(),
            client_tls_cert=_tls_certificate(one),
            server_tls_cert=_tls_certificate(one),
        )
        for index, one in enumerate(members)
        for host, port in (host_and_port(one.orderer),)
    ]
    _set(orderer, "Orderers", configuration_pb2.Orderers(consenter_mapping=consenters))
    _set(orderer, "ConsensusType", orderer_pb2.ConsensusType(type="BFT", metadata=_bytes(options)))
    orderer.policies["BlockValidation"].policy.CopyFrom(quorum_policy(consenters))


def _tls_certificate(member: Member) -> bytes:
    """Orderers use one for listening and for calling each other."""
    return Path(member.credentials.orderer / "tls" / "server.crt").read_bytes()


def _set(group: configtx_pb2.ConfigGroup, name: str, value: Message) -> None:
    group.values[name].CopyFrom(configtx_pb2.ConfigValue(value=_bytes(value), mod_policy="Admins"))


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
