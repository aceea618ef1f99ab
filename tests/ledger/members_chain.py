"""A chain whose members change: one is suspended, one added, one gets new keys, one is resumed, one removed.

A tiny governing chaincode writes whatever membership rows a test wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from fabric_protos.common import common_pb2

from healthchain.chaincode.membership import Membership, Standing, membership_key
from healthchain.identity.folders import SigningIdentity
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.membership import GOVERNING
from healthchain.ledger.recovery import close_ledger
from healthchain.ledger.simulate import Simulator
from healthchain.wire.lifecycle import ChaincodeDefinition

from .chain_builder import COLLECTION, Consortium, Organisation, Transaction, commit_block

VALID, BAD_CREATOR, POLICY = 0, 4, 10
ACTIVE, SUSPENDED, REMOVED = (Membership(one) for one in Standing)


def rows(**changes: Membership | bytes) -> Callable[[Simulator], None]:
    """MSP ids and their rows; bytes are written as they are."""

    def run(stub: Simulator) -> None:
        for msp_id, row in changes.items():
            stub.put_state(membership_key(msp_id), row if isinstance(row, bytes) else msgspec.json.encode(row))

    return run


def as_member(organisation: Organisation) -> Membership:
    """The row that adds an organisation, or gives it these certificates instead of its old ones."""
    return Membership(Standing.ACTIVE, organisation.config().msp_config, organisation.orderer_certificate)


@dataclass
class Story:
    """One peer's ledger, and the blocks that brought it there. Orderers and endorsers go by their numbers from 0."""

    consortium: Consortium
    ledger: Ledger
    blocks: list[common_pb2.Block] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    commit_hash: bytes = b""

    @classmethod
    def begin(cls, folder: Path, organisations: int = 4) -> Story:
        consortium = Consortium(organisations)
        story = cls(consortium, consortium.open(folder))
        story.blocks.append(story.ledger.block(0))
        everybody = range(organisations)
        definitions = [consortium.definition, ChaincodeDefinition(GOVERNING, "1", 1, ())]
        defined = [consortium.define(story.ledger, one) for one in definitions]
        assert story.commit(defined, everybody) == [VALID, VALID]
        return story

    def peers(self, numbers: Sequence[int]) -> list[SigningIdentity]:
        return [self.consortium.organisations[number].peer for number in numbers]

    def client(self, number: int) -> SigningIdentity:
        return self.consortium.organisations[number].client

    def put(self, endorsers: Sequence[int], client: int = 0, key: str = "k") -> Transaction:
        """A write of the toy chaincode, public and private."""

        def run(stub: Simulator) -> None:
            stub.put_state(key, b"value")
            stub.put_private(COLLECTION, key, b"a private value")

        return self.consortium.transaction(
            self.ledger, run, endorsers=self.peers(endorsers), client=self.client(client)
        )

    def decide(self, endorsers: Sequence[int], client: int = 0, /, **changes: Membership | bytes) -> Transaction:
        return self.consortium.transaction(
            self.ledger,
            rows(**changes),
            chaincode=GOVERNING,
            endorsers=self.peers(endorsers),
            client=self.client(client),
        )

    def block(self, transactions: Sequence[Transaction], signers: Sequence[int]) -> common_pb2.Block:
        return self.consortium.block(
            self.ledger.height,
            self.ledger.tip_hash,
            [one.envelope for one in transactions],
            [number + 1 for number in signers],
        )

    def commit(self, transactions: Sequence[Transaction], signers: Sequence[int]) -> list[int]:
        """The codes. Raises BlockRefused."""
        block = self.block(transactions, signers)
        self.transactions += transactions
        codes = commit_block(self.ledger, block, self.private)
        self.blocks.append(self.ledger.block(self.ledger.height - 1))
        return codes

    @property
    def private(self) -> dict[str, dict[tuple[str, str], bytes]]:
        return {one.tx_id: dict(one.private) for one in self.transactions}

    def replace(self, number: int) -> Organisation:
        """The organisation gets an authority, a peer, an orderer and a client of the same names, with other keys."""
        before = self.consortium.organisations[number]
        self.consortium.organisations[number] = Organisation.create(before.msp_id.removesuffix("MSP"))
        return before

    def again(self, ledger: Ledger, until: int) -> None:
        """The same blocks on another peer, up to and without this one."""
        while ledger.height < until:
            commit_block(ledger, self.blocks[ledger.height], self.private)


def whole_story(folder: Path) -> Story:
    """All changes, one after another, each with what it allows and forbids in the block after. Closed."""
    story = Story.begin(folder)
    assert story.commit([story.decide([0, 1, 2], Org3MSP=SUSPENDED)], [0, 1, 3]) == [VALID]
    assert story.commit([story.put([0, 1]), story.put([0, 1, 2], client=3)], [0, 1]) == [VALID, BAD_CREATOR]
    story.consortium.organisations.append(Organisation.create("Org4"))
    newcomer = as_member(story.consortium.organisations[4])
    assert story.commit([story.decide([0, 1], Org4MSP=newcomer)], [1, 2]) == [VALID]
    assert story.commit([story.put([0, 2, 4], client=4)], [0, 1, 4]) == [VALID]
    story.replace(1)
    renewed = as_member(story.consortium.organisations[1])
    assert story.commit([story.decide([0, 2, 4], Org1MSP=renewed)], [0, 2, 4]) == [VALID]
    assert story.commit([story.put([0, 1, 4], client=1)], [0, 1, 4]) == [VALID]
    assert story.commit([story.decide([0, 1, 4], Org3MSP=ACTIVE, Org2MSP=REMOVED)], [0, 1, 4]) == [VALID]
    assert story.commit([story.put([1, 3, 4], client=3), story.put([0, 1, 2])], [1, 3, 4]) == [VALID, POLICY]
    story.commit_hash = story.ledger.state.commit_hash
    close_ledger(story.ledger)
    return story
