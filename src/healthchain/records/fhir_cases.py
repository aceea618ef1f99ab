"""What a case report says, taken from a FHIR Condition and its Patient: no name, no birthday, no address."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import msgspec

from healthchain.records.bundle import ParsedBundle

AGE_BAND_YEARS = 10


class Case(msgspec.Struct, frozen=True):
    """`condition` is the first coding's code, `onset` a date, `region` made of country, state and city."""

    condition: str
    onset: str
    age_band: str
    sex: str
    region: str

    @property
    def month(self) -> str:
        return self.onset[:7]


def cases(bundle: ParsedBundle, condition: str) -> list[Case]:
    """One for each Condition of this code that has an onset, in the order of the bundle."""
    patient = json.loads(bundle.patient.raw)
    found = []
    for entry in bundle.entries:
        resource = json.loads(entry.raw) if entry.resource_type == "Condition" else {}
        codes = [one.get("code") for one in resource.get("code", {}).get("coding", [])]
        onset = resource.get("onsetDateTime", "")[:10]
        if condition in codes and len(onset) == len("YYYY-MM-DD"):
            age_band = _age_band(patient.get("birthDate", ""), onset)
            found.append(Case(condition, onset, age_band, patient.get("gender", "unknown"), _region(patient)))
    return found


def _age_band(birth: str, onset: str) -> str:
    """Such as 10-19; unknown where the birthday is not a whole date."""
    try:
        born, ill = datetime.date.fromisoformat(birth), datetime.date.fromisoformat(onset)
    except ValueError:
        return "unknown"
    years = ill.year - born.year - ((ill.month, ill.day) < (born.month, born.day))
    low = years // AGE_BAND_YEARS * AGE_BAND_YEARS
    return f"{low}-{low + AGE_BAND_YEARS - 1}"


def _region(patient: dict[str, Any]) -> str:
    """As an aggregate's code: letters and digits only, joined by hyphens."""
    address: dict[str, str] = next(iter(patient.get("address", [])), {})
    parts = [address.get(one, "") for one in ("country", "state", "city")]
    return "-".join(re.sub("[^A-Za-z0-9]+", "-", one).strip("-") for one in parts if one)[:64] or "unknown"
