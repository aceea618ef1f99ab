"""The consortium changes itself: a policy, a rejection, a suspension and its end, a new hospital that takes part.

Every fact it reports is observed in this run; nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fabric_protos.common.configtx_pb2 import ConfigUpdateEnvelope

from healthchain.app.consortium import ADMINISTRATOR, CLINICIAN, Consortium, initialise, opened
from healthchain.app.input import read_file
from healthchain.app.joining import join, prepare_organisation
from healthchain.app.scenarios import Say, refusal
from healthchain.app.scenarios.records import CLINIC, HOSPITAL, INSURER, sample_files
from healthchain.app.verify import verify
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
from healthchain.wire.config_update import update_envelope
from healthchain.wire.transaction import decode_action, decode_header

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
    """Codes with which the insurer is refused while it is suspended, and members that take part."""

    insurer_votes_on_it: str
    reads: str
    proposes: str
    votes: str
    members_before: int
    members_during: int
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


async def run(folder: Path, say: Say) -> Facts:
    """In an empty folder, which holds the consortium afterwards."""
    await initialise(folder, DEFAULT)
    say("Four members: two hospitals, an insurer, an agency. A proposal needs most of them, and one of each kind.")
    async with opened(folder) as consortium:
        policy = await _policy(consortium, say)
        rejected = await _rejected(consortium, say)
        suspended = await _suspended(consortium, say)
        update = await _add(consortium, say)
    await join(folder, ISLAND)
    async with opened(folder) as consortium:
        added = await _takes_part(consortium, update, say)
        height = consortium.network.height
    verification = verify(folder)
    say(f"Every block, signature and value recomputed on every peer: {len(verification.findings)} findings.")
    return Facts(policy, rejected, suspended, added, verification.clean, height, verification.transactions)


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


async def _suspended(consortium: Consortium, say: Say) -> Suspended:
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
    members = len(consortium.network.channel.msp_ids)
    await _votes(consortium, proposal, {AGENCY: True, HOSPITAL: True}, say)
    reads = await refusal(reading.read_all(agent, patient, Purpose.HPAYMT))
    other = await governing.propose(_administrator(consortium, AGENCY), ResumeMember(insurer))
    proposes = await refusal(governing.propose(_administrator(consortium, INSURER), ChangePolicies({"cell_min": 10})))
    votes = await refusal(governing.vote(_administrator(consortium, INSURER), other, in_favour=True))
    during = len(consortium.network.channel.msp_ids)
    say(f"From the next block on its read, its proposal and its vote are refused: {reads}, {proposes}, {votes}.")
    say(f"{during} of {members} members endorse and order now.")
    await _votes(consortium, other, {CLINIC: True, AGENCY: True}, say)
    equal = await _content(agent, patient) == before
    say(f"It is a member again, and reads what it read before: {equal}.")
    return Suspended(own, reads, proposes, votes, members, during, equal)


async def _add(consortium: Consortium, say: Say) -> ConfigUpdateEnvelope:
    hospital = _administrator(consortium, HOSPITAL)
    change: Amendment = prepare_organisation(consortium.folder, consortium.topology, ISLAND)
    proposal = await governing.propose(hospital, change)
    say(f"A third hospital makes its keys and certificates; the first one proposes it: {ISLAND.title}.")
    await _votes(consortium, proposal, {HOSPITAL: True, INSURER: True, AGENCY: True}, say)
    genesis = consortium.network.channel.genesis
    return update_envelope(await governing.fabric_update(hospital, genesis, proposal))


async def _takes_part(consortium: Consortium, update: ConfigUpdateEnvelope, say: Say) -> Added:
    members = len(consortium.network.channel.msp_ids)
    say(f"Its peer joins, and fetches every block: {members} members endorse and order.")
    encoded = update.SerializeToString()
    digest = sha256(encoded).hexdigest()
    say(f"A Fabric channel would need a configuration update, for administrators to sign: {len(encoded)} bytes,")
    say(f"  SHA-256 {digest}.")
    bundle = parse_bundle(read_file(sample_files()[0]))
    without = await refusal(import_bundle(consortium.custodian(ISLAND.name), bundle))
    say(f"It imports a patient: refused before the agency licenses it, {without}.")
    for holder in (ISLAND.msp_id, f"{ISLAND.msp_id}/{CLINICIAN}"):
        await licensing.license_holder(_administrator(consortium, AGENCY), holder, now_ms(), now_ms() + DAY_MS)
    imported = await import_bundle(consortium.custodian(ISLAND.name), bundle)
    endorsed = ISLAND.msp_id in _endorsers(consortium, consortium.network.height - 1)
    found = await _content(consortium.staff(ISLAND.name, CLINICIAN), imported.patient, Purpose.TREAT)
    identical = found == {one.full_url: canonical_json(one.raw) for one in bundle.entries}
    ledgers = [peer.ledger for peer in consortium.network.peers.values()]
    equal = len({one.state.commit_hash for one in ledgers}) == 1
    say(f"Then it imports {imported.resources} records, endorsed by its own peer: {endorsed}.")
    say(f"It reads them, identical: {identical}. All {len(ledgers)} peers are equal: {equal}.")
    return Added(
        update_bytes=len(encoded),
        update_digest=digest,
        update_signatures=len(update.signatures),
        members=members,
        import_unlicensed=without,
        resources_imported=imported.resources,
        read_identical=identical,
        endorsed_by_it=endorsed,
        peers_equal=equal,
    )


def _endorsers(consortium: Consortium, block: int) -> set[str]:
    """MSP ids of those who endorsed a transaction of the block."""
    ledger = consortium.network.peers[HOSPITAL].ledger
    actions = [decode_action(decode_header(one)) for one in ledger.block(block).data.data]
    msps = ledger.channel.msps
    return {msps.identify(signed.endorser).msp_id for action in actions for signed in action.endorsements}


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
