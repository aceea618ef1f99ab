"""Where the tests' bundles come from: small ones made here, and Synthea's, which are not part of the project."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SYNTHEA = Path(os.environ.get("HEALTHCHAIN_SYNTHEA", ROOT.parent / "shared/data/synthea-r4"))

PATIENT = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1974-12-25"}


def urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012}"


def observation(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "body height"},
        "subject": {"reference": urn(0)},
        **elements,
    }


def bundle(*resources: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    """The patient is entry 0 and has urn(0); the others follow."""
    entries = [
        {"fullUrl": urn(n), "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
        for n, resource in enumerate([PATIENT, *resources])
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def synthea_bundles() -> list[bytes]:
    """All of them; skips the test where the folder is absent."""
    paths = sorted(SYNTHEA.glob("*.json.gz"))
    if not paths:
        pytest.skip("no folder of Synthea bundles: name one in HEALTHCHAIN_SYNTHEA")
    return [gzip.decompress(path.read_bytes()) for path in paths]
