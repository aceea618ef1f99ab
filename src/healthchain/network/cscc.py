"""The system chaincode `cscc`: the channel that a peer is on, and its configuration.

Source: Fabric core/scc/cscc/configure.go. Evaluated, never submitted. The configuration is that of block 0; who takes
part since then is the contract's to tell (docs/decisions/0009).
"""

from __future__ import annotations

from collections.abc import Sequence

from fabric_protos.peer import query_pb2

from healthchain.chaincode.dispatch import OK, Response
from healthchain.chaincode.stub import Stub
from healthchain.ledger.ledger import Ledger
from healthchain.network.qscc import FAILED
from healthchain.wire.channel import genesis_config

CSCC = "cscc"
GET_CHANNELS = b"GetChannels"


class Cscc:
    """Implements `peer.Chaincode` over one peer's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return True

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        channel = self._ledger.channel
        if args and args[0] == GET_CHANNELS:
            listed = query_pb2.ChannelQueryResponse(channels=[query_pb2.ChannelInfo(channel_id=channel.id)])
            return Response(OK, "", listed.SerializeToString())
        if len(args) != 2 or args[1] != channel.id.encode():
            return Response(FAILED, "name the function and then this peer's channel", b"")
        if args[0] == b"GetConfigBlock":
            return Response(OK, "", self._ledger.block(0).SerializeToString())
        if args[0] == b"GetChannelConfig":
            return Response(OK, "", genesis_config(channel.genesis).SerializeToString(deterministic=True))
        return Response(FAILED, "cscc has no such function here", b"")
