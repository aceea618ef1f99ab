"""A FHIR R4 Bundle as bytes -> its entries, each resource exactly as it is written. All is valid, or none is taken.

A resource stays the bytes of the file, so that decimals, long integers and extensions are never rewritten. What one
resource must be is in `structure`; here is what holds between the entries.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from healthchain.errors import BadInput
from healthchain.records.sealing import PLAINTEXT_BYTES_MAX
from healthchain.records.structure import (
    FINDINGS_MAX,
    Finding,
    objects,
    read_resource,
    spelled,
)

BYTES_MAX = 256 << 20
ENTRIES_MAX = 200_000
ENTRY_BYTES_MAX = 1024  # of an entry besides its resource, on average
TYPES = ("transaction", "batch", "collection")


class BundleRefused(BadInput):
    """`findings` has the first faults, at most FINDINGS_MAX; no text has a value of the file in it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        super().__init__(f"the bundle is refused: {findings[0]}{more}")
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Entry:
    full_url: str
    resource_type: str
    id: str | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class ParsedBundle:
    """The patient's entry is among the entries too, which keep the order of the file."""

    patient: Entry
    entries: tuple[Entry, ...]


def parse_bundle(data: bytes, bytes_max: int = BYTES_MAX, entries_max: int = ENTRIES_MAX) -> ParsedBundle:
    """Raises BundleRefused and nothing else."""
    # 1. It is UTF-8 without a byte order mark, and not too long.
    _check_bytes(data, bytes_max)
    # 2. It is a Bundle of a kind that can be stored; each entry has a full URL of its own and a resource.
    bundle = _decode(data, entries_max)
    raws = [bytes(entry.resource) for entry in bundle.entry]
    # 3. Each resource is valid and small enough to be sealed.
    entries = _entries(bundle, raws)
    # 4. What is around the resources is valid too: a second "entry" or "resource" would be seen by other readers.
    _refuse(_shell_findings(_shell(data, raws), len(raws)))
    # 5. References that can only mean an entry of this bundle mean one.
    _refuse(_dangling(entries))
    # 6. The records are those of one patient.
    return ParsedBundle(_patient(entries), entries)


_ABSOLUTE = re.compile(r"(?:urn:uuid:|urn:oid:|https?://)\S")


class _FullUrl(str):
    """A type of its own, so that the decoder calls for each one: a file of millions stops at the limit."""

    __slots__ = ()


class _Entry(msgspec.Struct, gc=False):
    fullUrl: _FullUrl
    resource: msgspec.Raw


class _Bundle(msgspec.Struct):
    resourceType: str
    type: str
    entry: list[_Entry]


def _check_bytes(data: bytes, bytes_max: int) -> None:
    if len(data) > bytes_max:
        raise _refused(f"longer than {bytes_max} bytes")
    if data.startswith(codecs.BOM_UTF8):
        raise _refused("begins with a byte order mark")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), 1 << 20):
            decoder.decode(data[start : start + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _refused("not UTF-8") from None


def _decode(data: bytes, entries_max: int) -> _Bundle:
    seen: set[str] = set()

    def full_url(kind: type, value: Any) -> _FullUrl:
        if not isinstance(value, str) or not value:
            raise ValueError("a full URL is a string that is not empty")
        if not _ABSOLUTE.match(value):  # a relative one means another patient in another system
            raise ValueError("a full URL is absolute: urn:uuid:, urn:oid:, http: or https:")
        if value in seen:
            raise ValueError("an earlier entry has the same full URL")
        if len(seen) == entries_max:
            raise ValueError(f"more than {entries_max} entries")
        seen.add(value)
        return _FullUrl(value)

    try:
        bundle = msgspec.json.decode(data, type=_Bundle, dec_hook=full_url)
    except msgspec.DecodeError as error:  # its texts name fields of the classes above, types and positions
        reason, _, path = str(error).partition(" - at `$.entry")
        index = re.match(r"\[(\d+)\](\.fullUrl)?", path)
        if index is None:
            raise _refused(reason) from None
        raise BundleRefused([Finding(f"Bundle.entry{index[0]}", reason, int(index[1]))]) from None
    except RecursionError:
        raise _refused("nested too deeply") from None
    if bundle.resourceType != "Bundle":
        raise BundleRefused([Finding("Bundle.resourceType", "not a Bundle")])
    if bundle.type not in TYPES:
        raise BundleRefused([Finding("Bundle.type", f"none of {', '.join(TYPES)}")])
    return bundle


def _entries(bundle: _Bundle, raws: Sequence[bytes]) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    findings: list[Finding] = []
    for index, (entry, raw) in enumerate(zip(bundle.entry, raws, strict=True)):
        if len(raw) > PLAINTEXT_BYTES_MAX:
            findings.append(Finding("Resource", f"longer than {PLAINTEXT_BYTES_MAX} bytes", index))
        else:
            resource, found = read_resource(raw)
            findings += [one._replace(entry=index) for one in found]
        if len(findings) >= FINDINGS_MAX:
            break
        if not findings:
            entries.append(Entry(str(entry.fullUrl), resource["resourceType"], resource.get("id"), raw))
    _refuse(findings)
    return tuple(entries)


def _shell(data: bytes, raws: Iterable[bytes]) -> bytes:
    """The bundle without its resources, each replaced by the same small one."""
    parts: list[bytes] = []
    position = 0
    for raw in raws:
        start = data.find(raw[:64], position)
        while not data.startswith(raw, start):
            start = data.find(raw[:64], start + 1)
        parts += (data[position:start], b'{"resourceType":"Basic","code":{"text":"x"}}')
        position = start + len(raw)
    parts.append(data[position:])
    return b"".join(parts)


def _shell_findings(shell: bytes, entries: int) -> Iterator[Finding]:
    if len(shell) > (entries + 1024) * ENTRY_BYTES_MAX:
        raise _refused("too much around its resources")
    for path, reason, _ in read_resource(shell)[1]:
        index = re.match(r"Bundle\.entry\[(\d+)\]", path)
        yield Finding(path, reason, int(index[1]) if index else None)


def _dangling(entries: Sequence[Entry]) -> Iterator[Finding]:
    """References by urn:uuid to no entry. Searched for in the bytes, and only what that finds is looked at."""
    known = {entry.full_url.encode() for entry in entries}
    for index, entry in enumerate(entries):
        if b"\\u" not in entry.raw and known.issuperset(_URN.findall(entry.raw)):
            continue
        for path, element in objects(orjson.loads(entry.raw), (None, entry.resource_type)):
            reference = element.get("reference")
            if isinstance(reference, str) and reference.startswith("urn:uuid:") and reference.encode() not in known:
                yield Finding(spelled((path, ".reference")), "refers to no entry of the bundle", index)


def _patient(entries: Sequence[Entry]) -> Entry:
    found = [entry for entry in entries if entry.resource_type == "Patient"]
    if len(found) != 1:
        raise _refused(f"has {len(found)} Patient entries: one bundle holds one patient")
    return found[0]


def _refuse(findings: Iterable[Finding]) -> None:
    first = [finding for finding, _ in zip(findings, range(FINDINGS_MAX), strict=False)]
    if first:
        raise BundleRefused(first)


def _refused(reason: str) -> BundleRefused:
    return BundleRefused([Finding("Bundle", reason)])


_URN = re.compile(rb'"(urn:uuid:[^"]*)"')
