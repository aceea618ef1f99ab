"""`@hyperledger/fabric-gateway`, unmodified, against the embedded network's gRPC servers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .served import Served, serve
from .toy import ALL, MSP_IDS, connect, organisation

PROGRAMS = Path(__file__).parents[1] / "sdk"
SECONDS_MAX = 60.0
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(NODE is None, reason="node is not installed: these tests run Fabric's SDK for Node"),
    pytest.mark.skipif(
        not (PROGRAMS / "node_modules/@hyperledger/fabric-gateway").is_dir(),
        reason="the SDK is not installed: run `make sdk`",
    ),
]


async def program(served: Served, name: str, **more: Any) -> Any:
    """What the program reports, run as a clinician of the first organisation through its own gateway."""
    north = organisation(served.folder, "north")
    given = {
        "address": served.addresses["north"],
        "tlsRoot": str(north.peer / "tls/ca.crt"),
        "mspId": north.msp_id,
        "user": str(north.user("clinician")),
        "channel": served.network.channel.id,
        "chaincode": "toy",
        **more,
    }
    assert NODE is not None
    running = await asyncio.create_subprocess_exec(
        NODE,
        name,
        cwd=PROGRAMS,
        env={**os.environ, "HEALTHCHAIN_SDK": json.dumps(given)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS_MAX):
        stdout, stderr = await running.communicate()
    assert running.returncode == 0, stderr.decode()
    return json.loads(stdout)


def test_transactions_in_one_call_in_stages_signed_elsewhere_and_with_private_data(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        told = await program(served, "transactions.mjs", collection=ALL, endorsers=MSP_IDS[:3])
        assert told == {
            "added": "1",
            "got": "1",
            "staged": {"successful": True, "code": 0, "sameId": True},
            "offline": {"successful": True, "value": "yes"},
            "secret": "kept secret",
            "chainInfo": True,
        }

    serve(folder, scenario)


def test_events_of_chaincode_and_blocks_live_and_from_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    async def scenario(served: Served) -> None:
        north = connect(served.network, folder, "north")
        written = await north.submit("PutPrivate", ALL.encode(), b"p", transient={"value": b"secret"})
        told = await program(
            served,
            "events.mjs",
            checkpoint=str(tmp_path / "checkpoint.json"),
            administrator=str(organisation(folder, "north").user("administrator")),
            privateBlock=written.block,
        )
        said = [[name, f"payload of {name}"] for name in ("one", "two", "three")]
        assert told == {
            "events": said,
            "resumed": said[1:],
            "checkpointed": True,
            "blocks": [0, 1],
            "following": 1,
            "filtered": [True],
            "privateCollections": [ALL],
            "newest": True,
        }

    serve(folder, scenario)


def test_every_error_class_with_its_status_and_details(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        told = await program(served, "errors.mjs", otherMspId=MSP_IDS[1])
        classes = {name: (one["class"], one["status"], len(one["details"])) for name, one in told.items()}
        assert classes == {
            "evaluate": ("GatewayError", "UNKNOWN", 1),
            "endorse": ("EndorseError", "ABORTED", 1),
            "unknownChaincode": ("EndorseError", "FAILED_PRECONDITION", 0),
            "unknownChannel": ("EndorseError", "FAILED_PRECONDITION", 0),
            "unknownOrganisation": ("EndorseError", "UNAVAILABLE", 0),
            "stranger": ("EndorseError", "ABORTED", 1),
            "impostor": ("GatewayError", "FAILED_PRECONDITION", 1),
            "submit": ("SubmitError", "ABORTED", 1),
            "commit": ("CommitError", "validation code 10", 0),
            "commitStatus": ("CommitStatusError", "PERMISSION_DENIED", 0),
            "events": ("GatewayError", "NOT_FOUND", 0),
            "deadline": ("GatewayError", "DEADLINE_EXCEEDED", 0),
        }
        assert told["endorse"]["details"] == ["NorthMSP: chaincode response 403, NO: the toy's rules forbid it"]

    serve(folder, scenario)


def test_mutual_tls_binds_a_block_request_to_the_clients_certificate(folder: Path) -> None:
    tls = organisation(folder, "south").user("clinician") / "tls"
    certificates = {"certificate": str(tls / "client.crt"), "key": str(tls / "client.key")}

    async def scenario(served: Served) -> None:
        told = await program(served, "mutual.mjs", certificates=certificates)
        assert told == {"own": 0, "other": "Unexpected status response: 400", "none": "Unexpected status response: 400"}

    serve(folder, scenario, client_certificates=True)
