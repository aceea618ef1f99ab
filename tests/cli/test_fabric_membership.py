"""A member comes to Fabric's own peers and orderers by vote, another goes, a third has new certificates."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.common import ledger_pb2
from fabric_protos.common.configtx_pb2 import ConfigUpdate

from healthchain.app.consortium import ADMINISTRATOR, opened, stored_topology
from healthchain.app.scenarios.records import sample_files
from healthchain.fabric.nodes import members, read_settings
from healthchain.wire.config_update import decode_update, encode_update

from .program import Ended, process
from .test_fabric import programs

SECONDS_MAX = 240
HOSPITAL, CLINIC, INSURER, AGENCY = "general-hospital", "city-clinic", "mutual-insurance", "health-agency"
ISLAND = "island-hospital"
NEW = ("--name", ISLAND, "--kind", "hospital", "--title", "Island Hospital")


class Network:
    """The program as a user runs it, on one folder: its words first, then options."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.bin = ("--bin", programs)
        self.programs = programs

    def __call__(self, *arguments: str | Path) -> Ended:
        words = tuple(takewhile(lambda one: isinstance(one, str) and not one.startswith("--"), arguments))
        return process(*words, "--dir", self.folder, *arguments[len(words) :], seconds_max=SECONDS_MAX)

    def done(self, *arguments: str | Path) -> Any:
        ended = self(*arguments, "--json")
        assert ended.status == 0, ended
        return json.loads(ended.stdout)

    def pass_(self, proposer: str, voters: Sequence[str], *change: str | Path) -> str:
        proposal: str = self.done("governance", "propose", "--org", proposer, *change)["proposal"]
        statuses = [
            self.done("governance", "vote", "--org", one, "--id", proposal, "--for")["status"] for one in voters
        ]
        assert statuses[-1] == "enacted"
        return proposal

    def change_channel(self, proposal: str, signers: Sequence[str]) -> None:
        file = self.folder.parent / f"{proposal}.pb"
        about = ("--id", proposal, "--file", file)
        self.done("fabric", "membership", "update", "--org", signers[0], *about)
        for one in signers:
            self.done("fabric", "membership", "sign", "--org", one, *about)
        assert self.done("fabric", "membership", "submit", "--org", signers[0], *about) == {"submitted": True}

    def kill(self, organisation: str, *kinds: str) -> None:
        for kind in kinds:
            pid = json.loads((self.folder / f"fabric/{organisation}/{kind}.pid").read_bytes())["pid"]
            os.kill(pid, signal.SIGKILL)

    def read(self, organisation: str, patient: str) -> int:
        """How many resources."""
        read = self("read", "--org", organisation, "--user", "clinician", "--patient", patient)
        assert read.status == 0, read
        return len(json.loads(read.stdout)["entry"])

    def imported(self, organisation: str, number: int) -> tuple[str, int]:
        """The patient, and how many resources."""
        told = self.done("import", "--org", organisation, sample_files()[number])
        [patient] = told["patients"].values()
        return patient, told["resources"]

    def height(self, organisation: str) -> int:
        """As the organisation's own peer has it."""

        async def asked() -> int:
            async with opened(self.folder) as consortium:
                connection = consortium.staff(organisation, ADMINISTRATOR).connection.to("qscc")
                answer = await connection.evaluate("GetChainInfo", consortium.topology.channel.encode())
                return ledger_pb2.BlockchainInfo.FromString(answer).height

        return asyncio.run(asked())

    def sign_with_fabric_s_own_tool(self, organisation: str, file: Path) -> None:
        listed = members(self.folder, stored_topology(self.folder), read_settings(self.folder))
        one = next(one for one in listed if one.name == organisation)
        environment = {
            "FABRIC_CFG_PATH": str(one.folder / "peer"),
            "CORE_PEER_MSPCONFIGPATH": str(one.credentials.user(ADMINISTRATOR) / "msp"),
        }
        arguments: list[str | Path] = [self.programs / "peer", "channel", "signconfigtx", "-f", file]
        subprocess.run(arguments, env=environment, check=True, capture_output=True)  # noqa: S603 (Fabric's program)


@pytest.fixture(params=["raft", "bft"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    folder = programs()
    if folder is None or not (folder / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    made = Network(tmp_path / "consortium", folder)
    port = {"raft": "24251", "bft": "24451"}[request.param]
    made.done("fabric", "init", "--consensus", request.param, "--base-port", port)
    try:
        made.done("fabric", "up", *made.bin)
        yield made
    finally:
        made("fabric", "down")


@pytest.mark.fabric
def test_members_come_go_and_have_new_certificates(network: Network, tmp_path: Path) -> None:
    first, resources = network.imported(HOSPITAL, 0)
    _a_fifth_joins(network, tmp_path)
    own, own_resources = network.imported(ISLAND, 1)
    network.done("grant", "--patient", first, "--to", ISLAND, "--purpose", "TREAT")
    assert network.read(ISLAND, first) == resources
    assert network.read(ISLAND, own) == own_resources

    network.kill(AGENCY, "orderer")  # one of five may fail, under SmartBFT as well: so the fifth takes part
    network.kill(ISLAND, "peer")
    network.done("revoke", "--patient", first, "--from", ISLAND)
    network.done("fabric", "up", *network.bin)
    assert network("read", "--org", ISLAND, "--user", "clinician", "--patient", first).status == 3

    _a_founder_leaves(network)
    assert network.imported(CLINIC, 2)[1]
    _another_has_new_certificates(network)
    patient, more = network.imported(CLINIC, 3)
    assert network.read(CLINIC, patient) == more

    network.done("fabric", "down")
    network.done("fabric", "up", *network.bin)
    network.kill(HOSPITAL, "orderer")  # one of four: all the others have to be the channel's, with what they know
    assert network.read(CLINIC, patient) == more
    assert network.read(ISLAND, own) == own_resources


def _a_fifth_joins(network: Network, folder: Path) -> None:
    assert "governance prepare" in network("fabric", "join", *NEW, *network.bin).stderr
    change = folder / "change.json"
    change.write_text(json.dumps(network.done("governance", "prepare", *NEW)))
    assert "does not have island-hospital" in network("fabric", "join", *NEW, *network.bin).stderr
    proposal = network.pass_(HOSPITAL, (HOSPITAL, INSURER, AGENCY), "--change", change)
    file = folder / "update.pb"
    about = ("--id", proposal, "--file", file)
    network.done("fabric", "membership", "update", "--org", HOSPITAL, *about)
    network.done("fabric", "membership", "sign", "--org", CLINIC, *about)
    network.sign_with_fabric_s_own_tool(INSURER, file)
    few = network("fabric", "membership", "submit", "--org", HOSPITAL, *about)
    assert (few.status, "2 of the 3" in few.stderr, "HealthAgencyMSP" in few.stderr) == (2, True, True)
    _refused_to_sign(network, proposal, file)
    shown = network.done("fabric", "membership", "sign", "--org", AGENCY, *about)
    assert (shown["suffice"], len(shown["signed"])) == (True, 3)
    assert network.done("fabric", "membership", "submit", "--org", HOSPITAL, *about) == {"submitted": True}
    assert network.done("fabric", "membership", "submit", "--org", HOSPITAL, *about) == {"submitted": False}
    network.done("fabric", "join", *NEW, *network.bin)
    assert len(network.done("fabric", "status")["nodes"]) == 15
    assert network("import", "--org", ISLAND, sample_files()[1]).status == 3  # without a licence
    for person in ((), ("--person", "clinician")):
        network.done("licences", "issue", "--org", AGENCY, "--to", ISLAND, *person)


def _refused_to_sign(network: Network, proposal: str, file: Path) -> None:
    """Somebody on the file's way has put another member's removal into it."""
    envelope = decode_update("health", file.read_bytes())
    update = ConfigUpdate.FromString(envelope.config_update)
    for section in ("Application", "Orderer"):
        del update.write_set.groups[section].groups[CLINIC]
    envelope.config_update = update.SerializeToString()
    tampered = file.with_name("tampered.pb")
    tampered.write_bytes(encode_update("health", envelope))
    for step in ("show", "sign", "submit"):
        refused = network("fabric", "membership", step, "--org", AGENCY, "--id", proposal, "--file", tampered)
        assert (refused.status, f"Channel/Application/{CLINIC}" in refused.stderr) == (2, True), refused
    assert decode_update("health", tampered.read_bytes()) == envelope


def _a_founder_leaves(network: Network) -> None:
    assert "the channel has" in network("fabric", "leave", "--name", INSURER, *network.bin).stderr
    proposal = network.pass_(ISLAND, (ISLAND, HOSPITAL, AGENCY), "--remove", INSURER)
    network.change_channel(proposal, (ISLAND, HOSPITAL, AGENCY))
    gone, before = network.height(INSURER), network.height(HOSPITAL)
    assert gone < before
    network.done("fabric", "leave", "--name", INSURER, *network.bin)
    addresses = {
        (one["organisation"], one["node"]): one["address"] for one in network.done("fabric", "status")["nodes"]
    }
    assert len(addresses) == 12
    assert len(set(addresses.values())) == 12
    assert not (network.folder / f"fabric/{INSURER}/peer.pid").exists()


def _another_has_new_certificates(network: Network) -> None:
    change = network.folder.parent / "certificates.json"
    change.write_text(json.dumps(network.done("certificates", "prepare", "--org", CLINIC)))
    assert "does not have city-clinic's new" in network("fabric", "renew", "--org", CLINIC, *network.bin).stderr
    proposal = network.pass_(CLINIC, (CLINIC, HOSPITAL, AGENCY), "--change", change)
    network.change_channel(proposal, (HOSPITAL, ISLAND, AGENCY))
    network.done("fabric", "renew", "--org", CLINIC, *network.bin)
