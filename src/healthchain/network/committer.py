"""Blocks on their way into every peer's ledger: checked once, then prepared, written and applied by each peer.

Stages: 1. decode and verify, while the block before is written; 2. each peer decides and prepares; 3. each peer makes
it durable, on threads; 4. each peer applies it; 5. whoever waits for its transactions is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fabric_protos.common import common_pb2

from healthchain.errors import HealthChainError
from healthchain.ledger import membership
from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Commit
from healthchain.ledger.private import matching_bodies
from healthchain.ledger.quorum import BlockRefused, block_signature_checks, check_content, check_place, check_quorum
from healthchain.ledger.validate import NO_FATE, Decoded, decode_transactions, preliminary_codes
from healthchain.network.peer import Peer
from healthchain.network.verifier import Verifier
from healthchain.wire.block import PrivateSets
from healthchain.wire.codes import Code
from healthchain.wire.transaction import Header, envelope


class StorageFailed(HealthChainError):
    """A peer could not make a block durable. The network stops; nothing acknowledged is lost."""


class PeersDisagree(HealthChainError):
    """One peer's state is not that of the others: nothing is written any more, so that it cannot spread."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction's place and code, the same on every peer."""

    block: int
    code: int


@dataclass(slots=True)
class _Checked:
    """`channel` is what it was decoded by; `applied` is set where the block may change that for the next one."""

    block: common_pb2.Block
    channel: Channel
    decoded: list[Decoded]
    applied: asyncio.Future[None] | None


Listener = Callable[[int, Mapping[str, int]], None]
"""Told each block's number, and the fates that it decides: transaction id -> code."""


class Committer:
    """`deliver` accepts the next block as soon as the one before it has begun to be committed.

    A block that may change the members is waited for: by the members after it the next one is ordered and decoded.
    """

    def __init__(self, peers: Sequence[Peer], verifier: Verifier, listener: Listener) -> None:
        self._peers = peers
        self._verifier = verifier
        self._listener = listener
        self._checked: asyncio.Queue[_Checked] = asyncio.Queue(maxsize=1)
        self._threads = ThreadPoolExecutor(max_workers=len(peers), thread_name_prefix="commit")

    async def deliver(self, block: common_pb2.Block, headers: Sequence[Header]) -> None:
        """Stage 1. The peers' chain is not looked at yet: that is stage 2's, in order.

        `headers` are the orderers' word for what the block's bytes say; it is taken only where it encodes to them.
        """
        check_headers(block, headers)
        channel = self._channel
        decoded = decode_transactions(block.data.data, channel, headers)
        checks = [check for one in decoded for check in one.checks()]
        await self._verifier.verify([*checks, *block_signature_checks(block, channel)])
        applied = asyncio.get_running_loop().create_future() if _may_change_members(decoded) else None
        await self._checked.put(_Checked(block, channel, decoded, applied))
        if applied is not None:
            await applied

    async def run(self) -> None:
        """Stages 2 to 5, until cancelled; raises StorageFailed."""
        loop = asyncio.get_running_loop()
        while True:
            checked = await self._checked.get()
            commits = self._prepare(checked)
            # Not cancelled half-way: a block is written by all peers or the ledger is closed without it.
            writes = asyncio.gather(*[loop.run_in_executor(self._threads, one.write) for one in commits])
            try:
                await asyncio.shield(writes)
                self._apply(checked, commits)
            except OSError as error:
                raise StorageFailed(
                    f"a peer cannot write its ledger ({error.strerror}): free space, then start again"
                ) from error
            except asyncio.CancelledError:
                await asyncio.wait([asyncio.ensure_future(writes)])
                if writes.exception() is None:
                    self._apply(checked, commits)
                raise

    def close(self) -> None:
        self._threads.shutdown()

    @property
    def _channel(self) -> Channel:
        """As the newest block left it, on every peer alike."""
        return self._peers[0].ledger.channel

    def _prepare(self, checked: _Checked) -> list[Commit]:
        block = checked.block
        assert checked.channel is self._channel, "nothing is decoded before a change of members is applied"
        check_content(block)  # what depends on the block alone is checked once (docs/decisions/0004)
        check_quorum(block, self._channel, self._verifier.verdict)
        codes = self._codes(checked)
        shared: dict[int, dict[bytes, bytes]] = {}
        commits = []
        for peer in self._peers:
            check_place(block, peer.ledger.height, peer.ledger.tip_hash)
            bodies = _bodies(peer, checked.decoded, codes, shared)
            commits.append(peer.ledger.prepare(block, checked.decoded, codes, bodies))
        if len({one.update.commit_hash for one in commits}) > 1:
            raise PeersDisagree(f"peers decide block {block.header.number} differently: run `healthchain verify`")
        return commits

    def _codes(self, checked: _Checked) -> list[int]:
        """Before MVCC all peers answer alike: they have the same rules and metadata, and know the same transactions."""
        first = self._peers[0].ledger
        return preliminary_codes(
            checked.decoded,
            self._verifier.verdict,
            self._channel,
            first.definitions,
            lambda tx_id: first.transaction(tx_id) is not None,
            first,
        )

    def _apply(self, checked: _Checked, commits: Sequence[Commit]) -> None:
        fates = settled(checked.decoded, commits[0].codes)
        for peer, commit in zip(self._peers, commits, strict=True):
            peer.ledger.apply(commit)
            # Not the ids that an entry merely names: it may be another's transaction, whose values are still to come.
            peer.transient.forget(fates)
        if checked.applied is not None and not checked.applied.done():
            checked.applied.set_result(None)
        self._listener(checked.block.header.number, fates)


def _may_change_members(decoded: Sequence[Decoded]) -> bool:
    return any(membership.changed(key for key, _ in one.effects.writes) for one in decoded if one.effects is not None)


def check_headers(block: common_pb2.Block, headers: Sequence[Header]) -> None:
    """Raises BlockRefused."""
    if [envelope(one.payload, one.signature) for one in headers] != list(block.data.data):
        raise BlockRefused(f"the headers handed over with block {block.header.number} are not those of its bytes")


def settled(decoded: Sequence[Decoded], codes: Sequence[int]) -> dict[str, int]:
    """The transaction ids whose fate the block decides, and the codes: the valid entry's, or else the first's."""
    fates: dict[str, int] = {}
    for transaction, code in zip(decoded, codes, strict=True):
        if transaction.header is None or code in NO_FATE:
            continue
        if code == Code.VALID:
            fates[transaction.header.tx_id] = code
        else:
            fates.setdefault(transaction.header.tx_id, code)
    return fates


def _bodies(
    peer: Peer, decoded: Sequence[Decoded], codes: Sequence[int], shared: dict[int, dict[bytes, bytes]]
) -> dict[bytes, bytes]:
    """The private values that the peer was handed and that the block confirms; looked at once where shared."""
    bodies: dict[bytes, bytes] = {}
    for transaction, code in zip(decoded, codes, strict=True):
        if code != Code.VALID or transaction.header is None or transaction.action is None:
            continue
        sets: PrivateSets = peer.transient.get(transaction.header.tx_id)
        if not sets:
            continue
        if id(sets) not in shared:
            shared[id(sets)] = matching_bodies(transaction.action, sets)
        bodies.update(shared[id(sets)])
    return bodies
