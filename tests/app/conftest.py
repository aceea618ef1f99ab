"""`filled` is a consortium with a patient, a consent given and revoked, and a record erased; a copy for each test."""

from __future__ import annotations

import asyncio
import gzip
import shutil
from pathlib import Path

import pytest

from healthchain.app.consortium import CLINICIAN, initialise, opened
from healthchain.app.scenarios.records import sample_files
from healthchain.config import DEFAULT
from healthchain.contract.ids import Action, Purpose
from healthchain.records import consenting, erasing
from healthchain.records.actor import now_ms
from healthchain.records.bundle import parse_bundle
from healthchain.records.importing import import_bundle
from healthchain.records.reading import list_all

HOSPITAL = "general-hospital"


async def fill(folder: Path) -> None:
    """On either engine."""
    bundle = parse_bundle(gzip.decompress(sample_files()[0].read_bytes()))
    async with opened(folder) as consortium:
        patient = (await import_bundle(consortium.custodian(HOSPITAL), bundle)).patient
        actor = consortium.patient(patient)
        decision = consenting.Decision("CityClinicMSP", (Purpose.TREAT,), (Action.READ,), now_ms() + 10**7)
        await consenting.grant(actor, decision)
        await consenting.revoke(actor, grantee="CityClinicMSP")
        clinician = consortium.staff(HOSPITAL, CLINICIAN)
        listed = await list_all(clinician, patient, Purpose.TREAT)
        await erasing.erase_records(clinician, patient, [one.id for one in listed[:3]])


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "consortium"
    asyncio.run(initialise(folder, DEFAULT))
    asyncio.run(fill(folder))
    return folder


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "consortium"
    shutil.copytree(filled_once, copy)
    return copy
