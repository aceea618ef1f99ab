"""`consent`, `grant` and `revoke` as a patient and an agency use them, one command after the other."""

from __future__ import annotations

from pathlib import Path

from .program import Program

CLINIC = ("--org", "city-clinic", "--user", "clinician")


def test_denied_explained_ended(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    about = ("--dir", folder, "--patient", patient)
    assert program("consent", "list", *about).stdout == "no consents\n"
    permit = program.done("grant", *about, "--to", "city-clinic", "--role", "clinician", "--except", "nurse")["consent"]
    assert program.done("read", *about, *CLINIC)["entry"]
    denial = program.done(
        "consent", "deny", *about, "--to", "city-clinic", "--person", "clinician", "--compartment", "genetic"
    )["consent"]
    only = ("--org", "city-clinic", "--person")
    answer = program.done("consent", "explain", *about, *only, "clinician")
    [subject] = answer["subjects"]
    by_name = {answer["compartments"][one["compartment"]]: one for one in subject["reasons"]}
    assert (by_name["genetic"]["permitted"], by_name["genetic"]["consent"]) == (False, denial)
    assert (by_name["general"]["permitted"], by_name["general"]["consent"]) == (True, permit)
    shown = program("consent", "explain", *about, *only, "nurse").stdout.splitlines()
    compartments = "general, genetic, mental-health, sexual-and-reproductive-health, substance-use"
    assert shown == [f"{'CityClinicMSP/clinician/nurse':48} no   person       {permit}  {compartments}"]
    everybody = program("consent", "explain", *about).stdout
    assert "GeneralHospitalMSP/administrator                 no: the consortium's policies\n" in everybody
    assert "CityClinicMSP/clinician " in everybody
    listed = program("consent", "list", *about).stdout.splitlines()
    assert {" ".join(line.split()[1:4]) for line in listed} == {
        "active permit CityClinicMSP/clinician",
        "active deny CityClinicMSP/clinician",
    }
    program.done("revoke", *about, "--all")
    refused = program("read", *about, *CLINIC)
    assert (refused.status, refused.stderr.split(":")[1].strip()) == (3, "CONSENT_MISSING")
    assert {one["status"] for one in program.done("consent", "list", *about)["consents"]} == {"revoked"}


def test_a_court_ends_consents(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    about = ("--dir", folder, "--patient", patient)
    words = folder.with_name("order.txt")
    words.write_text("The court orders.")
    program.done("grant", *about, "--to", "city-clinic")
    ordering = ("consent", "order", *about, "--org", "health-agency", "--text", words)
    unclear = program(*ordering, "--from", "city-clinic", "--all")
    assert (unclear.status, unclear.stderr) == (
        2,
        "error: say one of --from ORGANISATION, --consent ID and --all\n",
    )
    order = program.done(*ordering, "--from", "city-clinic")["order"]
    assert program("read", *about, *CLINIC).status == 3
    for org, user in (("health-agency", "health-officer"), ("general-hospital", patient)):
        shown = program("consent", "order-text", *about, "--org", org, "--user", user, "--id", order)
        assert shown.stdout == "The court orders.\n"
    refused = program("consent", "order-text", *about, *CLINIC, "--id", order)
    assert (refused.status, refused.stdout) == (3, "")
    words.write_bytes(b"\xff")
    assert program(*ordering, "--all").status == 2
