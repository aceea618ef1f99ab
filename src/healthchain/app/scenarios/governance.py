"""The consortium changes itself: a policy, a rejection, a suspension and its end, a new hospital that takes part.

Every fact it reports is observed in this run; nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from healthchain.app.consortium import ADMINISTRATOR, CLINICIAN, Consortium
from healthchain.app.input import read_file
from healthchain.app.joining import prepare_organisation
from healthchain.app.scenarios import Say, refusal
from healthchain.app.scenarios.records import CLINIC, HOSPITAL, INSURER, sample_files
from healthchain.app.scenarios.stage import Memberships, Stage, Update
from healthchain.config import DEFAULT, Organisation
from healthchain.contract import sessions
from healthchain.contract.amendments import Amendment, ChangePolicies, ResumeMember, SuspendMember
from healthchain.contract.ids import Action, Purpose
from healthchain.contract.policies import DAY_MS, HOUR_MS
from healthchain.records import consenting, governing, licensing, reading
from healthchain.records.actor import Actor, now_ms
from healthchain.records.bundle import parse_bundle
from healthchain.records.canonical import canonical_json
from healthchain.records.importing import import_bundle
from healthchain.records.keyring import random_id

AGENCY = "health-agency"
ISLAND = Organisation("island-hospital", "hospital", "Island Hospital")
SHORTER_MS = 8 * HOUR_MS
CELLS = 3


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """What became of the proposal with each vote in turn, and the hours that a session may last."""

    outcomes: list[str]
    hours_before: int
    hours_after: int
    session_of_12_hours: str
    comment_opens_for: int


@dataclass(frozen=True, slots=True)
class Suspended:
    """Codes with which the insurer is refused while it is suspended, and members that take part (None on Fabric)."""

    insurer_votes_on_it: str
    reads: str
    proposes: str
    votes: str
    members_before: int | None
    members_during: int | None
    read_before_and_after_equal: bool


@dataclass(frozen=True, slots=True)
class Added:
    """`update_bytes` and `update_digest` (SHA-256) are of the configuration update for a Fabric channel."""

    update_bytes: int
    update_digest: str
    update_signatures: int
    members: int
    import_unlicensed: str
    resources_imported: int
    read_identical: bool
    endorsed_by_it: bool
    peers_equal: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What the scenario found; the names are those of its JSON. A refusal is its code."""

    policy: PolicyChanged
    rejected: list[str]
    suspended: Suspended
    added: Added
    verify_clean: bool
    blocks: int
    transactions: int


async def run(stage: Stage, say: Say) -> Facts:
    await stage.found()
    say("Four members: two hospitals, an insurer, an agency. A proposal needs most of them, and one of each kind.")
    async with stage.opened() as consortium:
        policy = await _policy(consortium, say)
        rejected = await _rejected(consortium, say)
        suspended = await _suspended(consortium, stage.memberships, say)
        proposal = await _add(consortium, say)
    update = await stage.memberships.join(ISLAND, proposal)
    async with stage.opened() as consortium:
        added = await _takes_part(consortium, stage.memberships, update, say)
    checked = await stage.check()
    say(checked.told)
    return Facts(policy, rejected, suspended, added, checked.clean, checked.blocks, checked.transactions)


async def _policy(consortium: Consortium, say: Say) -> PolicyChanged:
    clinic = _administrator(consortium, CLINIC)
    before = (await governing.policies(clinic)).session_ms_max // HOUR_MS
    comment = "Sessions were left open over night."
    proposal = await governing.propose(clinic, ChangePolicies({"session_ms_max": SHORTER_MS}), comment, sealed=True)
    say(f"The clinic proposes that a session lasts {SHORTER_MS // HOUR_MS} hours at most instead of {before}.")
    readers = [await governing.sealed_comment(_administrator(consortium, one), proposal) for one in _names()]
    opens = sum(one == comment for one in readers)
    say(f"Why, is sealed to the members: {opens} of {len(readers)} administrators open it.")
    outcomes = await _votes(consortium, proposal, {CLINIC: True, HOSPITAL: True, INSURER: True, AGENCY: True}, say)
    after = (await governing.policies(clinic)).session_ms_max // HOUR_MS
    patient = (await import_bundle(consortium.custodian(HOSPITAL), parse_bundle(read_file(sample_files()[1])))).patient
    longer = await refusal(_session_of(consortium.staff(HOSPITAL, CLINICIAN), patient, before * HOUR_MS))
    say(f"The deciding vote enacts it: {after} hours. A session of {before} is refused, {longer}.")
    return PolicyChanged(outcomes, before, after, longer, opens)


async def _session_of(actor: Actor, patient: str, lasts_ms: int) -> None:
    opening = sessions.Open(random_id(), patient, Purpose.TREAT, now_ms() + lasts_ms)
    await actor.submit("sessions:Open", opening)


async def _rejected(consortium: Consortium, say: Say) -> list[str]:
    proposal = await governing.propose(_administrator(consortium, HOSPITAL), ChangePolicies({"cell_min": CELLS}))
    say(f"The hospital proposes to publish counts of {CELLS} patients already. The agency is against it.")
    outcomes = await _votes(consortium, proposal, {HOSPITAL: True, AGENCY: False}, say)
    say("There is no other agency, so that it can no longer pass, and nobody needs to vote on it.")
    return outcomes


async def _suspended(consortium: Consortium, memberships: Memberships, say: Say) -> Suspended:
    bundle = parse_bundle(read_file(sample_files()[0]))
    patient = (await import_bundle(consortium.custodian(HOSPITAL), bundle)).patient
    insurer = consortium.topology.organisation(INSURER).msp_id
    consent = consenting.Decision(insurer, (Purpose.HPAYMT,), (Action.READ,), now_ms() + DAY_MS)
    await consenting.grant(consortium.patient(patient), consent)
    agent = consortium.staff(INSURER, "claims-agent")
    before = await _content(agent, patient)
    say(f"The insurer reads {len(before)} records with a patient's consent. The agency proposes to suspend it.")
    proposal = await governing.propose(_administrator(consortium, AGENCY), SuspendMember(insurer))
    own = await refusal(governing.vote(_administrator(consortium, INSURER), proposal, in_favour=False))
    say(f"It has no vote on that: refused, {own}.")
    members = await memberships.count(consortium) if memberships.follow_votes else None
    await _votes(consortium, proposal, {AGENCY: True, HOSPITAL: True}, say)
    reads = await refusal(reading.read_all(agent, patient, Purpose.HPAYMT))
    other = await governing.propose(_administrator(consortium, AGENCY), ResumeMember(insurer))
    proposes = await refusal(governing.propose(_administrator(consortium, INSURER), ChangePolicies({"cell_min": 10})))
    votes = await refusal(governing.vote(_administrator(consortium, INSURER), other, in_favour=True))
    during = await memberships.count(consortium) if memberships.follow_votes else None
    say(f"From the next block on its read, its proposal and its vote are refused: {reads}, {proposes}, {votes}.")
    if memberships.follow_votes:
        say(f"{during} of {members} members endorse and order now.")
    await _votes(consortium, other, {CLINIC: True, AGENCY: True}, say)
    equal = await _content(agent, patient) == before
    say(f"It is a member again, and reads what it read before: {equal}.")
    return Suspended(own, reads, proposes, votes, members, during, equal)


async def _add(consortium: Consortium, say: Say) -> str:
    """The proposal that passed."""
    hospital = _administrator(consortium, HOSPITAL)
    change: Amendment = prepare_organisation(consortium.folder, consortium.topology, ISLAND)
    proposal = await governing.propose(hospital, change)
    say(f"A third hospital makes its keys and certificates; the first one proposes it: {ISLAND.title}.")
    await _votes(consortium, proposal, {HOSPITAL: True, INSURER: True, AGENCY: True}, say)
    return proposal


async def _takes_part(consortium: Consortium, memberships: Memberships, update: Update, say: Say) -> Added:
    members = await memberships.count(consortium)
    say(f"Its peer joins, and fetches every block: {members} members endorse and order.")
    digest = sha256(update.encoded).hexdigest()
    say(f"{update.told}: {len(update.encoded)} bytes,")
    say(f"  SHA-256 {digest}.")
    bundle = parse_bundle(read_file(sample_files()[0]))
    without = await refusal(import_bundle(consortium.custodian(ISLAND.name), bundle))
    say(f"It imports a patient: refused before the agency licenses it, {without}.")
    for holder in (ISLAND.msp_id, f"{ISLAND.msp_id}/{CLINICIAN}"):
        await licensing.license_holder(_administrator(consortium, AGENCY), holder, now_ms(), now_ms() + DAY_MS)
    imported = await import_bundle(consortium.custodian(ISLAND.name), bundle)
    joined = await memberships.joined(consortium, ISLAND)
    found = await _content(consortium.staff(ISLAND.name, CLINICIAN), imported.patient, Purpose.TREAT)
    identical = found == {one.full_url: canonical_json(one.raw) for one in bundle.entries}
    say(f"Then it imports {imported.resources} records, endorsed by its own peer: {joined.endorsed_by_it}.")
    say(f"It reads them, identical: {identical}. All {joined.peers} peers are equal: {joined.peers_equal}.")
    return Added(
        update_bytes=len(update.encoded),
        update_digest=digest,
        update_signatures=update.signatures,
        members=members,
        import_unlicensed=without,
        resources_imported=imported.resources,
        read_identical=identical,
        endorsed_by_it=joined.endorsed_by_it,
        peers_equal=joined.peers_equal,
    )


async def _votes(consortium: Consortium, proposal: str, votes: Mapping[str, bool], say: Say) -> list[str]:
    """What became of the proposal with each vote in turn."""
    outcomes = []
    for name, in_favour in votes.items():
        outcome = await governing.vote(_administrator(consortium, name), proposal, in_favour=in_favour)
        outcomes.append(outcome.status.value)
        title, way = consortium.topology.organisation(name).title, "for" if in_favour else "against"
        say(f"  {title} votes {way} it: {outcomes[-1]}.")
    return outcomes


async def _content(actor: Actor, patient: str, purpose: Purpose = Purpose.HPAYMT) -> dict[str, bytes]:
    """Full URL -> canonical form."""
    return {one.full_url: canonical_json(one.resource) for one in await reading.read_all(actor, patient, purpose)}


def _administrator(consortium: Consortium, organisation: str) -> Actor:
    return consortium.staff(organisation, ADMINISTRATOR)


def _names() -> list[str]:
    return [one.name for one in DEFAULT.organisations]
