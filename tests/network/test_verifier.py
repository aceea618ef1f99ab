"""Verdicts on signatures: the worker's are those of the plain function, and it may die at any time."""

from __future__ import annotations

import asyncio
import datetime
import io
import os
import random
import signal
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.keys import ORDERS, SigningKey, signature_holds
from healthchain.identity.msp import MSP, Identity, encode_msp_config
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.network import Network
from healthchain.network.verifier import GENERATION_MAX, SIGNATURE_BYTES_MAX, Verifier
from healthchain.network.verify_worker import COUNT, decode_request, encode_request, serve
from healthchain.wire.codes import Code
from healthchain.wire.transaction import Endorsement

from .toy import connect, endorse_request, identity, proposal, run, status_request, submit_request

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def _people() -> list[tuple[Identity, SigningKey]]:
    """Two on P-256, one on P-384."""
    authority = CertificateAuthority.create("ca.verify", "verify", NOW)
    msp = MSP.from_config(encode_msp_config("VerifyMSP", authority.certificate, authority.certificate))
    keys = [SigningKey.generate(), SigningKey.generate(), SigningKey(ec.generate_private_key(ec.SECP384R1()))]
    enrolments = [authority.issue(f"u{index}", NodeOU.CLIENT, NOW, key=key) for index, key in enumerate(keys)]
    return [(msp.validate(one.certificate), one.key) for one in enrolments]


PEOPLE = _people()


def plain(check: SignatureCheck) -> bool:
    return signature_holds(check.identity.public_key, check.digest, check.signature)


def random_checks(seed: int, count: int) -> list[SignatureCheck]:
    """About half of them wrong: another's, of another message, flipped, high S, cut, lengthened or empty."""
    chance = random.Random(seed)  # noqa: S311
    checks = []
    for index in range(count):
        (person, key), (other, _) = chance.sample(PEOPLE, 2)
        digest = sha256(f"{seed} {index}".encode()).digest()
        signature = key.sign_digest(digest)
        flipped = bytearray(signature)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        spoiled = [signature[:-1], signature + b"\x00", b"", bytes(flipped), bytes(70_000), _high(person, signature)]
        choice = chance.randrange(4)
        if choice == 0:
            signature = chance.choice(spoiled)
        elif choice == 1:
            person = other
        checks.append(SignatureCheck(person, digest, signature))
    return checks


def _high(person: Identity, signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, ORDERS[person.public_key.curve.name] - s)


async def verdicts(verifier: Verifier, checks: Sequence[SignatureCheck], batch: int) -> list[bool]:
    await asyncio.gather(*[verifier.verify(checks[i : i + batch]) for i in range(0, len(checks), batch)])
    return [verifier.verdict(one) for one in checks]


@pytest.mark.parametrize("batch", [1, 7, 50, 400])
def test_the_worker_answers_as_the_plain_function(batch: int) -> None:
    async def play() -> None:
        verifier = Verifier()
        try:
            checks = random_checks(batch, 400)
            assert await verdicts(verifier, checks, batch) == [plain(one) for one in checks]
            assert 100 < sum(map(plain, checks)) < 300
        finally:
            await verifier.close()

    asyncio.run(play())


def test_without_a_worker_the_same() -> None:
    async def play() -> None:
        verifier = Verifier(use_worker=False)
        checks = random_checks(1, 100)
        assert await verdicts(verifier, checks, 10) == [plain(one) for one in checks]
        await verifier.close()

    asyncio.run(play())


@pytest.mark.parametrize("delay_ms", [0, 1, 3, 10])
def test_a_worker_that_is_killed_changes_no_verdict(delay_ms: int) -> None:
    async def play() -> None:
        verifier = Verifier()
        assert verifier._worker is not None
        await verifier.verify(random_checks(delay_ms + 10, 100))
        process = verifier._worker._process
        assert process is not None
        checks = random_checks(delay_ms + 100, 600)
        asked = asyncio.create_task(verdicts(verifier, checks, 40))
        await asyncio.sleep(delay_ms / 1000)
        os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            assert await asked == [plain(one) for one in checks]
            later = random_checks(delay_ms + 200, 100)
            assert await verdicts(verifier, later, 40) == [plain(one) for one in later]
            await verifier.close()

    asyncio.run(play())


def test_closing_while_the_worker_starts_does_not_hang() -> None:
    async def play() -> None:
        verifier = Verifier()
        asked = asyncio.create_task(verifier.verify(random_checks(3, 100)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await verifier.close()
            await asked

    asyncio.run(play())


def test_a_worker_that_cannot_start_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    async def play() -> None:
        verifier = Verifier()
        checks = random_checks(4, 100)
        async with asyncio.timeout(10):
            assert await verdicts(verifier, checks, 50) == [plain(one) for one in checks]
            await verifier.close()

    asyncio.run(play())


def test_who_gives_up_does_not_stop_the_others() -> None:
    async def play() -> None:
        verifier = Verifier()
        checks = random_checks(5, 200)
        tasks = [asyncio.create_task(verifier.verify(checks[i : i + 20])) for i in range(0, 200, 20)]
        await asyncio.sleep(0)
        for one in tasks[::2]:
            one.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await verdicts(verifier, checks, 20) == [plain(one) for one in checks]
            await verifier.close()

    asyncio.run(play())


def test_what_is_remembered_is_bounded() -> None:
    verifier = Verifier(use_worker=False)
    key = (b"", b"", b"")
    for index in range(3 * GENERATION_MAX):
        verifier._remember((index.to_bytes(4), *key[1:]), verdict=True)
    assert len(verifier._young) + len(verifier._old) <= 2 * GENERATION_MAX
    long = SignatureCheck(PEOPLE[0][0], bytes(32), bytes(SIGNATURE_BYTES_MAX + 1))
    before = len(verifier._young)
    assert verifier.verdict(long) is plain(long) is False
    assert len(verifier._young) == before


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([65, 97]), st.binary(max_size=80)), max_size=20))
def test_a_request_reads_back(parts: list[tuple[int, bytes]]) -> None:
    checks = [(bytes(length), sha256(signature).digest(), signature) for length, signature in parts]
    body = encode_request(checks)[COUNT.size :]
    assert list(decode_request(body)) == checks


def test_the_worker_ends_with_its_input() -> None:
    checks = random_checks(6, 30)
    keys = [(one.identity.public_point, one.digest, one.signature[:200]) for one in checks]
    responses = io.BytesIO()
    serve(io.BytesIO(encode_request(keys) + encode_request(keys)[:9]), responses)
    cut = [SignatureCheck(one.identity, one.digest, one.signature[:200]) for one in checks]
    assert responses.getvalue() == COUNT.pack(len(checks)) + bytes(map(plain, cut))


@pytest.mark.parametrize("length", [0, 200, 70_000])
def test_an_endorsement_with_a_signature_of_any_length_only_does_not_count(folder: Path, length: int) -> None:
    """Among many others, so that the worker is asked: a member must not be able to stop the peers with it."""

    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        good = [proposal(who, "Put", str(index), "v") for index in range(12)]
        payloads = [(await gateway.endorse(endorse_request(who, one))).prepared_transaction.payload for one in good]
        extra = Endorsement(identity(folder, "south").serialized, bytes(length))
        payloads = [with_endorsement(one, extra) for one in payloads]
        await asyncio.gather(*[gateway.submit(submit_request(one, who.key.sign(one))) for one in payloads])
        async with asyncio.timeout(10):
            for one in good:
                assert (await gateway.commit_status(status_request(who, one.tx_id))).result == Code.VALID
        await connect(network, folder, "south").submit("Put", b"after", b"v")

    run(folder, scenario)


def with_endorsement(payload: bytes, extra: Endorsement) -> bytes:
    outer = common_pb2.Payload.FromString(payload)
    transaction = transaction_pb2.Transaction.FromString(outer.data)
    action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
    action.action.endorsements.add(endorser=extra.endorser, signature=extra.signature)
    transaction.actions[0].payload = action.SerializeToString()
    outer.data = transaction.SerializeToString()
    return outer.SerializeToString()
