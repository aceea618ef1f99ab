"""Four blocks with a purge in the last, and what a peer has on its disk when all went well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common import common_pb2

from healthchain.ledger import fsck
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.recovery import MARKER, close_ledger
from healthchain.ledger.simulate import Simulator

from .chain_builder import BOOT, COLLECTION, Consortium, Transaction, commit_block
from .crashes import files, tables

RESTARTED = "another boot"
SECRET = b"the first value of p"


def _fill(stub: Simulator) -> None:
    stub.put_state("a", b"1")
    stub.put_state("b", b"1")
    stub.put_private(COLLECTION, "p", SECRET)
    stub.put_private(COLLECTION, "q", b"the value of q")


def _change(stub: Simulator) -> None:
    stub.put_state("a", b"2")
    stub.put_private(COLLECTION, "p", b"the second value of p")
    stub.put_private(COLLECTION, "r", b"the value of r")


def _purge(stub: Simulator) -> None:
    stub.delete_state("b")
    stub.purge_private(COLLECTION, "p")
    stub.delete_private(COLLECTION, "q")
    stub.put_private(COLLECTION, "s", b"the value of s")


@dataclass
class Chain:
    """Four blocks: definition, fill, change, purge; and what a peer has when all went well."""

    consortium: Consortium
    folder: Path
    blocks: list[common_pb2.Block]
    private: dict[str, Transaction]
    tables: dict[bytes, list[tuple[bytes, bytes]]]
    files: dict[str, bytes]

    def commit(self, ledger: Ledger, until: int) -> None:
        """From its height up to and without this block."""
        while ledger.height < until:
            commit_block(ledger, self.blocks[ledger.height], self.sets)

    @property
    def sets(self) -> dict[str, dict[tuple[str, str], bytes]]:
        return {tx_id: dict(one.private) for tx_id, one in self.private.items()}

    def assert_complete(self, ledger: Ledger) -> None:
        assert tables(ledger) == self.tables
        assert files(ledger.folder) == self.files
        close_ledger(ledger)
        assert fsck.check(ledger.folder, self.consortium.genesis).findings == []


def build(consortium: Consortium, folder: Path) -> Chain:
    ledger = consortium.open(folder)
    made: dict[str, Transaction] = {}
    for run in (None, _fill, _change, _purge):
        one = consortium.transaction(ledger, run) if run else consortium.define(ledger)
        made[one.tx_id] = one
        assert consortium.commit(ledger, [one]) == [0]
    blocks = [ledger.block(number) for number in range(ledger.height)]
    found = Chain(consortium, folder, blocks, made, tables(ledger), files(folder))
    close_ledger(ledger)
    return found


def unclean(peer: Path, boot_id: str = BOOT) -> None:
    """As if it had not been closed."""
    (peer / MARKER).write_text(boot_id)
