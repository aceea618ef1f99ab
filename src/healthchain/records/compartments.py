"""Which of a patient's five compartments a resource belongs to: by its codes, then by what it refers to in its bundle.

With several sensitive codes, the one whose compartment comes last in NAMES decides. A resource that refers to a
sensitive one, by any element and over any number of steps, goes with it, so that nothing clinical in `general` points
into another. sensitive_codes.json is a start for a consortium to review; free text is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import orjson

from healthchain.records.bundle import Entry
from healthchain.records.structure import Resource, objects

NAMES = ("general", "mental-health", "substance-use", "sexual-and-reproductive-health", "genetic")

# A patient may get more later (`consenting.add_compartment`); what they are for, only their holders know.
FURTHER = "further-{}"

# Who treats and who pays. They are referred to by everything and tell nothing alone, so they are general always.
ADMINISTRATIVE = frozenset(
    ("Coverage", "InsurancePlan", "Location", "Organization", "Patient", "Practitioner", "PractitionerRole")
)
GENETIC_TYPES = frozenset(("MolecularSequence",))


def name_of(index: int) -> str:
    return NAMES[index] if index < len(NAMES) else FURTHER.format(index + 1)


def classify(resource: bytes | Resource) -> str:
    """The name of the compartment by the resource's own codes alone. It must be valid."""
    raw = resource if isinstance(resource, bytes) else orjson.dumps(resource)
    decoded = orjson.loads(raw) if isinstance(resource, bytes) else resource
    return NAMES[_own(decoded["resourceType"], raw)]


def classify_bundle(entries: Sequence[Entry]) -> list[int]:
    """For each entry the compartment's index in NAMES, by its own codes and by what it refers to among the entries."""
    own = [_own(entry.resource_type, entry.raw) for entry in entries]
    found = [0] * len(entries)
    if not any(own):
        return found
    referrers = _referrers(entries)
    for compartment in reversed(range(1, len(NAMES))):  # the last one first, and no later one takes from it
        pending = [index for index, one in enumerate(own) if one == compartment]
        while pending:
            index = pending.pop()
            if found[index] == 0:
                found[index] = compartment
                pending += referrers[index]
    return found


def _own(resource_type: str, raw: bytes) -> int:
    """Searches the bytes for codes of the tables; only where that finds one, or cannot tell, is the resource read."""
    if resource_type in ADMINISTRATIVE:
        return 0
    if resource_type in GENETIC_TYPES:
        return NAMES.index("genetic")
    if _CODES.isdisjoint(_CODE.findall(raw)) and not _UNSURE.search(raw):
        return 0
    return max((_sensitivity(coding) for _, coding in objects(orjson.loads(raw), (None, ""))), default=0)


def _sensitivity(coding: dict[str, Any]) -> int:
    """Also takes objects that are no Coding, and answers 0."""
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return 0
    found = _BY_CODE.get((system, code), 0)
    if found == 0 and system in _ICD_10:
        return next((_BY_ICD_10[code[:end]] for end in range(len(code), 0, -1) if code[:end] in _BY_ICD_10), 0)
    if found == 0 and system == _RXNORM and isinstance(coding.get("display"), str):
        words = re.findall(r"[a-z]+", coding["display"].lower())
        return max((_BY_INGREDIENT.get(word, 0) for word in words), default=0)
    return found


def _referrers(entries: Sequence[Entry]) -> list[list[int]]:
    """For each entry, the indexes of those that refer to it."""
    places: dict[str, int] = {}
    for index, entry in enumerate(entries):
        places[entry.full_url] = index
        if entry.id is not None:
            places.setdefault(f"{entry.resource_type}/{entry.id}", index)
    referrers: list[list[int]] = [[] for _ in entries]
    for index, entry in enumerate(entries):
        if entry.resource_type not in ADMINISTRATIVE:
            for reference in set(_references(entry.raw)):
                if (to := places.get(reference)) is not None:
                    referrers[to].append(index)
    return referrers


def _references(raw: bytes) -> Iterator[str]:
    """As they are written; a name or value spelled with escapes makes the search in the bytes useless."""
    if b"\\" not in raw:
        yield from (one.decode() for one in _REFERENCE.findall(raw))
        return
    for _, element in objects(orjson.loads(raw), (None, "")):
        if isinstance(element.get("reference"), str):
            yield element["reference"]


_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_ICD_10 = frozenset(("http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm"))
_TABLES = orjson.loads((files("healthchain.records") / "sensitive_codes.json").read_bytes())
_BY_CODE = {
    (system, code): NAMES.index(name)
    for name, table in _TABLES.items()
    for system, codes in table["codes"].items()
    for code in codes
}
_BY_ICD_10 = {prefix: NAMES.index(name) for name, table in _TABLES.items() for prefix in table["icd10"]}
_BY_INGREDIENT = {word: NAMES.index(name) for name, table in _TABLES.items() for word in table["ingredients"]}
_CODES = frozenset(code.encode() for _, code in _BY_CODE)
_CODE = re.compile(rb'"code"\s*:\s*"([^"]*)"')
_REFERENCE = re.compile(rb'"reference"\s*:\s*"([^"]*)"')
# Codes by prefix or by name, and anything spelled with \u.
_UNSURE = re.compile(rb"sid/icd-10|umls/rxnorm|\\[u/]")
