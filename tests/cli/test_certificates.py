"""`certificates` as an organisation uses it, between `governance` commands."""

from __future__ import annotations

from pathlib import Path

from healthchain.config import DEFAULT

from .program import Program

HOSPITAL, CLINIC, INSURER, AGENCY = (one.name for one in DEFAULT.organisations)


def test_an_organisation_gets_new_certificates(program: Program, made: Path, tmp_path: Path) -> None:
    at, of_clinic = ("--dir", made), ("--dir", made, "--org", CLINIC)
    change = tmp_path / "change.json"
    change.write_text(program("certificates", "prepare", *of_clinic).stdout)
    early = program("certificates", "renew", *of_clinic)
    assert (early.status, "propose" in early.stderr) == (2, True)
    proposal = program.done("governance", "propose", *of_clinic, "--change", change)["proposal"]
    for name in (CLINIC, INSURER, AGENCY):
        voted = program.done("governance", "vote", *at, "--org", name, "--id", proposal, "--for")
    assert voted["status"] == "enacted"
    assert program("governance", "policies", *of_clinic).status == 1, "the old ones are nobody's"
    assert program.done("certificates", "renew", *of_clinic) == {"renewed": CLINIC}
    assert program("governance", "policies", *of_clinic).status == 0
    assert program.done("verify", *at)["clean"]


def test_an_organisation_that_is_not_there_gets_none(program: Program, made: Path) -> None:
    for command in ("prepare", "renew"):
        ended = program("certificates", command, "--dir", made, "--org", "nobody", "--json")
        assert (ended.status, set(ended.document)) == (2, {"error"})
