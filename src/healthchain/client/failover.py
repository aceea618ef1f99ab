"""Several peers as one gateway: where the one that is asked cannot be reached or says nothing, the next is asked.

A commit's status is asked of all of them, so that a transaction which has come to its end is on every peer that can be
reached, as on the embedded network. A stream comes from one: who follows it (`client.events`) goes on at the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import Message

from healthchain.client.remote import Peer
from healthchain.client.shapes import Shape
from healthchain.wire.gateway import GatewayError, Status

ANSWER_S_MAX = 40.0  # Fabric's gateways give up after 30 s themselves, and say then which peer was slow
TRIAL_S_MAX = 5.0
COMMIT_S_MAX = 120.0
EVERYBODY_S_MAX = 5.0  # for the other peers to commit what one has committed
_HAS_IT = ("request already exists", "request already processed")

_Answer = TypeVar("_Answer", bound=Message)
_Block = TypeVar("_Block")


class RemoteGateway:
    """Implements `client.gateway.GatewayService` and `client.events.EventService`; who made the peers closes them."""

    def __init__(self, peers: Sequence[Peer], answer_s_max: float = ANSWER_S_MAX) -> None:
        """In the order in which they are asked. All are shown the same TLS certificate of the client's, if any."""
        self._peers = peers
        self._answer_s_max = answer_s_max

    @property
    def tls_certificate_hash(self) -> bytes:
        """Of the client's; empty without one. Raises BadInput."""
        own = self._peers[0].endpoint.client
        return own.hash if own else b""

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        return await self._first("Evaluate", request, gateway_pb2.EvaluateResponse)

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        """Two gateways may endorse the same proposal: only what is submitted counts."""
        return await self._first("Endorse", request, gateway_pb2.EndorseResponse)

    async def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        """The transaction is the same at whichever gateway: what was ordered twice is valid once.

        On SmartBFT it may be ordered by some orderers before it reaches the others, which then refuse it. Fabric's
        gateway takes that for a failure (internal/pkg/gateway/submit.go); here the commit's status decides.
        """
        return await self._first("Submit", request, gateway_pb2.SubmitResponse)

    async def commit_status(self, request: gateway_pb2.SignedCommitStatusRequest) -> gateway_pb2.CommitStatusResponse:
        """When every peer that answers has it; who lags behind the first by EVERYBODY_S_MAX is not waited for."""
        answer = gateway_pb2.CommitStatusResponse
        asked = {
            asyncio.create_task(one.call("CommitStatus", request, answer, COMMIT_S_MAX)): one for one in self._peers
        }
        try:
            told = await _first_answer(asked)
            late = [one for one, peer in asked.items() if not one.done() and not peer.standing.down_s]
            if late:
                _, silent = await asyncio.wait(late, timeout=EVERYBODY_S_MAX)
                for one in silent:
                    asked[one].standing.failed()
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return told

    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
        """From the gateway that is asked first now. Raises GatewayError."""
        method = "/gateway.Gateway/ChaincodeEvents"
        return self._in_order()[0].stream(method, request, gateway_pb2.ChaincodeEventsResponse)

    def deliver(
        self, shape: Shape[_Block], envelope: common_pb2.Envelope, first: int | None
    ) -> AsyncGenerator[_Block, None]:
        """From the peer that is asked first now; `first` is the block that must come first. Raises GatewayError."""
        return self._in_order()[0].deliver(shape, envelope, first)

    async def _first(self, method: str, request: Message, answer: type[_Answer]) -> _Answer:
        """Raises GatewayError, which names everybody that was asked."""
        failed: list[GatewayError] = []
        for one in self._in_order():
            is_last = len(failed) == len(self._peers) - 1
            on_trial = one.standing.failing and not is_last
            seconds_max = min(self._answer_s_max, TRIAL_S_MAX) if on_trial else self._answer_s_max
            try:
                return await one.call(method, request, answer, seconds_max)
            except GatewayError as error:
                if method == "Submit" and _is_ordered(error):
                    return answer()
                if error.status is not Status.UNAVAILABLE:
                    raise
                failed.append(error)
        raise _nobody(failed)

    def _in_order(self) -> list[Peer]:
        return sorted(self._peers, key=lambda one: one.standing.down_s)


async def _first_answer(asked: Iterable[asyncio.Task[_Answer]]) -> _Answer:
    """Raises GatewayError if nobody has one: what a peer said that could be reached, if any."""
    failed: list[GatewayError] = []
    for one in asyncio.as_completed(asked):
        try:
            return await one
        except GatewayError as error:
            failed.append(error)
    raise next((one for one in failed if one.status is not Status.UNAVAILABLE), _nobody(failed))


def _is_ordered(error: GatewayError) -> bool:
    """Whether an orderer says that it has the transaction (SmartBFT internal/bft/requestpool.go)."""
    return any(said in one.message for one in error.details for said in _HAS_IT)


def _nobody(failed: Sequence[GatewayError]) -> GatewayError:
    if len(failed) == 1:
        return failed[0]
    details = [detail for one in failed for detail in one.details]
    return GatewayError(Status.UNAVAILABLE, f"none of {len(failed)} gateways could answer", details)
