"""The process that `test_kill` kills: commits prepared blocks to a ledger and says which ones are acknowledged.

Arguments: the peer's folder, and a file with the blocks and private values (see `test_kill.Prepared`).
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from fabric_protos.common import common_pb2

from healthchain.identity.keys import signature_holds
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import matching_bodies
from healthchain.ledger.quorum import check_block
from healthchain.ledger.recovery import open_ledger
from healthchain.ledger.segments import SegmentedLog
from healthchain.ledger.validate import SignatureCheck, decode_transactions, preliminary_codes

SMALL_SEGMENT_BYTES = 20_000
"""So that blocks and private values roll over into new files all the time."""


def main(folder: Path, prepared: Path) -> None:
    blocks, private = pickle.loads(prepared.read_bytes())  # noqa: S301 (written by the test that runs us)
    defaults = SegmentedLog.__init__.__kwdefaults__
    assert defaults is not None
    defaults["segment_bytes_max"] = SMALL_SEGMENT_BYTES
    ledger = open_ledger(folder, common_pb2.Block.FromString(blocks[0]), "boot")
    print("open", ledger.height, flush=True)
    for number in range(ledger.height, len(blocks)):
        _commit(ledger, common_pb2.Block.FromString(blocks[number]), private)
        print(number, flush=True)


def _commit(ledger: Ledger, block: common_pb2.Block, private: dict[str, dict[tuple[str, str], bytes]]) -> None:
    check_block(block, ledger.height, ledger.tip_hash, ledger.channel, _holds)
    decoded = decode_transactions(block.data.data, ledger.channel)
    codes = preliminary_codes(
        decoded, _holds, ledger.channel, ledger.definitions, lambda tx_id: ledger.transaction(tx_id) is not None, ledger
    )
    bodies: dict[bytes, bytes] = {}
    for one in decoded:
        if one.header is not None and one.action is not None:
            bodies |= matching_bodies(one.action, private.get(one.header.tx_id, {}))
    commit = ledger.prepare(block, decoded, codes, bodies)
    commit.write()
    ledger.apply(commit)


def _holds(check: SignatureCheck) -> bool:
    return signature_holds(check.identity.public_key, check.digest, check.signature)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
