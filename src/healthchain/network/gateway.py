"""The Gateway service of one organisation: evaluate, endorse, submit, commit status, chaincode events.

Source: Fabric internal/pkg/gateway. Requests and answers are Fabric's own messages, so that the same object serves
clients in this process and, over gRPC, any other. Every failure is a `GatewayError` with the status code and details
that Fabric's gateway gives for it (protos gateway/gateway.proto; the table is in docs of Fabric's SDKs).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from hashlib import sha256
from typing import TypeVar, cast

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2, transaction_pb2
from google.protobuf.message import DecodeError, Message

from healthchain.identity.msp import Identity, IdentityRefused
from healthchain.ledger.channel import Channel
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.commits import Commits, TransactionDropped
from healthchain.network.endorsement import Endorsing
from healthchain.network.events import chaincode_events, start_block
from healthchain.network.execution import ChaincodeFailed
from healthchain.network.orderer import BroadcastRefused, OrderingService
from healthchain.network.peer import ChaincodeUnknown, Peer, ProposalRefused
from healthchain.network.readers import may_read_channel
from healthchain.network.signer import Signer
from healthchain.network.verifier import Verifier
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status
from healthchain.wire.proposal import ParsedProposal, ProposalMalformed, parse_proposal
from healthchain.wire.transaction import transaction_payload

IN_FLIGHT_MAX = 2500
EVALUATION_FAILED = "failed to evaluate transaction, see attached details for more info"

_Message = TypeVar("_Message", bound=Message)


class Gateway:
    """Through `own`, the organisation's peer; other organisations' peers are asked where a policy needs them."""

    def __init__(
        self,
        own: Peer,
        peers: Sequence[Peer],
        ordering: OrderingService,
        commits: Commits,
        verifier: Verifier,
        signer: Signer,
    ) -> None:
        self._own = own
        self._endorsing = Endorsing(own, peers, signer)
        self._ordering = ordering
        self._commits = commits
        self._verifier = verifier
        self._in_flight = 0

    @property
    def _channel(self) -> Channel:
        return self._own.ledger.channel

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        """Run on one peer; nothing is written."""
        proposal, check = await self._admitted(
            request.proposed_transaction, refused_with=Status.FAILED_PRECONDITION, elsewhere=Status.UNAVAILABLE
        )
        holds = self._verifier.verdict(check)
        failures: list[ErrorDetail] = []
        for peer in self._endorsing.evaluators(request.target_organizations, with_transient=bool(proposal.transient)):
            try:
                return await self._evaluated(peer, proposal, check, signature_holds=holds)
            except ChaincodeFailed as failed:
                failures.append(_detail(peer, str(failed)))
        raise GatewayError(Status.ABORTED, EVALUATION_FAILED, failures)

    async def _evaluated(
        self, peer: Peer, proposal: ParsedProposal, check: SignatureCheck, *, signature_holds: bool
    ) -> gateway_pb2.EvaluateResponse:
        """Raises GatewayError; and ChaincodeFailed, where another peer may have an answer."""
        try:
            peer.admit(proposal, check, signature_holds=signature_holds)
            endorsed = await peer.endorse(proposal, check)
        except ChaincodeUnknown as unknown:
            raise GatewayError(Status.FAILED_PRECONDITION, str(unknown)) from None
        except ProposalRefused as refused:
            message = f"evaluate call to endorser returned error: {refused}"
            raise GatewayError(Status.FAILED_PRECONDITION, message, [_detail(peer, str(refused))]) from None
        if endorsed.response.status >= 400:
            said = f"chaincode response {endorsed.response.status}, {endorsed.response.message}"
            message = f"evaluate call to endorser returned error: {said}"
            raise GatewayError(Status.UNKNOWN, message, [_detail(peer, said)])
        return gateway_pb2.EvaluateResponse(result=endorsed.response)

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        """Endorsements of as many organisations as the policy asks for, put together for the client to sign."""
        if self._in_flight >= IN_FLIGHT_MAX:
            raise GatewayError(Status.RESOURCE_EXHAUSTED, "the gateway is at its limit: try again later")
        self._in_flight += 1
        try:
            proposal, check = await self._admitted(
                request.proposed_transaction, refused_with=Status.ABORTED, elsewhere=Status.FAILED_PRECONDITION
            )
            holds = self._verifier.verdict(check)
            payload, endorsements = await self._endorsing.collect(
                proposal, check, request.endorsing_organizations, signature_holds=holds
            )
        finally:
            self._in_flight -= 1
        envelope = common_pb2.Envelope(payload=transaction_payload(proposal, payload, endorsements))
        return gateway_pb2.EndorseResponse(prepared_transaction=envelope)

    async def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        """Returns when the transaction is ordered, not when it is committed."""
        if not request.prepared_transaction.signature:
            raise GatewayError(Status.INVALID_ARGUMENT, "prepared transaction must be signed")
        try:
            await self._ordering.broadcast(request.prepared_transaction.SerializeToString())
        except BroadcastRefused as refused:
            detail = ErrorDetail("orderers", "", f"received status {refused.status}: {refused}")
            if refused.status == 503:
                raise GatewayError(Status.UNAVAILABLE, "no orderers could process it", [detail]) from None
            raise GatewayError(Status.ABORTED, "received an unsuccessful response from orderer", [detail]) from None
        return gateway_pb2.SubmitResponse()

    async def commit_status(self, request: gateway_pb2.SignedCommitStatusRequest) -> gateway_pb2.CommitStatusResponse:
        """At once if committed; otherwise waits, for an unknown transaction too. The first commit decides."""
        asked = _decoded(gateway_pb2.CommitStatusRequest, request.request)
        await self._authorise(asked.identity, request.request, request.signature)
        if asked.channel_id != self._channel.id:
            raise GatewayError(Status.NOT_FOUND, "this gateway does not serve that channel")
        found = self._own.ledger.transaction(asked.transaction_id)
        if found is not None:
            return gateway_pb2.CommitStatusResponse(result=_code(found.code), block_number=found.block)
        try:
            committed = await self._commits.wait_for(asked.transaction_id, lambda: self._identified(asked.identity))
        except TransactionDropped as dropped:
            raise GatewayError(Status.ABORTED, str(dropped)) from None
        return gateway_pb2.CommitStatusResponse(result=_code(committed.code), block_number=committed.block)

    async def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
        """One message a block that has events of the chaincode, from the requested block on, for ever."""
        asked = _decoded(gateway_pb2.ChaincodeEventsRequest, request.request)
        identity = await self._authorise(asked.identity, request.request, request.signature)
        if not may_read_channel(identity.attributes):
            raise GatewayError(Status.PERMISSION_DENIED, "events tell of every patient: ask for the own audit instead")
        if asked.channel_id != self._channel.id:
            raise GatewayError(Status.NOT_FOUND, "this gateway does not serve that channel")
        number, after = start_block(asked, self._own.ledger)
        found = chaincode_events(self._own.ledger, self._commits, asked.chaincode_id, number, after)
        async with aclosing(found) as responses:
            async for response in responses:
                self._identified(asked.identity)  # who was a member when it asked may be none any more
                yield response

    async def _admitted(
        self, signed: proposal_pb2.SignedProposal, *, refused_with: Status, elsewhere: Status
    ) -> tuple[ParsedProposal, SignatureCheck]:
        """Decode the proposal and find out whether its signature holds; the peer judges.

        `elsewhere` is the status for a channel that no peer here is on.
        """
        proposal_bytes, signature = signed.proposal_bytes, signed.signature
        if not proposal_bytes:
            raise GatewayError(Status.INVALID_ARGUMENT, "a signed proposal is required")
        try:
            proposal = parse_proposal(proposal_bytes)
        except ProposalMalformed as malformed:
            raise GatewayError(Status.INVALID_ARGUMENT, str(malformed)) from None
        if proposal.channel_id != self._channel.id:
            raise GatewayError(elsewhere, "no peer of this gateway is on the channel that the proposal names")
        try:
            identity = self._channel.msps.identify(proposal.creator)
        except IdentityRefused as refused:
            detail = _detail(self._own, str(refused))
            raise GatewayError(refused_with, "the proposal's creator was refused", [detail]) from None
        if self._own.member is None:
            raise GatewayError(Status.UNAVAILABLE, "this gateway's organisation takes no part: use another's gateway")
        check = SignatureCheck(identity, sha256(proposal_bytes).digest(), signature)
        await self._verifier.verify([check])
        return proposal, check

    async def _authorise(self, creator: bytes, signed: bytes, signature: bytes) -> Identity:
        """Any active member may read the channel (Readers), while its certificate lasts."""
        identity = self._identified(creator)
        check = SignatureCheck(identity, sha256(signed).digest(), signature)
        await self._verifier.verify([check])
        if not self._verifier.verdict(check):
            raise GatewayError(Status.PERMISSION_DENIED, "the request's signature is not the identity's")
        return identity

    def _identified(self, creator: bytes) -> Identity:
        try:
            identity = self._channel.msps.identify(creator)
            self._own.require_unexpired(identity)
        except IdentityRefused as refused:
            raise GatewayError(Status.PERMISSION_DENIED, str(refused)) from None
        return identity


def _code(code: int) -> transaction_pb2.TxValidationCode:
    """Protobuf takes the number; its stubs want the type."""
    return cast(transaction_pb2.TxValidationCode, code)


def _detail(peer: Peer, message: str) -> ErrorDetail:
    return ErrorDetail(peer.name, peer.msp_id, message)


def _decoded(message: type[_Message], encoded: bytes) -> _Message:
    try:
        return message.FromString(encoded)
    except (DecodeError, UnicodeDecodeError):
        raise GatewayError(Status.INVALID_ARGUMENT, "the request does not decode") from None
