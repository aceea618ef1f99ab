"""How commands end when something is wrong: the exit status, one JSON document, words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from healthchain.app import consortium
from healthchain.cli import main
from healthchain.cli.commands import app
from healthchain.cli.output import Output

from .program import Ended, Program

Arguments = tuple[str, ...]
HERE = ("--dir", "DIR")
WHO = (*HERE, "--org", "general-hospital", "--user", "clinician", "--patient", "PATIENT")

USAGE: dict[str, Arguments] = {
    "no such command": ("reed",),
    "no such option": ("patients", *HERE, "--org", "general-hospital", "--colour"),
    "an option is missing": ("patients", *HERE),
    "an argument is missing": ("import", *HERE, "--org", "general-hospital"),
    "no number": ("blocks", *HERE, "--last", "many"),
    "a number out of range": ("blocks", *HERE, "--last", "0"),
    "days out of range": ("grant", *HERE, "--patient", "PATIENT", "--to", "city-clinic", "--days", "4000"),
    "an option without its value": ("patients", "--dir"),
    "no such organisation": ("patients", *HERE, "--org", "general"),
    "no such grantee": ("grant", *HERE, "--patient", "PATIENT", "--to", "nobody"),
    "no such user": ("read", *HERE, "--org", "city-clinic", "--user", "surgeon", "--patient", "PATIENT"),
    "no such purpose": ("read", *WHO, "--purpose", "CURIOSITY"),
    "no such action": ("grant", *HERE, "--patient", "PATIENT", "--to", "city-clinic", "--action", "delete"),
    "no such compartment": ("grant", *HERE, "--patient", "PATIENT", "--to", "city-clinic", "--compartment", "teeth"),
    "no such workload": ("bench", "--workload", "sleep"),
    "bench on Fabric without its programs": ("bench", "--engine", "fabric", "--bin", "EMPTY"),
    "no patient of this pseudonym": ("audit", "patient", *HERE, "--patient", "AAAAAAAAAAAAAAAAAAAAAA"),
    "a pseudonym that can be none": ("audit", "patient", *HERE, "--patient", "../../" * 60),
    "staff as a patient": ("audit", "patient", *HERE, "--patient", "clinician"),
    "neither grantee nor consent": ("revoke", *HERE, "--patient", "PATIENT"),
    "grantee and consent": ("revoke", *HERE, "--patient", "PATIENT", "--from", "city-clinic", "--consent", "x"),
    "an insurer imports": ("import", *HERE, "--org", "mutual-insurance", "FILE"),
    "init where a network is": ("init", *HERE),
    "demo where a network is": ("demo", *HERE),
    "bench where a network is": ("bench", *HERE),
    "a folder without a network": ("patients", "--dir", "EMPTY", "--org", "general-hospital"),
    "verify without a network": ("verify", "--dir", "EMPTY"),
    "doctor without a network": ("doctor", "--dir", "EMPTY"),
    "up without a network": ("up", "--dir", "EMPTY"),
    "up with ports beyond the last": ("up", *HERE, "--base-port", "65000"),
    "env of no such organisation": ("env", "nobody", *HERE),
    "env of no such user": ("env", "general-hospital", *HERE, "--user", "surgeon"),
    "a folder that is a file": ("verify", "--dir", "FILE"),
    "no topology file": ("init", "--dir", "EMPTY", "--topology", "MISSING"),
    "a topology that is none": ("init", "--dir", "EMPTY", "--topology", "FILE"),
}
REFUSED: dict[str, tuple[Arguments, str]] = {
    "another hospital": (("read", *HERE, "--org", "city-clinic", *WHO[4:]), "CONSENT_MISSING"),
    "an insurer's agent": (
        ("read", *HERE, "--org", "mutual-insurance", "--user", "claims-agent", *WHO[6:], "--purpose", "HPAYMT"),
        "CONSENT_MISSING",
    ),
    "an administrator": (
        ("read", *HERE, "--org", "city-clinic", "--user", "administrator", *WHO[6:]),
        "ROLE_FORBIDDEN",
    ),
    "a patient who treats": (("read", *WHO[:4], "--user", "PATIENT", *WHO[6:]), "PURPOSE_FORBIDDEN"),
    "a pseudonym that nobody has": (("read", *WHO[:6], "--patient", "A" * 22), "PATIENT_UNKNOWN"),
    "a grant to the custodian": (
        ("grant", *HERE, "--patient", "PATIENT", "--to", "general-hospital"),
        "GRANTEE_IS_CUSTODIAN",
    ),
    "a revocation of nothing": (
        ("revoke", *HERE, "--patient", "PATIENT", "--from", "city-clinic"),
        "CONSENT_UNKNOWN",
    ),
    "an erasure of a record that is none": (
        ("erase", *HERE, "--patient", "PATIENT", "--record", "A" * 22),
        "RECORD_UNKNOWN",
    ),
}


@pytest.fixture
def run(program: Program, filled_once: tuple[Path, str], tmp_path: Path) -> _Run:
    """On the one folder: what ends badly writes nothing."""
    return _Run(program, filled_once, tmp_path)


class _Run:
    def __init__(self, program: Program, filled: tuple[Path, str], tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"\xff\xfe not text")
        self._program = program
        self._places = {
            "DIR": str(filled[0]),
            "PATIENT": filled[1],
            "FILE": str(file),
            "EMPTY": str(tmp_path / "empty"),
            "MISSING": str(tmp_path / "missing"),
        }
        self.empty = tmp_path / "empty"

    def __call__(self, *arguments: str) -> Ended:
        return self._program(*[self._places.get(one, one) for one in arguments])


@pytest.mark.parametrize("name", USAGE)
def test_what_cannot_be_used_ends_with_2_and_says_why(run: _Run, name: str) -> None:
    ended = run(*USAGE[name], "--json") if name != "an option without its value" else run("patients", "--json", "--dir")
    assert ended.status == 2, ended
    assert set(ended.document) == {"error"}
    assert len(ended.document["error"]) > 10
    assert not run.empty.exists()


@pytest.mark.parametrize("name", USAGE)
def test_without_json_nothing_is_on_standard_output(run: _Run, name: str) -> None:
    ended = run(*USAGE[name])
    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_rules_forbid_ends_with_3_and_its_code(run: _Run, name: str) -> None:
    arguments, code = REFUSED[name]
    refused = run(*arguments, "--json")
    assert (refused.status, refused.document["refused"]) == (3, code), refused
    assert refused.document["message"]
    assert run(*arguments).stderr.startswith(f"refused: {code}: ")


def test_the_user_may_be_a_patient(run: _Run) -> None:
    ended = run("read", *WHO[:4], "--user", "PATIENT", "--patient", "PATIENT", "--purpose", "PATRQT", "--json")
    assert ended.status == 0
    assert len(ended.document["entry"]) == 3


def test_a_file_system_that_fails_ends_with_1(run: _Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device", "/somewhere/secret")

    monkeypatch.setattr(consortium, "read_topology", full)
    ended = run("patients", *HERE, "--org", "general-hospital", "--json")
    assert (ended.status, ended.document) == (1, {"error": "No space left on device"})
    assert "secret" not in run("patients", *HERE, "--org", "general-hospital").stderr


def test_nothing_that_is_shown_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).result({}, "one\x1b[2K\r\x9b\u202etwo\nthree")
    assert capsys.readouterr().out == "one\\x1b[2K\\r\\x9b\\u202etwo\nthree\n"


def test_a_defect_shows_its_place_but_no_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("Winterbottom")

    monkeypatch.setattr(consortium, "stored_topology", broken)
    monkeypatch.setattr("sys.argv", ["healthchain", "patients", "--dir", "x", "--org", "y", "--json"])
    assert main() == 1
    printed = capsys.readouterr()
    assert printed.out.startswith('{"error": "a defect in HealthChain (RuntimeError at test_endings.py:')
    assert "Winterbottom" not in printed.out + printed.err


def test_interrupted_at_any_place_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["healthchain", "verify", "--dir", "x", "--json"])
    monkeypatch.setattr("healthchain.app.verify.verify", interrupted)
    assert main() == 130
    assert capsys.readouterr().out == '{"error": "interrupted"}\n'
    monkeypatch.setattr("healthchain.cli.commands.run", interrupted)
    assert main() == 130


def test_every_command_is_among_these_tests() -> None:
    tested = {arguments[0] for arguments in USAGE.values()} | {arguments[0][0] for arguments in REFUSED.values()}
    assert {one.name or one.callback.__name__ for one in app.registered_commands if one.callback} <= tested | {
        "records"
    }
    assert issubclass(typer.Exit, RuntimeError)
