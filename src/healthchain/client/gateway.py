"""The Fabric Gateway client: the object a caller holds is the stage that its transaction is at.

    proposal = connection.proposal("records:Write", arguments, transient)
    transaction = await proposal.endorse()      # Proposal -> Transaction
    commit = await transaction.submit()         # Transaction -> Commit
    status = await commit.status()              # waits until all peers have it

Source: fabric-gateway node/src/{proposal,transaction,commit}.ts. Signing is the caller's identity's; clock and nonces
are this side's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

from healthchain.client.errors import (
    CommitFailed,
    CommitStatusFailed,
    EndorseFailed,
    EvaluateFailed,
    StageFailed,
    SubmitFailed,
    refusal,
)
from healthchain.errors import HealthChainError
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.keys import SigningKey
from healthchain.wire.codes import Code
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.proposal import NONCE_BYTES, build_proposal, parse_proposal
from healthchain.wire.proposal import Proposal as ProposalBytes
from healthchain.wire.transaction import endorsed_response


class GatewayService(Protocol):
    """Fabric's gateway.Gateway: the embedded network's object, or a gRPC stub. Failures are `GatewayError`."""

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse: ...
    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse: ...
    async def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse: ...
    async def commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest
    ) -> gateway_pb2.CommitStatusResponse: ...


@dataclass(frozen=True, slots=True)
class Committed:
    """A valid transaction: what the contract answered, and the block it is in."""

    transaction_id: str
    block: int
    result: bytes


class Connection:
    """One identity at one gateway, for one chaincode on one channel."""

    def __init__(
        self,
        service: GatewayService,
        identity: SigningIdentity,
        channel_id: str,
        chaincode: str,
        clock_ns: Callable[[], int] = time.time_ns,
        sign: Callable[[SigningKey, bytes], Awaitable[bytes]] | None = None,
    ) -> None:
        """`sign` may be slow or far away, a hardware module for instance; without it the key signs here."""
        self.service = service
        self.identity = identity
        self.channel_id = channel_id
        self.chaincode = chaincode
        self._clock_ns = clock_ns
        self._sign = sign

    def to(self, chaincode: str) -> Connection:
        """The same identity at the same gateway, for another chaincode."""
        return Connection(self.service, self.identity, self.channel_id, chaincode, self._clock_ns, self._sign)

    def proposal(self, function: str, *arguments: bytes, transient: Mapping[str, bytes] | None = None) -> Proposal:
        built = build_proposal(
            creator=self.identity.serialized,
            nonce=secrets.token_bytes(NONCE_BYTES),
            channel_id=self.channel_id,
            chaincode=self.chaincode,
            args=[function.encode(), *arguments],
            transient=transient or {},
            timestamp_ns=self._clock_ns(),
        )
        return Proposal(self, built)

    async def sign(self, message: bytes) -> bytes:
        key = self.identity.key
        return key.sign(message) if self._sign is None else await self._sign(key, message)

    async def evaluate(self, function: str, *arguments: bytes, transient: Mapping[str, bytes] | None = None) -> bytes:
        """The contract's answer; nothing is written. Raises Refused or EvaluateFailed."""
        return await self.proposal(function, *arguments, transient=transient).evaluate()

    async def submit(self, function: str, *arguments: bytes, transient: Mapping[str, bytes] | None = None) -> Committed:
        """All stages. Raises Refused, EndorseFailed, SubmitFailed, CommitStatusFailed or CommitFailed."""
        transaction = await self.proposal(function, *arguments, transient=transient).endorse()
        commit = await transaction.submit()
        return await commit.committed()


class Proposal:
    """Signed when it is sent."""

    def __init__(self, connection: Connection, built: ProposalBytes) -> None:
        self._connection = connection
        self._built = built

    @property
    def transaction_id(self) -> str:
        return self._built.tx_id

    @property
    def bytes_(self) -> bytes:
        """pb(Proposal), what gets signed."""
        return self._built.bytes_

    async def evaluate(self) -> bytes:
        request = gateway_pb2.EvaluateRequest(
            transaction_id=self.transaction_id,
            channel_id=self._connection.channel_id,
            proposed_transaction=await self._signed(),
        )
        try:
            return (await self._connection.service.evaluate(request)).result.payload
        except GatewayError as error:
            raise _failure(EvaluateFailed, self.transaction_id, error) from error

    async def endorse(self) -> Transaction:
        request = gateway_pb2.EndorseRequest(
            transaction_id=self.transaction_id,
            channel_id=self._connection.channel_id,
            proposed_transaction=await self._signed(),
        )
        try:
            response = await self._connection.service.endorse(request)
        except GatewayError as error:
            raise _failure(EndorseFailed, self.transaction_id, error) from error
        payload = response.prepared_transaction.payload
        if _endorsed_proposal(payload) != parse_proposal(self.bytes_).hash:
            other = GatewayError(Status.ABORTED, "the gateway answered with another transaction than was proposed")
            raise EndorseFailed(self.transaction_id, other)
        return Transaction(self._connection, self.transaction_id, payload)

    async def _signed(self) -> proposal_pb2.SignedProposal:
        signature = await self._connection.sign(self.bytes_)
        return proposal_pb2.SignedProposal(proposal_bytes=self.bytes_, signature=signature)


class Transaction:
    """Endorsed; `payload` is what the client signs."""

    def __init__(self, connection: Connection, transaction_id: str, payload: bytes) -> None:
        self._connection = connection
        self.transaction_id = transaction_id
        self.payload = payload

    @property
    def result(self) -> bytes:
        """What the contract answered when it was endorsed; only final once committed."""
        return endorsed_response(self.payload).payload

    async def submit(self) -> Commit:
        signature = await self._connection.sign(self.payload)
        request = gateway_pb2.SubmitRequest(
            transaction_id=self.transaction_id,
            channel_id=self._connection.channel_id,
            prepared_transaction=common_pb2.Envelope(payload=self.payload, signature=signature),
        )
        try:
            await self._connection.service.submit(request)
        except GatewayError as error:
            raise _failure(SubmitFailed, self.transaction_id, error) from error
        return Commit(self._connection, self.transaction_id, self.payload)


class Commit:
    """Ordered; its fate is decided by validation."""

    def __init__(self, connection: Connection, transaction_id: str, payload: bytes) -> None:
        self._connection = connection
        self.transaction_id = transaction_id
        self._payload = payload

    async def status(self) -> gateway_pb2.CommitStatusResponse:
        """Waits; `result` is the TxValidationCode."""
        asked = gateway_pb2.CommitStatusRequest(
            transaction_id=self.transaction_id,
            channel_id=self._connection.channel_id,
            identity=self._connection.identity.serialized,
        ).SerializeToString()
        signature = await self._connection.sign(asked)
        request = gateway_pb2.SignedCommitStatusRequest(request=asked, signature=signature)
        try:
            return await self._connection.service.commit_status(request)
        except GatewayError as error:
            raise _failure(CommitStatusFailed, self.transaction_id, error) from error

    async def committed(self) -> Committed:
        """Raises CommitFailed unless the transaction is valid."""
        status = await self.status()
        if status.result != Code.VALID:
            raise CommitFailed(self.transaction_id, status.result, status.block_number)
        return Committed(self.transaction_id, status.block_number, endorsed_response(self._payload).payload)


def _endorsed_proposal(payload: bytes) -> bytes | None:
    """The hash of the proposal that was endorsed: a client signs what it asked for, whatever its gateway answers."""
    try:
        transaction = transaction_pb2.Transaction.FromString(common_pb2.Payload.FromString(payload).data)
        action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload).action
        endorsed = proposal_response_pb2.ProposalResponsePayload.FromString(action.proposal_response_payload)
    except (DecodeError, IndexError):
        return None
    return endorsed.proposal_hash


def _failure(stage: type[StageFailed], transaction_id: str, error: GatewayError) -> HealthChainError:
    return refusal(error) or stage(transaction_id, error)
