"""`gateway.Gateway` over gRPC: every stage, and each failure with the status and details of Fabric's gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import proposal_pb2

import healthchain.network.serving.gateway as gateway_service
from healthchain.identity.folders import SigningIdentity
from healthchain.network.serving.calls import Limit
from healthchain.wire.codes import Code

from .served import SECONDS_MAX, Served, gateway, position, refused, serve, until
from .toy import (
    MSP_IDS,
    NAMES,
    Toy,
    endorse_request,
    issued,
    now,
    proposal,
    status_request,
    submit_request,
)


def evaluate_request(
    who: SigningIdentity, *args: str, channel: str = "health", chaincode: str = "toy", signature: bytes | None = None
) -> gateway_pb2.EvaluateRequest:
    built = proposal(who, *args, channel=channel, chaincode=chaincode)
    signed = endorse_request(who, built, signature=signature).proposed_transaction
    return gateway_pb2.EvaluateRequest(transaction_id=built.tx_id, channel_id=channel, proposed_transaction=signed)


def events_request(
    who: SigningIdentity, *, channel: str = "health", start: ab_pb2.SeekPosition | None = None, after: str = ""
) -> gateway_pb2.SignedChaincodeEventsRequest:
    asked = gateway_pb2.ChaincodeEventsRequest(
        channel_id=channel,
        chaincode_id="toy",
        identity=who.serialized,
        start_position=start,
        after_transaction_id=after,
    ).SerializeToString()
    return gateway_pb2.SignedChaincodeEventsRequest(request=asked, signature=who.key.sign(asked))


async def submitted(stub: Any, who: SigningIdentity, *args: str) -> str:
    """Endorse, sign, submit, wait; the transaction's id."""
    built = proposal(who, *args)
    endorsed = await stub.Endorse(endorse_request(who, built))
    payload = endorsed.prepared_transaction.payload
    await stub.Submit(submit_request(payload, who.key.sign(payload)))
    status = await stub.CommitStatus(status_request(who, built.tx_id))
    assert status.result == Code.VALID
    return built.tx_id


def test_what_is_submitted_at_one_organisation_is_read_at_each(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()
        async with gateway(served) as north:
            await submitted(north, who, "Put", "k", "v")
        for name in NAMES:
            async with gateway(served, name) as stub:
                answer = await stub.Evaluate(evaluate_request(who, "Get", "k"))
                assert answer.result.payload == b"v"

    serve(folder, scenario)


Call = Callable[[Any, SigningIdentity], Awaitable[object]]

FAILURES: dict[str, tuple[Call, grpc.StatusCode, int]] = {
    "the chaincode refuses, evaluated": (
        lambda stub, who: stub.Evaluate(evaluate_request(who, "Refuse", "NO")),
        grpc.StatusCode.UNKNOWN,
        1,
    ),
    "the chaincode refuses, endorsed": (
        lambda stub, who: stub.Endorse(endorse_request(who, proposal(who, "Refuse", "NO"))),
        grpc.StatusCode.ABORTED,
        1,
    ),
    "a false signature, evaluated": (
        lambda stub, who: stub.Evaluate(evaluate_request(who, "Get", "k", signature=b"false")),
        grpc.StatusCode.FAILED_PRECONDITION,
        1,
    ),
    "a false signature, endorsed": (
        lambda stub, who: stub.Endorse(endorse_request(who, proposal(who, "Put", "k", "v"), signature=b"false")),
        grpc.StatusCode.ABORTED,
        4,
    ),
    "an unknown chaincode, evaluated": (
        lambda stub, who: stub.Evaluate(evaluate_request(who, "Get", "k", chaincode="none")),
        grpc.StatusCode.FAILED_PRECONDITION,
        0,
    ),
    "an unknown chaincode, endorsed": (
        lambda stub, who: stub.Endorse(endorse_request(who, proposal(who, "Put", "k", "v", chaincode="none"))),
        grpc.StatusCode.FAILED_PRECONDITION,
        0,
    ),
    "an unknown channel, evaluated": (
        lambda stub, who: stub.Evaluate(evaluate_request(who, "Get", "k", channel="other")),
        grpc.StatusCode.UNAVAILABLE,
        0,
    ),
    "an unknown channel, endorsed": (
        lambda stub, who: stub.Endorse(endorse_request(who, proposal(who, "Put", "k", "v", channel="other"))),
        grpc.StatusCode.FAILED_PRECONDITION,
        0,
    ),
    "an organisation without peers": (
        lambda stub, who: stub.Endorse(
            endorse_request(who, proposal(who, "Put", "k", "v"), organizations=["NobodyMSP"])
        ),
        grpc.StatusCode.UNAVAILABLE,
        0,
    ),
    "no proposal": (
        lambda stub, who: stub.Endorse(gateway_pb2.EndorseRequest()),
        grpc.StatusCode.INVALID_ARGUMENT,
        0,
    ),
    "a proposal that is none": (
        lambda stub, who: stub.Evaluate(
            gateway_pb2.EvaluateRequest(proposed_transaction=proposal_pb2.SignedProposal(proposal_bytes=b"\xff"))
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        0,
    ),
    "an unsigned transaction": (
        lambda stub, who: stub.Submit(submit_request(b"payload", b"")),
        grpc.StatusCode.INVALID_ARGUMENT,
        0,
    ),
    "a transaction that the orderers refuse": (
        lambda stub, who: stub.Submit(submit_request(b"\xff", b"signature")),
        grpc.StatusCode.ABORTED,
        1,
    ),
    "a status asked with a false signature": (
        lambda stub, who: stub.CommitStatus(status_request(who, "a" * 64, signature=b"false")),
        grpc.StatusCode.PERMISSION_DENIED,
        0,
    ),
    "a status request that does not decode": (
        lambda stub, who: stub.CommitStatus(gateway_pb2.SignedCommitStatusRequest(request=b"\xff")),
        grpc.StatusCode.INVALID_ARGUMENT,
        0,
    ),
    "events of an unknown channel": (
        lambda stub, who: _first(stub, events_request(who, channel="other")),
        grpc.StatusCode.NOT_FOUND,
        0,
    ),
    "events from the oldest block": (
        lambda stub, who: _first(stub, events_request(who, start=ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest()))),
        grpc.StatusCode.INVALID_ARGUMENT,
        0,
    ),
}


async def _first(stub: Any, request: gateway_pb2.SignedChaincodeEventsRequest) -> gateway_pb2.ChaincodeEventsResponse:
    stream = stub.ChaincodeEvents(request)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            response = await stream.read()
    finally:
        stream.cancel()
    assert isinstance(response, gateway_pb2.ChaincodeEventsResponse)
    return response


def test_every_failure_has_fabrics_status_and_details(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()
        async with gateway(served) as stub:
            for name, (call, code, count) in FAILURES.items():
                message, details = await refused(call(stub, who), code)
                assert message, name
                assert len(details) == count, (name, details)
                assert {one.msp_id for one in details} <= {*MSP_IDS, ""}, name
            _, [detail] = await refused(
                FAILURES["the chaincode refuses, endorsed"][0](stub, who), grpc.StatusCode.ABORTED
            )
            assert detail.message == "chaincode response 403, NO: the toy's rules forbid it"
            assert detail.address.startswith("peer0.north")
            await submitted(stub, who, "Put", "k", "after all that")

    serve(folder, scenario)


def test_bytes_that_are_no_message_are_an_invalid_argument(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        async with served.channel() as channel:
            for method in ("Evaluate", "Endorse", "Submit", "CommitStatus"):
                raw: Any = channel.unary_unary(f"/gateway.Gateway/{method}")
                message, details = await refused(raw(b"\xff\xff\xff"), grpc.StatusCode.INVALID_ARGUMENT)
                assert (message, details) == ("the request does not decode", [])
            unknown: Any = channel.unary_unary("/gateway.Gateway/Guess")
            await refused(unknown(b""), grpc.StatusCode.UNIMPLEMENTED)

    serve(folder, scenario)


def test_events_come_block_by_block_and_after_a_checkpoint(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()
        async with gateway(served) as stub:
            live = asyncio.create_task(_first(stub, events_request(who)))
            await until(lambda: served.network.commits._height_changed is not None)  # it waits for the next block
            first = await submitted(stub, who, "Say", "one", "1")
            second = await submitted(stub, who, "Say", "two", "2")
            told = await live
            assert [(one.event_name, one.payload, one.tx_id) for one in told.events] == [("one", b"1", first)]
            again = await _first(stub, events_request(who, start=position(0)))
            assert again == told
            following = await _first(stub, events_request(who, start=position(0), after=first))
            assert [(one.event_name, one.tx_id) for one in following.events] == [("two", second)]

    serve(folder, scenario)


def test_events_are_for_no_patient(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        patient = issued(folder, "north", at=now(), days=5, patient="A" * 22)
        async with gateway(served) as stub:
            await refused(_first(stub, events_request(patient)), grpc.StatusCode.PERMISSION_DENIED)

    serve(folder, scenario)


def test_who_stops_waiting_for_a_commit_leaves_nothing_behind(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()
        async with gateway(served) as stub:
            await refused(
                stub.CommitStatus(status_request(who, "a" * 64), timeout=0.2), grpc.StatusCode.DEADLINE_EXCEEDED
            )
            waits = served.network.commits._waiting
            await until(lambda: not waits)
            waiting = stub.CommitStatus(status_request(who, "b" * 64))
            await until(lambda: set(waits) == {"b" * 64})
            waiting.cancel()
            await until(lambda: not waits)

    serve(folder, scenario)


def test_a_defect_shows_its_place_but_no_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("Winterbottom")

    async def scenario(served: Served) -> None:
        who = served.who()
        async with gateway(served) as stub:
            with monkeypatch.context() as patch:
                patch.setattr(Toy, "_run", broken)
                for call in (
                    stub.Evaluate(evaluate_request(who, "Get", "k")),
                    stub.Endorse(endorse_request(who, proposal(who, "Put", "k", "v"))),
                ):
                    message, _ = await refused(call, grpc.StatusCode.INTERNAL)
                    assert message.startswith("a defect in HealthChain (RuntimeError at test_serving_gateway.py:")
            await submitted(stub, who, "Put", "k", "v")

    serve(folder, scenario)
    assert "Winterbottom" not in "".join(capsys.readouterr())


def test_streams_have_a_limit_that_keeps_nobody_from_submitting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Limit] = []

    class Counted(Limit):
        def __init__(self, calls_max: int) -> None:
            super().__init__(calls_max)
            limits.append(self)

    monkeypatch.setattr(gateway_service, "Limit", Counted)
    monkeypatch.setattr(gateway_service, "STREAMS_MAX", 2)

    async def scenario(served: Served) -> None:
        who = served.who()
        streams = limits[2]
        async with gateway(served) as stub:
            waiting = [asyncio.create_task(_first(stub, events_request(who))) for _ in range(2)]
            await until(lambda: streams.calls == 2)
            await refused(_first(stub, events_request(who)), grpc.StatusCode.RESOURCE_EXHAUSTED)
            await until(lambda: served.network.commits._height_changed is not None)
            await submitted(stub, who, "Say", "one", "1")
            await asyncio.gather(*waiting)
            await until(lambda: streams.calls == 0)  # each has had enough
            await _first(stub, events_request(who, start=position(0)))

    serve(folder, scenario)
