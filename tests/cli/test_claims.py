"""`claims` as the parties use it, one command after the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .bundles import urn
from .program import Program

HOSPITAL = ("--org", "general-hospital")
PAYER = ("--org", "mutual-insurance")


def claim_file(folder: Path, amounts: tuple[float, ...] = (125.0, 80.0)) -> Path:
    """Two services of what stands for an encounter: a record of the patient's."""
    items = [
        {
            "sequence": number,
            "productOrService": {"coding": [{"system": "http://snomed.info/sct", "code": f"16267300{number}"}]},
            "encounter": [{"reference": urn(1)}],
            "net": {"value": amount, "currency": "USD"},
        }
        for number, amount in enumerate(amounts, 1)
    ]
    claim = {"resourceType": "Claim", "item": items, "total": {"value": sum(amounts), "currency": "USD"}}
    path = folder.with_name("claim.json")
    path.write_text(json.dumps(claim))
    return path


@pytest.fixture
def covered(program: Program, filled: tuple[Path, str]) -> tuple[Path, str, str]:
    """The folder, the patient, a coverage."""
    folder, patient = filled
    plan = folder.with_name("plan.txt")
    plan.write_text("Plan 20001")
    found = program.done("claims", "cover", "--dir", folder, *PAYER, "--patient", patient, "--plan", plan)
    return folder, patient, found["coverage"]


def test_a_claim_is_billed_decided_appealed_and_paid(program: Program, covered: tuple[Path, str, str]) -> None:
    folder, patient, coverage = covered
    about = ("--dir", folder, "--patient", patient)
    claim = claim_file(folder)
    billed = program.done("claims", "submit", *about, *HOSPITAL, "--coverage", coverage, claim)
    assert (billed["lines"], billed["total"]) == (2, "205.00 USD")
    again = program("claims", "submit", *about, *HOSPITAL, "--coverage", coverage, claim)
    assert (again.status, again.stderr.split(":")[1].strip()) == (3, "BILLED_TWICE")
    one = (*about, "--id", billed["claim"])
    (waiting,) = program.done("claims", "due", "--dir", folder, *PAYER)["due"]
    assert (waiting["id"], waiting["overdue"]) == (billed["claim"], False)
    decided = program.done("claims", "adjudicate", *one, *PAYER, "1=100:45", "2=0:197")
    assert decided == {"outcomes": ["reduced", "denied"]}
    herself = (*HOSPITAL, "--user", patient)
    assert program("claims", "show", *one, *herself).stdout.splitlines() == [
        "adjudicated, 205.00 USD billed",
        "line 1: 125.00 USD for http://snomed.info/sct|162673001",
        "line 2: 80.00 USD for http://snomed.info/sct|162673002",
        "line 1: 100.00 USD paid, CARC 45",
        "line 2: nothing paid, CARC 197",
    ]
    why = folder.with_name("why.txt")
    why.write_text("It was authorised.")
    assert program.done("claims", "appeal", *one, *herself, "--why", why) == {"appealed": True}
    program.done("claims", "adjudicate", *one, *PAYER, "1=100:45", "2=80")
    assert program.done("claims", "settle", *one, *PAYER) == {"paid": "180.00 USD"}
    shown = program.done("claims", "show", *one, *herself)
    assert (shown["state"], shown["explanation"]["resourceType"]) == ("closed", "ExplanationOfBenefit")
    assert "closed" in program("claims", "list", *about, *PAYER).stdout
    assert program("claims", "due", "--dir", folder, *PAYER).stdout == "nothing waits\n"
    outside = program("claims", "show", *one, "--org", "city-clinic", "--user", "clinician")
    assert (outside.status, outside.stderr.split(":")[1].strip()) == (3, "CLAIM_PARTY")


def test_what_cannot_be_used_writes_nothing(program: Program, covered: tuple[Path, str, str]) -> None:
    folder, patient, coverage = covered
    about = ("--dir", folder, "--patient", patient)
    broken = folder.with_name("broken.json")
    broken.write_text('{"resourceType": "Patient"}')
    submit = ("claims", "submit", *about, *HOSPITAL, "--coverage", coverage)
    assert program(*submit, broken).status == 2
    billed = program.done(*submit, claim_file(folder))
    for decisions in (("1=100",), ("1=100", "2=80"), ("1:100", "2=80"), ("1=100.001:45", "2=80"), ("1=126", "2=80")):
        ended = program("claims", "adjudicate", *about, "--id", billed["claim"], *PAYER, *decisions)
        assert (ended.status, ended.stdout) == (2, "")
    empty = folder.with_name("empty.txt")
    empty.write_text("\n")
    assert program("claims", "cover", *about, *PAYER, "--plan", empty).status == 2
