"""One spelling for each JSON value, to compare and hash resources by. It is never what is stored.

Numbers stay as they are written: to FHIR 72.50 and 72.5 differ in precision, so they are different values.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from healthchain.errors import BadInput


class NotCanonical(BadInput):
    """The text is not JSON, has more than one meaning, or is nested deeper than the encoder goes (254)."""


def canonical_json(raw: bytes) -> bytes:
    """UTF-8 without whitespace, keys in the order of their code points, no escapes but those that JSON demands."""
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_float=orjson.Fragment,
            parse_int=orjson.Fragment,
            parse_constant=_no_constant,
        )
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (ValueError, RecursionError, orjson.JSONEncodeError):
        raise NotCanonical("not JSON in UTF-8, or nested too deeply") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotCanonical("a key appears more than once")
    return value


def _no_constant(_: str) -> NoReturn:
    raise NotCanonical("NaN and infinity are not JSON")
