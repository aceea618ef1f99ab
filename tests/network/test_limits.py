"""Peers whose state differs, and a gateway or orderers that are asked for more than they take."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import healthchain.network.gateway as gateway_module
import healthchain.network.orderer as orderer_module
from healthchain.client.errors import EndorseFailed, SubmitFailed
from healthchain.ledger.view import Value
from healthchain.network.network import Network
from healthchain.wire.codes import Code
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.rwset import Version

from .toy import MSP_IDS, TOY, connect, endorse_request, identity, proposal, run, status_request, submit_request


def spoil(network: Network, name: str) -> None:
    """This peer's disk was altered: it has another number under "n"."""
    ledger = network.peers[name].ledger
    get = ledger.get

    def altered(namespace: str, key: str) -> Value | None:
        return Value(b"1000", Version(1, 0)) if (namespace, key) == (TOY, "n") else get(namespace, key)

    ledger.get = altered  # type: ignore[method-assign]


def test_a_peer_whose_state_differs_is_named_and_not_needed(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        await connect(network, folder, "north").submit("Add", b"n")
        spoil(network, "south")
        who, gateway = identity(folder, "north"), network.gateway("north")
        asked = endorse_request(who, proposal(who, "Add", "n"), organizations=MSP_IDS[:3])
        with pytest.raises(GatewayError) as caught:
            await gateway.endorse(asked)
        assert caught.value.status is Status.ABORTED
        assert [(one.msp_id, one.message) for one in caught.value.details] == [
            ("SouthMSP", "ProposalResponsePayloads do not match")
        ]
        # The other three are a majority.
        await connect(network, folder, "north").submit("Add", b"n")
        assert await connect(network, folder, "payer", "administrator").evaluate("Get", b"n") == b"2"

    run(folder, scenario)


def test_through_the_peer_that_differs_nothing_is_endorsed(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        spoil(network, "south")
        with pytest.raises(EndorseFailed) as caught:
            await connect(network, folder, "south").submit("Add", b"n")
        assert [one.msp_id for one in caught.value.details] == ["NorthMSP", "PayerMSP"]  # the last could not help

    run(folder, scenario)


def test_what_only_the_peer_that_differs_endorsed_is_invalid(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        spoil(network, "south")
        who, gateway = identity(folder, "south"), network.gateway("south")
        built = proposal(who, "Add", "n")
        payload = (await gateway.endorse(endorse_request(who, built, organizations=["SouthMSP"]))).prepared_transaction
        await gateway.submit(submit_request(payload.payload, who.key.sign(payload.payload)))
        status = await gateway.commit_status(status_request(who, built.tx_id))
        assert status.result == Code.ENDORSEMENT_POLICY_FAILURE

    run(folder, scenario)


def test_a_gateway_at_its_limit_says_so_and_recovers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "IN_FLIGHT_MAX", 3)

    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        requests = [endorse_request(who, proposal(who, "Put", str(index), "v")) for index in range(8)]
        answers = await asyncio.gather(*[gateway.endorse(one) for one in requests], return_exceptions=True)
        refused = [one for one in answers if isinstance(one, GatewayError)]
        assert {one.status for one in refused} == {Status.RESOURCE_EXHAUSTED}
        assert len(refused) == 5
        await gateway.endorse(endorse_request(who, proposal(who, "Put", "k", "v")))
        bad = endorse_request(who, proposal(who, "Put", "k", "v"), signature=b"wrong")
        for _ in range(5):
            with pytest.raises(GatewayError, match="failed to endorse"):
                await gateway.endorse(bad)

    run(folder, scenario)


def test_orderers_with_a_full_queue_say_so_and_recover(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orderer_module, "PENDING_MAX", 4)

    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        transactions = [await north.proposal("Put", str(index).encode(), b"v").endorse() for index in range(7)]
        answers = await asyncio.gather(*[one.submit() for one in transactions], return_exceptions=True)
        refused = [one for one in answers if isinstance(one, SubmitFailed)]
        assert refused
        assert {one.status for one in refused} == {Status.UNAVAILABLE}
        for one in answers:
            if not isinstance(one, BaseException):
                await one.committed()
        await north.submit("Put", b"after", b"v")

    run(folder, scenario)
