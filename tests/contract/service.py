"""The contract as a service would run it: each question and its answer a message, and the writes in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.remote import CallFailed, RemoteStub
from healthchain.errors import HealthChainError
from healthchain.ledger.simulate import Simulator
from healthchain.network.chaincode_calls import Calls
from healthchain.wire.proposal import ParsedProposal
from healthchain.wire.rwset import NamespaceSet, RangeQuery
from healthchain.wire.shim import Offered, Type

if TYPE_CHECKING:
    from .peers import Call

OFFERED = Offered(writes_max=3, reads_max=2)  # so that most transactions need several batches


def invoke(contract: Any, simulator: Simulator, call: Call) -> Response:
    """Through the messages of the chaincode stream, without a stream."""
    calls = Calls(simulator, "ehr")

    def ask(kind: Type, payload: bytes) -> bytes:
        try:
            return calls.answer(kind, payload)
        except HealthChainError as failed:
            raise CallFailed(str(failed)) from None

    stub = RemoteStub(ask, OFFERED, _proposal(call), call.caller)
    response: Response = contract.invoke(stub, call.args)
    stub.send_writes()
    simulator.event = stub.event
    return response


def same_set(inside: NamespaceSet, served: NamespaceSet) -> bool:
    """A range may go further through a service, which is sent a hundred keys at a time, also if it stops before."""
    return (
        (inside.reads, inside.writes, inside.collections) == (served.reads, served.writes, served.collections)
        and len(inside.ranges) == len(served.ranges)
        and all(_reaches(one, other) for one, other in zip(inside.ranges, served.ranges, strict=True))
    )


def _reaches(inside: RangeQuery, served: RangeQuery) -> bool:
    return inside.start == served.start and inside.reads == served.reads[: len(inside.reads)]


def _proposal(call: Call) -> ParsedProposal:
    return ParsedProposal(
        tx_id=call.tx_id,
        channel_id="health",
        chaincode="ehr",
        creator=b"",
        nonce=b"",
        timestamp_ns=call.timestamp_ms * 1_000_000,
        args=call.args,
        transient=call.transient,
        channel_header=b"",
        signature_header=b"",
        payload_without_transient=b"",
        hash=b"",
        bytes_=b"",
    )
