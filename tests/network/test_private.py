"""Private data: only members of a collection are handed values, and nobody can make the others lose theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabric_protos.common import common_pb2

from healthchain.client.errors import EndorseFailed, EvaluateFailed
from healthchain.errors import HealthChainError
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import PrivateDataMissing
from healthchain.network import committer
from healthchain.network.network import Network, peer_folder
from healthchain.network.transient import KEPT_MS, TransientStore
from healthchain.wire.codes import Code

from .toy import ALL, NAMES, SOME, TOY, block_codes, connect, identity, proposal, run, submit_request


def value_on(ledger: Ledger, collection: str, key: str) -> bytes | str | None:
    try:
        return ledger.private(TOY, collection, key)
    except PrivateDataMissing:
        return "missing"


def test_only_members_of_the_collection_hold_its_values(folder: Path) -> None:
    secret = b"for three of four organisations"

    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("PutPrivate", SOME.encode(), b"k", transient={"value": secret})
        held = [value_on(network.peers[name].ledger, SOME, "k") for name in NAMES]
        assert held == [secret, secret, secret, "missing"]

    run(folder, scenario)
    assert [on_disk(folder, name, secret) for name in NAMES] == [True, True, True, False]


def on_disk(folder: Path, name: str, value: bytes) -> bool:
    return any(value in one.read_bytes() for one in peer_folder(folder, name).rglob("*") if one.is_file())


def test_who_is_no_member_of_the_collection_reads_and_writes_nothing_there(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        await connect(network, folder, "north").submit("PutPrivate", b"some", b"k", transient={"value": b"v"})
        state = connect(network, folder, "state", "administrator")
        with pytest.raises(EvaluateFailed, match="no collection of that name"):
            await state.evaluate("GetPrivate", b"some", b"k")
        with pytest.raises(HealthChainError, match="no collection of that name"):
            await state.submit("PutPrivate", b"some", b"k", transient={"value": b"w"})
        # Not through another organisation's gateway either: it is the caller who counts.
        state.service = network.gateway("north")
        with pytest.raises(EvaluateFailed, match="no collection of that name"):
            await state.evaluate("GetPrivate", b"some", b"k")

    run(folder, scenario)


def test_a_peer_that_lacks_a_private_value_says_so(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        network.peers["south"].transient.put = lambda *_: None  # type: ignore[method-assign]
        await north.submit("PutPrivate", ALL.encode(), b"k", transient={"value": b"v"})
        with pytest.raises(EvaluateFailed, match="does not hold a private value") as caught:
            await connect(network, folder, "south").evaluate("GetPrivate", ALL.encode(), b"k")
        assert [one.msp_id for one in caught.value.details] == ["SouthMSP"]
        assert await north.evaluate("GetPrivate", ALL.encode(), b"k") == b"v"

    run(folder, scenario)


def naming_another_id(payload: bytes, tx_id: str) -> bytes:
    """A transaction of one's own, endorsed, with another's id in its header."""
    outer = common_pb2.Payload.FromString(payload)
    header = common_pb2.ChannelHeader.FromString(outer.header.channel_header)
    header.tx_id = tx_id
    outer.header.channel_header = header.SerializeToString()
    return outer.SerializeToString()


async def steal_and_commit(network: Network, folder: Path) -> list[bytes | str | None]:
    """While north's private write is endorsed, south sends an envelope with its id; what the peers hold afterwards."""
    north, thief = connect(network, folder, "north"), identity(folder, "south")
    transaction = await north.proposal("PutPrivate", ALL.encode(), b"k", transient={"value": b"v"}).endorse()
    own = await connect(network, folder, "south").proposal("Put", b"x", b"y").endorse()
    forged = naming_another_id(own.payload, transaction.transaction_id)
    height = network.height
    await network.gateway("south").submit(submit_request(forged, thief.key.sign(forged)))
    await connect(network, folder, "south").submit("Put", b"later", b"v")
    assert block_codes(network, height) == [Code.BAD_PROPOSAL_TXID, Code.VALID]
    await (await transaction.submit()).committed()
    return [value_on(network.peers[name].ledger, ALL, "k") for name in NAMES]


def test_naming_anothers_transaction_id_does_not_make_peers_forget_its_values(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        assert await steal_and_commit(network, folder) == [b"v"] * 4

    run(folder, scenario)


def test_that_attack_works_where_every_named_id_is_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "NO_FATE", frozenset())

    async def scenario(network: Network) -> None:
        assert await steal_and_commit(network, folder) == ["missing"] * 4

    run(folder, scenario)


def test_a_purge_leaves_no_byte_on_any_disk(folder: Path) -> None:
    secret = b"a value that nobody may find again"

    async def write(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("PutPrivate", ALL.encode(), b"k", transient={"value": secret})

    async def purge(network: Network) -> None:
        await connect(network, folder, "north").submit("Purge", ALL.encode(), b"k")
        for name in NAMES:
            assert value_on(network.peers[name].ledger, ALL, "k") is None

    run(folder, write)
    assert all(on_disk(folder, name, secret) for name in NAMES)
    run(folder, purge)
    assert not any(on_disk(folder, name, secret) for name in NAMES)


def test_values_that_were_never_committed_are_forgotten_in_the_end() -> None:
    store = TransientStore()
    sets = {(TOY, ALL): b"v"}
    for ms in range(5):
        store.put(f"tx{ms}", "NorthMSP", sets, ms)
    store.put("empty", "NorthMSP", {}, 5)
    store.forget(["tx1"])
    assert [bool(store.get(f"tx{ms}")) for ms in range(5)] == [True, False, True, True, True]
    store.put("later", "NorthMSP", sets, KEPT_MS + 2)
    assert [bool(store.get(f"tx{ms}")) for ms in range(5)] == [False, False, False, True, True]
    assert not store.get("empty")


def test_a_full_store_takes_no_more_and_throws_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthchain.network.transient.BYTES_MAX", 10)
    store = TransientStore()
    for index in range(3):
        assert not store.is_full("NorthMSP", 0)
        store.put(f"tx{index}", "NorthMSP", {(TOY, ALL): b"4444"}, 0)
        store.put(f"tx{index}", "NorthMSP", {(TOY, ALL): b"4444"}, 0)
    assert store.is_full("NorthMSP", 0)
    assert all(store.get(f"tx{index}") for index in range(3))
    store.forget(["tx0", "tx0"])
    assert not store.is_full("NorthMSP", 0)
    store.put("tx3", "NorthMSP", {(TOY, ALL): b"4444"}, 0)
    assert store.is_full("NorthMSP", KEPT_MS - 1)
    assert not store.is_full("NorthMSP", KEPT_MS)


def test_an_organisation_that_submits_nothing_keeps_no_other_from_writing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthchain.network.transient.BYTES_MAX_EACH", 10)

    async def scenario(network: Network) -> None:
        north, south = connect(network, folder, "north"), connect(network, folder, "south")
        kept = await north.proposal("PutPrivate", ALL.encode(), b"k", transient={"value": bytes(10)}).endorse()
        for other in (north, connect(network, folder, "north", "administrator")):
            with pytest.raises(EndorseFailed, match="failed to endorse") as caught:
                await other.submit("PutPrivate", ALL.encode(), b"k", transient={"value": b"v"})
            assert "not submitted" in caught.value.details[0].message
        await south.submit("PutPrivate", ALL.encode(), b"s", transient={"value": b"v"})
        await (await kept.submit()).committed()
        await north.submit("PutPrivate", ALL.encode(), b"k", transient={"value": b"v"})

    run(folder, scenario)


def test_the_same_id_with_other_values_is_not_mixed_up(folder: Path) -> None:
    """A client may have two proposals with one nonce endorsed; the values of the one committed are what counts."""

    async def scenario(network: Network) -> None:
        north, who = connect(network, folder, "north"), identity(folder, "north")
        proposal_one = north.proposal("PutPrivate", ALL.encode(), b"k", transient={"value": b"first"})
        endorsed = await proposal_one.endorse()
        assert proposal(who, "Put", "k", "v").tx_id != endorsed.transaction_id
        for name in NAMES:
            other = {(TOY, ALL): b"not the set whose hash was endorsed"}
            network.peers[name].transient.put(endorsed.transaction_id, "NorthMSP", other, 0)
        await (await endorsed.submit()).committed()
        assert {value_on(network.peers[name].ledger, ALL, "k") for name in NAMES} == {"missing"}

    run(folder, scenario)
