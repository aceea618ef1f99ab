"""Which compartment a resource falls into; the fast search in bytes is compared with reading everything."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchain.contract.ids import COMPARTMENTS
from healthchain.records import compartments
from healthchain.records.bundle import Entry, parse_bundle
from healthchain.records.compartments import ADMINISTRATIVE, NAMES, classify, classify_bundle
from healthchain.records.structure import objects

from .sources import bundle, encoded, observation, synthea_bundles, urn

SCT = "http://snomed.info/sct"
ICD_10 = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOINC = "http://loinc.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

GENERAL, MENTAL, SUBSTANCE, SEXUAL, GENETIC = range(5)
DEPRESSION, OPIOID_ABUSE, HIV, SPRAIN = "370143000", "5602001", "86406008", "44465007"


def coded(system: str, code: str, display: str = "x", resource_type: str = "Condition") -> dict[str, Any]:
    coding = {"system": system, "code": code, "display": display}
    return {"resourceType": resource_type, "subject": {"reference": urn(0)}, "code": {"coding": [coding]}}


def test_names_are_those_of_the_contract() -> None:
    assert len(NAMES) == COMPARTMENTS
    assert NAMES == ("general", "mental-health", "substance-use", "sexual-and-reproductive-health", "genetic")


@pytest.mark.parametrize(
    ("system", "code", "display", "compartment"),
    [
        (SCT, SPRAIN, "Sprain of ankle", GENERAL),
        (SCT, DEPRESSION, "x", MENTAL),
        (SCT, OPIOID_ABUSE, "x", SUBSTANCE),
        (SCT, HIV, "x", SEXUAL),
        (SCT, "412734009", "x", GENETIC),
        ("urn:other", DEPRESSION, "x", GENERAL),  # the same code in another system is another code
        (LOINC, "44261-6", "PHQ-9", MENTAL),
        (LOINC, "72166-2", "Tobacco smoking status", GENERAL),
        ("http://hl7.org/fhir/sid/cvx", "62", "HPV", SEXUAL),
        (ICD_10, "F32.1", "x", MENTAL),
        (ICD_10, "F11.20", "x", SUBSTANCE),
        (ICD_10, "F17.210", "nicotine", GENERAL),
        (ICD_10, "F52.0", "x", SEXUAL),  # the longest prefix decides
        (ICD_10, "Z31.430", "x", GENETIC),
        (ICD_10, "Z31.41", "x", SEXUAL),
        (ICD_10, "O80", "x", SEXUAL),
        (ICD_10, "J45", "x", GENERAL),
        (RXNORM, "1", "SERTRALINE 25 MG Oral Tablet [Zoloft]", MENTAL),
        (RXNORM, "1", "buprenorphine 2 MG / naloxone 0.5 MG Sublingual Tablet", SUBSTANCE),
        (RXNORM, "1", "Amoxicillin 500 MG Oral Tablet", GENERAL),
        (RXNORM, "807283", "Mirena 52 MG Intrauterine System", SEXUAL),
    ],
)
def test_by_its_own_codes(system: str, code: str, display: str, compartment: int) -> None:
    resource = coded(system, code, display)
    assert classify(resource) == NAMES[compartment]
    assert classify(encoded(resource)) == NAMES[compartment]


def test_several_codes_fall_where_the_last_name_says() -> None:
    resource = coded(SCT, DEPRESSION)
    resource["code"]["coding"].append({"system": SCT, "code": HIV})
    assert classify(resource) == NAMES[SEXUAL]


def test_a_security_label_counts() -> None:
    labelled = coded(SCT, SPRAIN) | {"meta": {"security": [{"system": ACT, "code": "SUD"}]}}
    assert classify(labelled) == NAMES[SUBSTANCE]


def test_types() -> None:
    assert classify({"resourceType": "MolecularSequence", "coordinateSystem": 0}) == NAMES[GENETIC]
    assert classify(coded(SCT, DEPRESSION, resource_type="Practitioner")) == NAMES[GENERAL]


def test_an_escaped_spelling_is_not_missed() -> None:
    raw = encoded(coded(SCT, DEPRESSION)).replace(DEPRESSION.encode(), b"\\u00337014300\\u0030")
    assert classify(raw) == NAMES[MENTAL]
    raw = encoded(coded(ICD_10, "F32")).replace(b"/", b"\\/")
    assert classify(raw) == NAMES[MENTAL]


def test_an_escaped_reference_is_not_missed() -> None:
    data = encoded(bundle(coded(SCT, HIV), observation(focus=[{"reference": urn(1)}])))
    head, tail = data.rsplit(b"urn:uuid:", 1)
    entries = parse_bundle(head + b"urn\\u003auuid:" + tail).entries
    assert classify_bundle(entries) == [GENERAL, SEXUAL, SEXUAL]


def parsed(*resources: dict[str, Any]) -> list[int]:
    return classify_bundle(parse_bundle(encoded(bundle(*resources))).entries)


def test_what_refers_to_a_sensitive_resource_goes_with_it() -> None:
    """Condition <- Encounter <- Observation <- DiagnosticReport; the patient and another observation stay."""
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "reasonReference": [{"reference": urn(1)}],
    }
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "x"},
        "result": [{"reference": urn(3)}],
    }
    within = observation(encounter={"reference": urn(2)})
    found = parsed(coded(SCT, DEPRESSION), encounter, within, report, observation())
    assert found == [GENERAL, MENTAL, MENTAL, MENTAL, MENTAL, GENERAL]


def test_a_reference_by_type_and_id_counts() -> None:
    condition = coded(SCT, HIV) | {"id": "c"}
    assert parsed(condition, observation(focus=[{"reference": "Condition/c"}])) == [GENERAL, SEXUAL, SEXUAL]
    assert parsed(condition, observation(focus=[{"reference": "Condition/d"}])) == [GENERAL, SEXUAL, GENERAL]


def test_who_treats_and_who_pays_stays_general() -> None:
    coverage = {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": urn(0)},
        "payor": [{"reference": urn(1)}],
    }
    assert parsed(coded(SCT, OPIOID_ABUSE), coverage) == [GENERAL, SUBSTANCE, GENERAL]


def slow_own(entry: Entry) -> int:
    """Reads every coding of the resource."""
    if entry.resource_type in ADMINISTRATIVE:
        return 0
    return max(compartments._sensitivity(one) for _, one in objects(json.loads(entry.raw), (None, "")))


def slow_twin(entries: Sequence[Entry]) -> list[int]:
    """Until nothing changes, everything takes the highest of what it refers to."""
    found = [slow_own(entry) for entry in entries]
    places = {entry.full_url: index for index, entry in enumerate(entries)}
    changed = True
    while changed:
        changed = False
        for index, entry in enumerate(entries):
            if entry.resource_type in ADMINISTRATIVE:
                continue
            for _, one in objects(json.loads(entry.raw), (None, "")):
                to = places.get(str(one.get("reference")))
                if to is not None and found[to] > found[index]:
                    found[index] = found[to]
                    changed = True
    return found


CODES = st.sampled_from([SPRAIN] * 6 + [DEPRESSION, OPIOID_ABUSE, HIV, "412734009"])
NODES = st.lists(st.tuples(CODES, st.lists(st.integers(0, 12), max_size=3), st.booleans()), min_size=1, max_size=12)


@given(NODES)
def test_the_fast_way_gives_what_the_slow_way_gives(nodes: list[tuple[str, list[int], bool]]) -> None:
    resources = []
    for code, refers_to, escaped in nodes:
        focus = [{"reference": urn(1 + to % len(nodes))} for to in refers_to]
        note = [{"text": 'a "quoted" word' if escaped else "plain"}]
        coding = {"system": SCT, "code": code}
        resources.append(observation(code={"coding": [coding]}, note=note, **({"focus": focus} if focus else {})))
    entries = parse_bundle(encoded(bundle(*resources))).entries
    assert classify_bundle(entries) == slow_twin(entries)


def test_synthea_is_classified_as_the_slow_way_does_and_fast() -> None:
    entries = [parse_bundle(data).entries for data in synthea_bundles()]
    start = time.process_time()
    found = [classify_bundle(one) for one in entries]
    assert sum(map(len, entries)) / (time.process_time() - start) > 10_000
    for one, compartments_of_one in list(zip(entries, found, strict=True))[::6]:
        assert compartments_of_one == slow_twin(one)
    assert {one for several in found for one in several} == set(range(5))


def test_no_code_is_in_two_compartments() -> None:
    tables = json.loads((files("healthchain.records") / "sensitive_codes.json").read_text(encoding="utf-8"))
    assert tuple(tables) == NAMES[1:]
    codes = [(system, code) for one in tables.values() for system in one["codes"] for code in one["codes"][system]]
    prefixes = [prefix for one in tables.values() for prefix in one["icd10"]]
    words = [word for one in tables.values() for word in one["ingredients"]]
    for several in (codes, prefixes, words):
        assert len(set(several)) == len(several)
    assert all(word == word.lower() for word in words)
