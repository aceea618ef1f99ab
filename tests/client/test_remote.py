"""Gateways over gRPC: the next one where one cannot be reached, and errors as the network gave them."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from healthchain.app.consortium import initialise, opened
from healthchain.client.checkpoint import FileCheckpoint
from healthchain.client.errors import EvaluateFailed
from healthchain.client.failover import RemoteGateway
from healthchain.client.gateway import Connection
from healthchain.client.remote import Endpoint, Peer
from healthchain.config import CHAINCODE, DEFAULT
from healthchain.errors import Refused
from healthchain.network.provision import organisation_folder
from healthchain.network.serving.server import serving
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status
from healthchain.wire.rpc_status import decode_details, encode_status

DOCUMENT = Path(__file__).parents[2] / "docs/fabric-clients.md"
NOBODY = "localhost:1"
AGENCY = "health-agency"
SUSPENDED = b'{"holder":"CityClinicMSP/clinician"}'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("remote") / "consortium"
    asyncio.run(initialise(folder, DEFAULT))
    return folder


@asynccontextmanager
async def connected(folder: Path, *unreachable: str) -> AsyncIterator[Connection]:
    """The agency's administrator, over gRPC; addresses where nobody listens come first."""
    async with (
        opened(folder) as consortium,
        serving(consortium.network, folder, host="127.0.0.1", base_port=0, client_certificates=False) as served,
        AsyncExitStack() as stack,
    ):
        root = organisation_folder(folder, DEFAULT, AGENCY).tls_authority()
        peers = [
            await stack.enter_async_context(Peer(Endpoint(address, root))) for address in (*unreachable, served[AGENCY])
        ]
        identity = consortium.keyring(AGENCY).identity("administrator")
        yield Connection(RemoteGateway(peers), identity, DEFAULT.channel, CHAINCODE)


@pytest.mark.parametrize("unreachable", [(), (NOBODY, NOBODY)], ids=["reached", "the third is reached"])
def test_all_stages(made: Path, unreachable: tuple[str, ...]) -> None:
    async def work() -> None:
        async with connected(made, *unreachable) as agency:
            assert b"CityClinicMSP" in await agency.evaluate("members:List", b"{}")
            assert (await agency.submit("licences:Suspend", SUSPENDED)).block > 0
            with pytest.raises(Refused) as refused:
                await agency.submit("licences:Suspend", SUSPENDED)
            assert refused.value.code == "LICENCE_STATUS"
            await agency.submit("licences:Reinstate", SUSPENDED)

    asyncio.run(work())


def test_a_refusal_is_not_taken_to_another_gateway(made: Path) -> None:
    async def work() -> None:
        async with connected(made) as agency:
            with pytest.raises(EvaluateFailed) as failed:
                await agency.to("nothing").evaluate("members:List", b"{}")
            assert failed.value.status == Status.FAILED_PRECONDITION

    asyncio.run(work())


def test_nobody_can_be_reached(made: Path) -> None:
    async def work() -> None:
        async with connected(made) as agency, Peer(Endpoint(NOBODY, b"")) as nowhere:
            alone = Connection(RemoteGateway([nowhere]), agency.identity, agency.channel_id, CHAINCODE)
            with pytest.raises(EvaluateFailed) as failed:
                await alone.evaluate("members:List", b"{}")
            assert failed.value.status == Status.UNAVAILABLE

    asyncio.run(work())


def test_details_are_read_as_they_were_written() -> None:
    details = (
        ErrorDetail("peer0:7051", "CityClinicMSP", "chaincode response 403, X: " + "y" * 300),
        ErrorDetail("", "", ""),
    )
    encoded = encode_status(GatewayError(Status.ABORTED, "no", details))
    assert decode_details(encoded) == details
    for length in range(len(encoded)):
        decode_details(encoded[:length])  # whatever it makes of it, it ends


def test_what_is_no_status_has_no_details() -> None:
    assert decode_details(b"\xff\xff") == ()
    assert decode_details(b"\x1b\x00") == ()


def test_the_documented_program_runs(made: Path, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)

    async def work() -> tuple[bytes, bytes]:
        async with (
            opened(made) as consortium,
            serving(consortium.network, made, host="127.0.0.1", base_port=0, client_certificates=False) as served,
        ):
            (tmp_path / "consortium").symlink_to(made)
            here = program.replace("localhost:10051", served[AGENCY]).replace("localhost:8051", served["city-clinic"])
            running = await asyncio.create_subprocess_exec(
                sys.executable, "-W", "error", "-c", here, cwd=tmp_path, stdout=PIPE, stderr=PIPE
            )
            async with asyncio.timeout(60):
                return await running.communicate()

    stdout, stderr = asyncio.run(work())
    lines = stdout.decode().splitlines()
    assert stderr == b""
    assert [line.split()[0] for line in lines[1:]] == ["suspended", "reinstated", "2"], stdout
    assert FileCheckpoint(tmp_path / "licences.checkpoint").position is not None
