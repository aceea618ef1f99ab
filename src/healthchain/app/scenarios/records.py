"""The main job in one run: import, refuse, grant, read, revoke, audit, erase, verify, find an altered byte.

Every fact it reports is measured or observed in this run; nothing is assumed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from healthchain.app.consortium import CLINICIAN, Consortium
from healthchain.app.input import read_file
from healthchain.app.scenarios import Say, refusal
from healthchain.app.scenarios.stage import Stage
from healthchain.config import DEFAULT
from healthchain.contract import keys as contract_keys
from healthchain.contract import reading as contract_reading
from healthchain.contract.ids import COMPARTMENTS, Action, Purpose
from healthchain.contract.policies import DAY_MS
from healthchain.records import auditing, consenting, erasing, reading
from healthchain.records.actor import now_ms
from healthchain.records.bundle import parse_bundle
from healthchain.records.canonical import canonical_json
from healthchain.records.importing import Imported, import_bundle

HOSPITAL, CLINIC, INSURER = "general-hospital", "city-clinic", "mutual-insurance"
TRACES_MAX = 16  # each is looked for in every byte of every peer


@dataclass(frozen=True, slots=True)
class Facts:
    """What the demo found; the names are those of its JSON."""

    organisations: list[str]
    patients: int
    resources_imported: int
    seconds_import: float
    read_without_consent: str
    read_after_grant_identical: bool
    read_after_revoke: str
    insurer_read: str
    audit_entries: int
    erased: bool
    verify_clean: bool
    verify_tampered: str
    blocks: int
    transactions: int


def sample_files() -> list[Path]:
    """The ten synthetic patients that the package ships."""
    folder = Path(str(files("healthchain.records") / "sample"))
    return sorted(folder.glob("patient-*.json.gz"))


async def run(stage: Stage, say: Say, sources: Sequence[Path] | None = None) -> Facts:
    sources = sources or sample_files()
    await stage.found()
    organisations = [one.name for one in DEFAULT.organisations]
    say(f"A consortium of {len(organisations)}: {', '.join(organisations)}. Every peer holds the ledger.")
    async with stage.opened() as consortium:
        imported, seconds = await _import(consortium, sources, say)
        patient = imported[0].patient
        without = await refusal(reading.read_all(consortium.staff(CLINIC, CLINICIAN), patient, Purpose.TREAT))
        say(f"The clinic's clinician asks to read the first patient's records: refused, {without}.")
        identical = await _granted(consortium, patient, sources[0], say)
        after = await _revoked(consortium, patient, say)
        insurer = await refusal(reading.read_all(consortium.staff(INSURER, "claims-agent"), patient, Purpose.HPAYMT))
        say(f"The insurer's agent asks as well: refused, {insurer}.")
        trail = await auditing.trail(consortium.patient(patient), patient)
        say(f"The patient looks at who touched the records: {len(trail)} entries.")
        traces = await _traces(consortium, imported[-1].patient)
        assert await stage.on_disk(traces[:1]), "the search finds what is there"
        block = await erasing.erase_patient(consortium.patient(imported[-1].patient), imported[-1].patient)
    await stage.let_go()
    erased = bool(traces) and not await stage.on_disk(traces)
    gone = "no peer's disk holds them" if erased else "A PEER STILL HOLDS THEM"
    say(f"Another patient has everything erased (block {block}): of {len(traces)} sealed bodies and keys {gone}.")
    checked = await stage.check()
    say(checked.told)
    tampered = await stage.tampered(CLINIC)
    say(f"One byte of a copy of {stage.copied} altered: {tampered}.")
    return Facts(
        organisations=organisations,
        patients=len(imported),
        resources_imported=sum(one.resources for one in imported),
        seconds_import=round(seconds, 3),
        read_without_consent=without,
        read_after_grant_identical=identical,
        read_after_revoke=after,
        insurer_read=insurer,
        audit_entries=len(trail),
        erased=erased,
        verify_clean=checked.clean,
        verify_tampered=tampered,
        blocks=checked.blocks,
        transactions=checked.transactions,
    )


async def _import(consortium: Consortium, sources: Sequence[Path], say: Say) -> tuple[list[Imported], float]:
    custodian = consortium.custodian(HOSPITAL)
    started = time.perf_counter()
    imported = [await import_bundle(custodian, parse_bundle(read_file(source))) for source in sources]
    seconds = time.perf_counter() - started
    resources = sum(one.resources for one in imported)
    say(f"The hospital imports {len(imported)} patients: {resources} FHIR resources, sealed, in {seconds:.1f} s.")
    return imported, seconds


async def _granted(consortium: Consortium, patient: str, source: Path, say: Say) -> bool:
    """Whether the grantee reads exactly what was imported: the same resources, canonical form by canonical form."""
    decision = consenting.Decision(
        grantee=consortium.topology.organisation(CLINIC).msp_id,
        purposes=(Purpose.TREAT,),
        actions=(Action.READ,),
        end_ms=now_ms() + 30 * DAY_MS,
    )
    await consenting.grant(consortium.patient(patient), decision)
    found = await reading.read_all(consortium.staff(CLINIC, CLINICIAN), patient, Purpose.TREAT)
    read = {one.full_url: canonical_json(one.resource) for one in found}
    sent = {one.full_url: canonical_json(one.raw) for one in parse_bundle(read_file(source)).entries}
    identical = read == sent
    say(f"The patient grants the clinic a consent to treat: it reads {len(found)} resources, identical: {identical}.")
    return identical


async def _revoked(consortium: Consortium, patient: str, say: Say) -> str:
    await consenting.revoke(consortium.patient(patient), grantee=consortium.topology.organisation(CLINIC).msp_id)
    code = await refusal(reading.read_all(consortium.staff(CLINIC, CLINICIAN), patient, Purpose.TREAT))
    say(
        f"The patient revokes it: the clinic's keys are purged, new keys are in force, and its read is refused, {code}."
    )
    return code


async def _traces(consortium: Consortium, patient: str) -> list[bytes]:
    """Pieces of the patient's envelopes and of bodies spread over all of them: what must be on no disk afterwards."""
    actor = consortium.staff(HOSPITAL, CLINICIAN)
    async with reading.session(actor, patient, Purpose.TREAT) as session:
        asked = contract_keys.Get(session=session.id, patient=patient)
        sealed = [one.ciphertext for one in (await actor.ask("keys:Get", asked, contract_keys.Envelopes)).envelopes]
        headers = await session.headers()
        await session.read(headers)
        ids = [one.id for one in headers]
        for begin in range(0, len(ids), reading.READ_AT_ONCE):
            some = tuple(ids[begin : begin + reading.READ_AT_ONCE])
            asked_bodies = contract_reading.Read(session=session.id, patient=patient, records=some)
            answer = await actor.ask("records:Read", asked_bodies, contract_reading.Records)
            sealed += [one.body for one in answer.records]
    step = max(1, len(sealed) // TRACES_MAX)
    return [one[len(one) // 2 :][:32] for one in sealed[:COMPARTMENTS] + sealed[COMPARTMENTS::step]]
