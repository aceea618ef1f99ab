"""`licences` as an agency uses it, one command after the other."""

from __future__ import annotations

from pathlib import Path

from .bundles import bundle
from .program import Program

AGENCY = ("--org", "health-agency", "--to", "city-clinic")


def test_a_practitioner_is_suspended_and_reinstated(program: Program, made: Path) -> None:
    here = ("--dir", made)
    file = made.with_name("bundle.json")
    file.write_bytes(bundle())
    clinician = (*here, *AGENCY, "--person", "clinician")
    assert program.done("licences", "suspend", *clinician) == {"holder": "CityClinicMSP/clinician"}
    assert _statuses(program, made)["CityClinicMSP/clinician"] == "suspended"
    imported = ("import", *here, "--org", "city-clinic", file)
    assert program(*imported, "--json").document["refused"] == "LICENCE_MISSING"
    program.done("licences", "reinstate", *clinician)
    assert program.done(*imported)["written"] > 0
    assert program("licences", "reinstate", *clinician, "--json").document["refused"] == "LICENCE_STATUS"


def test_a_licence_for_one_act_replaces_that_for_all(program: Program, made: Path) -> None:
    here = ("--dir", made)
    issued = program.done("licences", "issue", *here, *AGENCY, "--act", "report", "--days", "30")
    assert issued == {"holder": "CityClinicMSP"}
    shown = program("licences", "list", *here, "--org", "mutual-insurance").stdout
    assert next(line for line in shown.splitlines() if line.startswith("CityClinicMSP ")).endswith("  report")


def test_only_the_agency_licenses(program: Program, made: Path) -> None:
    by_itself = ("--org", "city-clinic", "--user", "administrator", "--to", "city-clinic")
    assert program("licences", "issue", "--dir", made, *by_itself).stderr.startswith("refused: ROLE_FORBIDDEN")
    nothing = program("licences", "issue", "--dir", made, *AGENCY, "--act", "fly")
    assert (nothing.status, nothing.stdout) == (2, "")
    assert "record, claim, report, emergency" in nothing.stderr


def _statuses(program: Program, folder: Path) -> dict[str, str]:
    found = program.done("licences", "list", "--dir", folder, "--org", "city-clinic")["licences"]
    return {one["holder"]: one["status"] for one in found}
