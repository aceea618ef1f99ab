"""Erased is erased: not a fragment of a body or an envelope is left on any peer's disk, time after time."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from healthchain.app.consortium import Consortium
from healthchain.contract.ids import Purpose
from healthchain.errors import Refused
from healthchain.records import consenting, erasing
from healthchain.records.patients import registered
from healthchain.records.reading import list_all

from .bundles import encoded, observation, parsed, person, samples, simple
from .consortium import (
    CLINIC,
    assert_clean,
    assert_equal_peers,
    by_url,
    clinician,
    code,
    consent,
    content,
    imported,
    read,
    within,
)
from .disk import PIECE, bodies, envelopes, files, found, pieces

PEERS = 4


async def _sealed(consortium: Consortium, patient: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    ledger = next(iter(consortium.network.peers.values())).ledger
    compartments = (await registered(clinician(consortium), patient)).compartments
    return bodies(ledger, patient), envelopes(ledger, compartments)


def test_nothing_of_an_erased_patient_is_on_any_disk(folder: Path) -> None:
    """A sample patient with a grantee; every body and envelope is looked for, before and after."""
    bundle, other = samples(2)[-1], simple(2)

    async def work(consortium: Consortium) -> tuple[set[bytes], str]:
        kept = await imported(consortium, other)
        patient = (await imported(consortium, bundle)).patient
        await consenting.grant(consortium.patient(patient), consent(consortium))
        records, keys = await _sealed(consortium, patient)
        assert len(records) == len(bundle.entries)
        assert len(keys) == 5 * 3
        needles = pieces([*records.values(), *keys.values()])
        present = found(folder / "peers", needles)
        assert present.keys() == needles
        assert all(len(paths) == PEERS for paths in present.values())
        actor = consortium.patient(patient)
        await erasing.erase_patient(actor, patient)
        assert found(folder, needles) == {}
        for who, purpose in ((clinician(consortium), Purpose.TREAT), (actor, Purpose.PATRQT)):
            assert await code(read(who, patient, purpose)) == "PATIENT_ERASED"
        assert await read(clinician(consortium), kept.patient) == content(other)
        return needles, patient

    needles, patient = within(folder, work)
    assert found(folder, needles) == {}

    async def later(consortium: Consortium) -> None:
        assert await code(imported(consortium, bundle)) == "PATIENT_ERASED"
        assert await code(read(clinician(consortium), patient)) == "PATIENT_ERASED"
        assert_equal_peers(consortium)

    within(folder, later)
    assert found(folder, needles) == {}
    assert_clean(folder)


def test_every_version_of_an_erased_record_is_gone_and_the_others_stay(folder: Path) -> None:
    versions = [parsed(observation(1), observation(n)) for n in (2, 3, 4)]

    async def work(consortium: Consortium) -> None:
        for one in versions:
            patient = (await imported(consortium, one)).patient
        listed = await list_all(clinician(consortium), patient, Purpose.TREAT)
        erased = next(one.id for one in listed if one.version == 3)
        records, _ = await _sealed(consortium, patient)
        gone = {key: value for key, value in records.items() if erased in key}
        assert len(gone) == 3
        await erasing.erase_records(consortium.patient(patient), patient, [erased])
        assert found(folder, pieces(gone.values())) == {}
        stays = pieces(value for key, value in records.items() if key not in gone)
        assert found(folder / "peers", stays).keys() == stays
        assert len(await read(clinician(consortium), patient)) == 2
        with pytest.raises(Refused, match="RECORD_ERASED"):
            await erasing.erase_records(consortium.patient(patient), patient, [erased])

    within(folder, work)
    assert_clean(folder)


def _erased_again_and_again(folder: Path, rounds: int) -> None:
    """In one process, where memory is used again: a database's page once kept what the heap had held."""

    async def work(consortium: Consortium) -> set[bytes]:
        everything: set[bytes] = set()
        for number in range(rounds):
            patient = (await imported(consortium, simple(60, patient=number))).patient
            await consenting.grant(consortium.patient(patient), consent(consortium))
            records, keys = await _sealed(consortium, patient)
            everything |= pieces([*records.values(), *keys.values()])
            other, reading = imported(consortium, simple(40, 1000 + number)), read(clinician(consortium), patient)
            await asyncio.gather(other, reading)
            await erasing.erase_patient(consortium.patient(patient), patient)
            assert found(folder, everything) == {}, f"after round {number}"
        return everything

    assert found(folder, within(folder, work)) == {}
    assert_clean(folder)


def test_erased_again_and_again(folder: Path) -> None:
    _erased_again_and_again(folder, rounds=4)


@pytest.mark.slow
def test_erased_again_and_again_for_longer(folder: Path) -> None:
    _erased_again_and_again(folder, rounds=60)


def test_a_peer_that_was_restored_from_a_backup_erases_too(folder: Path, tmp_path: Path) -> None:
    """The folder of one peer as it was before: what it has missed comes from the others, the purge as well."""
    import shutil

    async def fill(consortium: Consortium) -> str:
        return (await imported(consortium, simple(30))).patient

    patient = within(folder, fill)
    shutil.copytree(folder / "peers" / CLINIC, tmp_path / "backup")

    async def erase(consortium: Consortium) -> set[bytes]:
        records, keys = await _sealed(consortium, patient)
        await erasing.erase_patient(consortium.patient(patient), patient)
        return pieces([*records.values(), *keys.values()])

    needles = within(folder, erase)
    shutil.rmtree(folder / "peers" / CLINIC)
    shutil.copytree(tmp_path / "backup", folder / "peers" / CLINIC)
    assert found(folder, needles).keys() == needles

    async def catches_up(consortium: Consortium) -> None:
        assert_equal_peers(consortium)

    within(folder, catches_up)
    assert found(folder, needles) == {}
    assert_clean(folder)


@pytest.mark.parametrize("length", [5, 6, 7, 8, 14, 15, PIECE, 40])
def test_the_search_itself_finds_a_sequence_at_every_place(tmp_path: Path, length: int) -> None:
    sequence = bytes(range(100, 100 + length))
    for place in range(40):
        (tmp_path / f"{place}").write_bytes(bytes(place) + sequence + bytes(40 - place))
    assert len(found(tmp_path, [sequence])[sequence]) == 40
    assert found(tmp_path, [sequence[::-1]]) == {}
    assert len(list(files(tmp_path))) == 40


def test_a_bundle_is_sealed_and_not_only_packed(folder: Path) -> None:
    """What gzip or JSON would leave recognisable is not there."""
    long = "a sentence that nobody but the patient and her physician should ever read"
    raw = encoded([person(), observation(1, note=[{"text": long}])])

    async def work(consortium: Consortium) -> dict[str, bytes]:
        done = await imported(consortium, parsed(observation(1, note=[{"text": long}])))
        from healthchain.records.reading import read_all

        return by_url(await read_all(clinician(consortium), done.patient, Purpose.TREAT))

    assert any(long.encode() in one for one in within(folder, work).values())
    assert found(folder, [long.encode(), gzip.compress(raw)[10:40]]) == {}
