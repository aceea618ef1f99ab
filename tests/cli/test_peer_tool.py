"""Fabric's own `peer`, which FABRIC_BIN has to name the folder of, against the network in the foreground."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .program import Program
from .test_up import ORGANISATIONS, up

pytestmark = pytest.mark.fabric
SECONDS_MAX = 30
AGENCY = "health-agency"
CORE_YAML = "peer:\n  BCCSP:\n    Default: SW\n    SW: {Hash: SHA2, Security: 256}\n"
SUSPEND = {"Args": ["licences:Suspend", json.dumps({"holder": "CityClinicMSP/clinician"})]}


@dataclass(frozen=True, slots=True)
class PeerTool:
    """`peer` as the agency's administrator; `addresses` are those of all organisations."""

    program: str
    environment: dict[str, str]
    addresses: dict[str, str]
    roots: dict[str, str]

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit status, and all that it printed."""
        ended = subprocess.run(  # noqa: S603 (the program that the operator names)
            [self.program, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def invoke(self, endorsers: list[str], call: object) -> tuple[int, str]:
        given = self.environment
        own = ("--certfile", given["CORE_PEER_TLS_CLIENTCERT_FILE"], "--keyfile", given["CORE_PEER_TLS_CLIENTKEY_FILE"])
        orderer = ("-o", self.addresses[AGENCY], "--tls", "--cafile", given["ORDERER_CA"], "--clientauth", *own)
        peers = [
            option
            for name in endorsers
            for option in ("--peerAddresses", self.addresses[name], "--tlsRootCertFiles", self.roots[name])
        ]
        channel = ("-C", "health", "-n", "ehr")
        return self("chaincode", "invoke", *channel, *orderer, *peers, "--waitForEvent", "-c", json.dumps(call))


@pytest.fixture(params=["server TLS", "mutual TLS"])
def peer(request: pytest.FixtureRequest, program: Program, made: Path, tmp_path: Path) -> Iterator[PeerTool]:
    binary = Path(os.environ.get("FABRIC_BIN", "")) / "peer"
    if not binary.is_file():
        pytest.skip("FABRIC_BIN names no folder with Fabric's peer")
    (tmp_path / "core.yaml").write_text(CORE_YAML)
    told = {name: program.done("env", name, "--dir", made) for name in ORGANISATIONS}
    with up(made, *(["--mutual-tls"] if request.param == "mutual TLS" else [])) as (_, ready):
        environment = told[AGENCY] | {
            "CORE_PEER_ADDRESS": ready["addresses"][AGENCY],
            "FABRIC_CFG_PATH": str(tmp_path),
            "PATH": os.environ["PATH"],
        }
        roots = {name: one["CORE_PEER_TLS_ROOTCERT_FILE"] for name, one in told.items()}
        yield PeerTool(str(binary), environment, ready["addresses"], roots)


def test_what_a_peer_is_asked(peer: PeerTool, tmp_path: Path) -> None:
    assert "\nhealth\n" in peer("channel", "list")[1]
    status, told = peer("channel", "getinfo", "-c", "health")
    assert (status, '"height":7' in told) == (0, True)
    defined = ("lifecycle", "chaincode", "querycommitted", "-C", "health")
    assert "Name: ehr, Version: 1, Sequence: 1" in peer(*defined)[1]
    assert "HealthAgencyMSP: true" in peer(*defined, "-n", "ehr")[1]
    block = tmp_path / "block"
    assert peer("channel", "fetch", "oldest", str(block), "-c", "health")[0] == 0
    assert block.stat().st_size > 1000


def test_a_query_and_one_that_is_refused(peer: PeerTool) -> None:
    query = ("chaincode", "query", "-C", "health", "-n", "ehr", "-c")
    status, told = peer(*query, json.dumps({"Args": ["members:List", "{}"]}))
    assert (status, "CityClinicMSP" in told) == (0, True)
    status, told = peer(*query, json.dumps({"Args": ["licences:Suspend", json.dumps({"holder": "NobodyMSP"})]}))
    assert (status, "LICENCE_UNKNOWN" in told) == (1, True)


def test_an_invocation_is_as_valid_as_its_endorsements_are_many(peer: PeerTool) -> None:
    status, told = peer.invoke(ORGANISATIONS[:1], SUSPEND)
    assert (status, "ENDORSEMENT_POLICY_FAILURE" in told) == (1, True)
    status, told = peer.invoke(ORGANISATIONS[:3], SUSPEND)
    assert (status, told.count("committed with status (VALID)")) == (0, 3)
    status, told = peer.invoke(ORGANISATIONS[:3], SUSPEND)
    assert (status, "LICENCE_STATUS" in told) == (1, True)
