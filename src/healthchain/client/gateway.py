"""The Fabric Gateway client: the object a caller holds is the stage that its transaction is at.

    proposal = connection.proposal("records:Write", arguments, transient)
    transaction = await proposal.endorse()      # Proposal -> Transaction
    commit = await transaction.submit()         # Transaction -> Commit
    status = await commit.status()              # waits until all peers have it

Each stage has bytes, which are those of Fabric's own SDKs, and a digest: where the key is on another machine, that one
signs the digest, and `client.offline` makes the stage again from both. Clock and nonces are this side's.

Source: fabric-gateway node/src/{proposal,transaction,commit}.ts.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    KeyMissing,
    StageFailed,
    SubmitFailed,
    refusal,
)
from healthchain.client.signing import Creator, Signed
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
        identity: SigningIdentity | Creator,
        channel_id: str,
        chaincode: str,
        clock_ns: Callable[[], int] = time.time_ns,
        sign: Callable[[SigningKey, bytes], Awaitable[bytes]] | None = None,
    ) -> None:
        """`sign` may be slow or far away, a hardware module for instance; without it the key signs here.

        The connection of a mere `Creator` signs nothing: see `client.offline`.
        """
        self.service = service
        self._identity = identity
        self.channel_id = channel_id
        self.chaincode = chaincode
        self._clock_ns = clock_ns
        self._sign = sign

    def to(self, chaincode: str) -> Connection:
        """The same identity at the same gateway, for another chaincode."""
        return Connection(self.service, self._identity, self.channel_id, chaincode, self._clock_ns, self._sign)

    @property
    def creator(self) -> bytes:
        """pb(SerializedIdentity): who this is, for everybody to read."""
        return self._identity.serialized

    @property
    def identity(self) -> SigningIdentity:
        """Raises KeyMissing."""
        if isinstance(self._identity, Creator):
            raise KeyMissing
        return self._identity

    @property
    def now_ns(self) -> int:
        return self._clock_ns()

    def proposal(
        self,
        function: str,
        *arguments: bytes,
        transient: Mapping[str, bytes] | None = None,
        organizations: Sequence[str] = (),
    ) -> Proposal:
        """`organizations` are the MSP ids of those who shall endorse or answer; without them the policies say who."""
        built = build_proposal(
            creator=self.creator,
            nonce=secrets.token_bytes(NONCE_BYTES),
            channel_id=self.channel_id,
            chaincode=self.chaincode,
            args=[function.encode(), *arguments],
            transient=transient or {},
            timestamp_ns=self.now_ns,
        )
        return Proposal(self, built, organizations)

    async def sign(self, message: bytes) -> bytes:
        """Raises KeyMissing."""
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


class Proposal(Signed):
    """Signed when it is sent, unless it is already."""

    def __init__(
        self,
        connection: Connection,
        built: ProposalBytes,
        organizations: Sequence[str] = (),
        signature: bytes = b"",
    ) -> None:
        super().__init__(connection, built.bytes_, signature)
        self._connection = connection
        self.built = built
        self._organizations = organizations

    @property
    def transaction_id(self) -> str:
        return self.built.tx_id

    @property
    def bytes_(self) -> bytes:
        """pb(Proposal), what gets signed."""
        return self.built.bytes_

    def to_bytes(self) -> bytes:
        """pb(gateway.ProposedTransaction), the SDKs' `getBytes`."""
        return gateway_pb2.ProposedTransaction(
            transaction_id=self.transaction_id,
            proposal=self._signed_with(self._own_signature),
            endorsing_organizations=self._organizations,
        ).SerializeToString()

    async def evaluate(self) -> bytes:
        request = gateway_pb2.EvaluateRequest(
            transaction_id=self.transaction_id,
            channel_id=self._connection.channel_id,
            proposed_transaction=self._signed_with(await self._signature()),
            target_organizations=self._organizations,
        )
        try:
            return (await self._connection.service.evaluate(request)).result.payload
        except GatewayError as error:
            raise _failure(EvaluateFailed, self.transaction_id, error) from error

    async def endorse(self) -> Transaction:
        request = gateway_pb2.EndorseRequest(
            transaction_id=self.transaction_id,
            channel_id=self._connection.channel_id,
            proposed_transaction=self._signed_with(await self._signature()),
            endorsing_organizations=self._organizations,
        )
        try:
            response = await self._connection.service.endorse(request)
        except GatewayError as error:
            raise _failure(EndorseFailed, self.transaction_id, error) from error
        payload = response.prepared_transaction.payload
        if not _is_of(payload, self.bytes_):
            other = GatewayError(Status.ABORTED, "the gateway answered with another transaction than was proposed")
            raise EndorseFailed(self.transaction_id, other)
        return Transaction(self._connection, self.transaction_id, payload)

    def _signed_with(self, signature: bytes) -> proposal_pb2.SignedProposal:
        return proposal_pb2.SignedProposal(proposal_bytes=self.bytes_, signature=signature)


class Transaction(Signed):
    """Endorsed; `payload` is what the client signs."""

    def __init__(self, connection: Connection, transaction_id: str, payload: bytes, signature: bytes = b"") -> None:
        super().__init__(connection, payload, signature)
        self._connection = connection
        self.transaction_id = transaction_id
        self.payload = payload

    def to_bytes(self) -> bytes:
        """pb(gateway.PreparedTransaction), the SDKs' `getBytes`."""
        return gateway_pb2.PreparedTransaction(
            transaction_id=self.transaction_id,
            envelope=self._signed_with(self._own_signature),
        ).SerializeToString()

    @property
    def result(self) -> bytes:
        """What the contract answered when it was endorsed; only final once committed."""
        return endorsed_response(self.payload).payload

    async def submit(self) -> Submitted:
        request = gateway_pb2.SubmitRequest(
            transaction_id=self.transaction_id,
            channel_id=self._connection.channel_id,
            prepared_transaction=self._signed_with(await self._signature()),
        )
        try:
            await self._connection.service.submit(request)
        except GatewayError as error:
            raise _failure(SubmitFailed, self.transaction_id, error) from error
        return Submitted(self._connection, self.transaction_id, self.payload)

    def _signed_with(self, signature: bytes) -> common_pb2.Envelope:
        return common_pb2.Envelope(payload=self.payload, signature=signature)


class Commit(Signed):
    """Ordered; its fate is decided by validation. What gets signed is pb(gateway.CommitStatusRequest)."""

    def __init__(self, connection: Connection, transaction_id: str, asked: bytes, signature: bytes = b"") -> None:
        super().__init__(connection, asked, signature)
        self._connection = connection
        self.transaction_id = transaction_id
        self._asked = asked

    def to_bytes(self) -> bytes:
        """pb(gateway.SignedCommitStatusRequest), the SDKs' `getBytes`."""
        return self._signed_with(self._own_signature).SerializeToString()

    async def status(self) -> gateway_pb2.CommitStatusResponse:
        """Waits; `result` is the TxValidationCode."""
        request = self._signed_with(await self._signature())
        try:
            return await self._connection.service.commit_status(request)
        except GatewayError as error:
            raise _failure(CommitStatusFailed, self.transaction_id, error) from error

    async def block(self) -> int:
        """The number of the one that it is valid in. Raises CommitFailed unless it is."""
        status = await self.status()
        if status.result != Code.VALID:
            raise CommitFailed(self.transaction_id, status.result, status.block_number)
        return status.block_number

    def _signed_with(self, signature: bytes) -> gateway_pb2.SignedCommitStatusRequest:
        return gateway_pb2.SignedCommitStatusRequest(request=self._asked, signature=signature)


class Submitted(Commit):
    """A commit of which the endorsed transaction is at hand, and so what the contract answered."""

    def __init__(self, connection: Connection, transaction_id: str, payload: bytes) -> None:
        asked = gateway_pb2.CommitStatusRequest(
            transaction_id=transaction_id,
            channel_id=connection.channel_id,
            identity=connection.creator,
        ).SerializeToString()
        super().__init__(connection, transaction_id, asked)
        self._payload = payload

    async def committed(self) -> Committed:
        """Raises CommitFailed unless the transaction is valid."""
        block = await self.block()
        return Committed(self.transaction_id, block, endorsed_response(self._payload).payload)


def _is_of(payload: bytes, proposal: bytes) -> bool:
    """A client signs what it asked for, whatever its gateway answers: the same headers, endorsed for this proposal."""
    asked = parse_proposal(proposal)
    try:
        answered = common_pb2.Payload.FromString(payload)
        transaction = transaction_pb2.Transaction.FromString(answered.data)
        action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload).action
        endorsed = proposal_response_pb2.ProposalResponsePayload.FromString(action.proposal_response_payload)
    except (DecodeError, IndexError):
        return False
    headers = answered.header.channel_header, answered.header.signature_header
    return headers == (asked.channel_header, asked.signature_header) and endorsed.proposal_hash == asked.hash


def _failure(stage: type[StageFailed], transaction_id: str, error: GatewayError) -> HealthChainError:
    return refusal(error) or stage(transaction_id, error)
