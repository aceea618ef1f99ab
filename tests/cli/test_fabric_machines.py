"""A network on several machines, from the exported folders to a record's life, on Fabric's own programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthchain.app.scenarios.records import sample_files

from .machines import Machine, exchange, exported
from .program import Ended, process
from .test_fabric import programs

FOUNDED = {"stage": "founded", "waiting_for": []}
PORTS = {"raft": 22051, "bft": 22151}


@pytest.fixture(params=["raft", "bft"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Machine]]:
    found = programs()
    if found is None or not (found / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    made = exported(tmp_path, PORTS[request.param], "--consensus", request.param)
    try:
        for one in made:
            one.equip(found)
        yield made
    finally:
        for one in made:
            one.stop()


@pytest.mark.fabric
def test_from_nothing_to_a_record_s_life_on_machines_of_their_own(machines: list[Machine], tmp_path: Path) -> None:
    hospital, clinic, _, agency = machines
    files = [one.certify() for one in machines]
    exchange(machines, files, tmp_path / "members")
    blocks = {one.done("fabric", "assemble", "--members", tmp_path / "members")["block"] for one in machines}
    assert len(blocks) == 1  # each made it itself
    for one in machines:
        one.start()
    assert _deployed(hospital)["stage"] == "joined"  # one of four orderers cannot agree with itself
    stages = [_deployed(one)["stage"] for one in machines[1:]]
    assert stages[-1] == "approved"
    while stages[-1] != "founded":
        assert len(stages) < 3 * len(machines)
        stages += [_deployed(one)["stage"] for one in machines]
    assert _deployed(hospital) == FOUNDED  # what the last one did, the first one finds

    for to in (hospital, clinic):
        for person in ([], ["--person", "clinician"]):
            agency.done("licences", "issue", "--org", agency.name, "--to", to.name, *person)
    imported = hospital.done("import", "--org", hospital.name, sample_files()[0])
    (patient,) = imported["patients"].values()
    assert _read(clinic, patient).status == 3
    hospital.done("grant", "--patient", patient, "--to", clinic.name, "--purpose", "TREAT")
    read = _read(clinic, patient)
    assert (read.status, len(json.loads(read.stdout)["entry"])) == (0, imported["resources"])

    clinic.certify()  # renewed: the same keys, new certificates
    clinic.stop()
    clinic.start()
    assert _deployed(clinic) == FOUNDED
    hospital.done("revoke", "--patient", patient, "--from", clinic.name)
    assert _read(clinic, patient).status == 3
    hospital.done("erase", "--patient", patient)


def _deployed(machine: Machine) -> Any:
    return machine.done("fabric", "deploy", "--bin", machine.folder / "bin")


def _read(clinic: Machine, patient: str) -> Ended:
    who = ("--org", clinic.name, "--user", "clinician", "--patient", patient)
    return process("read", "--dir", clinic.folder, *who)
