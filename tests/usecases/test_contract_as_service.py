"""The EHR contract in a process of its own, dialled with mutual TLS: use cases run as they do inside, byte for byte."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from healthchain.app.consortium import Consortium, definition, opened
from healthchain.chaincode.dispatch import Response
from healthchain.config import DEFAULT
from healthchain.contract.ehr import CONTRACT
from healthchain.identity.folders import OrganisationFolder
from healthchain.ledger.simulate import Simulator
from healthchain.network.execution import Invocation, Service
from healthchain.network.external import Endpoint, External
from healthchain.network.provision import organisation_folder
from healthchain.records import consenting, erasing

from .bundles import simple
from .consortium import (
    CLINIC,
    INSURER,
    assert_clean,
    assert_equal_peers,
    clinician,
    code,
    consent,
    content,
    imported,
    read,
)


class Twice(Service):
    """Implements `execution.Service`: through the service, and inside as well, which must come to the same."""

    def __init__(self, external: External) -> None:
        self._external = external
        self.compared = 0

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return CONTRACT.only_reads(args)

    async def execute(self, invocation: Invocation) -> Response:
        served = invocation.simulator
        inside = _fresh(served)
        expected = CONTRACT.invoke(inside, invocation.args)
        response = await self._external.execute(invocation)
        assert response == expected
        if response.status < 400:
            assert served.event == inside.event
            assert _touched(served) == _touched(inside)
        self.compared += 1
        return response


def _touched(simulator: Simulator) -> tuple[object, ...]:
    """Ranges are compared in the contract's own tests: through a service they may go further."""
    touched = simulator.namespaces["ehr"]
    return touched.reads, touched.writes, touched.collections


def _fresh(simulator: Simulator) -> Simulator:
    return Simulator(
        simulator._view,
        namespace="ehr",
        channel_id=simulator.channel_id,
        tx_id=simulator.tx_id,
        timestamp_ms=simulator.timestamp_ms,
        caller=simulator.caller,
        transient=simulator.transient,
        collections=simulator._collections,
    )


def _owner(folder: Path, organisation: str) -> OrganisationFolder:
    return organisation_folder(folder, DEFAULT, organisation)


@asynccontextmanager
async def contract_served(folder: Path) -> AsyncIterator[Endpoint]:
    """By the clinic's server certificate; the peers dial with the insurer's. It ends cleanly when asked to."""
    tls, roots = _owner(folder, CLINIC).peer / "tls", _owner(folder, INSURER).peer / "tls"
    command = [sys.executable, "-m", "healthchain.cli", "chaincode", "serve", "--json"]
    command += ["--address", "127.0.0.1:0", "--package-id", "ehr:test", "--tls-client-ca", str(roots / "ca.crt")]
    command += ["--tls-cert", str(tls / "server.crt"), "--tls-key", str(tls / "server.key")]
    running = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert running.stdout is not None
        ready = json.loads(await running.stdout.readline())
        yield Endpoint(
            ready["address"].replace("127.0.0.1", "localhost"),
            "ehr:test",
            root_certificate=(tls / "ca.crt").read_bytes(),
            client_certificate=(roots / "server.crt").read_bytes(),
            client_key=(roots / "server.key").read_bytes(),
        )
    finally:
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            _, said = await running.communicate()
        assert running.returncode == 0, said


def test_use_cases_come_to_the_same_through_a_service(folder: Path) -> None:
    bundle, other = simple(3), simple(2)

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, bundle)).patient
        assert await read(clinician(consortium), patient) == content(bundle)
        assert await code(read(clinician(consortium, CLINIC), patient)) == "CONSENT_MISSING"
        await consenting.grant(consortium.patient(patient), consent(consortium))
        assert await read(clinician(consortium, CLINIC), patient) == content(bundle)
        erased = (await imported(consortium, other)).patient
        await erasing.erase_patient(consortium.patient(erased), erased)
        assert await code(read(clinician(consortium), erased)) == "PATIENT_ERASED"
        assert_equal_peers(consortium)

    async def play() -> int:
        async with contract_served(folder) as endpoint, External(endpoint) as external:
            twice = Twice(external)
            async with opened(folder, extra=[(definition(DEFAULT), twice)]) as consortium:
                await work(consortium)
            return twice.compared

    assert asyncio.run(play()) > 20
    assert_clean(folder)
