"""Questions to one node, each answered in seconds or not at all: what its operator wants to know, not its users.

Sources: Fabric core/endorser, core/handlers/auth/filter/timewindow.go, common/deliver, discovery/protocol.proto.
"""

from __future__ import annotations

import datetime
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.discovery import protocol_pb2
from fabric_protos.gossip import message_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode, aio

from healthchain.errors import HealthChainError
from healthchain.identity.folders import SigningIdentity
from healthchain.wire.proposal import NONCE_BYTES, NS_PER_S, build_proposal, transaction_id

SECONDS_MAX = 5.0
SAID_MAX = 600  # letters of what a node said
_PEER_TIME = re.compile(r"incorrect timestamp \S+, peer time (\S+),")
_SILENT = frozenset((StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED))
_BLOCK_0 = ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=0))

_Answer = TypeVar("_Answer", bound=Message)


class NodeSilent(HealthChainError):
    """It did not answer in time, or not at all."""


class NodeRefuses(HealthChainError):
    """It answered, but not what it was asked; the text is what it said."""

    def __init__(self, said: str, status: int = 0) -> None:
        super().__init__(said[:SAID_MAX])
        self.status = status


@dataclass(frozen=True, slots=True)
class Known:
    """What a peer knows of its channel: the peers' addresses, and why no endorsers are found for a chaincode, if so."""

    peers: frozenset[str]
    no_endorsers: str = ""


class Node:
    """Asked as one identity, over a channel that the caller closes. Every question raises NodeSilent or NodeRefuses."""

    def __init__(
        self, at: aio.Channel, identity: SigningIdentity, tls_hash: bytes, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """`tls_hash` is the SHA-256 of our own TLS certificate in DER; empty without one."""
        self._at = at
        self._identity = identity
        self._tls_hash = tls_hash
        self._clock_ns = clock_ns

    def by(self, clock_ns: Callable[[], int]) -> Node:
        """The same node, asked with another clock's time."""
        return Node(self._at, self._identity, self._tls_hash, clock_ns)

    async def ask(self, channel_id: str, chaincode: str, *arguments: bytes) -> bytes:
        """A chaincode on this peer alone; nothing is written. NodeRefuses has the chaincode's status, from 400 on."""
        answered = await self._process(channel_id, chaincode, arguments, self._clock_ns())
        if answered.response.status >= 400:
            raise NodeRefuses(answered.response.message, answered.response.status)
        return answered.response.payload

    async def peer_time(self) -> datetime.datetime | None:
        """A peer's clock, to the second: it names it when it refuses a proposal of 1970. None if it does not refuse."""
        try:
            await self._process("", "cscc", (b"GetChannels",), 0)
        except NodeRefuses as refused:
            found = _PEER_TIME.search(str(refused))
            if found is None:
                raise
            return datetime.datetime.fromisoformat(found[1])
        return None

    async def deliver_status(self, channel_id: str, timestamp_ns: int) -> int:
        """An orderer's answer to a request for block 0 that bears this time: Fabric's common.Status, 200 for the block.

        400 says that the time is too far from the orderer's own.
        """
        seek = ab_pb2.SeekInfo(start=_BLOCK_0, stop=_BLOCK_0, behavior=ab_pb2.SeekInfo.FAIL_IF_NOT_READY)
        nonce = secrets.token_bytes(NONCE_BYTES)
        header = common_pb2.ChannelHeader(
            type=common_pb2.HeaderType.DELIVER_SEEK_INFO,
            timestamp=Timestamp(seconds=timestamp_ns // NS_PER_S, nanos=timestamp_ns % NS_PER_S),
            channel_id=channel_id,
            tx_id=transaction_id(nonce, self._identity.serialized),
            tls_cert_hash=self._tls_hash,
        )
        signed = common_pb2.SignatureHeader(creator=self._identity.serialized, nonce=nonce)
        payload = common_pb2.Payload(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(), signature_header=signed.SerializeToString()
            ),
            data=seek.SerializeToString(),
        ).SerializeToString()
        answered = await self._first_delivered(common_pb2.Envelope(payload=payload, signature=self._sign(payload)))
        return 200 if answered.WhichOneof("Type") == "block" else answered.status

    async def known(self, channel_id: str, chaincode: str) -> Known:
        """What this peer's gossip has found out. Raises NodeRefuses without a TLS certificate of ours."""
        interest = proposal_response_pb2.ChaincodeInterest(
            chaincodes=[proposal_response_pb2.ChaincodeCall(name=chaincode)]
        )
        queries = [
            protocol_pb2.Query(channel=channel_id, peer_query=protocol_pb2.PeerMembershipQuery()),
            protocol_pb2.Query(channel=channel_id, cc_query=protocol_pb2.ChaincodeQuery(interests=[interest])),
        ]
        own = protocol_pb2.AuthInfo(client_identity=self._identity.serialized, client_tls_cert_hash=self._tls_hash)
        request = protocol_pb2.Request(authentication=own, queries=queries).SerializeToString()
        signed = protocol_pb2.SignedRequest(payload=request, signature=self._sign(request))
        answered = await self._call("/discovery.Discovery/Discover", signed, protocol_pb2.Response)
        if len(answered.results) != len(queries):
            raise NodeRefuses("the discovery service left questions out")
        members, endorsers = answered.results
        if members.WhichOneof("result") == "error":
            raise NodeRefuses(members.error.content)
        return Known(_addresses(members.members), endorsers.error.content[:SAID_MAX])

    async def _process(
        self, channel_id: str, chaincode: str, arguments: Sequence[bytes], timestamp_ns: int
    ) -> proposal_response_pb2.ProposalResponse:
        built = build_proposal(
            creator=self._identity.serialized,
            nonce=secrets.token_bytes(NONCE_BYTES),
            channel_id=channel_id,
            chaincode=chaincode,
            args=arguments,
            transient={},
            timestamp_ns=timestamp_ns,
        )
        signed = proposal_pb2.SignedProposal(proposal_bytes=built.bytes_, signature=self._sign(built.bytes_))
        return await self._call("/protos.Endorser/ProcessProposal", signed, proposal_response_pb2.ProposalResponse)

    async def _call(self, method: str, request: Message, answer: type[_Answer]) -> _Answer:
        call = self._at.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        try:
            answered: _Answer = await call(request, timeout=SECONDS_MAX)
        except aio.AioRpcError as error:
            raise _failure(error) from None
        return answered

    async def _first_delivered(self, envelope: common_pb2.Envelope) -> ab_pb2.DeliverResponse:
        call: Any = self._at.stream_stream(
            "/orderer.AtomicBroadcast/Deliver",
            request_serializer=common_pb2.Envelope.SerializeToString,
            response_deserializer=ab_pb2.DeliverResponse.FromString,
        )(timeout=SECONDS_MAX)
        try:
            await call.write(envelope)
            await call.done_writing()
            answers = [one async for one in call]
        except aio.AioRpcError as error:
            raise _failure(error) from None
        if not answers:
            raise NodeSilent("the orderer ended the conversation without an answer")
        first: ab_pb2.DeliverResponse = answers[0]
        return first

    def _sign(self, message: bytes) -> bytes:
        return self._identity.key.sign(message)


def _addresses(members: protocol_pb2.PeerMembershipResult) -> frozenset[str]:
    """HOST:PORT of each; raises NodeRefuses for messages that are none."""
    found = set()
    for organisation in members.peers_by_org.values():
        for one in organisation.peers:
            try:
                alive = message_pb2.GossipMessage.FromString(one.membership_info.payload).alive_msg
            except DecodeError:
                raise NodeRefuses("the discovery service's answer does not decode") from None
            found.add(alive.membership.endpoint)
    return frozenset(found)


def _failure(error: aio.AioRpcError) -> HealthChainError:
    said = error.details() or error.code().name
    return NodeSilent(said[:SAID_MAX]) if error.code() in _SILENT else NodeRefuses(said)
