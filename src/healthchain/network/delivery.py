"""Blocks for who asks with a signed SeekInfo (Fabric common/deliver/deliver.go, core/peer/deliverevents.go).

The checks are numbered as Fabric makes them: 1. the envelope decodes; 2. clock and TLS binding; 3. the channel; 4. who
asks; 5. what is asked for. Each block is sent only if the one who asked still may have it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from hashlib import sha256

from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from google.protobuf.message import DecodeError

from healthchain.errors import HealthChainError
from healthchain.identity.msp import Identity, IdentityRefused
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.commits import Commits
from healthchain.network.peer import Peer
from healthchain.network.readers import may_read_channel
from healthchain.network.verifier import Verifier
from healthchain.wire.proposal import NS_PER_S

CLOCK_SKEW_MS_MAX = 15 * 60 * 1000
SUCCESS, BAD_REQUEST, FORBIDDEN = common_pb2.SUCCESS, common_pb2.BAD_REQUEST, common_pb2.FORBIDDEN
NOT_FOUND, UNAVAILABLE = common_pb2.NOT_FOUND, common_pb2.SERVICE_UNAVAILABLE

Admits = Callable[[Identity], bool]


class DeliveryEnds(HealthChainError):
    """`status` (common.Status) is the last that the client is told."""

    def __init__(self, status: common_pb2.Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A SeekInfo that was looked at: blocks `start` to `stop`; `wait` for those that are not there yet."""

    creator: bytes
    start: int
    stop: int
    wait: bool


class Delivery:
    """Of one peer's blocks. `admits` says who of the channel's readers may have them, by default all."""

    def __init__(
        self, peer: Peer, commits: Commits, verifier: Verifier, admits: Admits = lambda identity: True
    ) -> None:
        self._peer = peer
        self._commits = commits
        self._verifier = verifier
        self._admits = admits

    @property
    def _ledger(self) -> Ledger:
        return self._peer.ledger

    async def blocks(self, envelope: bytes, certificate_hash: bytes | None) -> AsyncGenerator[common_pb2.Block, None]:
        """`certificate_hash`: SHA-256 of the client's TLS certificate (DER) under mutual TLS. Raises DeliveryEnds."""
        asked = await self._asked(envelope, certificate_hash)
        number = asked.start
        while number <= asked.stop:
            while number >= self._ledger.height:
                if not asked.wait:
                    raise DeliveryEnds(NOT_FOUND, "the block is not there yet")
                await self._next_block()
            self._require_reader(asked.creator)  # who was a member when it asked may be none any more
            yield self._ledger.block(number)
            number += 1

    async def _asked(self, encoded: bytes, certificate_hash: bytes | None) -> Asked:
        try:
            envelope = common_pb2.Envelope.FromString(encoded)
            payload = common_pb2.Payload.FromString(envelope.payload)
            header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
            creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator
        except (DecodeError, UnicodeDecodeError):
            raise DeliveryEnds(BAD_REQUEST, "the envelope does not decode") from None
        self._require_binding(header, certificate_hash)
        if header.channel_id != self._ledger.channel.id:
            raise DeliveryEnds(NOT_FOUND, "this peer is not on that channel")
        check = SignatureCheck(self._require_reader(creator), sha256(envelope.payload).digest(), envelope.signature)
        await self._verifier.verify([check])
        if not self._verifier.verdict(check):
            raise DeliveryEnds(FORBIDDEN, "the envelope's signature is not its creator's")
        return self._sought(payload.data, creator)

    def _require_binding(self, header: common_pb2.ChannelHeader, certificate_hash: bytes | None) -> None:
        if not header.HasField("timestamp"):
            raise DeliveryEnds(BAD_REQUEST, "the channel header has no timestamp")
        sent_ms = (header.timestamp.seconds * NS_PER_S + header.timestamp.nanos) // 1_000_000
        if abs(sent_ms - self._peer.now_ms) > CLOCK_SKEW_MS_MAX:
            raise DeliveryEnds(BAD_REQUEST, "the timestamp is more than 15 minutes from the peer's: set the clock")
        if certificate_hash is not None and header.tls_cert_hash != certificate_hash:
            raise DeliveryEnds(BAD_REQUEST, "the channel header names another TLS certificate than the client's")

    def _require_reader(self, creator: bytes) -> Identity:
        if self._peer.member is None:
            raise DeliveryEnds(UNAVAILABLE, "this peer's organisation takes no part: ask another's")
        try:
            identity = self._ledger.channel.msps.identify(creator)
            self._peer.require_unexpired(identity)
        except IdentityRefused as refused:
            raise DeliveryEnds(FORBIDDEN, str(refused)) from None
        if not may_read_channel(identity.attributes) or not self._admits(identity):
            raise DeliveryEnds(FORBIDDEN, "this identity may not read the channel's blocks")
        return identity

    def _sought(self, data: bytes, creator: bytes) -> Asked:
        try:
            seek = ab_pb2.SeekInfo.FromString(data)
        except (DecodeError, UnicodeDecodeError):
            raise DeliveryEnds(BAD_REQUEST, "the SeekInfo does not decode") from None
        height = self._ledger.height
        first = seek.start.WhichOneof("Type")
        last = seek.stop.WhichOneof("Type")
        if first is None or last is None or last == "next_commit":
            raise DeliveryEnds(BAD_REQUEST, "the SeekInfo needs a start and a stop")
        starts = {"newest": height - 1, "oldest": 0, "next_commit": height, "specified": seek.start.specified.number}
        start = starts[first]
        if start > height:
            raise DeliveryEnds(NOT_FOUND, "the start is beyond the chain's end")
        stops = {"newest": max(start, height - 1), "oldest": start, "specified": seek.stop.specified.number}
        stop = stops[last]
        if stop < start:
            raise DeliveryEnds(BAD_REQUEST, "the stop is before the start")
        return Asked(creator, start, stop, wait=seek.behavior != ab_pb2.SeekInfo.FAIL_IF_NOT_READY)

    async def _next_block(self) -> None:
        try:
            await self._commits.next_block()
        except HealthChainError as failed:
            raise DeliveryEnds(UNAVAILABLE, str(failed)) from None
