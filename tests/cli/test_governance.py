"""`governance` as administrators use it, one command after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fabric_protos.common.configtx_pb2 import ConfigUpdateEnvelope

from .program import Program

VOTERS = ("general-hospital", "mutual-insurance", "health-agency")


def proposed(program: Program, folder: Path, *change: str | Path) -> Any:
    return program.done("governance", "propose", "--dir", folder, "--org", "general-hospital", *change)["proposal"]


def enacted(program: Program, folder: Path, proposal: str, *voters: str) -> None:
    for voter in voters:
        cast = program("governance", "vote", "--dir", folder, "--org", voter, "--id", proposal, "--for")
        assert cast.status == 0
    assert cast.stdout == "enacted\n"


def test_policies_are_proposed_with_a_sealed_comment_and_change(program: Program, filled: tuple[Path, str]) -> None:
    folder, _ = filled
    where = ("--dir", folder, "--org", "city-clinic")
    assert program("governance", "list", *where).stdout == "no proposals\n"
    sealed = ("--comment", "Screens are shared.", "--sealed")
    proposal = proposed(program, folder, "--set", "session_ms_max=60000", "--set", "cell_min=7", *sealed)
    enacted(program, folder, proposal, *VOTERS)
    assert program.done("governance", "policies", *where)["cell_min"] == 7
    assert "MutualInsuranceMSP               insurer    active     " in program("governance", "members", *where).stdout
    assert "session_ms_max           60000\n" in program("governance", "policies", *where).stdout
    listed = program("governance", "list", *where).stdout
    assert "enacted   GeneralHospitalMSP/administrator" in listed
    assert listed.endswith("change-policies session_ms_max=60000, cell_min=7\n")
    shown = program("governance", "show", *where, "--id", proposal).stdout
    assert "  Screens are shared.\n" in shown
    assert shown.count("for      ") == 3
    late = program("governance", "vote", *where, "--id", proposal, "--against")
    assert (late.status, late.stderr.split(":")[1].strip()) == (3, "PROPOSAL_DECIDED")


def test_a_comment_that_looks_like_a_vote_is_shown_as_a_comment(program: Program, filled: tuple[Path, str]) -> None:
    folder, _ = filled
    forged = "Agreed.\nfor      HealthAgencyMSP/administrator"
    for sealed in ((), ("--sealed",)):
        proposal = proposed(program, folder, "--set", "cell_min=7", "--comment", forged, *sealed)
        shown = program.done("governance", "show", "--dir", folder, "--org", "city-clinic", "--id", proposal)
        assert (shown["votes"], shown["comments"]) == ([], {"": forged})
        text = program("governance", "show", "--dir", folder, "--org", "city-clinic", "--id", proposal).stdout
        assert text.endswith("\n  Agreed. for HealthAgencyMSP/administrator\n")


def test_members_are_suspended_resumed_and_removed(program: Program, filled: tuple[Path, str]) -> None:
    folder, _ = filled
    enacted(program, folder, proposed(program, folder, "--suspend", "mutual-insurance"), VOTERS[0], VOTERS[2])
    listed = program("governance", "list", "--dir", folder, "--org", "mutual-insurance")
    assert (listed.status, listed.stderr.split(":")[1].strip()) == (3, "MEMBER_SUSPENDED")
    enacted(program, folder, proposed(program, folder, "--resume", "mutual-insurance"), VOTERS[0], VOTERS[2])
    agency = ("--dir", folder, "--org", "health-agency")
    early = program("governance", "purge", *agency, "--member", "mutual-insurance")
    assert (early.status, early.stderr.split(":")[1].strip()) == (3, "MEMBER_STANDING")
    enacted(program, folder, proposed(program, folder, "--remove", "MutualInsuranceMSP"), VOTERS[0], VOTERS[2])
    assert program.done("governance", "purge", *agency, "--member", "mutual-insurance") == {"purged": 0, "offers": 0}


def test_an_organisation_is_prepared_proposed_added_and_joins(program: Program, filled: tuple[Path, str]) -> None:
    folder, _ = filled
    spec = ("--dir", folder, "--name", "island-hospital", "--kind", "hospital")
    early = program("governance", "join", *spec)
    assert (early.status, early.stdout) == (2, "")
    change, update = folder.with_name("change.json"), folder.with_name("update.pb")
    change.write_text(json.dumps(program.done("governance", "prepare", *spec)))
    proposal = proposed(program, folder, "--change", change)
    enacted(program, folder, proposal, *VOTERS)
    assert program.done("governance", "join", *spec) == {"joined": "island-hospital"}
    about = ("--dir", folder, "--org", "island-hospital", "--id", proposal, "--out", update)
    written = program.done("governance", "config-update", *about, "--sign", "city-clinic", "--sign", "health-agency")
    assert (written["bytes"], written["signatures"]) == (update.stat().st_size, 2)
    assert len(ConfigUpdateEnvelope.FromString(update.read_bytes()).signatures) == 2
    enacted(program, folder, proposed(program, folder, "--new-key"), "island-hospital", *VOTERS[1:])


def test_a_change_that_cannot_be_used_writes_nothing(program: Program, filled: tuple[Path, str]) -> None:
    folder, _ = filled
    change = folder.with_name("change.json")
    where = ("governance", "propose", "--dir", folder, "--org", "city-clinic")
    change.write_bytes(b"\xff")
    for options in ((), ("--set", "cell_min"), ("--set", "cell_min=7", "--new-key"), ("--change", change)):
        ended = program(*where, *options)
        assert (ended.status, ended.stdout) == (2, ""), options
    change.write_text('{"change":"dissolve"}')
    assert program(*where, "--change", change).status == 2
    refused = program(*where, "--set", "cell_min=2")
    assert (refused.status, refused.stderr.split(":")[1].strip()) == (3, "POLICY_INVALID")
    kind = program("governance", "prepare", "--dir", folder, "--name", "island", "--kind", "pharmacy")
    assert kind.status == 2
