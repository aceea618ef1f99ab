"""Erasing on a real Fabric network: purged is not gone from the peers' files, and compacted is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthchain.app.consortium import opened
from healthchain.app.scenarios import records
from healthchain.fabric.leveldb.database import TABLE
from healthchain.fabric.leveldb.entries import in_table

from .program import process
from .test_fabric import HOSPITAL, Network, programs

PEERS = {"general-hospital", "city-clinic", "mutual-insurance", "health-agency"}
BASE_PORT = "31051"
NO_PROGRAMS = {"FABRIC_BIN": ""}


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    folder = programs()
    if folder is None or not (folder / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    made = Network(tmp_path / "consortium")
    made.done("fabric", "init", "--base-port", BASE_PORT)
    try:
        made.done("fabric", "up", "--bin", folder)
        yield made
    finally:
        made("fabric", "down")


async def sealed(folder: Path, patient: str) -> list[bytes]:
    """Pieces of the patient's envelopes and bodies, as the demo looks for."""
    async with opened(folder) as consortium:
        return await records._traces(consortium, patient)


def holding(folder: Path, pieces: list[bytes]) -> set[str]:
    """Whose peers or orderers have a file with one of these bytes in it, compressed or not."""
    found = set()
    for path in (folder / "fabric").rglob("*"):
        if path.is_file():
            content = path.read_bytes().rstrip(b"\0")  # Raft's logs are 64 MiB from the beginning
            if path.suffix == TABLE:
                content += b"".join(one.value or b"" for one in in_table(content))
            if any(piece in content for piece in pieces):
                found.add(path.relative_to(folder / "fabric").parts[0])
    return found


@pytest.mark.fabric
def test_what_is_erased_leaves_the_peers_files_with_the_compaction_and_not_before(network: Network) -> None:
    first, second = (
        next(iter(network.done("import", *HOSPITAL, one)["patients"].values())) for one in records.sample_files()[:2]
    )
    pieces = asyncio.run(sealed(network.folder, first))
    kept = asyncio.run(sealed(network.folder, second))
    assert holding(network.folder, pieces) == PEERS
    erased = process("erase", "--dir", network.folder, "--patient", first, "--json", environment=NO_PROGRAMS)
    in_files = json.loads(erased.stdout)["in_files"]
    assert (erased.status, in_files > 250) == (0, True)
    assert holding(network.folder, pieces) == PEERS, "or Fabric does it by itself, and nothing here is needed any more"
    looked = network("fabric", "traces", "--json")
    told = {one["organisation"]: one["dead"] for one in json.loads(looked.stdout)["peers"]}
    assert (looked.status, told) == (4, dict.fromkeys(PEERS, in_files))

    found = programs()
    assert found is not None
    done = network.done("fabric", "compact", "--bin", found, "--org", "city-clinic")["peers"]
    assert [(one["organisation"], one["dead"]) for one in done] == [("city-clinic", in_files)]
    assert holding(network.folder, pieces) == PEERS - {"city-clinic"}
    network.done("fabric", "compact", "--bin", found)
    assert not holding(network.folder, pieces)
    assert network.done("fabric", "traces")["peers"]
    assert holding(network.folder, kept) == PEERS

    assert network.done("erase", "--patient", second, "--bin", found)["in_files"] == 0
    assert not holding(network.folder, kept)
    third = network.done("import", *HOSPITAL, records.sample_files()[2])  # and all goes on
    assert third["resources"] > 0
    assert all(network.running())
    assert [one["dead"] for one in network.done("fabric", "traces")["peers"]] == [0] * len(PEERS)


@pytest.mark.fabric
def test_peers_that_others_start_and_stop(network: Network) -> None:
    (patient,) = network.done("import", *HOSPITAL, records.sample_files()[0])["patients"].values()
    pieces = asyncio.run(sealed(network.folder, patient))
    process("erase", "--dir", network.folder, "--patient", patient, environment=NO_PROGRAMS)
    refused = network("fabric", "compact", "--stopped")
    assert (refused.status, "runs: stop it first" in refused.stderr) == (2, True)
    network.done("fabric", "down")
    assert holding(network.folder, pieces) == PEERS
    assert set(network.done("fabric", "compact", "--stopped")["prepared"]) == PEERS
    found = programs()
    assert found is not None
    network.done("fabric", "up", "--bin", found)
    assert not holding(network.folder, pieces)
    assert network("fabric", "traces").status == 0
