"""`reports` and `aggregates` as hospital, agency and insurer use them, one command after the other."""

from __future__ import annotations

import json
from pathlib import Path

from .bundles import bundle, urn
from .program import Program

AGENCY = ("--org", "health-agency")
FLU = "6142004"


def with_a_case(folder: Path, patient: int) -> Path:
    """A bundle whose patient has the flu."""
    made = json.loads(bundle(observations=0, patient=patient))
    made["entry"][0]["resource"] |= {"gender": "male", "address": [{"country": "US", "city": "New Town"}]}
    condition = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": FLU}]},
        "subject": {"reference": urn(0, patient)},
        "onsetDateTime": "2024-02-11T09:00:00Z",
    }
    request = {"method": "POST", "url": "Condition"}
    made["entry"].append({"fullUrl": urn(1, patient), "resource": condition, "request": request})
    path = folder / f"case-{patient}.json"
    path.write_text(json.dumps(made))
    return path


def axes(folder: Path) -> Path:
    path = folder / "axes.json"
    place = {"code": "US-New-Town", "parts": ["US-New-Town"]}
    period, condition = {"code": "2024-02", "parts": ["2024-02"]}, {"code": FLU, "parts": [FLU]}
    path.write_text(json.dumps({"periods": [period], "regions": [place], "conditions": [condition]}))
    return path


def test_cases_are_reported_counted_and_traced(program: Program, made: Path) -> None:
    where = ("--dir", made)
    filing = ("reports", "file", *where, "--org", "general-hospital", "--agency", "health-agency", "--condition", FLU)
    reports = []
    for patient in range(6):
        reports += program.done(*filing, with_a_case(made.parent, patient), "--hours-ago", str(30 * patient))["reports"]
    opened = program.done("reports", "open", *where, *AGENCY, "--id", reports[0], "--confirm")
    assert opened == {
        "condition": FLU,
        "onset": "2024-02-11",
        "age_band": "70-79",
        "sex": "male",
        "region": "US-New-Town",
    }
    assert "age 70-79" in program("reports", "open", *where, *AGENCY, "--id", reports[1]).stdout
    listed = program("reports", "list", *where, *AGENCY, "--user", "health-officer").stdout
    assert (listed.count("confirmed"), listed.count("filed"), listed.count("late")) == (1, 5, 5)
    assert "5 late, by 126 h at most" in program("reports", "overdue", *where, *AGENCY).stdout
    table = program.done("aggregates", "publish", *where, *AGENCY, axes(made.parent))
    assert (table["cells"], table["suppressed"]) == (1, 0)
    shown = program("aggregates", "list", *where, "--org", "mutual-insurance").stdout
    assert f"2024-02  US-New-Town  {FLU}  6" in shown
    why = made.parent / "why.txt"
    why.write_text("It was a cold.")
    program.done("reports", "withdraw", *where, "--org", "general-hospital", "--id", reports[0], "--reason", why)
    traced = program.done("aggregates", "trace", *where, *AGENCY, "--id", table["table"], "--cell", "0")
    assert (set(traced["reports"]), traced["withdrawn"]) == (set(reports), [reports[0]])
    contradicts = program("aggregates", "publish", *where, *AGENCY, axes(made.parent))
    assert (contradicts.status, contradicts.stderr.split(":")[0]) == (2, "error")


def test_what_cannot_be_reported_or_counted_is_told(program: Program, made: Path) -> None:
    filing = ("reports", "file", "--dir", made, "--org", "general-hospital", "--agency", "health-agency")
    none = program(*filing, "--condition", "1", with_a_case(made.parent, 0))
    assert (none.status, none.stderr) == (2, "error: the bundle has no Condition of this code with an onset\n")
    wrong = made.parent / "wrong.json"
    wrong.write_text('{"periods": []}')
    unread = program("aggregates", "publish", "--dir", made, *AGENCY, wrong)
    assert (unread.status, unread.stderr.split(":")[1].strip()) == (2, "the axes cannot be read")
    refused = program("aggregates", "trace", "--dir", made, *AGENCY, "--id", "A" * 22, "--cell", "0")
    assert (refused.status, refused.stderr.split(":")[1].strip()) == (3, "AGGREGATE_UNKNOWN")
