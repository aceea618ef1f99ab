"""A bundle is taken as a whole or refused with the place of what is wrong; no refusal repeats a value of the file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.records import bundle as bundles
from healthchain.records.bundle import BundleRefused, parse_bundle
from healthchain.records.sealing import PLAINTEXT_BYTES_MAX

from .sources import PATIENT, bundle, encoded, observation, synthea_bundles, urn

RATE_PER_S_MIN = 3_000  # far below what is measured, so that a busy machine does not fail the build

GOOD = bundle(observation(), observation(id="o"))


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(BundleRefused) as caught:
        parse_bundle(data, **limits)
    assert 1 <= len(caught.value.findings) <= 20
    assert str(caught.value.findings[0]) in str(caught.value)
    return str(caught.value).removeprefix("the bundle is refused: ")


@pytest.mark.parametrize("kind", ["transaction", "batch", "collection"])
def test_a_bundle_is_taken(kind: str) -> None:
    parsed = parse_bundle(encoded(bundle(observation(), observation(id="o"), kind=kind)))
    assert [one.full_url for one in parsed.entries] == [urn(0), urn(1), urn(2)]
    assert [one.resource_type for one in parsed.entries] == ["Patient", "Observation", "Observation"]
    assert [one.id for one in parsed.entries] == ["p", None, "o"]
    assert parsed.patient is parsed.entries[0]


def test_a_resource_stays_as_it_is_written() -> None:
    value = '{ "value" : 72.50 , "unit" : "caf\\u00e9",\n"extension":[{"url":"urn:x","valueDecimal":1E+2}] }'
    precise = json.dumps(observation())[:-1] + f' , "valueQuantity":{value}}}'
    long = json.dumps(observation())[:-1] + ', "valueQuantity":{"value":123456789012345678901234567890.10}}'
    plain = json.dumps(observation())
    data = encoded(bundle(observation(), observation())).decode().replace(plain, precise, 1).replace(plain, long, 1)
    parsed = parse_bundle(data.encode())
    assert [one.raw.decode() for one in parsed.entries[1:]] == [precise, long]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "Bundle: Input data was truncated"),
        (b"\xef\xbb\xbf" + encoded(GOOD), "Bundle: begins with a byte order mark"),
        (encoded(GOOD) + b"x", "Bundle: JSON is malformed"),
        (encoded(GOOD)[:-1], "Bundle: Input data was truncated"),
        (encoded(GOOD).replace(b"height", b"h\xffight"), "Bundle: not UTF-8"),
        (encoded(GOOD).decode().encode("utf-16"), "Bundle: not UTF-8"),
        (b"[" * 1_000_000, "Bundle: "),
        (b'{"x":' + b"[" * 1_000_000, "Bundle: nested too deeply"),
        (b"{}", "Bundle: Object missing required field"),
        (encoded({**GOOD, "resourceType": "Jane"}), "Bundle.resourceType: not a Bundle"),
        (encoded({**GOOD, "type": "history"}), "Bundle.type: none of transaction, batch, collection"),
        (encoded({**GOOD, "Jane": 1}), "Bundle.?: unknown element"),
        (encoded({**GOOD, "entry": []}), "Bundle.entry: an empty array is not allowed"),
        (encoded({**GOOD, "timestamp": "Jane"}), "Bundle.timestamp: is not a valid instant"),
        (encoded(GOOD).replace(b'"entry"', b'"entry":[],"entry"'), "Bundle.entry: the key appears more than once"),
        (encoded(GOOD)[:-1] + b',"\\u0065ntry":[]}', "Bundle.entry: the key appears more than once"),
    ],
)
def test_a_bundle_that_is_none(data: bytes, text: str) -> None:
    assert text in refusal(data)


def entry_altered(alter: Callable[[dict[str, Any]], object]) -> bytes:
    altered = json.loads(encoded(GOOD))
    alter(altered["entry"][2])
    return encoded(altered)


@pytest.mark.parametrize(
    ("alter", "text"),
    [
        (lambda e: e.pop("fullUrl"), "Bundle.entry[2]: Object missing required field `fullUrl`"),
        (lambda e: e.pop("resource"), "Bundle.entry[2]: Object missing required field `resource`"),
        (lambda e: e.update(fullUrl=""), "Bundle.entry[2].fullUrl: a full URL is a string that is not empty"),
        (lambda e: e.update(fullUrl=5), "Bundle.entry[2].fullUrl: a full URL is a string that is not empty"),
        (lambda e: e.update(fullUrl=urn(1)), "Bundle.entry[2].fullUrl: an earlier entry has the same full URL"),
        (lambda e: e["request"].update(method="LOOK"), "Bundle.entry[2].request.method: not one of the codes"),
        (lambda e: e.update(jane=1), "Bundle.entry[2].?: unknown element"),
        (lambda e: e.update(resource=5), "Resource: a resource needs a resourceType"),
        (lambda e: e["resource"].pop("status"), "Observation.status: required element missing"),
        (lambda e: e["resource"].update(status="Jane"), "Observation.status: not one of the codes"),
        (lambda e: e["resource"].update(Jane="Jane"), "Observation.?: unknown element"),
        (lambda e: e["resource"].update(valueString="x" * PLAINTEXT_BYTES_MAX), "Resource: longer than 1048316 bytes"),
        (
            lambda e: e["resource"].update(performer=[{"reference": urn(1)}, {"reference": urn(7)}]),
            "Observation.performer[1].reference: refers to no entry of the bundle",
        ),
    ],
)
def test_an_entry_that_is_wrong(alter: Callable[[dict[str, Any]], object], text: str) -> None:
    answer = refusal(entry_altered(alter))
    assert answer.startswith(f"entry 2: {text}")
    assert "Jane" not in answer


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"status": "final"', b'"status": "final", "status": "final"'),
        (b'"status": "final"', b'"status": "final", "st\\u0061tus": "amended"'),
        (b'"text": "body height"', b'"text": "body height", "text": "x"'),
        (b'"text": "body height"', b'"text": "\\ud800"'),
        (b'"text": "body height"', b'"text": NaN'),
        (b'"request": ', b'"resource": {"resourceType":"Basic"}, "request": '),
        (b'"request": ', b'"request": {"method":"POST","url":"x"}, "request": '),
        (b'"request": ', b'"fullUrl": "urn:uuid:1", "request": '),
        (b'"method": ', b'"method": "POST", "method": '),
    ],
)
def test_a_second_meaning_is_refused(old: bytes, new: bytes) -> None:
    """A key that comes twice means one thing to one reader and another to the next."""
    data = encoded(bundle(observation()))
    assert old in data
    refusal(data.replace(old, new, 1))


def test_the_first_of_two_equal_resources_in_an_entry_is_found_too() -> None:
    inner = json.dumps(observation())
    data = encoded(bundle(observation())).decode()
    refusal(data.replace(f'"resource": {inner}', f'"resource": {inner}, "resource": {inner}').encode())


def test_a_reference_is_found_however_it_is_spelled() -> None:
    data = encoded(bundle(observation(note=[{"text": urn(9)}])))
    assert len(parse_bundle(data).entries) == 2  # not a reference
    spelled = encoded(bundle(observation(focus=[{"reference": urn(9)}]))).replace(b"urn:uuid:", b"\\u0075rn:uuid:")
    assert "Observation.focus[0].reference" in refusal(spelled)
    assert len(parse_bundle(spelled.replace(urn(9)[9:].encode(), urn(1)[9:].encode())).entries) == 2
    assert len(parse_bundle(encoded(bundle(observation(focus=[{"reference": "Patient/1"}])))).entries) == 2


@pytest.mark.parametrize("count", [0, 2])
def test_a_bundle_has_one_patient(count: int) -> None:
    made = bundle(*[PATIENT] * (count - 1), observation())
    made["entry"] = made["entry"] if count else [{**made["entry"][1], "fullUrl": urn(0)}]
    assert refusal(encoded(made)) == f"Bundle: has {count} Patient entries: one bundle holds one patient"


def test_limits() -> None:
    data = encoded(GOOD)
    assert len(parse_bundle(data, bytes_max=len(data), entries_max=3).entries) == 3
    assert refusal(data, bytes_max=len(data) - 1) == f"Bundle: longer than {len(data) - 1} bytes"
    assert "entry 2: Bundle.entry[2].fullUrl: more than 2 entries" in refusal(data, entries_max=2)
    around = {**GOOD, "link": [{"relation": "self", "url": "x" * 2_000_000}]}
    assert "too much around its resources" in refusal(encoded(around))


def test_the_first_twenty_findings_are_collected() -> None:
    with pytest.raises(BundleRefused) as caught:
        parse_bundle(encoded(bundle(*[observation(status="x")] * 30)))
    assert [one.entry for one in caught.value.findings] == list(range(1, 21))
    assert "(and 19 more)" in str(caught.value)


def test_synthea_is_taken_whole_and_fast() -> None:
    data = synthea_bundles()
    start = time.process_time()
    parsed = [parse_bundle(one) for one in data]
    seconds = time.process_time() - start
    for one, entries in zip(data, parsed, strict=True):
        expected = json.loads(one)["entry"]
        assert [entry.full_url for entry in entries.entries] == [entry["fullUrl"] for entry in expected]
        assert [json.loads(entry.raw) for entry in entries.entries] == [entry["resource"] for entry in expected]
        assert all(entry.raw in one for entry in entries.entries[::50])
    assert sum(len(one.entries) for one in parsed) / seconds > RATE_PER_S_MIN


def check_mutation(data: bytes) -> None:
    refused = None
    try:
        parse_bundle(data)
    except BundleRefused as caught:
        refused = caught
    if refused is not None:
        assert "Jane" not in str(refused)
        assert not any("Jane" in str(one) for one in refused.findings)


SMALL = encoded(bundle(observation(note=[{"text": "Jane"}], valueQuantity={"value": 72.5, "unit": "Jane"})))
PIECES = [
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u0000", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"\0"),
    *(b"null", b"NaN", b"-", b"1e999", b'"Jane"', b'"Jane":', b'"resource":', b'"fullUrl":"Jane",', b'"entry":[],'),
    *(b"[" * 2000, b'{"a":' * 2000, b"9" * 5000, b'"reference":"urn:uuid:Jane"', urn(1).encode()),
]


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A few pieces put in, a few ranges cut out or doubled."""
    data = SMALL
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        kind = draw(st.sampled_from(["put", "cut", "double", "replace"]))
        piece = draw(st.sampled_from(PIECES))
        middle = {"put": piece + data[start:end], "cut": b"", "double": data[start:end] * 2, "replace": piece}[kind]
        data = data[:start] + middle + data[end:]
    return data


@settings(max_examples=300)
@given(altered() | st.binary(max_size=100))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    check_mutation(data)


@pytest.mark.fuzz
@settings(max_examples=50_000)
@given(altered() | st.binary(max_size=1000))
def test_any_bytes_are_taken_or_refused_for_long(data: bytes) -> None:
    check_mutation(data)


def test_a_file_of_millions_of_entries_stops_at_the_limit() -> None:
    entries = b",".join(b'{"fullUrl":"urn:oid:%d","resource":0}' % n for n in range(300_000))
    assert "more than 200000 entries" in refusal(b'{"resourceType":"Bundle","type":"batch","entry":[' + entries + b"]}")
    assert bundles.ENTRIES_MAX == 200_000


@pytest.mark.parametrize("url", ["Patient/1", "1", "urn:uuid:", "//host/Patient/1", "javascript:x"])
def test_a_full_url_is_absolute(url: str) -> None:
    """Two systems both have a Patient/1: they must not become one patient."""
    encoded = url.encode()
    assert "absolute" in refusal(
        b'{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"' + encoded + b'","resource":{}}]}'
    )
