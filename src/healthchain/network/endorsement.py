"""Which peers must endorse a proposal, and one transaction out of their answers (Fabric gateway/endorse.go).

Possible results of `collect`, as in Fabric: a payload with enough endorsements; FAILED_PRECONDITION for an unknown
chaincode, or if those who may see the private data are too few; UNAVAILABLE for an organisation without peers; ABORTED
with a detail for each peer that refused or whose payload differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from healthchain.ledger.endorsing import Policy, Written, required_policies
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.execution import ChaincodeFailed, entitled_collections
from healthchain.network.peer import ChaincodeUnknown, Endorsed, Peer, ProposalRefused
from healthchain.network.signer import Signer
from healthchain.wire.block import PrivateSets
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status
from healthchain.wire.proposal import ParsedProposal
from healthchain.wire.rwset import NamespaceSet
from healthchain.wire.transaction import Endorsement

FAILED = "failed to endorse transaction, see attached details for more info"
TOO_FEW = "failed to collect enough transaction endorsements, see attached details for more info"
CHANNELS: set[Policy] = {None}
NO_LAYOUT = (
    "no combination of peers, of the collections' members if there is private data, satisfies the endorsement policies:"
    " name the endorsing organisations"
)


@dataclass(slots=True)
class _Call:
    """A proposal on its way from peer to peer, and what came of it."""

    proposal: ParsedProposal
    check: SignatureCheck
    signature_holds: bool
    answers: list[Endorsed] = field(default_factory=list)
    endorsers: list[Peer] = field(default_factory=list)
    details: list[ErrorDetail] = field(default_factory=list)
    is_refused: bool = False

    def take(self, peer: Peer, answer: Endorsed | str) -> None:
        """Keep an answer that agrees with the first one; of any other, or a failure, why it does not count."""
        if isinstance(answer, str):
            said = answer
        elif not answer.payload:
            said = f"chaincode response {answer.response.status}, {answer.response.message}"
            self.is_refused = self.is_refused or not self.answers  # the other peers would say the same
        elif self.answers and answer.payload != self.answers[0].payload:
            said = "ProposalResponsePayloads do not match"
        else:
            self.answers.append(answer)
            self.endorsers.append(peer)
            return
        self.details.append(ErrorDetail(peer.name, peer.msp_id, said))

    def failed(self) -> GatewayError:
        return GatewayError(Status.ABORTED, TOO_FEW if self.answers else FAILED, self.details)


class Endorsing:
    """Asks the own organisation's peer first, then the others in the order of the topology, active members' only."""

    def __init__(self, own: Peer, peers: Sequence[Peer], signer: Signer) -> None:
        self._signer = signer
        self._own = own
        self._peers = peers

    def evaluators(self, organizations: Sequence[str], *, with_transient: bool) -> list[Peer]:
        """Whom to ask, one after another until one answers. Raises GatewayError.

        Those asked for; or else the own peer and then the others, who are not shown transient data.
        """
        if organizations:
            return self._chosen(organizations)
        return [self._own] if with_transient else self._ordered()

    async def collect(
        self,
        proposal: ParsedProposal,
        check: SignatureCheck,
        organizations: Sequence[str],
        *,
        signature_holds: bool,
    ) -> tuple[bytes, list[Endorsement]]:
        """The agreed payload and its endorsements; hands the private values to the peers entitled to them."""
        call = _Call(proposal, check, signature_holds)
        if organizations:
            chosen = self._chosen(organizations)
            await self._ask(call, chosen)
            if len(call.endorsers) < len(chosen):
                raise call.failed()
        else:
            await self._satisfy_policies(call)
        self.hand_out(proposal, check.identity.msp_id, call.answers[0].private)
        payload = call.answers[0].payload
        return payload, await self.signed(call.endorsers, payload)

    async def _satisfy_policies(self, call: _Call) -> None:
        """One peer first, whose answer says what is written; then those that the policies need, others where one fails.

        Nobody but the collections' members need see the private values, so they only are asked. Raises GatewayError.
        """
        left = self._ordered()
        while left and not call.answers and not call.is_refused:
            await self._ask(call, [left.pop(0)])
        if not call.answers:
            raise call.failed()
        first, ledger = call.answers[0], self._own.ledger
        written = [_written(name, one) for name, one in first.namespaces.items()]
        required = required_policies(call.proposal.chaincode, written, ledger.definitions, ledger)
        left = [one for one in left if self._holds(one, first.private)]
        while True:
            layout = self._layout(required, call.endorsers, left)
            if layout is None:
                raise call.failed() if call.details else GatewayError(Status.FAILED_PRECONDITION, NO_LAYOUT)
            failed = len(call.details)
            await self._ask(call, layout)
            if len(call.details) == failed:
                return
            left = [one for one in left if one not in layout]

    def _layout(
        self, required: Collection[Policy], endorsers: Sequence[Peer], left: Sequence[Peer]
    ) -> list[Peer] | None:
        """As few of those left, in their order, as satisfy the policies with those that endorsed; None if none do."""
        satisfied = self._own.ledger.channel.endorsement_satisfied
        signers = [one.member for one in endorsers if one.member is not None]
        layout: list[Peer] = []
        for one in left:
            if all(satisfied(policy, signers) for policy in required):
                break
            if one.member is not None:
                layout.append(one)
                signers.append(one.member)
        if not all(satisfied(policy, signers) for policy in required):
            return None
        for one in layout if required != CHANNELS else ():  # of which each counts as much as another
            others = [signer for signer in signers if signer is not one.member]
            if all(satisfied(policy, others) for policy in required):
                layout, signers = [other for other in layout if other is not one], others
        return layout

    async def _ask(self, call: _Call, peers: Sequence[Peer]) -> None:
        """All at once where the chaincode is a service, which takes its time; else one after another on this thread.

        What they answered is looked at in their order, whoever was first. Raises GatewayError.
        """
        if len(peers) > 1 and peers[0].runs_service(call.proposal.chaincode):
            asked = await asyncio.gather(*[self._answer(call, one) for one in peers], return_exceptions=True)
            for peer, answer in zip(peers, asked, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                call.take(peer, answer)
            return
        for peer in peers:
            call.take(peer, await self._answer(call, peer))
            if call.is_refused:
                return

    async def _answer(self, call: _Call, peer: Peer) -> Endorsed | str:
        """Or why there is none."""
        try:
            peer.admit(call.proposal, call.check, signature_holds=call.signature_holds)
            peer.admit_for_ordering(call.proposal, call.check.identity)
            return await peer.endorse(call.proposal, call.check)
        except ChaincodeUnknown as unknown:
            raise GatewayError(Status.FAILED_PRECONDITION, str(unknown)) from None
        except (ProposalRefused, ChaincodeFailed) as refused:
            return str(refused)

    async def signed(self, endorsers: Sequence[Peer], payload: bytes) -> list[Endorsement]:
        identities = [one.identity for one in endorsers]
        signatures = await self._signer.sign_all([(one.key, payload + one.serialized) for one in identities])
        return [Endorsement(one.serialized, signature) for one, signature in zip(identities, signatures, strict=True)]

    def _holds(self, peer: Peer, private: PrivateSets) -> bool:
        """Whether the peer's organisation is in all of these collections: nobody else need see what is in them."""
        definitions = self._own.ledger.definitions
        return all(name in entitled_collections(definitions.get(owner), peer.msp_id) for owner, name in private)

    def _ordered(self) -> list[Peer]:
        ordered = [self._own, *[one for one in self._peers if one is not self._own]]
        return [one for one in ordered if one.member is not None]

    def _chosen(self, organizations: Sequence[str]) -> list[Peer]:
        by_msp = {one.msp_id: one for one in self._peers}
        missing = [one for one in organizations if one not in by_msp]
        if missing:
            raise GatewayError(Status.UNAVAILABLE, "failed to find any endorsing peers for the organisations asked for")
        return [by_msp[one] for one in dict.fromkeys(organizations)]

    def hand_out(self, proposal: ParsedProposal, msp_id: str, private: PrivateSets) -> None:
        """To every peer whose organisation is in the collection; one mapping shared where all get the same."""
        if not private:
            return
        kept = self._own.transient.get(proposal.tx_id)
        if any(kept.get(place, value) != value for place, value in private.items()):
            said = "this transaction was endorsed before with other private values: make a new proposal"
            raise GatewayError(Status.ABORTED, FAILED, [ErrorDetail(self._own.name, self._own.msp_id, said)])
        definitions = self._own.ledger.definitions
        shared: dict[frozenset[tuple[str, str]], PrivateSets] = {}
        for peer in self._peers:
            entitled = frozenset(
                (name, collection)
                for name, collection in private
                if collection in entitled_collections(definitions.get(name), peer.msp_id)
            )
            if entitled not in shared:
                shared[entitled] = {place: value for place, value in private.items() if place in entitled}
            peer.transient.put(proposal.tx_id, msp_id, shared[entitled], peer.now_ms)


def _written(name: str, content: NamespaceSet) -> Written:
    return Written(
        name,
        [*content.writes, *content.metadata],
        {
            collection: [sha256(key.encode()).digest() for key in (*one.writes, *one.metadata)]
            for collection, one in content.collections.items()
        },
    )
