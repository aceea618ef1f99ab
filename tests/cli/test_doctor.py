"""The command: words with the remedy, the same facts as JSON, exit status 4; and the page that lists all findings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from healthchain.app.doctor.findings import Code
from healthchain.app.fabric.local import init
from healthchain.cli.output import FAILED, FOUND, UNUSABLE
from healthchain.config import DEFAULT
from healthchain.fabric.nodes import Consensus, Settings

from .program import Program

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
BASE_PORT = 21501  # where nothing listens


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "consortium"
    init(folder, DEFAULT, Settings(Consensus.RAFT, BASE_PORT))
    return folder


def test_words(program: Program, made: Path) -> None:
    ended = program("doctor", "--dir", made)
    assert ended.status == FOUND
    assert (
        "ERROR PEER_UNREACHABLE: city-clinic: peer\n"
        "  a peer cannot be reached\n"
        f"  localhost:{BASE_PORT + 20}: nothing listens; its process does not run\n"
        "  to do: start it: `healthchain fabric up`, or its own unit or container;"
        " why it ended is at the end of its log\n"
    ) in ended.stdout
    assert "13 errors, 0 warnings; examined: 40 certificates of 4 organisations" in ended.stdout
    assert "not answered: city-clinic: what only its peer can tell" in ended.stdout


def test_whoever_reaches_no_node_is_sent_to_the_doctor(program: Program, made: Path) -> None:
    ended = program("patients", "--dir", made, "--org", "city-clinic")
    assert ended.status == FAILED
    assert "none of 4 gateways could answer" in ended.stderr
    assert ended.stderr.endswith("`healthchain doctor` says which nodes do not run\n")


def test_json_and_the_days_of_a_warning(program: Program, made: Path) -> None:
    ended = program("doctor", "--dir", made, "--days", "366", "--json")
    document = json.loads(ended.stdout)
    assert (ended.status, document["errors"], len(document["unanswered"])) == (FOUND, 13, 4)
    warnings = [one for one in document["findings"] if one["severity"] == "warning"]
    assert {one["code"] for one in warnings} == {"CERTIFICATE_EXPIRING"}
    assert document["findings"][-1] == warnings[-1]
    assert {one["node"] for one in warnings} >= {"peer", "orderer", "administrator"}
    assert all(one["wrong"] and one["what"] and one["remedy"] for one in document["findings"])


def test_a_folder_without_a_network(program: Program, tmp_path: Path) -> None:
    ended = program("doctor", "--dir", tmp_path)
    assert ended.status == UNUSABLE
    assert "healthchain init" in ended.stderr


def test_a_damaged_setting(program: Program, tmp_path: Path) -> None:
    init(tmp_path / "consortium", DEFAULT, Settings(Consensus.RAFT, BASE_PORT))
    (tmp_path / "consortium" / "fabric" / "settings.json").write_text("{")
    ended = program("doctor", "--dir", tmp_path / "consortium")
    assert (ended.status, "settings.json" in ended.stderr) == (UNUSABLE, True)


def test_the_page_lists_every_finding() -> None:
    rows = re.findall(r"^\| ([A-Z_0-9]+) \| (\w+) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(one.name, one.severity, one.value.wrong, one.remedy) for one in Code]
