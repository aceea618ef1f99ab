"""Nothing readable of a patient is on any disk: the plain values of the imported files, in every file and file name."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthchain.app.consortium import Consortium
from healthchain.app.input import read_file
from healthchain.app.scenarios.records import sample_files
from healthchain.contract.ids import Purpose
from healthchain.errors import HealthChainError
from healthchain.records import auditing, consenting, erasing
from healthchain.records.bundle import parse_bundle

from .bundles import encoded, observation, person
from .consortium import CLINIC, clinician, code, consent, imported, read, within
from .disk import found

SHORT_MIN = 6  # shorter ones are in random bytes by chance
PUBLIC = {"active"}  # a record's status, which a header has as well
# Elements whose texts say something; so do all those whose names end like these.
KEYS = re.compile(
    "birthDate|city|code|description|display|div|end|family|fullUrl|given|id|issued|line|name|number|postalCode"
    "|reference|start|text|unit|value(Code|String)?|.*(Date|DateTime|Time|Number)"
)


def _values(element: Any, key: str = "") -> Iterator[str]:
    """Every text, date, number and identifier of a bundle that says something."""
    if isinstance(element, dict):
        for name, child in element.items():
            yield from _values(child, name)
    elif isinstance(element, list):
        for child in element:
            yield from _values(child, key)
    elif isinstance(element, str) and KEYS.fullmatch(key):
        yield element
    elif isinstance(element, float):
        yield repr(element)


def _said(content: bytes) -> set[str]:
    values = {value for value in _values(json.loads(content)) if len(value) >= SHORT_MIN} - PUBLIC
    parts = {value.removeprefix("urn:uuid:") for value in values}
    parts |= {value[:10] for value in values if value[:4].isdigit() and value[4:5] == "-"}  # the day of an instant
    return values | parts


def _forms(value: str) -> set[bytes]:
    """As it is, as databases of other kinds would hold it, in hex, and the middle of base64 in each of its phases."""
    raw = value.encode()
    forms = {raw, value.encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode()}
    forms |= {base64.b64encode(bytes(phase) + raw)[4:-4] for phase in range(3)}
    return {form for form in forms if len(form) >= SHORT_MIN}


def _readable(folder: Path, values: set[str]) -> set[bytes]:
    seen = set(found(folder, (form for value in values for form in _forms(value))))
    names = "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return seen | {value.encode() for value in values if value in names}


def test_no_plain_value_in_any_file_of_the_consortium(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    contents = [read_file(path) for path in sample_files()[:2]]
    values = set().union(*map(_said, contents))
    assert len(values) > 1000
    before = _readable(folder, values)  # what certificates happen to have as well
    values = {value for value in values if before.isdisjoint(_forms(value))}
    assert len(values) > 1000

    async def work(consortium: Consortium) -> None:
        patients = [(await imported(consortium, parse_bundle(content))).patient for content in contents]
        for patient in patients:
            actor = consortium.patient(patient)
            await consenting.grant(actor, consent(consortium))
            await read(clinician(consortium, CLINIC), patient)
            await consenting.revoke(actor, grantee=consortium.topology.organisation(CLINIC).msp_id)
            await auditing.trail(actor, patient)
        await erasing.erase_patient(consortium.patient(patients[0]), patients[0])
        assert _readable(folder, values) == set()  # while it is open too

    within(folder, work)
    assert _readable(folder, values) == set()
    assert not [value for value in values if value in caplog.text]


def test_the_search_finds_each_form_of_each_kind_of_value(tmp_path: Path) -> None:
    for number, value in enumerate(("Winterbottom", "1951-07-23", "urn:uuid:3f228315-d2de-4292-a56a-b7c120c2875d")):
        assert _readable(tmp_path, {value}) == set()
        for form in _forms(value):
            (tmp_path / "file").write_bytes(bytes(number) + b"xyz" + form + b"rest")
            assert form in _readable(tmp_path, {value})
        (tmp_path / "file").write_bytes(b"xyz" + base64.b64encode(b"ab" + value.encode() + b"cdefg"))
        assert _readable(tmp_path, {value})
        (tmp_path / "file").unlink()
    (tmp_path / "Winterbottom.txt").touch()
    assert _readable(tmp_path, {"Winterbottom"}) == {b"Winterbottom"}


def test_the_values_looked_for_are_those_that_tell_something() -> None:
    said = _said(read_file(sample_files()[0]))
    patient = next(one for one in parse_bundle(read_file(sample_files()[0])).entries if one.resource_type == "Patient")
    decoded = json.loads(patient.raw)
    assert {decoded["birthDate"], decoded["address"][0]["line"][0], decoded["identifier"][0]["value"]} <= said
    assert {name for name in (decoded["name"][0]["family"],) if len(name) >= SHORT_MIN} <= said


SECRET = "Winterbottom-1951"  # noqa: S105 (the value that must not be seen)
WRONG: dict[str, dict[str, Any]] = {
    "a code": {"status": SECRET},
    "a date": {"effectiveDateTime": SECRET},
    "an unknown element": {SECRET: 1},
    "a number": {"valueInteger": SECRET},
    "a reference to nothing": {"subject": {"reference": f"urn:uuid:{SECRET}"}},
    "an id": {"id": SECRET + "!"},
    "an extension": {"extension": [{"url": "x", SECRET: 1}]},
    "a resource type": {"resourceType": SECRET},
}


@pytest.mark.parametrize("name", WRONG)
def test_no_error_about_a_bundle_has_its_value(name: str) -> None:
    with pytest.raises(HealthChainError) as refused:
        parse_bundle(encoded([person(), observation(1) | WRONG[name]]))
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(getattr(refused.value, "findings", ""))


def test_no_refusal_has_a_value(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, parse_bundle(encoded([person()])))).patient
        for asked in (SECRET, patient, patient[:-1] + "!"):
            with pytest.raises(HealthChainError) as refused:
                await read(clinician(consortium, CLINIC), asked)
            assert asked not in str(refused.value)
        with pytest.raises(HealthChainError) as refused:
            consortium.patient(SECRET)
        assert SECRET not in str(refused.value)
        assert await code(read(clinician(consortium), patient, Purpose.HPAYMT)) == "CONSENT_MISSING"

    within(folder, work)
