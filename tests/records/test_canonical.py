"""One spelling for one value, and no value changed by it."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.records.canonical import NotCanonical, canonical_json

from .sources import synthea_bundles

# Text without lone surrogates, which are not UTF-8.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


class Number(str):
    """A number as it is written."""


def spelled(value: Any, shuffled: bool) -> str:
    """The slow twin: JSON text with the numbers as written; shuffled has another order, spaces and escapes."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        pairs = sorted(value.items(), reverse=shuffled)
        space = " \n" if shuffled else ""
        return "{" + ",".join(f"{space}{spelled(k, shuffled)}{space}:{spelled(v, shuffled)}" for k, v in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spelled(one, shuffled) for one in value) + "]"
    return json.dumps(value, ensure_ascii=shuffled)


JSON = st.recursive(
    st.none() | st.booleans() | TEXT | NUMBERS.map(Number),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def exactly(raw: bytes | str) -> Any:
    return json.loads(raw, parse_float=Decimal, parse_int=Decimal)


@given(JSON)
def test_every_spelling_of_a_value_gives_one(value: Any) -> None:
    canonical = canonical_json(spelled(value, shuffled=True).encode())
    assert canonical == canonical_json(spelled(value, shuffled=False).encode())
    assert canonical == canonical_json(canonical)
    # The encoder and json.dumps agree on which characters are escaped, except for U+007F and how \b and \f look.
    assert exactly(canonical) == exactly(spelled(value, shuffled=False))


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b' { "b" : 72.50 , "a" : [ 1E5 , -0 , 1.0e-3 ] } ', b'{"a":[1E5,-0,1.0e-3],"b":72.50}'),
        (b"123456789012345678901234567890.10", b"123456789012345678901234567890.10"),
        (b'"\\u00e9\\/\\ud83d\\ude00\\u0001"', '"é/😀\\u0001"'.encode()),
        (b'{"\\uff00":1,"\\ud83d\\ude00":2}', '{"\uff00":1,"😀":2}'.encode()),  # by code point, not by UTF-16 unit
        (b"{}", b"{}"),
    ],
)
def test_spellings(raw: bytes, canonical: bytes) -> None:
    assert canonical_json(raw) == canonical


def test_numbers_that_differ_in_precision_are_different() -> None:
    assert canonical_json(b"72.50") != canonical_json(b"72.5")


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"nul", b"1 2", b"01", b"1.", b"NaN", b"-Infinity", b'"a', b'"\t"', b"\xff", b"\xef\xbb\xbf1"),
        *(b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"b":{"a":1,"a":1}}]', b'"\\ud800"', b'{"\\udc00":1}'),
        *(b"[" * 300 + b"]" * 300, b"[" * 100_000, b'{"a":' * 100_000),
    ],
)
def test_what_is_not_json_with_one_meaning_is_refused(raw: bytes) -> None:
    with pytest.raises(NotCanonical):
        canonical_json(raw)


@settings(max_examples=200)
@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\u0d8 1-.eEntrufals', max_size=40).map(str.encode))
def test_any_bytes_are_taken_or_refused(raw: bytes) -> None:
    with suppress(NotCanonical):
        assert exactly(canonical_json(raw)) == exactly(raw)


@pytest.mark.fuzz
@settings(max_examples=20_000)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0d8 1-.eEntrufals', max_size=200).map(str.encode))
def test_any_bytes_are_taken_or_refused_for_long(raw: bytes) -> None:
    with suppress(NotCanonical):
        assert exactly(canonical_json(raw)) == exactly(raw)


def test_synthea_keeps_its_meaning() -> None:
    raw = min(synthea_bundles(), key=len)
    assert exactly(canonical_json(raw)) == exactly(raw)
