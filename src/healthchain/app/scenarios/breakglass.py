"""An emergency away from home: refused, the glass broken with a reason, keys released, read, seen, reviewed, closed.

Every fact it reports is observed in this run; nothing is assumed.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from healthchain.app.consortium import ADMINISTRATOR, CLINICIAN, Consortium
from healthchain.app.input import read_file
from healthchain.app.scenarios import Say, refusal
from healthchain.app.scenarios.records import CLINIC, HOSPITAL, INSURER, sample_files
from healthchain.app.scenarios.stage import Stage
from healthchain.contract import consents
from healthchain.contract.ids import MESSAGES, Action, Purpose
from healthchain.contract.policies import DAY_MS
from healthchain.contract.reading import Disclose, ToDisclose
from healthchain.contract.sessions import released_keys
from healthchain.records import consenting, emergency, reading, sessions
from healthchain.records.actor import now_ms
from healthchain.records.bundle import ParsedBundle, parse_bundle
from healthchain.records.canonical import canonical_json
from healthchain.records.compartments import NAMES, classify_bundle
from healthchain.records.consenting import Decision
from healthchain.records.emergency import BrokenGlass
from healthchain.records.importing import import_bundle

AGENCY, OFFICER = "health-agency", "health-officer"
SAMPLE = 5  # its patient was once brought to an emergency room with an allergic reaction, and has nine allergies
DENIED = "mental-health"
NEEDED = ("AllergyIntolerance", "Condition", "MedicationRequest")


@dataclass(frozen=True, slots=True)
class Opened:
    """Numbers of records: what the clinician could open, before and after the keys were released, and what not."""

    denied: int
    denied_read: str
    before_release: int
    keys_released: int
    records: int
    identical: bool
    by_type: dict[str, int]
    written_later: int
    of_those_opened: int


@dataclass(frozen=True, slots=True)
class Seen:
    emergencies_the_patient_sees: int
    reads_the_patient_sees: int
    reason_to_the_insurer: str
    review_due_days: float
    reviews_pending: int


@dataclass(frozen=True, slots=True)
class Reviewed:
    by_its_own_hospital: str
    justified: bool | None
    reviews_pending: int
    peers_with_keys_before: int
    peers_with_keys_after: int
    read_afterwards: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the scenario found; the names are those of its JSON. A refusal is its code."""

    resources: int
    read_without_consent: str
    opened: Opened
    seen: Seen
    reviewed: Reviewed
    verify_clean: bool
    blocks: int
    transactions: int


@dataclass(frozen=True, slots=True)
class _Case:
    """`before` is what the hospital knew; `complete` has the encounter, too, with which the emergency began."""

    stage: Stage
    consortium: Consortium
    patient: str
    before: ParsedBundle
    complete: ParsedBundle
    reason: str


async def run(stage: Stage, say: Say) -> Facts:
    await stage.found()
    async with stage.opened() as consortium:
        case = await _case(stage, consortium, say)
        doctor = consortium.staff(CLINIC, CLINICIAN)
        without = await refusal(reading.read_all(doctor, case.patient, Purpose.ETREAT))
        say(f"The clinic's clinician asks to read for emergency treatment, without a consent: refused, {without}.")
        broken = await emergency.break_glass(doctor, case.patient, case.reason)
        say("They break the glass. The reason is sealed to those who may judge it, and a session opens at once.")
        read = await _opened(case, broken, say)
        seen = await _seen(case, broken, say)
        reviewed = await _reviewed(case, broken, say)
    checked = await stage.check()
    say(checked.told)
    return Facts(
        resources=len(case.complete.entries),
        read_without_consent=without,
        opened=read,
        seen=seen,
        reviewed=reviewed,
        verify_clean=checked.clean,
        blocks=checked.blocks,
        transactions=checked.transactions,
    )


async def _case(stage: Stage, consortium: Consortium, say: Say) -> _Case:
    complete = parse_bundle(read_file(sample_files()[SAMPLE]))
    began = next(one for one in complete.entries if _is_emergency(one.raw))
    before = ParsedBundle(complete.patient, tuple(one for one in complete.entries if one is not began))
    patient = (await import_bundle(consortium.custodian(HOSPITAL), before)).patient
    encounter = json.loads(began.raw)
    admission, cause = encounter["type"][0]["coding"][0]["display"], encounter["reasonCode"][0]["text"]
    say(f"The hospital keeps {len(before.entries)} records of a patient, who is brought to the clinic instead:")
    say(f"  {admission}, {cause}.")
    denial = Decision(
        grantee=consortium.topology.organisation(CLINIC).msp_id,
        purposes=tuple(Purpose),
        actions=(Action.READ,),
        end_ms=now_ms() + 30 * DAY_MS,
        compartments=(DENIED,),
        decision=consents.Decision.DENY,
    )
    await consenting.grant(consortium.patient(patient), denial)
    say(f"The patient has never given the clinic a consent, and denied it one compartment even in need: {DENIED}.")
    reason = f"{admission}, {cause}: which allergies, which medication?"
    return _Case(stage, consortium, patient, before, complete, reason)


def _is_emergency(raw: bytes) -> bool:
    resource = json.loads(raw)
    return bool(resource["resourceType"] == "Encounter" and resource["class"]["code"] == "EMER")


async def _opened(case: _Case, broken: BrokenGlass, say: Say) -> Opened:
    doctor = case.consortium.staff(CLINIC, CLINICIAN)
    early = len(await (await emergency.enter(doctor, case.patient, broken.id)).read_all())
    await emergency.release_waiting(case.consortium.staff(HOSPITAL, CLINICIAN))
    entered = await emergency.enter(doctor, case.patient, broken.id)
    say(
        f"They can open {early} records until the hospital's service, which follows the ledger, releases keys:"
        f" of {len(entered.record_keys)} records, each alone, not of compartments."
    )
    found = await entered.read_all()
    identical = {one.full_url: canonical_json(one.resource) for one in found} == _not_denied(case.before)
    by_type = Counter(json.loads(one.resource)["resourceType"] for one in found)
    told = ", ".join(f"{by_type[one]} {one}" for one in NEEDED)
    say(f"They read {len(found)} records, identical: {identical}. Among them are {told}.")
    denied, refused = await _denied(case, broken)
    say(f"The {denied} records that the patient denied stay closed: refused, {refused}.")
    later = (await import_bundle(case.consortium.custodian(HOSPITAL), case.complete)).written
    known = {one.header.id for one in found}
    again = len(await entered.read([one for one in await entered.headers() if one.id not in known]))
    say(f"The hospital writes {later} record more, the emergency's encounter; of it the clinic opens {again}.")
    return Opened(
        denied=denied,
        denied_read=refused,
        before_release=early,
        keys_released=len(entered.record_keys),
        records=len(found),
        identical=identical,
        by_type=dict(sorted(by_type.items())),
        written_later=later,
        of_those_opened=again,
    )


def _not_denied(bundle: ParsedBundle) -> dict[str, bytes]:
    """Full URL -> canonical form."""
    places = zip(bundle.entries, classify_bundle(bundle.entries), strict=True)
    return {one.full_url: canonical_json(one.raw) for one, place in places if NAMES[place] != DENIED}


async def _denied(case: _Case, broken: BrokenGlass) -> tuple[int, str]:
    """How many records the hospital keeps there, and how the clinic's asking for one by its id is refused."""
    listed = await reading.list_all(case.consortium.staff(HOSPITAL, CLINICIAN), case.patient, Purpose.TREAT)
    denied = [one for one in listed if one.compartment == DENIED]
    told = (ToDisclose(denied[0].id, denied[0].version),)
    asking = Disclose(session=broken.id, patient=case.patient, records=told)
    doctor = case.consortium.staff(CLINIC, CLINICIAN)
    return len(denied), await refusal(doctor.submit("records:Disclose", asking))


async def _seen(case: _Case, broken: BrokenGlass, say: Say) -> Seen:
    patient = case.consortium.patient(case.patient)
    listed = await emergency.list_emergencies(patient, case.patient)
    reads = next(one.reads for one in await sessions.list_sessions(patient, case.patient) if one.id == broken.id)
    reason = await emergency.reason_of(patient, case.patient, broken.id)
    say(f"The patient sees {len(listed)} emergency, {reads} reads of records in it, and the reason:")
    say(f"  {reason}")
    agent = case.consortium.staff(INSURER, "claims-agent")
    insurer = await refusal(emergency.reason_of(agent, case.patient, broken.id))
    say(f"The insurer's agent asks for the reason: refused, {insurer}.")
    pending = await emergency.queue(case.consortium.staff(AGENCY, OFFICER))
    due_days = (pending[0].due_ms - pending[0].start_ms) / DAY_MS
    say(
        f"The agency's queue has {len(pending)} review. It is due {due_days:g} days after the opening;"
        " once it is overdue, this clinician breaks no glass any more."
    )
    return Seen(len(listed), reads, insurer, due_days, len(pending))


async def _reviewed(case: _Case, broken: BrokenGlass, say: Say) -> Reviewed:
    consortium, patient = case.consortium, case.patient
    own = consortium.staff(CLINIC, ADMINISTRATOR)
    refused = await refusal(emergency.review(own, patient, broken.id, justified=True))
    say(f"The clinic's administrator would review its own clinician: refused, {refused}.")
    before = await _peers_with_keys(case, broken)
    officer = consortium.staff(AGENCY, OFFICER)
    await emergency.review(officer, patient, broken.id, justified=True)
    after = await _peers_with_keys(case, broken)
    (listed,) = await emergency.list_emergencies(officer, patient)
    pending = len(await emergency.queue(officer))
    say(f"The agency decides. Justified: {listed.justified}. The session is over; reviews pending: {pending}.")
    say(f"The released keys were on {before} peers, and are on {after}.")
    doctor = consortium.staff(CLINIC, CLINICIAN)
    afterwards = await refusal(emergency.enter(doctor, patient, broken.id))
    say(f"The clinic's clinician asks once more: refused, {afterwards}.")
    return Reviewed(refused, listed.justified, pending, before, after, afterwards)


async def _peers_with_keys(case: _Case, broken: BrokenGlass) -> int:
    place = released_keys(case.patient, broken.id)
    names = [one.name for one in case.consortium.topology.organisations]
    held = [await case.stage.held(case.consortium, name, MESSAGES, place) for name in names]
    return sum(one is not None for one in held)
