"""The sample patients that come with the package are what the rest of the project takes."""

from __future__ import annotations

import gzip
from importlib.resources import files

from healthchain.records.bundle import parse_bundle
from healthchain.records.compartments import NAMES, classify_bundle

SAMPLE = files("healthchain.records") / "sample"


def test_ten_patients_with_all_that_a_record_has() -> None:
    names = sorted(file.name for file in SAMPLE.iterdir() if file.name.endswith(".json.gz"))
    assert names == [f"patient-{number:02}.json.gz" for number in range(1, 11)]
    packed = [(SAMPLE / name).read_bytes() for name in names]
    assert sum(map(len, packed)) <= 3 << 20
    parsed = [parse_bundle(gzip.decompress(one)) for one in packed]
    types = {entry.resource_type for one in parsed for entry in one.entries}
    assert {"Patient", "Encounter", "Condition", "Observation", "Claim", "ExplanationOfBenefit"} <= types
    assert all(entry.full_url.startswith("urn:uuid:") for one in parsed for entry in one.entries)
    assert {found for one in parsed for found in classify_bundle(one.entries)} == set(range(len(NAMES)))
    assert len({one.patient.full_url for one in parsed}) == len(parsed)


def test_the_gzip_files_carry_no_name_and_no_time() -> None:
    for number in range(1, 11):
        header = (SAMPLE / f"patient-{number:02}.json.gz").read_bytes()[:10]
        assert header[3:8] == bytes(5)
