"""Signatures in batches: the worker's hold like those made here, in order, and it may die at any time."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from hashlib import sha256

import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from healthchain.identity.keys import SigningKey, signature_holds
from healthchain.network.sign_worker import LENGTH, decode_answer, encode_key, encode_request, serve
from healthchain.network.signer import KEYS_MAX, Signer

KEYS = [SigningKey.generate(), SigningKey.generate(), SigningKey(ec.generate_private_key(ec.SECP384R1()))]


async def signed(signer: Signer, count: int, batch: int) -> None:
    """Ask for so many, some at once, and check that each answer belongs to its question."""
    asked = [(KEYS[index % len(KEYS)], f"message {index}".encode()) for index in range(count)]
    parts = [asked[i : i + batch] for i in range(0, count, batch)]
    for part, signatures in zip(parts, await asyncio.gather(*[signer.sign_all(one) for one in parts]), strict=True):
        assert len(signatures) == len(part)
        for (key, message), signature in zip(part, signatures, strict=True):
            assert signature_holds(key.public, sha256(message).digest(), signature)


@pytest.mark.parametrize("use_worker", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 31, 200])
def test_each_gets_its_own_signature(batch: int, use_worker: bool) -> None:
    async def play() -> None:
        signer = Signer(use_worker=use_worker)
        try:
            for _ in range(3):
                await signed(signer, 400, batch)
        finally:
            await signer.close()

    asyncio.run(play())


@pytest.mark.parametrize("delay_ms", [0, 1, 5])
def test_a_worker_that_is_killed_leaves_no_signature_out(delay_ms: int) -> None:
    async def play() -> None:
        signer = Signer()
        await signed(signer, 200, 2)
        assert signer._worker is not None
        process = signer._worker._process
        assert process is not None
        asked = asyncio.create_task(signed(signer, 1000, 2))
        await asyncio.sleep(delay_ms / 1000)
        os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await asked
            await signed(signer, 100, 2)
            await signer.close()

    asyncio.run(play())


@pytest.mark.parametrize("attempt", range(4))
def test_on_uvloop_a_worker_that_is_killed_does_no_harm_either(attempt: int) -> None:
    """Its pipe refuses a write before its end is known."""

    async def play() -> None:
        signer = Signer()
        await signed(signer, 200, 2)
        assert signer._worker is not None
        process = signer._worker._process
        assert process is not None
        tasks = [asyncio.create_task(signed(signer, 400, 2)) for _ in range(5)]
        await asyncio.sleep(attempt / 1000)
        os.kill(process.pid, signal.SIGKILL)
        for _ in range(20):
            tasks.append(asyncio.create_task(signed(signer, 40, 2)))
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
            await signer.close()
            await signed(signer, 40, 2)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


def test_a_worker_that_hangs_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        signer = Signer()
        await signed(signer, 200, 2)
        monkeypatch.setattr("healthchain.network.worker.ANSWER_S_MAX", 0.3)  # it has started, however long that took
        assert signer._worker is not None
        process = signer._worker._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        async with asyncio.timeout(10):
            await signed(signer, 200, 2)
            await signer.close()

    asyncio.run(play())


def test_more_keys_than_the_worker_takes_are_signed_with_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthchain.network.signer.KEYS_MAX", 1)

    async def play() -> None:
        signer = Signer()
        await signed(signer, 200, 2)
        assert signer._numbers == {}
        await signer.close()

    assert KEYS_MAX > 1
    asyncio.run(play())


def test_the_worker_ends_with_its_input() -> None:
    digests = [sha256(bytes([index])).digest() for index in range(5)]
    request = encode_key(KEYS[2]) + encode_request([(0, one) for one in digests])
    responses = io.BytesIO()
    serve(io.BytesIO(request + request[:9]), responses)
    answer = responses.getvalue()
    assert LENGTH.unpack(answer[: LENGTH.size])[0] == len(answer) - LENGTH.size
    signatures = list(decode_answer(answer[LENGTH.size :]))
    assert [signature_holds(KEYS[2].public, *pair) for pair in zip(digests, signatures, strict=True)] == [True] * 5
