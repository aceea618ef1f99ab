"""Bundles with everything that an import must keep; small ones, and the sample and Synthea's files."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from healthchain.app.input import read_file
from healthchain.app.scenarios.records import sample_files
from healthchain.records.bundle import ParsedBundle, parse_bundle

ROOT = Path(__file__).parents[2]
SYNTHEA = Path(os.environ.get("HEALTHCHAIN_SYNTHEA", ROOT.parent / "shared/data/synthea-r4"))

GENERAL = ("http://loinc.org", "8302-2")
MENTAL_HEALTH = ("http://loinc.org", "44249-1")
SUBSTANCE_USE = ("http://loinc.org", "65750-2")
GENETIC = ("http://loinc.org", "21636-6")

Resource = dict[str, Any]


def urn(number: int, patient: int = 0) -> str:
    return f"urn:uuid:{uuid.UUID(int=(patient + 1) << 64 | number)}"


def person(patient: int = 0) -> Resource:
    return {"resourceType": "Patient", "name": [{"family": f"Winterbottom{patient}"}], "birthDate": "1951-07-23"}


def observation(number: int, code: tuple[str, str] = GENERAL, patient: int = 0, **elements: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": code[0], "code": code[1]}]},
        "subject": {"reference": urn(0, patient)},
        "valueInteger": number,
        **elements,
    }


def encoded(resources: Sequence[Resource], patient: int = 0) -> bytes:
    """The first is the patient; each has `urn` of its place."""
    entries = [
        {"fullUrl": urn(n, patient), "resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for n, one in enumerate(resources)
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def parsed(*observations: Resource, patient: int = 0) -> ParsedBundle:
    return parse_bundle(encoded([person(patient), *observations], patient))


def simple(count: int, patient: int = 0) -> ParsedBundle:
    """The patient and `count` observations."""
    return parsed(*[observation(number, patient=patient) for number in range(count)], patient=patient)


def samples(count: int = 10) -> list[ParsedBundle]:
    return [parse_bundle(read_file(path)) for path in sample_files()[:count]]


def synthea_files() -> list[Path]:
    """Skips the test where the folder is absent."""
    paths = sorted(SYNTHEA.glob("*.json.gz"))
    if not paths:
        pytest.skip("no folder of Synthea bundles: name one in HEALTHCHAIN_SYNTHEA")
    return paths
