"""What is a FHIR R4 resource and what is not; findings say where and why, never what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.records.structure import DEPTH_MAX, _depth, _too_deep, read_resource

from .sources import encoded, observation

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
REQUIRED_CODE = "not one of the codes that FHIR requires here"


def condition(system: str, code: str) -> dict[str, Any]:
    status = {"coding": [{"system": "urn:other", "code": "x"}, {"system": system, "code": code}]}
    return {"resourceType": "Condition", "subject": {"display": "x"}, "clinicalStatus": status}


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def extension(**elements: Any) -> dict[str, Any]:
    return {"extension": [{"url": "urn:x", **elements}]}


def nested(depth: int) -> bytes:
    """A valid resource with objects and arrays `depth` deep; `depth` is odd."""
    pairs = (depth - 1) // 2
    return b'{"resourceType":"Patient"' + b',"extension":[{"url":"x"' * pairs + b"}]" * pairs + b"}"


@pytest.mark.parametrize(
    "resource",
    [
        patient(),
        patient(gender="male", name=[{"use": "official", "given": ["A"]}]),
        patient(id="a-Z.9", birthDate="1974"),
        patient(_gender=extension(valueCode="x")),  # the element is there, only its value is not
        observation(valueQuantity={"value": 72.5, "comparator": "<"}),
        observation(status=None) | {"_status": extension(valueString="x")},
        observation(contained=[patient(gender="other")]),
        condition(CLINICAL, "active"),
    ],
)
def test_valid(resource: dict[str, Any]) -> None:
    resource = {name: value for name, value in resource.items() if value is not None}
    read, found = read_resource(encoded(resource))
    assert found == []
    assert read == resource


@pytest.mark.parametrize(
    ("resource", "path", "reason"),
    [
        ({}, "Resource", "a resource needs a resourceType"),
        ({"resourceType": "Jane Doe"}, "?", "not a FHIR R4 resource type"),
        ({"resourceType": "Observation"}, "Observation.status", "required element missing"),
        (patient(Jane="x"), "Patient.?", "unknown element"),
        (patient(name=[{"Jane Doe.given": 1}]), "Patient.name[0].?", "unknown element"),
        (patient(name=[]), "Patient.name", "an empty array is not allowed"),
        (patient(birthDate="yesterday"), "Patient.birthDate", "is not a valid date"),
        (patient(active="Jane"), "Patient.active", "expected true or false"),
        (patient(deceasedBoolean=True, deceasedDateTime="2020"), "Patient.deceased[x]", "only one type may be given"),
        # From here on the second layer.
        (patient(gender="Jane"), "Patient.gender", REQUIRED_CODE),
        (patient(name=[{}, {"use": "Jane"}]), "Patient.name[1].use", REQUIRED_CODE),
        (patient(name=[{}]), "Patient.name[0]", "an empty object"),
        (patient(id="Jane Doe"), "Patient.id", "not a valid id"),
        (patient(id="a" * 65), "Patient.id", "not a valid id"),
        (patient(contained=[patient(gender="Jane")]), "Patient.contained[0].gender", REQUIRED_CODE),
        (
            patient(**extension(valueQuantity={"comparator": "Jane"})),
            "Patient.extension[0].valueQuantity.comparator",
            REQUIRED_CODE,
        ),
        (
            patient(name=[{"given": ["a"], "_given": [extension(valueContactPoint={"use": "Jane"})]}]),
            "Patient.name[0]._given[0].extension[0].valueContactPoint.use",
            REQUIRED_CODE,
        ),
        (
            condition(CLINICAL, "Jane"),
            "Condition.clinicalStatus",
            "no coding of the value set that FHIR requires here",
        ),
        (
            condition("urn:Jane", "active"),
            "Condition.clinicalStatus",
            "no coding of the value set that FHIR requires here",
        ),
    ],
)
def test_invalid(resource: dict[str, Any], path: str, reason: str) -> None:
    found = read_resource(encoded(resource))[1]
    assert (path, reason) in [(one.path, one.reason) for one in found]
    assert not any("Jane" in str(one) for one in found)


def test_a_finding_is_not_missed_for_an_escaped_name() -> None:
    raw = encoded(patient(**extension(valueQuantity={"comparator": "x"}))).replace(b'"extension"', b'"e\\u0078tension"')
    assert [one.reason for one in read_resource(raw)[1]] == [REQUIRED_CODE]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[]", b"1", b"{", b'{"resourceType":"Patient"} x', b'{"resourceType":"Patient","id":NaN}'),
        b'{"resourceType":"Patient","id":"\xff"}',
        b'{"resourceType":"Patient","language":"\\ud800"}',
        b'{"resourceType":"Patient","gender":"male","gender":"male"}',
        b'{"resourceType":"Patient","gender":"male","g\\u0065nder":"male"}',
        b'{"resourceType":"Patient","name":[{"_family":{"id":"a","id":"b"},"family":"x"}]}',
        b'{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"a","id":"b"}]}',
        b'{"resourceType":"Patient","extension":[{"url":"a","valueCoding":{"code":"a","code":"b"}}]}',
        *(b"[" * 100_000, b'{"a":' * 100_000, nested(DEPTH_MAX + 1), nested(201)),
    ],
)
def test_text_that_is_not_one_resource(raw: bytes) -> None:
    assert read_resource(raw)[1]


def test_deep_enough_is_valid() -> None:
    assert read_resource(nested(DEPTH_MAX - 1))[1] == []


JSON = st.recursive(
    st.none() | st.integers() | st.text(alphabet='{}[]"\\a', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='{}[]"\\a', max_size=2), inner),
)


@given(JSON)
def test_depth_counted_in_brackets_is_depth_walked(value: Any) -> None:
    for around in (0, DEPTH_MAX - 2, DEPTH_MAX):
        check_depth("", value, around)


@pytest.mark.parametrize("text", ["", "]", '"["', '"]"', "[", "}{", '"]', '"[', "\\", '\\"]', "\\["])
def test_brackets_within_strings_do_not_count(text: str) -> None:
    for around in range(DEPTH_MAX + 10):
        check_depth(text, 1, around)


def check_depth(text: str, value: Any, around: int) -> None:
    for _ in range(around):
        value = [text, value]
    assert _too_deep(json.dumps(value).encode(), value) == (_depth(value) > DEPTH_MAX)


def mutations(value: Any) -> st.SearchStrategy[Any]:
    """The value with one place in it replaced by some other JSON."""
    values: list[Any] = [None, True, 0, -1, 1e400, "", "Jane", [], {}, [None], [[]], {"Jane": 1}, ["Jane"], 10**40]
    junk: st.SearchStrategy[Any] = st.sampled_from(values)
    if isinstance(value, dict) and value:
        inner = st.sampled_from(sorted(value)).flatmap(
            lambda name: mutations(value[name]).map(lambda new: {**value, name: new})
        )
        return junk | inner | st.sampled_from(sorted(value)).map(lambda name: {**value, "Jane": value[name]})
    if isinstance(value, list) and value:
        return junk | mutations(value[0]).map(lambda new: [new, *value[1:]])
    return junk


RICH = observation(
    id="o",
    meta={"profile": ["urn:x"]},
    text={"status": "generated", "div": "<div>x</div>"},
    identifier=[{"use": "usual", "type": {"coding": [{"system": "urn:x", "code": "x"}]}}],
    contained=[condition(CLINICAL, "active"), patient(name=[{"given": ["a"], "_given": [extension(valueCode="a")]}])],
    component=[{"code": {"text": "x"}, "valueQuantity": {"value": 72.5, "comparator": "<"}}],
    **extension(valueQuantity={"comparator": "<"}),
)


def check_mutation(resource: Any) -> None:
    for finding in read_resource(json.dumps(resource).encode())[1]:
        assert "Jane" not in str(finding)


@given(mutations(RICH))
def test_any_altered_resource_is_taken_or_found_wrong(resource: Any) -> None:
    check_mutation(resource)


@pytest.mark.fuzz
@settings(max_examples=20_000)
@given(mutations(RICH).flatmap(mutations).flatmap(mutations))
def test_any_altered_resource_is_taken_or_found_wrong_for_long(resource: Any) -> None:
    check_mutation(resource)
