"""Random histories of one patient, by all parties, on the real network: no record without a consent in force.

The model is a list of consents and a table of records; nothing of it is shared with the contract or the use cases.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from healthchain.app.consortium import Consortium, opened
from healthchain.contract.ids import ENVELOPES, Action, Purpose
from healthchain.records import consenting, erasing
from healthchain.records.actor import Actor, now_ms
from healthchain.records.bundle import ParsedBundle
from healthchain.records.compartments import NAMES
from healthchain.records.patients import registered
from healthchain.records.reading import list_all

from .bundles import GENERAL, GENETIC, MENTAL_HEALTH, observation, parsed, urn
from .consortium import (
    AGENCY,
    CLINIC,
    DAY_MS,
    HOSPITAL,
    INSURER,
    assert_clean,
    assert_equal_peers,
    clinician,
    code,
    content,
    imported,
    read,
)

GRANTEES = {CLINIC: "clinician", INSURER: "claims-agent", AGENCY: "health-officer"}
PURPOSES = (Purpose.TREAT, Purpose.HPAYMT, Purpose.PUBHLTH)
PLACES = {urn(0): 0, urn(1): 0, urn(2): 1, urn(3): 4, urn(4): 0}  # url -> compartment

SOME = st.sets(st.sampled_from(range(len(NAMES))), max_size=3)
GRANT = st.tuples(
    st.just("grant"),
    st.sampled_from(sorted(GRANTEES)),
    SOME,
    st.sets(st.sampled_from(PURPOSES), min_size=1),
    st.sets(st.sampled_from(list(Action)), min_size=1),
)
STEP = st.one_of(
    GRANT,
    GRANT,
    st.tuples(st.just("revoke"), st.sampled_from(sorted(GRANTEES))),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("write"), st.lists(st.integers(1, 3), min_size=4, max_size=4)),
    st.tuples(st.just("erase"), st.integers(0, 4)),
    st.tuples(st.just("read"), st.sampled_from(sorted(GRANTEES)), st.sampled_from(PURPOSES)),
    st.tuples(st.just("restart")),
)
HISTORY = st.tuples(st.lists(STEP, min_size=3, max_size=12), st.booleans())


@dataclass
class Consent:
    id: str
    grantee: str
    places: set[int]
    purposes: set[Purpose]
    actions: set[Action]
    ended: bool = False


@dataclass
class Model:
    consents: list[Consent] = field(default_factory=list)
    records: dict[str, bytes | None] = field(default_factory=dict)  # canonical JSON, None where erased
    erased: bool = False

    def lets_out(self, grantee: str, purpose: Purpose) -> dict[str, bytes] | str:
        """To a grantee; or the code of the refusal."""
        if self.erased:
            return "PATIENT_ERASED"
        places: set[int] = set()
        for one in self.consents:
            if one.grantee == grantee and not one.ended and purpose in one.purposes and Action.READ in one.actions:
                places |= one.places
        return self.everything(places) if places else "CONSENT_MISSING"

    def everything(self, places: set[int] | None = None) -> dict[str, bytes]:
        return {
            url: value
            for url, value in self.records.items()
            if value is not None and (places is None or PLACES[url] in places)
        }

    def write(self, bundle: ParsedBundle) -> None:
        for url, value in content(bundle).items():
            if self.records.get(url, b"") is not None:
                self.records[url] = value


class World:
    """One consortium for all histories, each with a patient of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = asyncio.Runner()
        self.patients = 0
        self._open()

    def _open(self) -> None:
        self._context = opened(self.folder)
        self.consortium = self.runner.run(self._context.__aenter__())

    def close(self) -> None:
        self.runner.run(self._context.__aexit__(None, None, None))

    def restart(self) -> None:
        self.close()
        self._open()


@pytest.fixture(scope="module")
def world(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world") / "consortium"
    shutil.copytree(made_once, folder)
    world = World(folder)
    yield world
    assert_equal_peers(world.consortium)
    world.close()
    world.runner.close()
    assert_clean(folder)


@settings(max_examples=6, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(HISTORY)
def test_a_few_histories(world: World, history: tuple[list[tuple[object, ...]], bool]) -> None:
    _lived(world, *history)


@pytest.mark.slow
@settings(max_examples=150)
@given(HISTORY)
def test_many_histories(world: World, history: tuple[list[tuple[object, ...]], bool]) -> None:
    _lived(world, *history)


def _lived(world: World, steps: list[tuple[object, ...]], erased_at_last: bool) -> None:
    number, model = world.patients, Model()
    world.patients += 1
    patient = world.runner.run(_written(world.consortium, model, number, [1, 1, 1, 1]))
    for step in steps:
        if step[0] == "restart":
            world.restart()
        else:
            world.runner.run(_taken(world.consortium, model, patient, number, step))
    world.runner.run(_all_as_the_model(world.consortium, model, patient))
    if erased_at_last:
        actor = world.consortium.patient(patient)
        world.runner.run(erasing.erase_patient(actor, patient))
        model.erased = True
        world.runner.run(_all_as_the_model(world.consortium, model, patient))


def _bundle(number: int, values: list[int]) -> ParsedBundle:
    """The same records for every patient, as far as URLs go: the patient is another one by its own URL."""
    codes = (GENERAL, MENTAL_HEALTH, GENETIC, GENERAL)
    entries = [observation(value, one) for value, one in zip(values, codes, strict=True)]
    bundle = parsed(*entries)
    own = f"urn:uuid:00000000-0000-4000-8000-{number:012}"
    raw = [one.raw.replace(urn(0).encode(), own.encode()) for one in bundle.entries]
    first, *rest = [
        type(one)(one.full_url, one.resource_type, one.id, r) for one, r in zip(bundle.entries, raw, strict=True)
    ]
    person = type(first)(own, first.resource_type, first.id, first.raw)
    return ParsedBundle(person, (person, *rest))


async def _written(consortium: Consortium, model: Model, number: int, values: list[int]) -> str:
    bundle = _bundle(number, values)
    PLACES[bundle.patient.full_url] = 0
    done = await imported(consortium, bundle)
    model.write(bundle)
    return done.patient


async def _taken(consortium: Consortium, model: Model, patient: str, number: int, step: tuple[object, ...]) -> None:
    actor = consortium.patient(patient)
    match step:
        case ("grant", str(grantee), set(places), set(purposes), set(actions)):
            msp_id = consortium.topology.organisation(grantee).msp_id
            names = tuple(NAMES[place] for place in sorted(places))
            decision = consenting.Decision(msp_id, tuple(purposes), tuple(actions), now_ms() + DAY_MS, names)
            given_id = await consenting.grant(actor, decision)
            model.consents.append(Consent(given_id, grantee, places or set(range(len(NAMES))), purposes, actions))
        case ("revoke", str(grantee)):
            lasting = [one for one in model.consents if one.grantee == grantee and not one.ended]
            revoking = consenting.revoke(actor, grantee=consortium.topology.organisation(grantee).msp_id)
            assert await code(revoking) == ("" if lasting else "CONSENT_UNKNOWN")
            for one in lasting:
                one.ended = True
        case ("end", int(index)) if index < len(model.consents):
            one = model.consents[index]
            ended = await code(consenting.revoke(actor, consent_ids=[one.id]))
            assert ended == ("CONSENT_REVOKED" if one.ended else "")
            one.ended = True
        case ("write", list(values)):
            await _written(consortium, model, number, values)
        case ("erase", int(index)):
            await _erased(consortium, model, patient, index)
        case ("read", str(grantee), Purpose() as purpose):
            assert await _read(consortium, grantee, patient, purpose) == model.lets_out(grantee, purpose)


async def _erased(consortium: Consortium, model: Model, patient: str, index: int) -> None:
    url = list(model.records)[index]
    record = consortium.keyring(HOSPITAL).opaque_id("record", patient, url)
    refused = await code(erasing.erase_records(clinician(consortium), patient, [record]))
    assert refused == ("RECORD_ERASED" if model.records[url] is None else "")
    model.records[url] = None


async def _read(consortium: Consortium, grantee: str, patient: str, purpose: Purpose) -> dict[str, bytes] | str:
    actor = consortium.staff(grantee, GRANTEES[grantee])
    refused = await code(read(actor, patient, purpose))
    return refused or await read(actor, patient, purpose)


async def _all_as_the_model(consortium: Consortium, model: Model, patient: str) -> None:
    for grantee in GRANTEES:
        for purpose in PURPOSES:
            assert await _read(consortium, grantee, patient, purpose) == model.lets_out(grantee, purpose)
    own: list[tuple[Actor, Purpose]] = [
        (clinician(consortium), Purpose.TREAT),
        (consortium.patient(patient), Purpose.PATRQT),
    ]
    for actor, purpose in own:
        if model.erased:
            assert await code(read(actor, patient, purpose)) == "PATIENT_ERASED"
        else:
            assert await read(actor, patient, purpose) == model.everything()
            erased = [one for one in await list_all(actor, patient, purpose) if one.status == "erased"]
            assert len(erased) == sum(value is None for value in model.records.values())
    await _keys_as_the_model(consortium, model, patient)


async def _keys_as_the_model(consortium: Consortium, model: Model, patient: str) -> None:
    """On every peer's disk an envelope of the newest epoch for exactly those who may use it."""
    epochs = (await registered(clinician(consortium), patient)).compartments
    for place, name in enumerate(NAMES):
        compartment = consortium.keyring(HOSPITAL).opaque_id("compartment", patient, name)
        entitled = {one.grantee for one in model.consents if not one.ended and place in one.places} | {HOSPITAL}
        for peer in consortium.network.peers.values():
            for organisation in consortium.topology.organisations:
                key = f"{compartment}/{epochs[compartment]}/{organisation.msp_id}"
                held = peer.ledger.private("ehr", ENVELOPES, key) is not None
                assert held == (organisation.name in entitled and not model.erased)
