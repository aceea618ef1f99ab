"""`protos.Deliver` and the orderers' Deliver over gRPC: blocks in their shapes, and each status that ends a stream."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.orderer.ab_pb2_grpc import AtomicBroadcastStub
from fabric_protos.peer import events_pb2
from fabric_protos.peer.events_pb2_grpc import DeliverStub

import healthchain.network.serving.deliver as deliver_service
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import Identity, IdentityRefused
from healthchain.network.committer import StorageFailed
from healthchain.wire.block import header_hash, orderer_part, transaction_codes

from .served import SECONDS_MAX, Served, refused, seek_blocks, seek_envelope, serve, stub, until
from .toy import ALL, TOY, connect, issued, now, organisation

FOREVER = 2**53 - 1
NEWEST = ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())
OLDEST = ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest())


async def delivered(call: Any, *envelopes: common_pb2.Envelope) -> AsyncIterator[Any]:
    """The stream's answers, to its end or to as many as the caller takes."""
    stream = call()
    async with asyncio.timeout(SECONDS_MAX):
        for one in envelopes:
            await stream.write(one)
        await stream.done_writing()
        async for response in stream:
            yield response


async def status(call: Any, envelope: common_pb2.Envelope) -> int:
    """That of a stream which has nothing else."""
    [response] = [one async for one in delivered(call, envelope)]
    assert response.WhichOneof("Type") == "status"
    number: int = response.status
    return number


def test_blocks_are_those_of_the_ledger(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        ledger = served.network.peers["north"].ledger
        await connect(served.network, folder, "north").submit("Put", b"k", b"v")
        async with served.channel() as channel:
            call = stub(DeliverStub, channel).Deliver
            found = [one async for one in delivered(call, seek_envelope(served.who(), seek_blocks(0, 2)))]
            assert [one.block for one in found[:-1]] == [ledger.block(number) for number in range(3)]
            assert found[-1].status == common_pb2.SUCCESS
            both = [seek_envelope(served.who(), ab_pb2.SeekInfo(start=NEWEST, stop=NEWEST)) for _ in range(2)]
            again = [one.WhichOneof("Type") async for one in delivered(call, *both)]
            assert again == ["block", "status"] * 2

    serve(folder, scenario)


def test_a_filtered_block_has_no_value(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        committed = await connect(served.network, folder, "north").submit("Say", b"told", b"Winterbottom")
        number = committed.block
        async with served.channel() as channel:
            envelope = seek_envelope(served.who(), seek_blocks(0, number))
            found = [
                one.filtered_block async for one in delivered(stub(DeliverStub, channel).DeliverFiltered, envelope)
            ][:-1]
        assert [one.number for one in found] == list(range(number + 1))
        assert found[0].filtered_transactions[0].type == common_pb2.CONFIG
        [transaction] = found[number].filtered_transactions
        assert (found[number].channel_id, transaction.txid) == ("health", committed.transaction_id)
        assert (transaction.type, transaction.tx_validation_code) == (common_pb2.ENDORSER_TRANSACTION, 0)
        event = transaction.transaction_actions.chaincode_actions[0].chaincode_event
        assert (event.chaincode_id, event.tx_id, event.event_name) == (TOY, committed.transaction_id, "told")
        assert b"Winterbottom" not in b"".join(one.SerializeToString() for one in found)

    serve(folder, scenario)


def test_private_values_are_for_the_operator_of_the_peer_only(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        north = connect(served.network, folder, "north")
        first = await north.submit("PutPrivate", ALL.encode(), b"k", transient={"value": b"secret"})
        await north.submit("PutPrivate", ALL.encode(), b"gone", transient={"value": b"purged"})
        await north.submit("Purge", ALL.encode(), b"gone")
        async with served.channel() as channel:
            call = stub(DeliverStub, channel).DeliverWithPrivateData
            asked = seek_blocks(first.block, first.block + 1)
            own = served.who("north", "administrator")
            found = [one.block_and_private_data async for one in delivered(call, seek_envelope(own, asked))]
            private = found[0].private_data_map[0].ns_pvt_rwset[0]
            [collection] = private.collection_pvt_rwset
            [write] = kv_rwset_pb2.KVRWSet.FromString(collection.rwset).writes
            assert (private.namespace, collection.collection_name) == (TOY, ALL)
            assert (write.key, write.value) == ("k", b"secret")
            assert found[0].block.header.number == first.block
            assert not found[1].private_data_map  # the value is gone from the disk
            for other in (served.who("north"), served.who("south", "administrator")):
                assert await status(call, seek_envelope(other, asked)) == common_pb2.FORBIDDEN

    serve(folder, scenario)


def test_the_orderers_deliver_what_they_signed(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        block = served.network.peers["south"].ledger.block(1)
        async with served.channel("south") as channel:
            call = stub(AtomicBroadcastStub, channel).Deliver
            found = [one async for one in delivered(call, seek_envelope(served.who(), seek_blocks(1, 1)))]
        assert found[0].block == orderer_part(block)
        assert not transaction_codes(found[0].block)
        assert header_hash(found[0].block) == header_hash(block)
        assert found[1].status == common_pb2.SUCCESS

    serve(folder, scenario)


def test_who_waits_gets_each_new_block(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        height = served.network.height
        north = connect(served.network, folder, "north")

        async def two_blocks() -> list[int]:
            async with served.channel() as channel:
                stream = stub(DeliverStub, channel).Deliver()
                await stream.write(seek_envelope(served.who(), seek_blocks(height, FOREVER)))
                return [(await stream.read()).block.header.number for _ in range(2)]

        waiting = asyncio.create_task(two_blocks())
        await until(lambda: served.network.commits._height_changed is not None)
        await north.submit("Put", b"k", b"1")
        await north.submit("Put", b"k", b"2")
        async with asyncio.timeout(SECONDS_MAX):
            assert await waiting == [height, height + 1]

    serve(folder, scenario)


def test_a_stream_ends_with_the_membership_or_the_network(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        north = served.network.peers["north"]
        unexpired = north.require_unexpired
        waiting = seek_envelope(served.who(), seek_blocks(2, FOREVER))
        async with served.channel() as channel:
            call = stub(DeliverStub, channel).Deliver
            expiring = asyncio.create_task(status(call, waiting))
            await until(lambda: served.network.commits._height_changed is not None)

            def expired(identity: Identity) -> None:
                raise IdentityRefused("the certificate is expired")

            north.require_unexpired = expired  # type: ignore[method-assign]
            await connect(served.network, folder, "south").submit("Put", b"k", b"v")
            assert await expiring == common_pb2.FORBIDDEN
            north.require_unexpired = unexpired  # type: ignore[method-assign]
            failing = asyncio.create_task(status(call, seek_envelope(served.who(), seek_blocks(3, FOREVER))))
            await until(lambda: served.network.commits._height_changed is not None)
            served.network.commits.failed(StorageFailed("a peer cannot write its ledger"))
            assert await failing == common_pb2.SERVICE_UNAVAILABLE

    serve(folder, scenario)


Envelope = Callable[[Served, SigningIdentity], common_pb2.Envelope]
ASKED = seek_blocks(0, 0)
REFUSED: dict[str, tuple[Envelope, int]] = {
    "no payload": (lambda served, who: common_pb2.Envelope(payload=b"\xff"), 400),
    "another channel": (lambda served, who: seek_envelope(who, ASKED, channel="other"), 404),
    "a false signature": (lambda served, who: seek_envelope(who, ASKED, signature=b"false"), 403),
    "a clock that is slow": (lambda served, who: seek_envelope(who, ASKED, offset_s=-16 * 60), 400),
    "a clock that is fast": (lambda served, who: seek_envelope(who, ASKED, offset_s=16 * 60), 400),
    "no start": (lambda served, who: seek_envelope(who, ab_pb2.SeekInfo(stop=NEWEST)), 400),
    "no stop": (lambda served, who: seek_envelope(who, ab_pb2.SeekInfo(start=OLDEST)), 400),
    "a stop before the start": (lambda served, who: seek_envelope(who, seek_blocks(1, 0)), 400),
    "a start beyond the end": (lambda served, who: seek_envelope(who, seek_blocks(1000, FOREVER)), 404),
    "a block that is not there yet": (lambda served, who: seek_envelope(who, seek_blocks(2, 2, wait=False)), 404),
    "nobody's certificate": (lambda served, who: seek_envelope(_stranger(who), ASKED), 403),
    "an expired certificate": (lambda served, who: seek_envelope(_expired(served), ASKED), 403),
    "a patient": (lambda served, who: seek_envelope(_patient(served), ASKED), 403),
}


def _stranger(who: SigningIdentity) -> SigningIdentity:
    return SigningIdentity(who.msp_id, b"\x0a\x08NorthMSP\x12\x04none", who.key)


def _expired(served: Served) -> SigningIdentity:
    return issued(served.folder, "north", at=now() - datetime.timedelta(days=9), days=5)


def _patient(served: Served) -> SigningIdentity:
    return issued(served.folder, "north", at=now(), days=5, patient="A" * 22)


def test_every_refusal_has_fabrics_status_and_ends_the_stream(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        assert served.network.height == 2
        async with served.channel() as channel:
            call = stub(DeliverStub, channel).Deliver
            for name, (envelope, expected) in REFUSED.items():
                assert await status(call, envelope(served, served.who())) == expected, name
            # Nothing after a refusal is answered on the same stream.
            both = (seek_envelope(served.who(), ab_pb2.SeekInfo()), seek_envelope(served.who(), ASKED))
            assert len([one async for one in delivered(call, *both)]) == 1

    serve(folder, scenario)


def test_under_mutual_tls_the_request_names_the_clients_certificate(folder: Path) -> None:
    own = organisation(folder, "south").tls_server()
    der = x509.load_pem_x509_certificate(own[1]).public_bytes(Encoding.DER)

    async def scenario(served: Served) -> None:
        who = served.who()
        async with served.channel(certificate=own) as channel:
            call = stub(DeliverStub, channel).DeliverFiltered
            named = seek_envelope(who, ASKED, certificate_hash=sha256(der).digest())
            assert [one.WhichOneof("Type") async for one in delivered(call, named)] == ["filtered_block", "status"]
            for other in (b"", sha256(b"other").digest()):
                assert await status(call, seek_envelope(who, ASKED, certificate_hash=other)) == 400
        async with served.channel() as without:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await status(stub(DeliverStub, without).Deliver, seek_envelope(who, ASKED))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    serve(folder, scenario, client_certificates=True)


def test_a_stream_on_which_nothing_is_sent_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver_service, "IDLE_S_MAX", 0.2)

    async def scenario(served: Served) -> None:
        async with served.channel() as channel:
            stream = stub(DeliverStub, channel).Deliver()

            async def read() -> events_pb2.DeliverResponse:
                response: events_pb2.DeliverResponse = await stream.read()
                return response

            await refused(read(), grpc.StatusCode.DEADLINE_EXCEEDED)

    serve(folder, scenario)
