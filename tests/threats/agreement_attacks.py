"""Attacks on the agreement: votes, standing, licences, bills, published counts, receipts, speaking for a patient."""

from __future__ import annotations

import hmac
import json

import msgspec
from msgspec.structs import replace

from healthchain.app.consortium import ADMINISTRATOR, CLINICIAN, Consortium
from healthchain.app.receipts import Kind, Subject, issue
from healthchain.app.renewing import prepare_certificates
from healthchain.config import CHAINCODE
from healthchain.contract import consents, custody, governance, licences, merging, sessions
from healthchain.contract import emergency as contract_emergency
from healthchain.contract.aggregates import Category, Period
from healthchain.contract.amendments import Amendment, ChangePolicies, SuspendMember
from healthchain.contract.claim_states import CLAIMS
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import Action, Purpose
from healthchain.contract.sessions import SESSIONS
from healthchain.ledger.attesting import state_transaction
from healthchain.ledger.receipt import Receipt, encode_receipt, verify_receipt
from healthchain.records import claim_payer, claiming, consenting, coverage, governing, guardians, publishing
from healthchain.records.actor import Actor, now_ms
from healthchain.records.claim_texts import token
from healthchain.records.claiming import ClaimOptions
from healthchain.records.coverage import Period as Covered
from healthchain.records.fhir_cases import Case
from healthchain.records.fhir_claims import ItemDecision, Money, ParsedClaim, parse_claim
from healthchain.records.importing import Custodian, import_bundle
from healthchain.records.keyring import random_id
from healthchain.records.publishing import Axes
from healthchain.wire.codes import Code

from .network_attacks import LIST, deliver_signed, forge
from .stage import AGENCY, CLINIC, DAY_MS, HOSPITAL, INSURER, Stage, bundle, clinician, connect, succeeds, urn

LAX = ChangePolicies({"break_glass_review_ms": 90 * DAY_MS})
SERVICE = "http://snomed.info/sct|80146002"
SERVICES = [f"http://snomed.info/sct|{80145900 + number}" for number in range(200)]  # it is one of them


def administrator(consortium: Consortium, organisation: str) -> Actor:
    return consortium.staff(organisation, ADMINISTRATOR)


def msp(consortium: Consortium, organisation: str) -> str:
    return consortium.topology.organisation(organisation).msp_id


def issued(consortium: Consortium, stage: Stage, organisation: str, name: str, role: str) -> Actor:
    """Somebody whom the organisation's own authority certified, with the organisation's key."""
    known = administrator(consortium, organisation)
    who = stage.issued(organisation, name, {"hc.role": role})
    return Actor(connect(consortium, organisation, who), known.recipient, known.key)


# One member changes the rules or the members alone


def decided_alone(stage: Stage) -> bool:
    """The clinic proposes that its emergencies be reviewed later, and is for it."""

    async def work(consortium: Consortium) -> bool:
        clinic = administrator(consortium, CLINIC)
        await governing.vote(clinic, await governing.propose(clinic, LAX), in_favour=True)
        return (await governing.policies(clinic)).break_glass_review_ms == 90 * DAY_MS

    return stage.play(work)


def votes_by_another_certificate(stage: Stage) -> bool:
    """A member has as many administrators as it likes; has it as many votes?"""

    async def work(consortium: Consortium) -> bool:
        clinic = administrator(consortium, CLINIC)
        proposal = await governing.propose(clinic, LAX)
        await governing.vote(clinic, proposal, in_favour=True)
        second = issued(consortium, stage, CLINIC, "second", "administrator")
        return await succeeds(governing.vote(second, proposal, in_favour=True))

    return stage.play(work)


def votes_on_its_own_suspension(stage: Stage) -> bool:
    async def work(consortium: Consortium) -> bool:
        suspension = SuspendMember(msp(consortium, CLINIC))
        proposal = await governing.propose(administrator(consortium, AGENCY), suspension)
        return await succeeds(governing.vote(administrator(consortium, CLINIC), proposal, in_favour=False))

    return stage.play(work)


# A suspended or removed member acts on


async def enact(consortium: Consortium, change: Amendment, *voters: str) -> None:
    proposal = await governing.propose(administrator(consortium, voters[0]), change)
    for one in voters:
        outcome = await governing.vote(administrator(consortium, one), proposal, in_favour=True)
    assert outcome.status is governance.ProposalStatus.ENACTED


def suspended_member_acts(stage: Stage) -> bool:
    async def work(consortium: Consortium) -> bool:
        await enact(consortium, SuspendMember(msp(consortium, CLINIC)), HOSPITAL, INSURER, AGENCY)
        return await succeeds(governing.propose(administrator(consortium, CLINIC), LAX))

    return stage.play(work)


async def suspend_two(consortium: Consortium) -> None:
    await enact(consortium, SuspendMember(msp(consortium, CLINIC)), HOSPITAL, INSURER, AGENCY)
    await enact(consortium, SuspendMember(msp(consortium, INSURER)), HOSPITAL, AGENCY)


def suspended_members_endorse(stage: Stage) -> bool:
    """Two of them, together with one that takes part."""

    async def work(consortium: Consortium) -> bool:
        await suspend_two(consortium)
        owners = [stage.credentials(one) for one in (CLINIC, INSURER, HOSPITAL)]
        peers = [one.signing_identity(one.peer) for one in owners]
        return await forge(consortium, stage, [(one.serialized, one) for one in peers], sender=HOSPITAL)

    return stage.play(work)


def suspended_members_order(stage: Stage) -> bool:
    """The same three sign a block."""

    async def work(consortium: Consortium) -> bool:
        await suspend_two(consortium)
        owners = [stage.credentials(one) for one in (HOSPITAL, CLINIC, INSURER)]
        orderers = [one.signing_identity(one.orderer) for one in owners]
        return await deliver_signed(consortium, list(enumerate(orderers, 1)))

    return stage.play(work)


# A certificate is lost, stolen or expired: see also `network_attacks`


def stolen_certificate(stage: Stage) -> bool:
    """The thief uses a clinician's key at another member's gateway, after the clinic has replaced its authorities."""

    async def work(consortium: Consortium) -> bool:
        owner = stage.credentials(CLINIC)
        thief = connect(consortium, HOSPITAL, owner.signing_identity(owner.user(CLINICIAN)))
        renewal = prepare_certificates(stage.folder, consortium.topology, CLINIC)
        await enact(consortium, renewal, CLINIC, INSURER, AGENCY)
        return await succeeds(thief.evaluate(*LIST))

    return stage.play(work)


# An unlicensed author writes


def unlicensed_author(stage: Stage) -> bool:
    """The hospital employs somebody whom the agency never licensed."""

    async def work(consortium: Consortium) -> bool:
        locum = issued(consortium, stage, HOSPITAL, "locum", "clinician")
        hospital = Custodian(locum, consortium.keyring(HOSPITAL))
        return await succeeds(import_bundle(hospital, bundle(0, value=2)))

    return stage.play(work)


def hospital_licenses_its_own(stage: Stage) -> bool:
    async def work(consortium: Consortium) -> bool:
        holder = f"{msp(consortium, HOSPITAL)}/locum"
        issuing = licences.Issue(holder, "N-1", (licences.Act.RECORD,), 0, now_ms() + DAY_MS)
        return await succeeds(administrator(consortium, HOSPITAL).submit("licences:Issue", issuing))

    return stage.play(work)


# A clinician breaks the glass without need: see also `record_attacks`


def glass_broken_against_a_denial(stage: Stage) -> bool:
    """The patient has said that the clinic shall not read, not even in an emergency."""

    async def work(consortium: Consortium) -> bool:
        denial = consenting.Decision(
            grantee=msp(consortium, CLINIC),
            purposes=(Purpose.ETREAT,),
            actions=(Action.READ,),
            end_ms=now_ms() + DAY_MS,
            decision=consents.Decision.DENY,
        )
        await consenting.grant(consortium.patient(stage.patient), denial)
        opening = contract_emergency.Open(random_id(), stage.patient, now_ms() + 60_000)
        reason = {contract_emergency.reason_message(stage.patient, opening.id): b"sealed"}
        return await succeeds(clinician(consortium, CLINIC).submit("emergency:Open", opening, reason))

    return stage.play(work)


# One service is billed twice, or a member tests guesses of it


def visit() -> ParsedClaim:
    """One service, done to the stage's patient in what was imported second."""
    system, code = SERVICE.split("|")
    total = {"value": 125.0, "currency": "USD"}
    item = {
        "sequence": 1,
        "productOrService": {"coding": [{"system": system, "code": code}]},
        "encounter": [{"reference": urn(1, 0)}],
        "net": total,
    }
    return parse_claim(json.dumps({"resourceType": "Claim", "item": [item], "total": total}).encode())


async def bill(consortium: Consortium, patient: str, custodian: Custodian | None = None) -> str:
    payer = consortium.staff(INSURER, "claims-agent")
    covered = await coverage.enrol(payer, patient, "Plan", Covered(now_ms() - DAY_MS, now_ms() + DAY_MS))
    return await claiming.submit(custodian or consortium.custodian(HOSPITAL), patient, visit(), ClaimOptions(covered))


def billed_twice(stage: Stage) -> bool:
    """Under two coverages, as if each were to pay all of it."""

    async def work(consortium: Consortium) -> bool:
        await bill(consortium, stage.patient)
        return await succeeds(bill(consortium, stage.patient))

    return stage.play(work)


def billed_again_under_another_secret(stage: Stage) -> bool:
    """The hospital makes the service's token from a secret that it did not commit to; does the payer decide on it?"""

    async def work(consortium: Consortium) -> bool:
        await bill(consortium, stage.patient)
        hospital = consortium.custodian(HOSPITAL)
        hospital.keyring.encounter_secret = lambda *_: bytes(32)  # type: ignore[method-assign]
        again = await bill(consortium, stage.patient, hospital)
        payer = consortium.staff(INSURER, "claims-agent")
        decision = ItemDecision(1, Money(12500, "USD"))
        return await succeeds(claim_payer.adjudicate(payer, stage.patient, again, [decision]))

    return stage.play(work)


def guessed_service(stage: Stage) -> bool:
    """The clinic takes the token from its own ledger, and tries all services under what anybody could key it with."""

    async def work(consortium: Consortium) -> bool:
        claim_id = await bill(consortium, stage.patient)
        row = consortium.network.peers[CLINIC].ledger.get(CHAINCODE, CLAIMS.key(stage.patient, claim_id))
        claim = CLAIMS.decode(row.value if row else None)
        assert claim is not None
        (line,) = claim.lines
        known = [stage.patient, line.encounter, claim_id, claim.hospital, claim.payer]
        secrets = [bytes(32), b"", *[one.encode() for one in known]]
        guesses = [token(secret, service, 1) for secret in secrets for service in SERVICES]
        return any(hmac.compare_digest(guess, line.token) for guess in guesses)

    return stage.play(work)


# Small numbers are read out of published tables

NORTH, EAST = Category("north", ("north",)), Category("east", ("east",))
BOTH = Category("both", ("north", "east"))
MARCH = (Period("2024-03", ("2024-03",)),)
FLU = (Category("6142004", ("6142004",)),)
REGIONS = ["east", *["north"] * 9]  # of the cases: one is in the east
CASES = {random_id(): Case("6142004", "2024-03-02", "30-39", "female", region) for region in REGIONS}


async def publish(consortium: Consortium, *regions: Category) -> bool:
    """A table of which only the small counts themselves are left out."""
    officer = consortium.staff(AGENCY, "health-officer")
    table, receipts = publishing.count(CASES, Axes(MARCH, regions, FLU))
    return await succeeds(publishing.submit(officer, publishing.without_small(table, 5), receipts))


async def the_east_is_known(consortium: Consortium) -> bool:
    """By subtraction, to another member that reads all tables."""
    counts: dict[str, int | None] = {}
    for table in await publishing.list_tables(clinician(consortium)):
        counts |= zip([one.code for one in table.regions], table.cells, strict=True)
    both, north = counts.get(BOTH.code), counts.get(NORTH.code)
    return both is not None and north is not None and both - north == REGIONS.count(EAST.code)


def total_less_the_rest(stage: Stage) -> bool:
    async def work(consortium: Consortium) -> bool:
        await publish(consortium, NORTH, EAST, BOTH)
        return await the_east_is_known(consortium)

    return stage.play(work)


def one_table_less_another(stage: Stage) -> bool:
    """Each gives nothing away alone."""

    async def work(consortium: Consortium) -> bool:
        assert await publish(consortium, BOTH)
        await publish(consortium, NORTH)
        return await the_east_is_known(consortium)

    return stage.play(work)


# A receipt is forged or altered


def session_of(stage: Stage, purpose: Purpose, session: str) -> sessions.Open:
    return sessions.Open(session, stage.patient, purpose, now_ms() + 60_000)


def receipt_of_what_changed_nothing(stage: Stage) -> bool:
    """Of two transactions the second was invalid; the clinic alone attests that it was valid."""

    async def work(consortium: Consortium) -> bool:
        connection, session = clinician(consortium).connection, random_id()
        openings = [session_of(stage, purpose, session) for purpose in (Purpose.TREAT, Purpose.HOPERAT)]
        proposals = [connection.proposal("sessions:Open", msgspec.json.encode(one)) for one in openings]
        first, second = [await one.endorse() for one in proposals]
        await (await first.submit()).committed()
        assert not await succeeds((await second.submit()).committed())
        peer = consortium.network.peers[CLINIC]
        key, tx_id = SESSIONS.key(stage.patient, session), proposals[1].transaction_id
        statement = state_transaction(peer.ledger, tx_id, key, [peer.identity.serialized], now_ms())
        assert statement.code == Code.MVCC_READ_CONFLICT
        forged = msgspec.structs.replace(statement, code=int(Code.VALID))
        receipt = Receipt(forged, (peer.identity.key.sign_digest(forged.digest()),))
        return await succeeds(verified(encode_receipt(receipt)))

    return stage.play(work)


def altered_receipt(stage: Stage) -> bool:
    """Attested today, the patient shows it as attested last year."""

    async def work(consortium: Consortium) -> bool:
        session = random_id()
        await clinician(consortium).submit("sessions:Open", session_of(stage, Purpose.TREAT, session))
        subject = Subject(Kind.SESSION, stage.patient, session)
        encoded = await issue(consortium, consortium.patient(stage.patient), subject)
        verify_receipt(encoded)
        receipt = msgspec.json.decode(encoded, type=Receipt)
        earlier = replace(receipt.statement, attested_ms=receipt.statement.attested_ms - 1)
        return await succeeds(verified(encode_receipt(replace(receipt, statement=earlier))))

    return stage.play(work)


async def verified(encoded: bytes) -> None:
    verify_receipt(encoded)


# Somebody speaks for a patient, or takes one over, who may not


async def appoint(consortium: Consortium, patient: str, *scopes: Scope) -> Actor:
    guardian = random_id()
    key = consortium.enrol_guardian(guardian, HOSPITAL)
    await guardians.appoint(clinician(consortium), patient, guardians.Office(guardian, key, scopes, now_ms() + DAY_MS))
    return consortium.guardian(guardian)


def guardian_of_another_authority(stage: Stage) -> bool:
    """The clinic's authority certifies itself a guardian of the name of the appointed one."""

    async def work(consortium: Consortium) -> bool:
        guardian = await appoint(consortium, stage.patient, Scope.READ)
        forged = issued(consortium, stage, CLINIC, guardian.recipient, "guardian")
        opening = session_of(stage, Purpose.PATRQT, random_id())
        return await succeeds(forged.submit("sessions:Open", opening))

    return stage.play(work)


def guardian_beyond_its_scope(stage: Stage) -> bool:
    """Who may follow the patient's claims reads the records."""

    async def work(consortium: Consortium) -> bool:
        guardian = await appoint(consortium, stage.patient, Scope.CLAIMS)
        return await succeeds(guardian.submit("sessions:Open", session_of(stage, Purpose.PATRQT, random_id())))

    return stage.play(work)


def merged_by_one_custodian(stage: Stage) -> bool:
    """The clinic says that the hospital's patient is its own, and confirms that itself; its patient reads both."""

    async def work(consortium: Consortium) -> bool:
        own = (await import_bundle(consortium.custodian(CLINIC), bundle(1))).patient
        first, second = clinician(consortium, CLINIC), administrator(consortium, CLINIC)
        await first.submit("merging:Propose", merging.Propose(stage.patient, own))
        await succeeds(second.submit("merging:Confirm", merging.Confirm(stage.patient, own)))
        opening = session_of(stage, Purpose.PATRQT, random_id())
        return await succeeds(consortium.patient(own).submit("sessions:Open", opening))

    return stage.play(work)


def custody_taken(stage: Stage) -> bool:
    """The agency gives the patient of an active hospital to another one."""

    async def work(consortium: Consortium) -> bool:
        assignment = custody.Assign(stage.patient, msp(consortium, CLINIC))
        return await succeeds(administrator(consortium, AGENCY).submit("custody:Assign", assignment))

    return stage.play(work)
