"""The consortium on Fabric's own peers and orderers, which FABRIC_BIN has to name the folder of."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthchain.app.fabric import local
from healthchain.app.scenarios.records import sample_files
from healthchain.config import DEFAULT
from healthchain.fabric.approving import Approval
from healthchain.fabric.nodes import Consensus, Settings

from .program import Ended, process

SECONDS_MAX = 120
HOSPITAL = ("--org", "general-hospital")
CLINIC = ("--org", "city-clinic", "--user", "clinician")
ENDING = "mutual-insurance"


def programs() -> Path | None:
    """FABRIC_BIN's folder, or the one on PATH that has an orderer."""
    found = os.environ.get("FABRIC_BIN") or shutil.which("osnadmin")
    folder = Path(found) if found else None
    return folder.parent if folder and folder.name == "osnadmin" else folder


class Network:
    """The program as a user runs it, on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str | Path) -> Ended:
        words = arguments[:2] if arguments[0] == "fabric" else arguments[:1]
        return process(*words, "--dir", self.folder, *arguments[len(words) :], seconds_max=SECONDS_MAX)

    def done(self, *arguments: str | Path) -> Any:
        ended = self(*arguments, "--json")
        assert ended.status == 0, ended
        return json.loads(ended.stdout)

    def read(self, patient: str) -> Ended:
        return self("read", *CLINIC, "--patient", patient)

    def running(self) -> list[bool]:
        return [one["running"] for one in self.done("fabric", "status")["nodes"]]


@pytest.fixture(params=["raft", "bft"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    folder = programs()
    if folder is None or not (folder / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    made = Network(tmp_path / "consortium")
    port = {"raft": "17051", "bft": "18051"}[request.param]
    made.done("fabric", "init", "--consensus", request.param, "--base-port", port)
    try:
        assert len(made.done("fabric", "up", "--bin", folder)["nodes"]) == 12
        yield made
    finally:
        made("fabric", "down")


@pytest.mark.fabric
def test_a_record_s_life_with_nodes_that_end_in_its_middle(network: Network) -> None:
    imported = network.done("import", *HOSPITAL, sample_files()[0])
    (patient,) = imported["patients"].values()
    assert (network.read(patient).status, "CONSENT_MISSING" in network.read(patient).stderr) == (3, True)
    network.done("grant", "--patient", patient, "--to", "city-clinic", "--purpose", "TREAT")
    read = network.read(patient)
    assert (read.status, len(json.loads(read.stdout)["entry"])) == (0, imported["resources"])

    for node in ("orderer", "peer"):
        pid = json.loads((network.folder / f"fabric/{ENDING}/{node}.pid").read_bytes())["pid"]
        os.kill(pid, signal.SIGKILL)
    assert network.running().count(False) == 2
    network.done("revoke", "--patient", patient, "--from", "city-clinic")
    assert network.read(patient).status == 3
    assert "runs on Fabric" in network("blocks").stderr

    found = programs()
    assert found is not None
    network.done("fabric", "up", "--bin", found)  # what ended, and nothing anew
    assert all(network.running())
    network.done("import", *HOSPITAL, sample_files()[1])
    assert network.done("fabric", "down") == {"ended": 12}
    assert not any(network.running())
    network.done("fabric", "up", "--bin", found)
    assert len(network.done("patients", *HOSPITAL)["patients"]) == 2


@pytest.mark.fabric
def test_up_goes_on_where_all_have_approved_and_nobody_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = programs()
    if found is None or not (found / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    folder = tmp_path / "consortium"
    local.init(folder, DEFAULT, Settings(Consensus.BFT, 19051))
    try:
        monkeypatch.setattr(Approval, "commit", interrupted)
        with pytest.raises(Interrupted):
            asyncio.run(local.up(folder, found, print))
        monkeypatch.undo()
        asyncio.run(local.up(folder, found, print))
        assert all(one.running for one in local.status(folder))
    finally:
        local.down(folder)


class Interrupted(Exception):
    """As by Ctrl-C."""


async def interrupted(*_: object) -> None:
    raise Interrupted
