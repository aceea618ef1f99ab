"""The Endorser service of one peer, for clients that gather endorsements themselves (Fabric core/endorser/endorser.go).

Possible results, as in Fabric: an endorsement; a response of status >= 400 without one, if the chaincode refuses;
`ProposalRefused` if the proposal is not run at all.
"""

from __future__ import annotations

from hashlib import sha256

from fabric_protos.peer import proposal_pb2, proposal_response_pb2

from healthchain.identity.msp import IdentityRefused
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.endorsement import Endorsing
from healthchain.network.execution import ChaincodeFailed
from healthchain.network.peer import Peer, ProposalRefused
from healthchain.network.verifier import Verifier
from healthchain.wire.proposal import ParsedProposal, ProposalMalformed, parse_proposal

VERSION = 1
FAILED = 500


class Endorser:
    """`endorsing` hands private values to the peers that are to hold them, as it does for the gateway."""

    def __init__(self, peer: Peer, endorsing: Endorsing, verifier: Verifier) -> None:
        self._peer = peer
        self._endorsing = endorsing
        self._verifier = verifier

    async def process_proposal(self, signed: proposal_pb2.SignedProposal) -> proposal_response_pb2.ProposalResponse:
        """Raises ProposalRefused."""
        proposal, check = await self._admitted(signed)
        try:
            return await self._answered(proposal, check)
        except ChaincodeFailed as failed:
            return proposal_response_pb2.ProposalResponse(
                response=proposal_response_pb2.Response(status=FAILED, message=str(failed))
            )

    async def _answered(
        self, proposal: ParsedProposal, check: SignatureCheck
    ) -> proposal_response_pb2.ProposalResponse:
        if self._peer.only_reads(proposal):
            return await self._queried(proposal, check)
        self._peer.admit_for_ordering(proposal, check.identity)
        endorsed = await self._peer.endorse(proposal, check)
        answer = proposal_response_pb2.ProposalResponse(version=VERSION, response=endorsed.response)
        if endorsed.payload:
            self._endorsing.hand_out(proposal, check.identity.msp_id, endorsed.private)
            [endorsement] = await self._endorsing.signed([self._peer], endorsed.payload)
            answer.payload = endorsed.payload
            answer.endorsement.endorser, answer.endorsement.signature = endorsement
        return answer

    async def _queried(self, proposal: ParsedProposal, check: SignatureCheck) -> proposal_response_pb2.ProposalResponse:
        """What cannot be made a transaction: an endorser, for tools that look for one, but nothing that it signed."""
        response = (await self._peer.endorse(proposal, check)).response
        answer = proposal_response_pb2.ProposalResponse(version=VERSION, response=response)
        answer.endorsement.endorser = self._peer.identity.serialized
        return answer

    async def _admitted(self, signed: proposal_pb2.SignedProposal) -> tuple[ParsedProposal, SignatureCheck]:
        try:
            proposal = parse_proposal(signed.proposal_bytes)
            identity = self._peer.ledger.channel.msps.identify(proposal.creator)
        except (ProposalMalformed, IdentityRefused) as refused:
            raise ProposalRefused(str(refused)) from None
        check = SignatureCheck(identity, sha256(signed.proposal_bytes).digest(), signed.signature)
        await self._verifier.verify([check])
        self._peer.admit(proposal, check, signature_holds=self._verifier.verdict(check))
        return proposal, check
