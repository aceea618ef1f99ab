"""A gateway that endorses everything, or fails as it is told, and keeps what it was asked."""

from __future__ import annotations

import datetime
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2
from google.protobuf.message import Message

from healthchain.client.gateway import Connection
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import MSP, Identity, encode_msp_config, serialize_identity
from healthchain.wire.codes import Code
from healthchain.wire.gateway import GatewayError
from healthchain.wire.proposal import parse_proposal
from healthchain.wire.transaction import Endorsement, endorsed_payload, transaction_payload

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
NOW_NS = 1_767_312_000_000_000_123
CLOCK = [NOW_NS]


def _member() -> tuple[SigningIdentity, Identity]:
    authority = CertificateAuthority.create("ca.client", "client", NOW)
    enrolment = authority.issue("somebody", NodeOU.CLIENT, NOW)
    config = encode_msp_config("ClientMSP", authority.certificate, authority.certificate)
    serialized = serialize_identity("ClientMSP", enrolment.certificate)
    return SigningIdentity("ClientMSP", serialized, enrolment.key), MSP.from_config(config).validate(
        enrolment.certificate
    )


IDENTITY, MEMBER = _member()


class ScriptedGateway:
    """`fails` is raised at the stage it is for; `code` and `block` are the commit's."""

    def __init__(self) -> None:
        self.fails: dict[str, GatewayError] = {}
        self.code: Any = Code.VALID
        self.block = 7
        self.asked: list[Message] = []
        self.answers: bytes | None = None  # instead of the payload that was asked for

    def _ask(self, stage: str, request: Message) -> None:
        self.asked.append(request)
        if stage in self.fails:
            raise self.fails[stage]

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        self._ask("evaluate", request)
        return gateway_pb2.EvaluateResponse(result=proposal_response_pb2.Response(status=200, payload=b"answer"))

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        self._ask("endorse", request)
        payload = self.answers
        if payload is None:
            payload = endorsed(request.proposed_transaction)
        return gateway_pb2.EndorseResponse(prepared_transaction=common_pb2.Envelope(payload=payload))

    async def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        self._ask("submit", request)
        return gateway_pb2.SubmitResponse()

    async def commit_status(self, request: gateway_pb2.SignedCommitStatusRequest) -> gateway_pb2.CommitStatusResponse:
        self._ask("commit_status", request)
        return gateway_pb2.CommitStatusResponse(result=self.code, block_number=self.block)


def endorsed(signed: proposal_pb2.SignedProposal) -> bytes:
    parsed = parse_proposal(signed.proposal_bytes)
    response = proposal_response_pb2.Response(status=200, payload=b"result")
    payload = endorsed_payload(parsed, b"", b"", response, "1")
    return transaction_payload(parsed, payload, [Endorsement(b"peer", b"signature")])


def connection(gateway: ScriptedGateway) -> Connection:
    return Connection(gateway, IDENTITY, "health", "ehr", lambda: CLOCK[0])
