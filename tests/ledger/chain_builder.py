"""A consortium with real keys, and blocks whose transactions it endorsed, ordered and signed.

What a transaction does is a function over the simulator; it runs against a peer's own ledger, as at endorsement.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_event_pb2, proposal_response_pb2

from healthchain.chaincode.stub import Caller
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.keys import signature_holds
from healthchain.identity.msp import encode_msp_config, serialize_identity
from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Commit, Ledger
from healthchain.ledger.private import matching_bodies
from healthchain.ledger.quorum import check_block
from healthchain.ledger.recovery import open_ledger
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.validate import SignatureCheck, decode_transactions, preliminary_codes
from healthchain.ledger.view import View
from healthchain.wire import block as wire_block
from healthchain.wire.block import OrdererSignature, PrivateSets
from healthchain.wire.channel import ChannelConfig, Consenter, Organization, genesis_block
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, definition_writes
from healthchain.wire.proposal import Proposal, build_proposal, parse_proposal
from healthchain.wire.rwset import NamespaceSet, encode_private, encode_public
from healthchain.wire.transaction import Endorsement, endorsed_payload, envelope, transaction_payload

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
START_NS = 1_700_000_000_000_000_000
CHANNEL = "health"
TOY = "toy"
COLLECTION = "values"
BOOT = "boot 1"

Run = Callable[[Simulator], object]


@dataclass(frozen=True)
class Transaction:
    """`private` is what endorsers hand to the peers; it is in no block."""

    tx_id: str
    envelope: bytes
    private: PrivateSets = field(default_factory=dict)


@dataclass
class Organisation:
    """One peer, orderer and client of a member."""

    msp_id: str
    authority: CertificateAuthority
    tls_root: bytes
    peer: SigningIdentity
    orderer: SigningIdentity
    orderer_certificate: bytes
    client: SigningIdentity

    @classmethod
    def create(cls, name: str) -> Organisation:
        authority = CertificateAuthority.create(f"ca.{name}", name, NOW)
        peer = authority.issue(f"peer0.{name}", NodeOU.PEER, NOW)
        orderer = authority.issue(f"orderer0.{name}", NodeOU.ORDERER, NOW)
        client = authority.issue(f"user.{name}", NodeOU.CLIENT, NOW)
        msp_id = f"{name}MSP"
        signers = [
            SigningIdentity(msp_id, serialize_identity(msp_id, one.certificate), one.key)
            for one in (peer, orderer, client)
        ]
        return cls(msp_id, authority, authority.certificate, signers[0], signers[1], orderer.certificate, signers[2])

    def config(self) -> Organization:
        msp = encode_msp_config(self.msp_id, self.authority.certificate, self.tls_root)
        return Organization(self.msp_id, self.msp_id, msp)


class Consortium:
    """N organisations; makes the transactions and blocks that they would agree on."""

    def __init__(self, organisations: int = 4) -> None:
        self.organisations = [Organisation.create(f"Org{index}") for index in range(organisations)]
        consenters = [
            Consenter(index, f"orderer{index}.example", 7050, one.msp_id, one.orderer_certificate)
            for index, one in enumerate(self.organisations, start=1)
        ]
        config = ChannelConfig(CHANNEL, tuple(one.config() for one in self.organisations), tuple(consenters))
        self.genesis = genesis_block(config, b"ordering service", bytes(24), START_NS // 10**9)
        self.channel = Channel(self.genesis)
        self.definition = ChaincodeDefinition(
            TOY, "1", 1, (Collection(COLLECTION, tuple(one.msp_id for one in self.organisations)),)
        )
        self._made = 0

    @property
    def majority(self) -> list[SigningIdentity]:
        return [one.peer for one in self.organisations[: len(self.organisations) // 2 + 1]]

    def open(self, folder: Path, boot_id: str = BOOT) -> Ledger:
        return open_ledger(folder, self.genesis, boot_id)

    def proposal(self, chaincode: str = TOY, client: SigningIdentity | None = None) -> Proposal:
        """A new one each time; nonces and times count up, so that a run repeats but for its keys."""
        self._made += 1
        return build_proposal(
            creator=(client or self.organisations[0].client).serialized,
            nonce=sha256(self._made.to_bytes(8, "big")).digest()[:24],
            channel_id=CHANNEL,
            chaincode=chaincode,
            args=[b"run"],
            transient={},
            timestamp_ns=START_NS + self._made * 1_000_000,
        )

    def transaction(
        self,
        view: View,
        run: Run,
        *,
        chaincode: str = TOY,
        endorsers: Sequence[SigningIdentity] | None = None,
        proposal: Proposal | None = None,
        client: SigningIdentity | None = None,
    ) -> Transaction:
        """Simulated, endorsed by a majority and signed by the first organisation's client."""
        client = client or self.organisations[0].client
        proposal = proposal or self.proposal(chaincode, client)
        simulator = simulate(view, run, chaincode, proposal.tx_id)
        parsed = parse_proposal(proposal.bytes_)
        response = proposal_response_pb2.Response(status=200, payload=b"done")
        payload = endorsed_payload(
            parsed, encode_public(simulator.namespaces), _event(simulator, chaincode, proposal.tx_id), response, "1"
        )
        endorsements = [
            Endorsement(one.serialized, one.key.sign(payload + one.serialized))
            for one in (self.majority if endorsers is None else endorsers)
        ]
        outer = transaction_payload(parsed, payload, endorsements)
        signature = client.key.sign(outer)
        return Transaction(proposal.tx_id, envelope(outer, signature), encode_private(simulator.namespaces))

    def define(self, view: View, definition: ChaincodeDefinition | None = None) -> Transaction:
        """The members agree on the chaincode; until then no transaction of it is valid."""

        def run(stub: Simulator) -> None:
            for key, value in definition_writes(definition or self.definition).items():
                stub.put_state(key, value)

        return self.transaction(view, run, chaincode=LIFECYCLE)

    def block(
        self, number: int, previous_hash: bytes, envelopes: Sequence[bytes], signers: Iterable[int] | None = None
    ) -> common_pb2.Block:
        """Signed by these consenters; by default as few as suffice."""
        made = wire_block.new_block(number, previous_hash, envelopes)
        sign_block(self, made, range(1, self.channel.quorum + 1) if signers is None else signers)
        return made

    def next_block(self, ledger: Ledger, transactions: Sequence[Transaction]) -> common_pb2.Block:
        return self.block(ledger.height, ledger.tip_hash, [one.envelope for one in transactions])

    def commit(self, ledger: Ledger, transactions: Sequence[Transaction]) -> list[int]:
        """Order, validate and apply one block on one peer; the codes."""
        return commit_block(
            ledger, self.next_block(ledger, transactions), {one.tx_id: one.private for one in transactions}
        )

    def start(self, folder: Path, boot_id: str = BOOT) -> Ledger:
        """A new ledger with the toy chaincode defined in block 1."""
        ledger = self.open(folder, boot_id)
        assert self.commit(ledger, [self.define(ledger)]) == [0]
        return ledger


def simulate(view: View, run: Run, chaincode: str = TOY, tx_id: str = "0" * 64) -> Simulator:
    simulator = Simulator(
        view,
        namespace=chaincode,
        channel_id=CHANNEL,
        tx_id=tx_id,
        timestamp_ms=START_NS // 10**6,
        caller=Caller("Org0MSP", "user", {}),
        transient={},
        collections=frozenset({COLLECTION}),
    )
    run(simulator)
    return simulator


def unsigned(written: Mapping[str, NamespaceSet]) -> bytes:
    """The envelope of a read-write set, signed by nobody: for what only decodes."""
    proposal = parse_proposal(
        build_proposal(
            creator=b"nobody",
            nonce=bytes(24),
            channel_id=CHANNEL,
            chaincode=TOY,
            args=[],
            transient={},
            timestamp_ns=START_NS,
        ).bytes_
    )
    response = proposal_response_pb2.Response(status=200)
    payload = endorsed_payload(proposal, encode_public(written), b"", response, "1")
    return envelope(transaction_payload(proposal, payload, []), b"")


def sign_block(consortium: Consortium, made: common_pb2.Block, signers: Iterable[int]) -> None:
    value, header = wire_block.orderer_metadata(0), wire_block.encoded_header(made)
    signatures = []
    for consenter in signers:
        identifier = wire_block.identifier_header(consenter, bytes(24))
        key = consortium.organisations[consenter - 1].orderer.key
        signature = key.sign(wire_block.signed_bytes(value, identifier, header))
        signatures.append(OrdererSignature(consenter, identifier, signature))
    wire_block.put_signatures(made, value, signatures)


def verdict(check: SignatureCheck) -> bool:
    return signature_holds(check.identity.public_key, check.digest, check.signature)


def prepare_block(
    ledger: Ledger,
    made: common_pb2.Block,
    private: Mapping[str, PrivateSets],
    *,
    held: bool = True,
    bodies: Mapping[bytes, bytes] | None = None,
) -> Commit:
    """All that comes before the disk; `held` False for a peer that was handed no private value.

    `bodies` instead of `private` for a peer that catches up from another.
    """
    block = common_pb2.Block()
    block.CopyFrom(made)
    check_block(block, ledger.height, ledger.tip_hash, ledger.channel, verdict)
    decoded = decode_transactions(block.data.data, ledger.channel)
    codes = preliminary_codes(
        decoded,
        verdict,
        ledger.channel,
        ledger.definitions,
        lambda tx_id: ledger.transaction(tx_id) is not None,
        ledger,
    )
    matching: dict[bytes, bytes] = dict(bodies or {})
    for one, code in zip(decoded, codes, strict=True):
        if held and code == 0 and one.header is not None and one.action is not None:
            matching |= matching_bodies(one.action, private.get(one.header.tx_id, {}))
    return ledger.prepare(block, decoded, codes, matching)


def commit_block(
    ledger: Ledger, made: common_pb2.Block, private: Mapping[str, PrivateSets], *, held: bool = True
) -> list[int]:
    commit = prepare_block(ledger, made, private, held=held)
    commit.write()
    ledger.apply(commit)
    return list(commit.codes)


def _event(simulator: Simulator, chaincode: str, tx_id: str) -> bytes:
    if simulator.event is None:
        return b""
    name, payload = simulator.event
    return chaincode_event_pb2.ChaincodeEvent(
        chaincode_id=chaincode, tx_id=tx_id, event_name=name, payload=payload
    ).SerializeToString()
