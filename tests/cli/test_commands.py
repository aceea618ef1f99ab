"""Every command once as a user runs it, for a person and with --json, one after another on one folder."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from healthchain.records.canonical import canonical_json

from .bundles import bundle, bundle_file, urn
from .program import Program

TREAT = ("--purpose", "TREAT")


def test_init_says_who_the_members_are(program: Program, tmp_path: Path) -> None:
    assert program.done("init", "--dir", tmp_path / "one") == {
        "organisations": ["general-hospital", "city-clinic", "mutual-insurance", "health-agency"],
        "channel": "health",
    }
    ended = program("init", "--dir", tmp_path / "two")
    assert ended.status == 0
    assert ended.stdout == "A consortium of 4: general-hospital, city-clinic, mutual-insurance, health-agency.\n"


def test_init_takes_a_topology(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "members.toml"
    file.write_text(
        'channel = "two"\n[[organisations]]\nname = "a"\nkind = "hospital"\ntitle = "Ä"\n'
        '[[organisations]]\nname = "b"\nkind = "agency"\n',
        encoding="utf-8",
    )
    assert program.done("init", "--dir", tmp_path / "c", "--topology", file) == {
        "organisations": ["a", "b"],
        "channel": "two",
    }
    assert program.done("patients", "--dir", tmp_path / "c", "--org", "a") == {"patients": []}


def test_import_maps_each_file_to_its_patient(program: Program, made: Path, tmp_path: Path) -> None:
    files = [bundle_file(tmp_path, f"{n}.json", patient=n, observations=n + 1) for n in range(3)]
    importing: tuple[str | Path, ...] = ("import", "--dir", made, "--org", "general-hospital", *files)
    done = program.done(*importing)
    assert list(done["patients"]) == ["0.json", "1.json", "2.json"]
    assert len(set(done["patients"].values())) == 3
    assert done["resources"] == done["written"] == 9
    assert (done["amended"], done["unchanged"]) == (0, 0)
    assert isinstance(done["seconds"], float)
    assert program.done("patients", "--dir", made, "--org", "general-hospital") == {
        "patients": sorted(done["patients"].values())
    }
    again = program(*importing)
    assert again.status == 0
    assert "0 written, 0 amended, 9 unchanged" in again.stdout
    assert all(pseudonym in again.stdout for pseudonym in done["patients"].values())


def test_read_answers_with_a_collection_of_what_was_imported(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    who = ("--dir", folder, "--org", "general-hospital", "--user", "clinician", "--patient", patient)
    found = program.done("read", *who, *TREAT)
    assert (found["resourceType"], found["type"]) == ("Bundle", "collection")
    sent = json.loads(bundle())["entry"]
    read = {one["fullUrl"]: _canonical(one["resource"]) for one in found["entry"]}
    assert read == {one["fullUrl"]: _canonical(one["resource"]) for one in sent}
    ended = program("read", *who)  # TREAT unless said otherwise, and a Bundle is for people too
    assert json.loads(ended.stdout) == found
    assert '"value": 172.50,' in ended.stdout


def test_a_refused_read_prints_the_code_and_ends_with_3(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    reading = ("read", "--dir", folder, "--org", "city-clinic", "--user", "clinician", "--patient", patient, *TREAT)
    refused = program(*reading, "--json")
    assert refused.status == 3
    assert refused.document["refused"] == "CONSENT_MISSING"
    said = program(*reading)
    assert (said.status, said.stdout) == (3, "")
    assert said.stderr.startswith("refused: CONSENT_MISSING: ")


def test_records_list_headers_and_no_content(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    listing = ("records", "--dir", folder, "--org", "general-hospital", "--patient", patient)
    found = program.done(*listing)["records"]
    assert len(found) == 3
    assert {(one["version"], one["status"], one["compartment"]) for one in found} == {(1, "active", "general")}
    assert {one["author"] for one in found} == {"GeneralHospitalMSP/clinician"}
    printed = program(*listing).stdout
    assert printed.count("\n") == 3
    assert all(one["id"] in printed for one in found)


def test_grant_read_revoke_audit(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    here = ("--dir", folder)
    clinic = ("read", *here, "--org", "city-clinic", "--user", "clinician", "--patient", patient)
    granted = program.done("grant", *here, "--patient", patient, "--to", "city-clinic", *TREAT)
    assert list(granted) == ["consent"]
    assert len(program.done(*clinic)["entry"]) == 3
    assert program(*clinic, "--purpose", "HPAYMT", "--json").document["refused"] == "CONSENT_MISSING"
    revoked = program.done("revoke", *here, "--patient", patient, "--from", "city-clinic")
    assert revoked["revoked"] is True
    assert program(*clinic, "--json").document["refused"] == "CONSENT_MISSING"
    entries = program.done("audit", "patient", *here, "--patient", patient)["entries"]
    assert {"CityClinicMSP/clinician", "GeneralHospitalMSP/clinician"} <= {one["user"] for one in entries}
    assert [one["time_ms"] for one in entries] == sorted(one["time_ms"] for one in entries)
    printed = program("audit", "patient", *here, "--patient", patient)
    assert printed.stdout.count("\n") == len(entries)
    assert granted["consent"] in printed.stdout
    assert "TREAT" in printed.stdout


def test_a_consent_for_one_compartment_and_its_end_by_id(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    here = ("--dir", folder, "--patient", patient)
    genetic = ("--compartment", "genetic", "--days", "1", "--purpose", "TREAT", "--purpose", "HOPERAT")
    said = program("grant", *here, "--to", "city-clinic", *genetic)
    assert said.status == 0
    consent = said.stdout.removeprefix("consent ").strip()
    clinic = ("--org", "city-clinic", "--user", "clinician", *TREAT)
    assert program.done("read", *here, *clinic) == {"resourceType": "Bundle", "type": "collection", "entry": []}
    said = program("revoke", *here, "--consent", consent)
    assert said.stdout.startswith("revoked in block ")


def test_erase_one_record_then_all(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    here = ("--dir", folder, "--patient", patient)
    hospital = ("--org", "general-hospital", "--user", "clinician")
    first = program.done("records", *here, *hospital)["records"][0]["id"]
    assert program.done("erase", *here, "--record", first)["erased"] is True
    assert len(program.done("read", *here, *hospital)["entry"]) == 2
    listed = {one["id"]: one["status"] for one in program.done("records", *here, *hospital)["records"]}
    assert listed.pop(first) == "erased"
    assert set(listed.values()) == {"active"}
    said = program("erase", *here)
    assert said.stdout.startswith("erased in block ")
    assert program("read", *here, *hospital, "--json").document["refused"] == "PATIENT_ERASED"


def test_an_import_for_an_erased_patient_names_the_file(
    program: Program, filled: tuple[Path, str], tmp_path: Path
) -> None:
    folder, patient = filled
    program.done("erase", "--dir", folder, "--patient", patient)
    file = bundle_file(tmp_path, "again.json")
    refused = program("import", "--dir", folder, "--org", "general-hospital", file, "--json")
    assert refused.status == 3
    assert refused.document["refused"] == "PATIENT_ERASED"
    assert refused.document["message"].startswith("again.json: ")


def test_blocks_are_linked_newest_first(program: Program, filled: tuple[Path, str]) -> None:
    folder, _ = filled
    found = program.done("blocks", "--dir", folder, "--last", "1000")["blocks"]
    assert [one["number"] for one in found] == list(range(len(found)))[::-1]
    assert all(later["previous_hash"] == earlier["hash"] for later, earlier in pairwise(found))
    assert all(one["codes"].startswith("VALID ") for one in found)
    assert program("blocks", "--dir", folder, "--last", "3").stdout.count("\n") == 3


def test_verify_is_clean_and_then_not(program: Program, filled: tuple[Path, str]) -> None:
    folder, _ = filled
    clean = program.done("verify", "--dir", folder)
    assert (clean["clean"], clean["findings"]) == (True, [])
    assert program("verify", "--dir", folder).stdout.startswith(f"clean: {clean['blocks']} blocks, ")
    _alter(folder / "peers" / "city-clinic" / "blocks" / "000000")
    altered = program("verify", "--dir", folder, "--json")
    assert altered.status == 4
    assert altered.document["clean"] is False
    assert altered.document["findings"][0]["peer"] == "city-clinic"
    said = program("verify", "--dir", folder)
    assert (said.status, said.stdout) == (4, "")
    assert said.stderr.startswith("city-clinic: ")


@pytest.mark.parametrize("workload", ["put", "record", "batch", pytest.param("import", marks=pytest.mark.slow)])
def test_bench_gives_the_named_figures(program: Program, workload: str) -> None:
    load = ("--workload", workload, "--organisations", "3", "--in-flight", "20", "--seconds", "0.5")
    figures = program.done("bench", *load)
    named = (
        "transactions_per_second",
        "records_per_second",
        "latency_ms_p50",
        "latency_ms_p99",
        "sign_per_second",
        "verify_per_second",
        "memory_mib",
    )
    assert all(figures[name] > 0 for name in named)
    assert figures["cpu_ms_per_transaction"]["process"] > 0
    assert figures["latency_ms_p50"] <= figures["latency_ms_p99"]
    assert (figures["workload"], figures["organisations"], figures["in_flight"]) == (workload, 3, 20)


def test_bench_of_two_members_for_people(program: Program) -> None:
    ended = program("bench", "--organisations", "2", "--in-flight", "1", "--seconds", "0.1", "--records-before", "3")
    assert ended.status == 0
    assert "transactions_per_second " in ended.stdout


def _canonical(resource: Any) -> bytes:
    return canonical_json(json.dumps(resource).encode())


def _alter(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_bundles_of_these_tests_refer_to_their_patient() -> None:
    entries = json.loads(bundle(patient=3))["entry"]
    assert entries[1]["resource"]["subject"]["reference"] == entries[0]["fullUrl"] == urn(0, 3)
