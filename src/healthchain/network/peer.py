"""One organisation's peer: it endorses proposals by running the chaincode against its own ledger.

The checks are numbered as Fabric makes them (core/endorser/{msgvalidation,endorser}.go, core/handlers/auth/filter).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from fabric_protos.peer import chaincode_event_pb2, proposal_response_pb2

from healthchain.chaincode.stub import Caller
from healthchain.errors import HealthChainError
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import Identity, IdentityRefused
from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.validate import SignatureCheck
from healthchain.ledger.view import View
from healthchain.network.clock import Clock
from healthchain.network.cscc import CSCC, Cscc
from healthchain.network.execution import Chaincode, Execution, Service, entitled_collections
from healthchain.network.qscc import QSCC, Qscc
from healthchain.network.transient import TransientStore
from healthchain.wire.block import PrivateSets
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, sequence_key
from healthchain.wire.proposal import ParsedProposal
from healthchain.wire.rwset import NamespaceSet, encode
from healthchain.wire.transaction import endorsed_payload

CLOCK_SKEW_MS_MAX = 5 * 60 * 1000
ERROR_FROM = 400
NOTHING: Mapping[str, NamespaceSet] = MappingProxyType({})
SYSTEM = frozenset((LIFECYCLE, QSCC, CSCC))
"""Chaincodes that no definition has to be agreed for."""


class ProposalRefused(HealthChainError):
    """The peer does not even run it: who sent it, or what, is not in order."""


class ChaincodeUnknown(ProposalRefused):
    """No chaincode of this name is defined on the channel."""


class Endorsed(NamedTuple):
    """What one peer answers, before it signs: `payload` is empty if the chaincode refused (status >= 400).

    `namespaces` are what is in it, by which it is found out whose endorsements it needs.
    """

    response: proposal_response_pb2.Response
    payload: bytes
    private: PrivateSets
    namespaces: Mapping[str, NamespaceSet] = NOTHING


class Peer:
    """`approved` are the definitions that this organisation agreed to run: it endorses no other."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        identity: SigningIdentity,
        chaincodes: Mapping[str, Chaincode | Service],
        clock_ms: Clock,
    ) -> None:
        self.name = name
        self.msp_id = identity.msp_id
        self.ledger = ledger
        self.transient = TransientStore()
        self.identity = identity
        self._member: tuple[Channel, Identity | None] | None = None
        self._chaincodes = {**chaincodes, QSCC: Qscc(ledger), CSCC: Cscc(ledger)}
        self._clock_ms = clock_ms

    @property
    def member(self) -> Identity | None:
        """This peer as the others see it now; None while its organisation takes no part, or has replaced its keys."""
        channel = self.ledger.channel
        if self._member is None or self._member[0] is not channel:
            try:
                self._member = channel, channel.msps.identify(self.identity.serialized)
            except IdentityRefused:
                self._member = channel, None
        return self._member[1]

    def admit(self, proposal: ParsedProposal, check: SignatureCheck, *, signature_holds: bool) -> None:
        """1. this peer itself; 2. channel; 3. signature; 4. clock and expiry; 5. a new id. Raises ProposalRefused."""
        if self.member is None:
            raise ProposalRefused("the organisation of this peer takes no part in the channel: ask another's")
        if not self._serves(proposal):
            raise ProposalRefused("this peer is not on the channel that the proposal names")
        if not signature_holds:
            raise ProposalRefused("the proposal's signature is not its creator's")
        now_ms = self._clock_ms()
        if abs(proposal.timestamp_ns // 1_000_000 - now_ms) > CLOCK_SKEW_MS_MAX:
            raise ProposalRefused("the proposal's timestamp is more than five minutes from the peer's: set the clock")
        try:
            check.identity.require_unexpired(now_ms)
        except IdentityRefused as refused:
            raise ProposalRefused(f"proposal client identity expired: {refused}") from None
        if self.ledger.transaction(proposal.tx_id) is not None:
            raise ProposalRefused("duplicate transaction found: send a new proposal")

    @property
    def now_ms(self) -> int:
        return self._clock_ms()

    def require_unexpired(self, identity: Identity) -> None:
        """By this peer's clock. Raises IdentityRefused."""
        identity.require_unexpired(self._clock_ms())

    def _serves(self, proposal: ParsedProposal) -> bool:
        """What a peer itself is asked, through its system chaincodes, may leave the header's channel open."""
        asks_peer = proposal.chaincode in (QSCC, CSCC) and not proposal.channel_id
        return asks_peer or proposal.channel_id == self.ledger.channel.id

    def runs_service(self, chaincode: str) -> bool:
        """Whether the chaincode is a process of its own."""
        return isinstance(self._chaincodes.get(chaincode), Service)

    def only_reads(self, proposal: ParsedProposal) -> bool:
        """Whether it can only be evaluated."""
        chaincode = self._chaincodes.get(proposal.chaincode)
        return chaincode is not None and chaincode.only_reads(proposal.args)

    def admit_for_ordering(self, proposal: ParsedProposal, creator: Identity) -> None:
        """A read's answer in a block would be there for ever, beyond any purge. Raises ProposalRefused."""
        if self.only_reads(proposal):
            raise ProposalRefused("this function only reads: evaluate it")
        if self.transient.is_full(creator.msp_id, self._clock_ms()):
            raise ProposalRefused("too many transactions were endorsed here and not submitted: try again later")

    async def endorse(self, proposal: ParsedProposal, check: SignatureCheck) -> Endorsed:
        """Simulate; `admit` comes before, `sign` after. Raises ChaincodeUnknown, ChaincodeFailed.

        `check` is that of the proposal's creator and signature, which holds.
        """
        definition = self._definition(proposal.chaincode)
        if isinstance(self._chaincodes[proposal.chaincode], Service):
            with self.ledger.snapshot() as view:
                return await self._simulated(view, definition, proposal, check)
        return await self._simulated(self.ledger, definition, proposal, check)

    async def _simulated(
        self, view: View, definition: ChaincodeDefinition | None, proposal: ParsedProposal, check: SignatureCheck
    ) -> Endorsed:
        simulator = self._simulator(view, proposal, check.identity, definition)
        signed = proposal.bytes_, check.signature
        execution = Execution(self.name, self._chaincodes, self.ledger.definitions, *signed)
        done = await execution.run(proposal.chaincode, simulator, proposal.args, is_init=proposal.is_init)
        response = proposal_response_pb2.Response(status=done.status, message=done.message, payload=done.payload)
        if response.status >= ERROR_FROM:
            return Endorsed(response, b"", {})
        version = definition.version if definition else "1"
        public, private = encode(simulator.namespaces)
        payload = endorsed_payload(proposal, public, _event(simulator, proposal), response, version)
        return Endorsed(response, payload, private, simulator.namespaces)

    def _definition(self, chaincode: str) -> ChaincodeDefinition | None:
        definition = self.ledger.definitions.get(chaincode)
        if chaincode not in self._chaincodes or (definition is None and chaincode not in SYSTEM):
            raise ChaincodeUnknown("no chaincode of this name is defined on the channel")
        return definition

    def _simulator(
        self, view: View, proposal: ParsedProposal, creator: Identity, definition: ChaincodeDefinition | None
    ) -> Simulator:
        simulator = Simulator(
            view,
            namespace=proposal.chaincode,
            channel_id=proposal.channel_id,
            tx_id=proposal.tx_id,
            timestamp_ms=proposal.timestamp_ns // 1_000_000,
            caller=Caller(creator.msp_id, creator.common_name, creator.attributes, creator.role.value),
            transient=proposal.transient,
            collections=entitled_collections(definition, creator.msp_id),
        )
        if definition is not None:
            simulator.read_foreign(LIFECYCLE, sequence_key(definition.name))
        return simulator


def _event(simulator: Simulator, proposal: ParsedProposal) -> bytes:
    if simulator.event is None:
        return b""
    name, payload = simulator.event
    return chaincode_event_pb2.ChaincodeEvent(
        chaincode_id=proposal.chaincode, tx_id=proposal.tx_id, event_name=name, payload=payload
    ).SerializeToString()
