"""A full disk, a peer that was down, a second process, Ctrl-C, a kill: nothing acknowledged is lost, peers agree."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import healthchain.ledger.segments as segments
from healthchain.client.errors import SubmitFailed
from healthchain.ledger.ledger import Commit
from healthchain.ledger.recovery import MARKER
from healthchain.network.committer import StorageFailed
from healthchain.network.network import FolderInUse, Network, peer_folder
from healthchain.wire.gateway import Status

from .test_private import on_disk, value_on
from .toy import ALL, NAMES, SOME, connect, run


def agreed(network: Network) -> int:
    """The height, tip and commit hash that all peers have."""
    found = {(one.ledger.height, one.ledger.tip_hash, one.ledger.state.commit_hash) for one in network.peers.values()}
    assert len(found) == 1
    return next(iter(found))[0]


# A full disk


def _inodes(folder: Path) -> set[int]:
    return {one.stat().st_ino for one in folder.rglob("*") if one.is_file()}


@contextlib.contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, peer: Path, call: str) -> Iterator[None]:
    """No write to this peer's logs succeeds: at once, after half of the bytes, or when they should become durable."""
    broken, pwrite, sync = _inodes(peer / "blocks") | _inodes(peer / "private"), os.pwrite, segments._sync_data
    full = OSError(errno.ENOSPC, "No space left on device")

    def failing_pwrite(file: int, data: memoryview, offset: int) -> int:
        if os.fstat(file).st_ino in broken and call != "sync":
            if call == "half" and len(data) > 1:
                return pwrite(file, data[: len(data) // 2], offset)
            raise full
        return pwrite(file, data, offset)

    def failing_sync(file: int) -> None:
        if os.fstat(file).st_ino in broken and call == "sync":
            raise full
        sync(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", failing_pwrite)
        patched.setattr(segments, "_sync_data", failing_sync)
        yield


@pytest.mark.parametrize("call", ["at once", "half", "sync"])
@pytest.mark.parametrize("broken", ["north", "payer"])
def test_a_full_disk_stops_the_network_and_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str, call: str
) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("PutPrivate", ALL.encode(), b"before", transient={"value": b"acknowledged"})
        with full_disk(monkeypatch, peer_folder(folder, broken), call):
            transaction = await north.proposal(
                "PutPrivate", ALL.encode(), b"during", transient={"value": b"not acknowledged"}
            ).endorse()
            commit = await transaction.submit()
            with pytest.raises(StorageFailed, match=r"No space left on device.*free space"):
                await commit.committed()
        later = await north.proposal("Put", b"later", b"v").endorse()
        with pytest.raises(SubmitFailed, match="has stopped") as caught:
            await later.submit()
        assert caught.value.status is Status.UNAVAILABLE

    async def reopened(network: Network) -> None:
        agreed(network)
        values = [value_on(one.ledger, ALL, "before") for one in network.peers.values()]
        assert values == [b"acknowledged"] * 4
        during = {value_on(one.ledger, ALL, "during") for one in network.peers.values()}
        assert during in ({b"not acknowledged"}, {None})
        await connect(network, folder, "south").submit("Put", b"again", b"v")
        agreed(network)

    run(folder, scenario)
    run(folder, reopened)


# A peer that was down, or was restored from a backup


def test_a_peer_that_is_behind_catches_up_with_the_values_it_is_entitled_to(folder: Path, tmp_path: Path) -> None:
    everyone, three = b"a value for everybody", b"a value for three of four"

    async def write(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("PutPrivate", ALL.encode(), b"a", transient={"value": everyone})
        await north.submit("PutPrivate", SOME.encode(), b"s", transient={"value": three})
        await north.submit("Put", b"k", b"v")

    async def check(network: Network) -> None:
        agreed(network)
        for name in NAMES:
            ledger = network.peers[name].ledger
            assert value_on(ledger, ALL, "a") == everyone
            assert value_on(ledger, SOME, "s") == (three if name != "state" else "missing")
        # From the gateways of those that were down.
        assert await connect(network, folder, "south").evaluate("GetPrivate", SOME.encode(), b"s") == three
        await connect(network, folder, "state", "administrator").submit("Put", b"k", b"w")

    behind = ("north", "south", "state")
    for name in behind:
        shutil.copytree(peer_folder(folder, name), tmp_path / name)
    run(folder, write)
    for name in behind:
        shutil.rmtree(peer_folder(folder, name))
        shutil.copytree(tmp_path / name, peer_folder(folder, name))
    run(folder, check)
    assert [on_disk(folder, name, three) for name in NAMES] == [True, True, True, False]


def test_a_peer_with_nothing_at_all_catches_up(folder: Path) -> None:
    async def write(network: Network) -> None:
        await connect(network, folder, "north").submit("PutPrivate", ALL.encode(), b"a", transient={"value": b"v"})

    async def check(network: Network) -> None:
        agreed(network)
        assert value_on(network.peers["payer"].ledger, ALL, "a") == b"v"

    run(folder, write)
    shutil.rmtree(peer_folder(folder, "payer"))
    run(folder, check)


def test_values_come_from_whichever_peer_holds_them(folder: Path) -> None:
    """The highest peer, which the blocks come from, may be outside the collection."""

    async def write(network: Network) -> None:
        await connect(network, folder, "north").submit("PutPrivate", SOME.encode(), b"s", transient={"value": b"v"})

    async def check(network: Network) -> None:
        agreed(network)
        assert [value_on(network.peers[name].ledger, SOME, "s") for name in NAMES] == [b"v", b"v", b"v", "missing"]

    run(folder, write)
    shutil.rmtree(peer_folder(folder, "north"))
    run(folder, check)


def test_a_backup_with_a_purged_value_loses_it_when_it_is_opened(folder: Path, tmp_path: Path) -> None:
    secret = b"purged while this peer was down"

    async def write(network: Network) -> None:
        await connect(network, folder, "north").submit("PutPrivate", ALL.encode(), b"k", transient={"value": secret})

    async def purge(network: Network) -> None:
        await connect(network, folder, "north").submit("Purge", ALL.encode(), b"k")

    async def look(network: Network) -> None:
        agreed(network)

    run(folder, write)
    shutil.copytree(peer_folder(folder, "south"), tmp_path / "backup")
    run(folder, purge)
    shutil.rmtree(peer_folder(folder, "south"))
    shutil.copytree(tmp_path / "backup", peer_folder(folder, "south"))
    assert on_disk(folder, "south", secret)
    run(folder, look)
    assert not any(on_disk(folder, name, secret) for name in NAMES)


# Another process, Ctrl-C, kill


def test_a_folder_is_open_once_at_a_time(folder: Path) -> None:
    async def idle(network: Network) -> None:
        pass

    async def scenario(network: Network) -> None:
        with pytest.raises(FolderInUse, match="another process"):
            await asyncio.to_thread(run, folder, idle)
        await connect(network, folder, "north").submit("Put", b"k", b"v")

    run(folder, scenario)
    run(folder, idle)


def _slow(monkeypatch: pytest.MonkeyPatch, seconds: float, started: Callable[[], object]) -> None:
    write = Commit.write

    def slowly(commit: Commit) -> None:
        started()
        time.sleep(seconds)
        write(commit)

    monkeypatch.setattr(Commit, "write", slowly)


@pytest.mark.parametrize("how", ["cancel", "SIGINT"])
def test_stopping_in_the_middle_of_a_commit_leaves_a_clean_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def scenario(network: Network) -> None:
        main, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert main is not None

        stopped: list[bool] = []

        def stop() -> None:
            if stopped:
                return  # a second Ctrl-C would end the process as a kill does
            stopped.append(True)
            if how == "cancel":
                main.cancel()
            else:
                signal.raise_signal(signal.SIGINT)

        north = connect(network, folder, "north")
        transactions = [await north.proposal("Put", f"k{index}".encode(), b"v").endorse() for index in range(30)]
        _slow(monkeypatch, 0.02, lambda: loop.call_soon_threadsafe(stop))
        for one in transactions:
            await one.submit()
        await asyncio.sleep(10)

    with pytest.raises(asyncio.CancelledError if how == "cancel" else KeyboardInterrupt):
        run(folder, scenario)
    assert not any((peer_folder(folder, name) / MARKER).exists() for name in NAMES)
    monkeypatch.undo()
    heights = []

    async def reopened(network: Network) -> None:
        heights.append(agreed(network))
        await connect(network, folder, "south").submit("Put", b"after", b"v")

    run(folder, reopened)
    assert heights[0] >= 3


WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from network.toy import connect, run

async def scenario(network):
    folder = Path(sys.argv[1])
    async def client(number):
        north = connect(network, folder, "north")
        for index in range(10_000):
            key = f"{number}-{index}".encode()
            await north.submit("PutPrivate", b"all", key, transient={"value": key})
            print(key.decode(), flush=True)
    await asyncio.gather(*[client(number) for number in range(8)])

run(Path(sys.argv[1]), scenario)
"""


@pytest.mark.crash
def test_killed_at_any_moment_it_still_has_all_that_it_acknowledged(folder: Path) -> None:
    acknowledged: list[str] = []

    async def check(network: Network) -> None:
        agreed(network)
        for one in network.peers.values():
            for key in acknowledged:
                assert value_on(one.ledger, ALL, key) == key.encode()

    command = [sys.executable, "-c", WRITER, str(folder), str(Path(__file__).parents[1])]
    for turn in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
            assert child.stdout is not None
            acknowledged += [child.stdout.readline().strip() for _ in range(turn * 7 + 1)]
            child.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
        run(folder, check)
    assert len(acknowledged) > 100
