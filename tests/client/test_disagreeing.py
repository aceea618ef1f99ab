"""What an actor does where a network's peers are not all at the same block."""

from __future__ import annotations

import asyncio

import pytest
from fabric_protos.gateway import gateway_pb2

from healthchain.client.errors import EndorseFailed
from healthchain.contract.members import List
from healthchain.records import actor as actors
from healthchain.records.actor import Actor
from healthchain.records.sealing import generate_hpke_key
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status

from .scripted import ScriptedGateway, connection

BEHIND = GatewayError(
    Status.ABORTED,
    "failed to collect enough transaction endorsements, see attached details for more info",
    [ErrorDetail("peer0.b:7051", "BMSP", "ProposalResponsePayloads do not match")],
)


class Lagging(ScriptedGateway):
    """One of its peers is behind the others, for so many proposals."""

    def __init__(self, proposals: int) -> None:
        super().__init__()
        self.behind = proposals
        self.proposed: list[str] = []

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        self.proposed.append(request.transaction_id)
        if len(self.proposed) <= self.behind:
            raise BEHIND
        return await super().endorse(request)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "LAG_PAUSE_S", 0.0)


def submitted(gateway: ScriptedGateway) -> None:
    actor = Actor(connection(gateway), "ClientMSP", generate_hpke_key())
    asyncio.run(actor.submit("members:List", List()))


def test_a_new_proposal_is_made_until_the_endorsers_agree() -> None:
    gateway = Lagging(actors.LAG_TRIES - 1)
    submitted(gateway)
    assert len(set(gateway.proposed)) == actors.LAG_TRIES


def test_who_never_agree_are_not_asked_for_ever() -> None:
    gateway = Lagging(100)
    with pytest.raises(EndorseFailed, match="do not match"):
        submitted(gateway)
    assert len(gateway.proposed) == actors.LAG_TRIES


def test_another_failure_is_not_repeated() -> None:
    gateway = ScriptedGateway()
    gateway.fails["endorse"] = GatewayError(Status.ABORTED, "no", [ErrorDetail("peer0.b:7051", "BMSP", "timeout")])
    with pytest.raises(EndorseFailed):
        submitted(gateway)
    assert len(gateway.asked) == 1
