"""Which peers must endorse a proposal, and one transaction out of their answers (Fabric gateway/endorse.go).

Possible results of `collect`, as in Fabric: a payload with enough endorsements; FAILED_PRECONDITION for an unknown
chaincode, or if those who may see the private data are too few; UNAVAILABLE for an organisation without peers; ABORTED
with a detail for each peer that refused or whose payload differs.
"""

from __future__ import annotations

from collections.abc import Sequence

from healthchain.ledger.validate import SignatureCheck
from healthchain.network.execution import ChaincodeFailed, entitled_collections
from healthchain.network.peer import ChaincodeUnknown, Endorsed, Peer, ProposalRefused
from healthchain.network.signer import Signer
from healthchain.wire.block import PrivateSets
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status
from healthchain.wire.proposal import ParsedProposal
from healthchain.wire.transaction import Endorsement

FAILED = "failed to endorse transaction, see attached details for more info"
TOO_FEW = "failed to collect enough transaction endorsements, see attached details for more info"
NO_LAYOUT = (
    "no combination of peers, of the collections' members if there is private data, satisfies the endorsement policies:"
    " name the endorsing organisations"
)


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
        candidates = self._chosen(organizations) if organizations else self._ordered()
        needed = len(candidates) if organizations else self._own.ledger.channel.majority
        answers: list[Endorsed] = []
        endorsers: list[Peer] = []
        details: list[ErrorDetail] = []
        for peer in candidates:
            if answers and not organizations and not self._holds(peer, answers[0].private):
                continue
            try:
                peer.admit(proposal, check, signature_holds=signature_holds)
                peer.admit_for_ordering(proposal, check.identity)
                answer = await peer.endorse(proposal, check)
            except ChaincodeUnknown as unknown:
                raise GatewayError(Status.FAILED_PRECONDITION, str(unknown)) from None
            except (ProposalRefused, ChaincodeFailed) as refused:
                details.append(ErrorDetail(peer.name, peer.msp_id, str(refused)))
                continue
            if not answer.payload:
                said = f"chaincode response {answer.response.status}, {answer.response.message}"
                details.append(ErrorDetail(peer.name, peer.msp_id, said))
                if not answers:
                    break  # the contract says no: the others would say the same
                continue
            if answers and answer.payload != answers[0].payload:
                details.append(ErrorDetail(peer.name, peer.msp_id, "ProposalResponsePayloads do not match"))
                continue
            answers.append(answer)
            endorsers.append(peer)
            concerned = [proposal.chaincode, *sorted(answer.written)]
            if all(self._enough(one, endorsers, needed, explicit=bool(organizations)) for one in concerned):
                break
        else:
            if answers and not details:
                raise GatewayError(Status.FAILED_PRECONDITION, NO_LAYOUT)
            raise GatewayError(Status.ABORTED, TOO_FEW if answers else FAILED, details)
        if not answers:
            raise GatewayError(Status.ABORTED, FAILED, details)
        self.hand_out(proposal, check.identity.msp_id, answers[0].private)
        payload = answers[0].payload
        return payload, await self.signed(endorsers, payload)

    async def signed(self, endorsers: Sequence[Peer], payload: bytes) -> list[Endorsement]:
        identities = [one.identity for one in endorsers]
        signatures = await self._signer.sign_all([(one.key, payload + one.serialized) for one in identities])
        return [Endorsement(one.serialized, signature) for one, signature in zip(identities, signatures, strict=True)]

    def _enough(self, chaincode: str, endorsers: Sequence[Peer], needed: int, *, explicit: bool) -> bool:
        definition = self._own.ledger.definitions.get(chaincode)
        if explicit or definition is None or definition.signature_policy is None:
            return len(endorsers) >= needed
        members = [one.member for one in endorsers if one.member is not None]
        return self._own.ledger.channel.endorsement_satisfied(definition, members)

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
