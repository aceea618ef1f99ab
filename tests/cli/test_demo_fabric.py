"""The scenarios on Fabric's own peers and orderers: what they tell, also when nodes end in the middle."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthchain.app.scenarios import Scenario

from .program import Program, process, start
from .test_fabric import programs
from .transcripts import assert_told, masked, transcript

SECONDS_MAX = 600
PORTS = {"raft": "22051", "bft": "23051"}
ENDING = "mutual-insurance"

OTHERWISE = {
    "records": ("Every block, signature and value", "One byte of a copy"),
    "claim": ("Every block, signature and value",),
    "breakglass": ("Every block, signature and value",),
    "outbreak": ("Every block, signature and value",),
    "governance": ("3 of 4 members endorse", "A Fabric channel would need", "Every block, signature and value"),
}
"""How lines of the embedded network's transcript begin that Fabric's does not have."""


@pytest.fixture
def found_programs() -> Path:
    found = programs()
    if found is None or not (found / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    return found


def arguments(scenario: str, consensus: str, found: Path) -> tuple[str | Path, ...]:
    where = ("--engine", "fabric", "--consensus", consensus, "--base-port", PORTS[consensus], "--bin", found)
    return ("demo", "--scenario", scenario, *where)


@pytest.mark.fabric
@pytest.mark.parametrize("consensus", list(PORTS))
@pytest.mark.parametrize("scenario", list(Scenario))
def test_what_it_tells(scenario: str, consensus: str, found_programs: Path) -> None:
    ended = process(*arguments(scenario, consensus, found_programs), "--json", seconds_max=SECONDS_MAX)
    assert ended.status == 0, ended
    assert ended.document["verify_clean"] is True
    assert_told(f"fabric-{scenario}", without_block(ended.stderr))


@pytest.mark.parametrize("scenario", list(Scenario))
def test_it_is_what_the_embedded_network_tells(scenario: str) -> None:
    """Refusals, figures and words: all but what is looked into its ledgers for, and what only votes do there."""
    embedded = without_block(transcript(scenario).read_text()).splitlines()
    told = transcript(f"fabric-{scenario}").read_text().splitlines()
    missing = [line[2:] for line in difflib.ndiff(embedded, told) if line.startswith("- ")]
    assert len(missing) == len(OTHERWISE[scenario])
    assert all(map(str.startswith, missing, OTHERWISE[scenario]))


@pytest.mark.fabric
def test_an_orderer_and_a_peer_are_killed_in_the_middle_and_started_again(found_programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "consortium"
    told = ""
    with running(*arguments("records", "bft", found_programs), "--dir", folder) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            told += line
            if "The hospital imports" in line:
                for node in ("orderer", "peer"):
                    pid = json.loads((folder / f"fabric/{ENDING}/{node}.pid").read_bytes())["pid"]
                    os.kill(pid, signal.SIGKILL)
            if "The patient revokes it" in line:
                assert down(folder) == [("peer", ENDING), ("orderer", ENDING)]
                os.kill(demo.pid, signal.SIGSTOP)  # until the operator has done what an operator does
                up = process("fabric", "up", "--dir", folder, "--bin", found_programs, seconds_max=SECONDS_MAX)
                os.kill(demo.pid, signal.SIGCONT)
                assert (up.status, down(folder)) == (0, [])
        assert demo.wait(SECONDS_MAX) == 0
    *lines, _ = told.splitlines(keepends=True)  # the last has the numbers of transactions and blocks
    assert without_block(masked("".join(lines))) == transcript("fabric-records").read_text()
    assert len(down(folder)) == 12


@pytest.mark.fabric
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_a_demo_that_is_stopped(stop: signal.Signals, found_programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "consortium"
    with running(*arguments("claim", "raft", found_programs), "--dir", folder) as demo:
        assert demo.stdout is not None
        assert "imports a patient" in demo.stdout.readline()
        assert down(folder) == []
        demo.send_signal(stop)
        assert demo.wait(SECONDS_MAX) == 130
    assert len(down(folder)) == 12


def test_what_no_network_can_be_made_of(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FABRIC_BIN", raising=False)
    folder = tmp_path / "consortium"
    fabric = ("demo", "--engine", "fabric", "--dir", folder)
    for arguments, said in (
        ((), "FABRIC_BIN"),
        (("--bin", tmp_path), "lacks orderer, peer, osnadmin"),
        (("--bin", tmp_path, "--consensus", "poa"), "raft, bft"),
    ):
        ended = program(*fabric, *arguments)
        assert (ended.status, said in ended.stderr) == (2, True)
    assert not folder.exists()


def without_block(told: str) -> str:
    """Under load Fabric's orderers put more or fewer transactions into a block."""
    return re.sub(r"\bblock \d+", "block N", told)


def down(folder: Path) -> list[tuple[str, str]]:
    """Nodes of the network that do not run."""
    nodes = process("fabric", "status", "--dir", folder, "--json").document["nodes"]
    return [(one["node"], one["organisation"]) for one in nodes if not one["running"]]


@contextlib.contextmanager
def running(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Told no more than a user is; ended, if the test has not come to that."""
    with start(*arguments, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.terminate()
                demo.communicate(timeout=SECONDS_MAX)
