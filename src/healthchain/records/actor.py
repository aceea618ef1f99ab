"""Somebody who acts on the ledger: a connection that signs as them, and the key that opens what is sealed to them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from healthchain.client.errors import CommitFailed, EndorseFailed
from healthchain.client.gateway import Committed, Connection
from healthchain.contract import messages
from healthchain.contract.codes import Code
from healthchain.contract.ids import Arguments, Result
from healthchain.errors import Refused
from healthchain.records.sealing import HpkeKey, MessageContext, open_message, seal_message

CONFLICT_TRIES = 8
CONFLICT_PAUSE_S = 0.005  # doubled with every try
LAG_TRIES = 8
LAG_PAUSE_S = 0.05  # doubled with every try: six seconds in all

_Result = TypeVar("_Result", bound=Result)
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class Actor:
    """`recipient` is how envelopes name this party: its organisation's MSP id, or a patient's pseudonym."""

    connection: Connection
    recipient: str
    key: HpkeKey

    @property
    def is_staff(self) -> bool:
        """Of an organisation; not a patient or guardian."""
        return self.recipient == self.connection.identity.msp_id

    @property
    def channel(self) -> str:
        return self.connection.channel_id

    async def ask(self, function: str, arguments: Arguments, result: type[_Result]) -> _Result:
        """Evaluate. Raises Refused or EvaluateFailed."""
        answer = await self.connection.evaluate(function, msgspec.json.encode(arguments))
        return msgspec.json.decode(answer, type=result)

    async def fetch(self, function: str, arguments: Arguments, place: str) -> bytes:
        """Evaluate what hands out the message at this place, and open it. Raises Refused or SealBroken."""
        return self.open(place, (await self.ask(function, arguments, messages.Sealed)).ciphertext)

    def open(self, place: str, ciphertext: bytes) -> bytes:
        """Of a message that was sealed to this party. Raises SealBroken."""
        return open_message(self.key, self.recipient, MessageContext(self.channel, place), ciphertext)

    def seal(self, place: str, public_keys: Mapping[str, bytes], plain: bytes) -> dict[str, bytes]:
        """Transient data: a message for this place, to each recipient -> its key. Raises BadInput."""
        return {place: seal_message(public_keys, MessageContext(self.channel, place), plain)}

    async def submit(
        self, function: str, arguments: Arguments, transient: Mapping[str, bytes] | None = None
    ) -> Committed:
        """Raises Refused, or the failure of a stage.

        Where endorsers disagree, nothing was ordered: a peer that is behind the others has caught up a little later.
        """
        encoded = msgspec.json.encode(arguments)
        for tried in range(LAG_TRIES):
            try:
                return await self.connection.submit(function, encoded, transient=transient)
            except EndorseFailed as failed:
                if not failed.is_disagreement or tried == LAG_TRIES - 1:
                    raise
            await asyncio.sleep(LAG_PAUSE_S * 2**tried)
        raise AssertionError


async def repeated_on_conflict(attempt: Callable[[], Awaitable[_Done]], *overtaken: Code) -> _Done:
    """For use cases that read, decide and submit: where somebody else came first, read and decide again.

    `overtaken` are the refusals which say that what was read is no longer so. Those who met once wait for times that
    differ, so that they do not meet again.
    """
    for tried in range(1, CONFLICT_TRIES + 1):
        if tried > 1:
            await asyncio.sleep(random.uniform(0, CONFLICT_PAUSE_S * 2**tried))  # noqa: S311 (no secret)
        try:
            return await attempt()
        except CommitFailed as failed:
            if not failed.is_conflict or tried == CONFLICT_TRIES:
                raise
        except Refused as refused:
            if refused.code not in overtaken or tried == CONFLICT_TRIES:
                raise
    raise AssertionError


def now_ms() -> int:
    return time.time_ns() // 1_000_000
