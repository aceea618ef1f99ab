"""`patient` as custodians, patients and guardians use it, one command after the other."""

from __future__ import annotations

import json
from pathlib import Path

from .program import Program

HOSPITAL, CLINIC = ("--org", "general-hospital"), ("--org", "city-clinic")


def test_a_guardian_is_appointed_reads_and_ends(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    of = ("--dir", folder, "--patient", patient)
    assert program("patient", "guardians", *of).stdout == "no guardians\n"
    unknown = program("patient", "appoint-guardian", *of, *HOSPITAL, "--scope", "erase")
    assert (unknown.status, unknown.stdout) == (2, "")
    assert unknown.stderr == "error: there is no such scope: choose one of read, consent, claims\n"
    guardian = program.done("patient", "appoint-guardian", *of, *HOSPITAL, "--scope", "read")["guardian"]
    reading = (*of, *HOSPITAL, "--user", guardian, "--purpose", "PATRQT")
    assert len(json.loads(program("read", *reading).stdout)["entry"]) == 3
    assert program("patient", "guardians", *of).stdout == f"{guardian}          read\n"
    assert program.done("patient", "end-guardian", *of, "--guardian", guardian) == {"ended": True}
    assert program("read", *reading).status == 3
    assert program("patient", "guardians", *of).stdout == f"{guardian}  former  read\n"


def test_custody_is_offered_refused_withdrawn_and_accepted(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    of = ("--dir", folder, "--patient", patient)
    offer = ("patient", "offer", *of, *HOSPITAL, "--to", "city-clinic")
    guardian = program.done("patient", "appoint-guardian", *of, *HOSPITAL, "--scope", "read")["guardian"]
    assert program.done(*offer)["offer"]
    assert program("patient", "refuse", *of, *CLINIC).stdout == "refused\n"
    assert program(*offer).status == 0
    assert program("patient", "withdraw", *of, *HOSPITAL).stdout == "withdrawn\n"
    assert program("patient", "accept", *of, *CLINIC).status == 3
    assert program(*offer).status == 0
    assert program("patient", "accept", *of, *CLINIC).stdout == "city-clinic is the custodian\n"
    for user in ("clinician", patient, guardian):
        purpose = "TREAT" if user == "clinician" else "PATRQT"
        found = program("read", *of, *CLINIC, "--user", user, "--purpose", purpose)
        assert len(json.loads(found.stdout)["entry"]) == 3
    assert program("read", *of, *HOSPITAL, "--user", "clinician").status == 3


def test_the_agency_assigns_only_what_has_no_active_custodian(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    of = ("--dir", folder, "--patient", patient)
    refused = program("patient", "assign", *of, "--org", "health-agency", "--to", "city-clinic")
    assert (refused.status, refused.stderr.split(":")[1].strip()) == (3, "CUSTODIAN_ACTIVE")
    handed = program.done("patient", "hand-keys", *of, *HOSPITAL)  # nothing is missing, and nothing is harmed
    assert handed == {"handed": True}


def test_death_and_merge(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    of = ("--dir", folder, *HOSPITAL, "--patient", patient)
    assert program("patient", "death", *of).stdout == "recorded\n"
    assert program("read", *of, "--user", patient, "--purpose", "PATRQT").status == 3
    assert program("patient", "death", *of, "--mistaken").stdout == "revoked\n"
    unknown = program("patient", "merge", *of, "--into", "A" * 22)
    assert (unknown.status, unknown.stderr.split(":")[1].strip()) == (3, "PATIENT_UNKNOWN")
    assert program("patient", "merge", *of, "--into", "A" * 22, "--confirm").status == 3
