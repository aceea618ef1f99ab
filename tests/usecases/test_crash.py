"""Killed at random moments of an import: nothing acknowledged is lost, all peers agree, and it goes on to its end."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from healthchain.app.consortium import Consortium
from healthchain.app.verify import verify
from healthchain.contract.ids import Purpose
from healthchain.records.bundle import ParsedBundle, parse_bundle
from healthchain.records.reading import list_all
from healthchain.wire.codes import Code

from .bundles import encoded, observation, person
from .consortium import CLINIC, HOSPITAL, assert_clean, assert_equal_peers, clinician, code, content, read, within

CHILD = Path(__file__).with_name("importing_child.py")
OBSERVATIONS = 75
SECONDS_MAX = 60


@dataclass
class Import:
    """A folder in which an import is killed and begun again until it is done."""

    folder: Path
    files: list[Path]
    acknowledged: dict[str, int] = field(default_factory=dict)  # transaction id -> block
    seconds: float = 1  # how long a run takes, as far as is known

    def run(self, kill_after: float | None) -> bool:
        """Whether it came to its end."""
        started = time.monotonic()
        with subprocess.Popen(  # noqa: S603 (the child of these tests)
            [sys.executable, str(CHILD), str(self.folder), *map(str, self.files)], stdout=subprocess.PIPE, text=True
        ) as child:
            try:
                printed, _ = child.communicate(timeout=SECONDS_MAX if kill_after is None else kill_after)
            except subprocess.TimeoutExpired:
                child.kill()
                printed, _ = child.communicate()
        lines = printed.splitlines()
        whole = lines if printed.endswith("\n") else lines[:-1]
        for line in whole:
            if line != "done":
                transaction, block = line.split()
                self.acknowledged[transaction] = int(block)
        if child.returncode == 0:
            self.seconds = time.monotonic() - started
        else:
            assert child.returncode == -9
        return child.returncode == 0


@pytest.fixture
def new_import(made_once: Path, tmp_path: Path) -> Callable[[int, int], Import]:
    def new(number: int, patients: int) -> Import:
        folder = tmp_path / f"consortium{number}"
        shutil.copytree(made_once, folder)
        files = []
        for patient in range(patients):
            resources = [person(patient), *[observation(n, patient=patient) for n in range(OBSERVATIONS)]]
            files.append(tmp_path / f"{number}-{patient}.json")
            files[-1].write_bytes(encoded(resources, patient))
        return Import(folder, files)

    return new


def _killed(new_import: Callable[[int, int], Import], kills: int, patients: int, latest: float) -> dict[str, int]:
    """The latest kill comes after this share of the time that an import takes: beyond 1, many come to their end."""
    chance = random.Random(kills)  # noqa: S311 (where to kill)
    killed, number, transactions = 0, 0, 0
    importing = new_import(number, patients)
    while killed < kills:
        done = importing.run(kill_after=chance.uniform(0.2, latest * importing.seconds))
        killed += not done
        if chance.random() < 0.5:  # by turns what `verify` completes, and what opening does
            _is_clean(importing.folder)
        within(importing.folder, lambda consortium, one=importing: _nothing_is_lost(consortium, one))  # type: ignore[misc]
        if done:
            transactions += _is_whole(importing)
            number += 1
            shutil.rmtree(importing.folder)
            importing = replace(new_import(number, patients), seconds=importing.seconds)
    assert importing.run(kill_after=None)
    transactions += _is_whole(importing)
    return {"kills": killed, "imports": number + 1, "transactions": transactions}


def _is_clean(folder: Path) -> None:
    found = verify(folder)
    assert found.clean, found.findings


async def _nothing_is_lost(consortium: Consortium, importing: Import) -> None:
    assert_equal_peers(consortium)
    for peer in consortium.network.peers.values():
        for transaction, block in importing.acknowledged.items():
            found = peer.ledger.transaction(transaction)
            assert found is not None
            assert (found.block, found.code) == (block, Code.VALID)


def _is_whole(importing: Import) -> int:
    """All is there once, but what was erased; answers with the number of acknowledged transactions."""

    async def work(consortium: Consortium) -> None:
        await _nothing_is_lost(consortium, importing)
        for file in importing.files:
            await _patient_is_whole(consortium, parse_bundle(file.read_bytes()))

    within(importing.folder, work)
    assert_clean(importing.folder)
    return len(importing.acknowledged)


async def _patient_is_whole(consortium: Consortium, bundle: ParsedBundle) -> None:
    patient = consortium.keyring(HOSPITAL).opaque_id("patient", bundle.patient.full_url)
    listed = await list_all(clinician(consortium), patient, Purpose.TREAT)
    assert [one.version for one in listed] == [1] * len(bundle.entries)
    kept = content(bundle)
    del kept[bundle.entries[1].full_url]
    assert await read(clinician(consortium), patient) == kept
    assert await code(read(clinician(consortium, CLINIC), patient)) == "CONSENT_MISSING"


def test_five_kills(new_import: Callable[[int, int], Import]) -> None:
    assert _killed(new_import, kills=5, patients=1, latest=0.9)["kills"] == 5


@pytest.mark.crash
def test_a_hundred_kills(
    new_import: Callable[[int, int], Import], record_property: Callable[[str, object], None]
) -> None:
    for name, value in _killed(
        new_import, kills=int(os.environ.get("HEALTHCHAIN_KILLS", "100")), patients=3, latest=1.6
    ).items():
        record_property(name, value)
        print(name, value)
