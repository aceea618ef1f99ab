"""Files of bundles, small ones: what the program does with them is in question, not FHIR."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any


def urn(number: int, patient: int = 0) -> str:
    return f"urn:uuid:{uuid.UUID(int=(patient + 1) << 64 | number)}"


def bundle(observations: int = 2, patient: int = 0, height: str = "172.50") -> bytes:
    """Entry 0 is the patient. `height` is the first observation's, written as given."""
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "name": [{"family": f"Winterbottom{patient}"}], "birthDate": "1951-07-23"}
    ]
    resources += [
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": f"body height {number}"},
            "subject": {"reference": urn(0, patient)},
            "valueQuantity": {"value": "HEIGHT" if number == 0 else number, "unit": "cm"},
        }
        for number in range(observations)
    ]
    entries = [
        {"fullUrl": urn(n, patient), "resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for n, one in enumerate(resources)
    ]
    encoded = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    return encoded.replace('"HEIGHT"', height).encode()


def bundle_file(folder: Path, name: str = "bundle.json", **options: Any) -> Path:
    path = folder / name
    path.write_bytes(bundle(**options))
    return path
