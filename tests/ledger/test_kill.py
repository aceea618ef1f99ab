"""A process that commits blocks is killed again and again: what it acknowledged is there, and all of it is right."""

from __future__ import annotations

import pickle
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2

from healthchain.ledger import fsck
from healthchain.ledger.recovery import close_ledger
from healthchain.ledger.simulate import Simulator
from healthchain.wire.block import commit_hash

from . import crash_child
from .chain_builder import COLLECTION, Consortium, Run, Transaction
from .crashes import traces


@dataclass
class Prepared:
    """Blocks as orderers made and one peer committed them, and where the child finds them."""

    consortium: Consortium
    file: Path
    commit_hashes: list[bytes]


def prepare(consortium: Consortium, folder: Path, blocks: int) -> Prepared:
    """Writes, conflicts, private values that are overwritten, deleted and purged."""
    ledger = consortium.start(folder / "reference")
    made: list[list[Transaction]] = []
    for number in range(blocks):
        made.append([consortium.transaction(ledger, _run(number, index)) for index in range(3)])
        consortium.commit(ledger, made[-1])
    stored = [ledger.block(number) for number in range(ledger.height)]
    close_ledger(ledger)
    encoded = [one.SerializeToString() for one in stored]
    private = {one.tx_id: dict(one.private) for block in made for one in block}
    file = folder / "prepared"
    file.write_bytes(pickle.dumps((encoded, private)))
    return Prepared(consortium, file, [commit_hash(one) for one in stored])


def _run(number: int, index: int) -> Run:
    key = f"k{number % 7}"

    def run(stub: Simulator) -> None:
        stub.put_state(f"{key} {index % 2}", (stub.get_state(f"{key} {index % 2}") or b"")[-20:] + b"%d" % number)
        if number % 5 == 4:
            stub.purge_private(COLLECTION, f"p{(number - 2) % 7} {index}")
        stub.put_private(COLLECTION, f"p{number % 7} {index}", b"value %d %d " % (number, index) * 20)
        if number % 11 == 3:
            stub.delete_private(COLLECTION, f"p{(number - 1) % 7} {index}")

    return run


def kill_often(prepared: Prepared, folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    acknowledged = 0
    for _ in range(kills):
        acknowledged = max(acknowledged, _killed(prepared, folder, chance))
        check(prepared, folder, acknowledged)
    assert acknowledged > kills, "it came on between the kills"


def _killed(prepared: Prepared, folder: Path, chance: random.Random) -> int:
    """The height that it acknowledged before it was killed, a while after some block."""
    command = [sys.executable, crash_child.__file__, str(folder), str(prepared.file)]
    height = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        assert child.stdout is not None
        opened = child.stdout.readline().split()
        assert opened[0] == "open"
        for _ in range(chance.randint(1, 12)):
            line = child.stdout.readline()
            height = int(line) + 1 if line else height
        time.sleep(chance.random() * 0.003)
        child.send_signal(signal.SIGKILL)
        for line in child.stdout:
            height = int(line) + 1 if line.endswith("\n") else height
    return height


def check(prepared: Prepared, folder: Path, acknowledged: int) -> None:
    ledger = prepared.consortium.open(folder, "boot")
    assert ledger.height >= acknowledged
    assert ledger.state.commit_hash == prepared.commit_hashes[ledger.height - 1]
    close_ledger(ledger)
    assert fsck.check(folder, prepared.consortium.genesis).findings == []


def test_a_few_kills(consortium: Consortium, tmp_path: Path) -> None:
    kill_often(prepare(consortium, tmp_path, 80), tmp_path / "peer", 5, 1)


@pytest.mark.crash
def test_many_kills(consortium: Consortium, tmp_path: Path) -> None:
    prepared = prepare(consortium, tmp_path, 1000)
    kill_often(prepared, tmp_path / "peer", 100, 2)
    ledger = prepared.consortium.open(tmp_path / "peer")
    blocks, private = pickle.loads(prepared.file.read_bytes())  # noqa: S301
    for number in range(ledger.height, len(blocks)):
        crash_child._commit(ledger, common_pb2.Block.FromString(blocks[number]), private)
    assert ledger.state.commit_hash == prepared.commit_hashes[-1]
    close_ledger(ledger)
    report = fsck.check(tmp_path / "peer", consortium.genesis)
    assert report.findings == []
    assert fsck.compare({"killed": report, "other": fsck.check(tmp_path / "reference", consortium.genesis)}) == []
    assert traces(tmp_path / "peer", b"value 2 0 ") == [], "purged in block 4"
