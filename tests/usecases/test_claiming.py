"""Claims on the embedded network: sealed to the parties alone, checked by the payer, paid once, opened in a dispute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from healthchain.app.consortium import Consortium
from healthchain.config import CHAINCODE
from healthchain.contract.claims import message
from healthchain.contract.commitments import Part
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import MESSAGES
from healthchain.errors import BadInput
from healthchain.records import claim_payer, claiming, coverage
from healthchain.records.actor import now_ms
from healthchain.records.claim_texts import BodyLine, ClaimFalse, Opening, check, check_explanation
from healthchain.records.claiming import ClaimOptions
from healthchain.records.coverage import Period
from healthchain.records.fhir_claims import ItemDecision, Money, ParsedClaim, money, parse_claim
from healthchain.records.guardians import Office, appoint
from healthchain.records.keyring import random_id
from healthchain.records.sealing import MessageContext, SealBroken, open_message

from .bundles import simple
from .consortium import (
    AGENCY,
    CLINIC,
    DAY_MS,
    HOSPITAL,
    INSURER,
    assert_equal_peers,
    clinician,
    code,
    imported,
    within,
)

ENCOUNTER = "urn:uuid:00000000-0000-4000-8000-0000000000e1"
USD = "USD"
FOLLOWS, READS = random_id(), random_id()


def fhir_claim(amounts: Sequence[float], encounter: str) -> ParsedClaim:
    """One item for each amount, all of one encounter; the first two of one service."""
    items = [
        {
            "sequence": number,
            "productOrService": {"coding": [{"system": "http://snomed.info/sct", "code": str(max(number, 2))}]},
            "encounter": [{"reference": encounter}],
            "net": {"value": amount, "currency": USD},
        }
        for number, amount in enumerate(amounts, 1)
    ]
    total = {"value": sum(amounts), "currency": USD}
    return parse_claim(json.dumps({"resourceType": "Claim", "id": "c1", "item": items, "total": total}).encode())


async def stage(consortium: Consortium) -> tuple[str, str, str]:
    """A patient with a record, its URL, and a coverage."""
    bundle = simple(2)
    patient = (await imported(consortium, bundle)).patient
    payer = consortium.staff(INSURER, "claims-agent")
    url = bundle.entries[1].full_url
    covered = await coverage.enrol(payer, patient, "Plan 20001", Period(now_ms() - DAY_MS, now_ms() + DAY_MS))
    return patient, url, covered


def test_a_claim_from_the_coverage_to_the_payment(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient, url, covered = await stage(consortium)
        hospital, payer = consortium.custodian(HOSPITAL), consortium.staff(INSURER, "claims-agent")
        herself, officer = consortium.patient(patient), consortium.staff(AGENCY, "health-officer")
        asked = await coverage.ask_authorisation(hospital.actor, patient, covered, "A second examination.")
        period = Period(now_ms() - DAY_MS, now_ms() + DAY_MS)
        await coverage.answer_authorisation(payer, patient, asked, "One, up to 100 USD.", period)
        claim = fhir_claim([125.0, 80.5, 40.25], url)
        claim_id = await claiming.submit(hospital, patient, claim, ClaimOptions(covered, authorisation=asked))
        for party in (hospital.actor, payer, herself):
            assert (await claiming.body_of(party, patient, claim_id)).resource == claim.resource
        (record,) = await claim_payer.attached_records(payer, patient, claim_id, 1)
        assert record.fullUrl == url
        await nobody_else_opens_it(consortium, patient, claim_id)
        await claim_payer.request_information(payer, patient, claim_id, "Why twice?")
        assert await claiming.text_of(hospital.actor, patient, claim_id, "request-1") == "Why twice?"
        await claiming.answer(hospital.actor, patient, claim_id, "Before and after.")
        decisions = [
            ItemDecision(1, money("125.00", USD)),
            ItemDecision(2, money("60.50", USD), "45"),
            ItemDecision(3, money("0", USD), "197"),
        ]
        await claim_payer.adjudicate(payer, patient, claim_id, decisions)
        explained = await claiming.explanation_of(herself, patient, claim_id)
        assert [one.carc for one in explained.lines] == ["", "45", "197"]
        eob = msgspec.json.decode(explained.resource)
        assert eob["total"][1]["amount"] == {"value": 185.5, "currency": USD}
        await claiming.appeal(herself, patient, claim_id, "The third was authorised.")
        assert await claiming.text_of(payer, patient, claim_id, "appeal-1") == "The third was authorised."
        better = [*decisions[:2], ItemDecision(3, money("40.25", USD))]
        await claim_payer.adjudicate(payer, patient, claim_id, better)
        paid = await claim_payer.settle(payer, patient, claim_id)
        assert (str(paid), (await claiming.get(herself, patient, claim_id)).state) == ("225.75 USD", "closed")
        await the_agency_settles_a_dispute(consortium, patient, claim_id)
        assert [one.id for one in await claiming.list_claims(herself, patient)] == [claim_id]
        assert await claim_payer.due(officer) == []
        assert_equal_peers(consortium)

    within(folder, work)


async def nobody_else_opens_it(consortium: Consortium, patient: str, claim_id: str) -> None:
    """The contract hands it to no other; and a member that takes it from its own peer's disk opens nothing."""
    place = message(patient, claim_id, "body")
    for organisation, user in ((CLINIC, "clinician"), (AGENCY, "health-officer")):
        actor = consortium.staff(organisation, user)
        assert await code(claiming.body_of(actor, patient, claim_id)) == "CLAIM_PARTY"
        ciphertext = consortium.network.peers[organisation].ledger.private(CHAINCODE, MESSAGES, place)
        assert ciphertext is not None
        with pytest.raises(SealBroken):
            open_message(actor.key, actor.recipient, MessageContext(actor.channel, place), ciphertext)


async def the_agency_settles_a_dispute(consortium: Consortium, patient: str, claim_id: str) -> None:
    """The hospital shows it the opening of what was billed; another amount does not open the commitment."""
    officer = consortium.staff(AGENCY, "health-officer")
    body = await claiming.body_of(clinician(consortium), patient, claim_id)
    billed = body.lines[0].billed
    assert await claim_payer.holds(officer, patient, claim_id, Part.BILLED, billed, line=1)
    more = msgspec.structs.replace(billed, minor=billed.minor + 1)
    assert not await claim_payer.holds(officer, patient, claim_id, Part.BILLED, more, line=1)


def test_one_service_is_paid_once_by_primary_and_then_secondary(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient, url, primary = await stage(consortium)
        hospital, payer = consortium.custodian(HOSPITAL), consortium.staff(INSURER, "claims-agent")
        period = Period(now_ms() - DAY_MS, now_ms() + DAY_MS)
        secondary = await coverage.enrol(payer, patient, "Supplement", period, rank=2)
        first = await claiming.submit(hospital, patient, fhir_claim([125.0], url), ClaimOptions(primary))
        rest = fhir_claim([125.0], url)
        for options in (ClaimOptions(primary), ClaimOptions(secondary)):
            assert await code(claiming.submit(hospital, patient, rest, options)) == "BILLED_TWICE"
        after = ClaimOptions(secondary, primary=first)
        assert await code(claiming.submit(hospital, patient, rest, after)) == "PRIMARY_INVALID"
        await claim_payer.adjudicate(payer, patient, first, [ItemDecision(1, money("100", USD), "2")])
        second = await claiming.submit(hospital, patient, rest, after)
        assert (await claiming.get(payer, patient, second)).primary == first
        await claiming.withdraw(hospital.actor, patient, second)
        assert await code(claiming.submit(hospital, patient, rest, ClaimOptions(secondary))) == "BILLED_TWICE"
        assert_equal_peers(consortium)

    within(folder, work)


def test_a_guardian_follows_a_claim_and_appeals(folder: Path) -> None:
    """Everything is sealed to one for claims, also by the payer; one for reading sees nothing of it."""

    async def work(consortium: Consortium) -> None:
        patient, url, covered = await stage(consortium)
        hospital, payer = consortium.custodian(HOSPITAL), consortium.staff(INSURER, "claims-agent")
        for guardian, scope in ((FOLLOWS, Scope.CLAIMS), (READS, Scope.READ)):
            office = Office(guardian, consortium.enrol_guardian(guardian, HOSPITAL), (scope,), now_ms() + DAY_MS)
            await appoint(hospital.actor, patient, office)
        claim_id = await claiming.submit(hospital, patient, fhir_claim([125.0], url), ClaimOptions(covered))
        await claim_payer.adjudicate(payer, patient, claim_id, [ItemDecision(1, Money(0, USD), "197")])
        follows = consortium.guardian(FOLLOWS)
        assert (await claiming.body_of(follows, patient, claim_id)).total.minor == 12500
        assert (await claiming.explanation_of(follows, patient, claim_id)).lines[0].carc == "197"
        await claiming.appeal(follows, patient, claim_id, "It was authorised.")
        assert await claiming.text_of(payer, patient, claim_id, "appeal-1") == "It was authorised."
        assert await code(claiming.body_of(consortium.guardian(READS), patient, claim_id)) == "GUARDIAN_SCOPE"
        assert_equal_peers(consortium)

    within(folder, work)


def test_what_the_payer_finds_false_and_what_it_may_not_decide(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient, url, covered = await stage(consortium)
        hospital, payer = consortium.custodian(HOSPITAL), consortium.staff(INSURER, "claims-agent")
        with pytest.raises(BadInput, match="not imported"):
            await claiming.submit(hospital, patient, fhir_claim([1.0], ENCOUNTER), ClaimOptions(covered))
        claim_id = await claiming.submit(hospital, patient, fhir_claim([125.0, 80.0], url), ClaimOptions(covered))
        shown = await claiming.get(payer, patient, claim_id)
        body = await claiming.body_of(payer, patient, claim_id)
        first, second = body.lines

        def with_first(line: BodyLine) -> None:
            check(patient, shown, msgspec.structs.replace(body, lines=(line, second)))

        with_first(first)
        replace = msgspec.structs.replace
        dearer = Opening(first.billed.minor + 100, USD, first.billed.salt)
        for false in (
            replace(first, secret=bytes(32)),
            replace(first, service="http://snomed.info/sct|1"),
            replace(first, occurrence=9),
            replace(first, billed=dearer),
            replace(first, number=9),
        ):
            with pytest.raises(ClaimFalse):
                with_first(false)
        with pytest.raises(ClaimFalse):
            check(patient, shown, replace(body, total=dearer))
        for resource in (body.resource.replace(b'"code": "2"', b'"code": "3"', 1), b"{}", b"[]"):
            with pytest.raises(ClaimFalse):
                check(patient, shown, replace(body, resource=resource))
        for decisions in (
            [ItemDecision(1, Money(12500, USD))],
            [ItemDecision(1, Money(12500, USD)), ItemDecision(2, Money(7000, USD))],
            [ItemDecision(1, Money(12500, USD)), ItemDecision(2, Money(7000, USD), "too dear")],
            [ItemDecision(1, Money(12500, USD), "45"), ItemDecision(2, Money(8000, USD))],
            [ItemDecision(1, Money(12600, USD)), ItemDecision(2, Money(8000, USD))],
            [ItemDecision(1, Money(12500, "EUR")), ItemDecision(2, Money(8000, USD))],
        ):
            with pytest.raises(BadInput):
                await claim_payer.adjudicate(payer, patient, claim_id, decisions)
        assert await code(claim_payer.settle(payer, patient, claim_id)) == "CLAIM_STATE"

    within(folder, work)


def test_an_explanation_says_what_the_payer_committed_to(folder: Path) -> None:
    """The payer's own program cannot seal another: one that does is found out by everyone who opens it."""

    async def work(consortium: Consortium) -> None:
        patient, url, covered = await stage(consortium)
        hospital, payer = consortium.custodian(HOSPITAL), consortium.staff(INSURER, "claims-agent")
        claim_id = await claiming.submit(hospital, patient, fhir_claim([125.0, 80.0], url), ClaimOptions(covered))
        decisions = [ItemDecision(1, Money(12000, USD), "45"), ItemDecision(2, Money(0, USD), "197")]
        await claim_payer.adjudicate(payer, patient, claim_id, decisions)
        shown = await claiming.get(hospital.actor, patient, claim_id)
        true = await claiming.explanation_of(hospital.actor, patient, claim_id)
        first, second = true.lines
        assert first.paid is not None
        replace = msgspec.structs.replace
        for lines in (
            (first,),
            (replace(first, paid=replace(first.paid, minor=12500)), second),
            (replace(first, carc="2"), second),
            (first, replace(second, carc="")),
            (first, replace(second, paid=first.paid)),
            (replace(first, line=2), replace(second, line=1)),
        ):
            with pytest.raises(ClaimFalse):
                check_explanation(patient, shown, replace(true, lines=lines))

    within(folder, work)


@pytest.mark.parametrize(
    "change",
    [
        {"resourceType": "Patient"},
        {"item": []},
        {"total": {"value": 1.0, "currency": USD}},
        {"total": {"value": 125.0, "currency": "EUR"}},
        {"item": [{"sequence": 1}]},
        {"total": {"value": "many", "currency": USD}},
        {"total": {"value": "1e999999", "currency": USD}},
        {"total": {"value": "sNaN", "currency": USD}},
        {"item": [{"sequence": float("inf")}]},
    ],
)
def test_what_is_no_claim(change: dict[str, object]) -> None:
    claim = json.loads(fhir_claim([125.0], ENCOUNTER).resource)
    with pytest.raises(BadInput):
        parse_claim(json.dumps(claim | change).encode())


def test_amounts_are_exact() -> None:
    assert parse_claim(fhir_claim([0.29], ENCOUNTER).resource).total == Money(29, USD)
    for text in ("1.005", "-1", "NaN", "many"):
        with pytest.raises(BadInput):
            money(text, USD)
