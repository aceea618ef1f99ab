"""A network on several machines, from the exported folders to a record's life, on Fabric's own programs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from healthchain.app.scenarios.records import sample_files

from .machines import Machine, exchange, exported, larger
from .program import Ended, process
from .test_fabric import programs

FOUNDERS = ("general-hospital", "city-clinic", "health-agency")
NEWCOMER = "mutual-insurance"
FOUNDED = {"stage": "founded", "waiting_for": []}
PORTS = {"raft": 22051, "bft": 22151}

Found = Callable[[str, Sequence[str]], list[Machine]]


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Found]:
    """A network of these members, up to its founding."""
    programs_folder = programs()
    if programs_folder is None or not (programs_folder / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    machines: list[Machine] = []

    def founded(consensus: str, names: Sequence[str]) -> list[Machine]:
        machines.extend(exported(tmp_path, PORTS[consensus], consensus, names))
        _found(machines, tmp_path / "members", programs_folder)
        return machines

    try:
        yield founded
    finally:
        for one in machines:
            one.stop()


@pytest.mark.fabric
def test_from_nothing_to_a_record_s_life_and_renewed_certificates(found: Found) -> None:
    hospital, clinic, _, agency = found("bft", (*FOUNDERS[:2], NEWCOMER, FOUNDERS[2]))
    _license(agency, hospital, clinic)
    imported = hospital.done("import", "--org", hospital.name, sample_files()[0])
    (patient,) = imported["patients"].values()
    assert _read(clinic, patient).status == 3
    hospital.done("grant", "--patient", patient, "--to", clinic.name, "--purpose", "TREAT")
    read = _read(clinic, patient)
    assert (read.status, len(json.loads(read.stdout)["entry"])) == (0, imported["resources"])

    before = (clinic.folder / f"{clinic.name}.member.json").read_bytes()
    clinic.certify()  # the same keys, new certificates
    assert (clinic.folder / f"{clinic.name}.member.json").read_bytes() != before
    clinic.stop()
    clinic.start()
    assert _deployed(clinic) == FOUNDED
    hospital.done("revoke", "--patient", patient, "--from", clinic.name)
    assert _read(clinic, patient).status == 3
    hospital.done("erase", "--patient", patient)


@pytest.mark.fabric
def test_a_member_comes_later(found: Found, tmp_path: Path) -> None:
    machines = found("raft", FOUNDERS)
    newcomer = larger(tmp_path, PORTS["raft"], "raft", (*FOUNDERS, NEWCOMER), machines)
    founders, agency = list(machines), machines[2]
    machines.append(newcomer)
    newcomer.equip(founders[0].folder / "bin")
    shutil.copy(newcomer.folder / newcomer.certify(), tmp_path / "members")
    (tmp_path / "change.json").write_text(json.dumps(newcomer.done("fabric", "candidate")))
    who = ("--org", agency.name)
    proposal = agency.done("governance", "propose", *who, "--change", tmp_path / "change.json")["proposal"]
    for one in founders:
        one.done("governance", "vote", "--org", one.name, "--id", proposal, "--for")
    update = ("--id", proposal, "--file", tmp_path / "update")
    tls = newcomer.folder / f"organizations/ordererOrganizations/{NEWCOMER}.healthchain.example"
    [certificate] = tls.glob("orderers/*/tls/server.crt")
    nodes = ("--peer", newcomer.address(0), "--orderer", newcomer.address(1), "--orderer-tls", certificate)
    agency.done("fabric", "membership", "update", *who, *update, *nodes)
    for one in founders[:2]:
        one.done("fabric", "membership", "sign", "--org", one.name, *update)
    agency.done("fabric", "membership", "submit", *who, *update)

    for one in founders:
        one.take(tmp_path / "larger" / one.name)
        admitted = one.done("fabric", "admit", "--members", tmp_path / "members")
        assert (admitted["configuration"], list(admitted["members"])) == (True, [NEWCOMER])
    for file in ("genesis.block", "fabric/channel.block"):
        shutil.copy(founders[0].folder / file, newcomer.folder / file)
    admitted = newcomer.done("fabric", "admit", "--members", tmp_path / "members")
    assert (admitted["configuration"], sorted(admitted["members"])) == (False, sorted(FOUNDERS))
    newcomer.start()
    _until_founded(machines)
    listed = newcomer.done("governance", "list", "--org", NEWCOMER)["proposals"]
    assert [one["id"] for one in listed] == [proposal]


def _found(machines: list[Machine], members: Path, programs_folder: Path) -> None:
    for one in machines:
        one.equip(programs_folder)
    exchange(machines, [one.certify() for one in machines], members)
    blocks = {one.done("fabric", "assemble", "--members", members)["block"] for one in machines}
    assert len(blocks) == 1  # each made it itself
    for one in machines:
        one.start()
    assert _deployed(machines[0])["stage"] == "joined"  # one orderer cannot agree with itself
    _until_founded(machines)
    assert _deployed(machines[0]) == FOUNDED  # what the last one did, the first one finds


def _until_founded(machines: list[Machine]) -> None:
    stages: list[str] = []
    while stages[-len(machines) :] != ["founded"] * len(machines):
        assert len(stages) < 4 * len(machines), stages
        stages += [_deployed(one)["stage"] for one in machines]


def _license(agency: Machine, *hospitals: Machine) -> None:
    for one in hospitals:
        for person in ([], ["--person", "clinician"]):
            agency.done("licences", "issue", "--org", agency.name, "--to", one.name, *person)


def _deployed(machine: Machine) -> Any:
    return machine.done("fabric", "deploy", "--bin", machine.folder / "bin")


def _read(clinic: Machine, patient: str) -> Ended:
    who = ("--org", clinic.name, "--user", "clinician", "--patient", patient)
    return process("read", "--dir", clinic.folder, *who)
