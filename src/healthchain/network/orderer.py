"""The designated orderers: who may broadcast, in which order, when a block is cut, and the quorum that signs it.

Sources: Fabric orderer/common/{broadcast,msgprocessor,blockcutter}, orderer/consensus/smartbft. One process hosts
them all, so that agreeing on the order is a queue; each still checks the block against its own chain before it signs.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fabric_protos.common import common_pb2

from healthchain.errors import HealthChainError
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import IdentityRefused
from healthchain.ledger.channel import Channel
from healthchain.ledger.cutter import BlockCutter
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.validate import creator_check
from healthchain.network.clock import Clock
from healthchain.network.verifier import Verifier
from healthchain.wire.block import (
    OrdererSignature,
    encoded_header,
    header_hash,
    identifier_header,
    new_block,
    orderer_metadata,
    put_signatures,
    signed_bytes,
)
from healthchain.wire.proposal import ENDORSER_TRANSACTION
from healthchain.wire.transaction import Header, TransactionInvalid, decode_header

NONCE_BYTES = 24
PENDING_MAX = 50_000
PENDING_BYTES_MAX = 512 << 20
ENVELOPE_AGE_MS_MAX = 10 * 60 * 1000
"""How old a proposal may be when its transaction comes. Nobody keeps an endorsement until what it rests on is over."""
QUORUM_RETRY_S = 0.05
Deliver = Callable[[common_pb2.Block, Sequence[Header]], Awaitable[None]]
"""Takes a signed block and the headers of its envelopes, which were decoded when they came."""
Dropped = Callable[[str], None]
"""Told the id of a transaction that was accepted and will be in no block."""


class BroadcastRefused(HealthChainError):
    """`status` is the orderer's (common.Status): 400 malformed, 403 forbidden, 404 other channel, 503 try later."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Orderer:
    """One organisation's orderer with its view of the chain's end; whether it is a designated one, the channel says."""

    name: str
    identity: SigningIdentity
    height: int
    tip_hash: bytes
    stopped: bool = False

    def works(self, channel: Channel) -> bool:
        return not self.stopped and channel.consenter_id(self.identity.serialized) is not None

    def sign(self, block: common_pb2.Block, value: bytes, channel: Channel) -> OrdererSignature | None:
        """None if it may not, or the block does not follow what it knows; the content was hashed in this process."""
        header = block.header
        consenter = channel.consenter_id(self.identity.serialized)
        if consenter is None or self.stopped:
            return None
        if header.number != self.height or header.previous_hash != self.tip_hash:
            return None
        identifier = identifier_header(consenter, secrets.token_bytes(NONCE_BYTES))
        signature = self.identity.key.sign(signed_bytes(value, identifier, encoded_header(block)))
        return OrdererSignature(consenter, identifier, signature)

    def advance(self, block: common_pb2.Block) -> None:
        self.height, self.tip_hash = block.header.number + 1, header_hash(block)


class OrderingService:
    """`broadcast` takes envelopes; `run` cuts blocks and hands each, signed, to `deliver`, one after another.

    The members are those that `ledger` says: `deliver` returns only when nothing that it took can still change them.
    """

    def __init__(
        self,
        ledger: Ledger,
        orderers: Sequence[Orderer],
        verifier: Verifier,
        deliver: Deliver,
        dropped: Dropped,
        clock_ms: Clock,
    ) -> None:
        self.orderers = orderers
        self._ledger = ledger
        self._verifier = verifier
        self._deliver = deliver
        self._dropped = dropped
        self._clock_ms = clock_ms
        self._cutter = BlockCutter(ledger.channel.config.batch)
        self._waiting = 0
        self._waiting_bytes = 0
        self._headers: dict[bytes, Header] = {}
        self._arrived = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def _channel(self) -> Channel:
        return self._ledger.channel

    async def broadcast(self, envelope: bytes) -> None:
        """Returns once the transaction is in the order; raises BroadcastRefused."""
        if len(envelope) > self._channel.config.batch.absolute_max_bytes:
            raise BroadcastRefused(400, "the transaction is larger than a block may be: split it")
        try:
            header = decode_header(envelope)
        except TransactionInvalid:
            raise BroadcastRefused(400, "the envelope does not decode") from None
        if header.channel_id != self._channel.id:
            raise BroadcastRefused(404, "the orderers do not serve this channel")
        if header.type != ENDORSER_TRANSACTION:
            raise BroadcastRefused(400, "only endorser transactions can be ordered here")
        self._require_member(header)
        if abs(header.timestamp_ns // 1_000_000 - self._clock_ms()) > ENVELOPE_AGE_MS_MAX:
            raise BroadcastRefused(400, "the proposal is more than ten minutes old: make a new one")
        check = creator_check(header, self._channel)
        await self._verifier.verify([check])
        if not self._verifier.verdict(check):
            raise BroadcastRefused(403, "the envelope's signature is not its creator's")
        self._accept(envelope, header)

    def _require_member(self, header: Header) -> None:
        """Its creator, of an active one, with a certificate that lasts. Raises BroadcastRefused."""
        try:
            identity = self._channel.msps.identify(header.creator)
        except IdentityRefused as refused:
            said = f"the creator is not a valid member of the channel: {refused}"
            raise BroadcastRefused(403, said) from None
        try:
            identity.require_unexpired(self._clock_ms())
        except IdentityRefused:
            raise BroadcastRefused(400, "broadcast client identity expired: enrol again") from None

    def _accept(self, envelope: bytes, header: Header) -> None:
        if self._failure is not None:
            raise BroadcastRefused(503, f"the network has stopped: {self._failure}")
        if not self._quorum_works():
            raise BroadcastRefused(503, "too few orderers are running to sign a block")
        if self._waiting >= PENDING_MAX or self._waiting_bytes + len(envelope) > PENDING_BYTES_MAX:
            raise BroadcastRefused(503, "the orderers' queue is full: try again later")
        self._waiting += 1
        self._waiting_bytes += len(envelope)
        self._headers[envelope] = header
        begun = self._cutter.order(envelope)
        if begun is not None:
            timeout_s = self._channel.config.batch.timeout_ms / 1000
            asyncio.get_running_loop().call_later(timeout_s, self._cutter.expire, begun)
        self._arrived.set()

    def _quorum_works(self) -> bool:
        channel = self._channel
        return sum(one.works(channel) for one in self.orderers) >= channel.quorum

    def fail(self, failure: BaseException) -> None:
        """Refuse everything from now on."""
        self._failure = failure

    async def run(self) -> None:
        """A block is cut as soon as the peers can take one: at once on an idle network, larger ones under load."""
        while True:
            await self._arrived.wait()
            if not self._quorum_works():  # what was accepted before is kept until enough of them are back
                await asyncio.sleep(QUORUM_RETRY_S)
                continue
            batch = self._cutter.take()
            if not batch:
                self._arrived.clear()
                continue
            self._waiting -= len(batch)
            self._waiting_bytes -= sum(len(one) for one in batch)
            # Somebody may send one envelope twice: then the second has to be decoded again.
            headers = [self._header(one) for one in batch]
            kept = [(one, header) for one, header in zip(batch, headers, strict=True) if self._is_kept(header)]
            if kept:
                await self._deliver(self._make_block([one for one, _ in kept]), [header for _, header in kept])

    def _is_kept(self, header: Header) -> bool:
        """Not if its creator was a member when it came, and is none any more: no block would settle it."""
        try:
            self._channel.msps.identify(header.creator)
        except IdentityRefused:
            self._dropped(header.tx_id)
            return False
        return True

    def _header(self, envelope: bytes) -> Header:
        known = self._headers.pop(envelope, None)
        return decode_header(envelope) if known is None else known

    def _make_block(self, batch: Sequence[bytes]) -> common_pb2.Block:
        channel = self._channel
        working = [one for one in self.orderers if one.works(channel)]
        leader = working[0]
        block = new_block(leader.height, leader.tip_hash, batch)
        value = orderer_metadata(last_config=0)
        signatures: list[OrdererSignature] = []
        for one in working:
            signed = one.sign(block, value, channel)
            if signed is not None:
                signatures.append(signed)
            if len(signatures) == channel.quorum:
                break
        assert len(signatures) == channel.quorum, "orderers of one process follow one chain"
        put_signatures(block, value, signatures)
        for one in self.orderers:
            one.advance(block)
        return block
