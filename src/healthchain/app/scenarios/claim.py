"""A claim of the sample patient's own visits, from the coverage to the payment, with an appeal and a dispute.

Every fact it reports is observed in this run; nothing is assumed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from healthchain.app.consortium import Consortium
from healthchain.app.input import read_file
from healthchain.app.scenarios import Say, refusal
from healthchain.app.scenarios.records import CLINIC, HOSPITAL, INSURER, sample_files
from healthchain.app.scenarios.stage import Stage
from healthchain.contract.claims import message
from healthchain.contract.commitments import Part
from healthchain.contract.ids import MESSAGES
from healthchain.contract.policies import DAY_MS
from healthchain.records import claim_payer, claiming, coverage
from healthchain.records.actor import Actor, now_ms
from healthchain.records.bundle import Entry, ParsedBundle, parse_bundle
from healthchain.records.claim_texts import Opening
from healthchain.records.claiming import ClaimOptions
from healthchain.records.coverage import Period
from healthchain.records.fhir_claims import ItemDecision, Money, ParsedClaim, parse_claim
from healthchain.records.importing import Custodian, import_bundle
from healthchain.records.sealing import MessageContext, SealBroken, open_message

AGENCY = "health-agency"
VISITS = 3
CONTRACTUAL, NOT_AUTHORISED, PRIOR_PAYER = "45", "197", "23"  # CARC


@dataclass(frozen=True, slots=True)
class Facts:
    """What the scenario found; the names are those of its JSON."""

    billed: str
    lines: int
    outcomes: list[str]
    outcomes_after_appeal: list[str]
    paid: str
    state: str
    billed_again: str
    billed_to_the_other_coverage: str
    secondary_paid: str
    clinic_asks: str
    clinic_opens: bool
    attached_records_read: int
    amount_holds: bool
    another_amount_holds: bool
    verify_clean: bool
    blocks: int
    transactions: int


async def run(stage: Stage, say: Say) -> Facts:
    await stage.found()
    bundle = parse_bundle(read_file(sample_files()[0]))
    async with stage.opened() as consortium:
        story = await Story.begin(stage, consortium, bundle, say)
        claim_id = await story.submit()
        again = await story.refused(ClaimOptions(story.primary))
        elsewhere = await story.refused(ClaimOptions(story.secondary))
        say(f"The hospital bills the same visits again: {again}; under the second coverage: {elsewhere}.")
        asks, opens = await story.outsider(claim_id)
        attached = await story.checked(claim_id)
        outcomes = await story.adjudicated(claim_id)
        better = await story.appealed(claim_id)
        paid = await claim_payer.settle(story.payer, story.patient, claim_id)
        state = (await claiming.get(story.herself, story.patient, claim_id)).state
        say(f"The insurer pays {paid}. The claim is {state}.")
        holds, other = await story.disputed(claim_id)
        secondary = await story.coordinated(claim_id)
    checked = await stage.check()
    say(checked.told)
    return Facts(
        billed=str(story.claim.total),
        lines=len(story.claim.items),
        outcomes=outcomes,
        outcomes_after_appeal=better,
        paid=str(paid),
        state=state,
        billed_again=again,
        billed_to_the_other_coverage=elsewhere,
        secondary_paid=str(secondary),
        clinic_asks=asks,
        clinic_opens=opens,
        attached_records_read=attached,
        amount_holds=holds,
        another_amount_holds=other,
        verify_clean=checked.clean,
        blocks=checked.blocks,
        transactions=checked.transactions,
    )


def of_type(bundle: ParsedBundle, resource_type: str) -> list[Entry]:
    return [one for one in bundle.entries if one.resource_type == resource_type]


def visits_claim(bundle: ParsedBundle) -> ParsedClaim:
    """One Claim with the items of the patient's own first claims, one for each visit."""
    claims = [json.loads(one.raw) for one in of_type(bundle, "Claim")[:VISITS]]
    items = [item | {"sequence": number} for number, one in enumerate(claims, 1) for item in one["item"]]
    total = {"value": sum(item["net"]["value"] for item in items), "currency": items[0]["net"]["currency"]}
    return parse_claim(json.dumps(claims[0] | {"item": items, "total": total}).encode())


def visits_explanations(bundle: ParsedBundle) -> tuple[str, ...]:
    """The URLs of the patient's own explanations of benefit for these visits."""
    claims = {one.full_url for one in of_type(bundle, "Claim")[:VISITS]}
    explanations = of_type(bundle, "ExplanationOfBenefit")
    return tuple(one.full_url for one in explanations if json.loads(one.raw)["claim"]["reference"] in claims)


@dataclass(frozen=True, slots=True)
class Story:
    """Who acts on what; each step tells what it saw."""

    stage: Stage
    consortium: Consortium
    say: Say
    hospital: Custodian
    payer: Actor
    herself: Actor
    patient: str
    claim: ParsedClaim
    explanations: tuple[str, ...]
    primary: str
    secondary: str

    @classmethod
    async def begin(cls, stage: Stage, consortium: Consortium, bundle: ParsedBundle, say: Say) -> Story:
        hospital, payer = consortium.custodian(HOSPITAL), consortium.staff(INSURER, "claims-agent")
        imported = await import_bundle(hospital, bundle)
        say(f"The hospital imports a patient: {imported.resources} FHIR resources, among them the visits and claims.")
        period = Period(now_ms() - DAY_MS, now_ms() + 365 * DAY_MS)
        plan = of_type(bundle, "Coverage")[0].raw.decode()
        primary = await coverage.enrol(payer, imported.patient, plan, period)
        secondary = await coverage.enrol(payer, imported.patient, "Supplement", period, rank=2)
        say("The insurer covers the patient by two plans, a primary and a secondary; which plans is sealed.")
        herself = consortium.patient(imported.patient)
        about = (imported.patient, visits_claim(bundle), visits_explanations(bundle))
        return cls(stage, consortium, say, hospital, payer, herself, *about, primary, secondary)

    async def submit(self) -> str:
        asked = await coverage.ask_authorisation(self.hospital.actor, self.patient, self.primary, "Three examinations.")
        granted = Period(now_ms() - DAY_MS, now_ms() + 30 * DAY_MS)
        await coverage.answer_authorisation(self.payer, self.patient, asked, "Granted.", granted)
        self.say("The hospital asks for a prior authorisation; the insurer grants it for 30 days.")
        options = ClaimOptions(self.primary, authorisation=asked)
        claim_id = await claiming.submit(self.hospital, self.patient, self.claim, options)
        shown = await claiming.get(self.herself, self.patient, claim_id)
        self.say(
            f"It claims {self.claim.total} for {len(shown.lines)} visits."
            f" On the chain the claim is {shown.state}; its amounts are commitments, its codes and texts sealed."
        )
        return claim_id

    async def refused(self, options: ClaimOptions) -> str:
        """The code with which the same services are refused; "" if they were not."""
        return await refusal(claiming.submit(self.hospital, self.patient, self.claim, options))

    async def outsider(self, claim_id: str) -> tuple[str, bool]:
        """What the clinic, a member without a part in it, is answered; and whether it opens what its own peer holds."""
        clinic, place = self.consortium.staff(CLINIC, "clinician"), message(self.patient, claim_id, "body")
        asks = await refusal(claiming.body_of(clinic, self.patient, claim_id))
        held = await self.stage.held(self.consortium, CLINIC, MESSAGES, place)
        assert held is not None, "every peer holds the ciphertext"
        opens = True
        try:
            open_message(clinic.key, clinic.recipient, MessageContext(clinic.channel, place), held)
        except SealBroken:
            opens = False
        self.say(f"The clinic asks for the claim: {asks}. It opens the ciphertext on its own peer: {opens}.")
        return asks, opens

    async def checked(self, claim_id: str) -> int:
        """The payer checks the body and reads what is attached; answers with how many records."""
        body = await claiming.body_of(self.payer, self.patient, claim_id)
        found = [
            record
            for line in body.lines
            for record in await claim_payer.attached_records(self.payer, self.patient, claim_id, line.number)
        ]
        self.say(
            f"The insurer opens the claim: secrets, tokens and amounts fit the ledger;"
            f" {len(found)} attached records open, each with a key of its own."
        )
        await claim_payer.request_information(self.payer, self.patient, claim_id, "Why the second visit?")
        await claiming.answer(self.hospital.actor, self.patient, claim_id, "A check of the first.")
        self.say("The insurer asks about the second visit, the hospital answers.")
        return len(found)

    async def adjudicated(self, claim_id: str) -> list[str]:
        """In full, in part, and not at all."""
        first, second, third = (one.billed for one in self.claim.items)
        decisions = [
            ItemDecision(1, first),
            ItemDecision(2, Money(second.minor * 8 // 10, second.currency), CONTRACTUAL),
            ItemDecision(3, Money(0, third.currency), NOT_AUTHORISED),
        ]
        return await self._decided(claim_id, decisions, "The insurer decides by line")

    async def appealed(self, claim_id: str) -> list[str]:
        await claiming.appeal(self.herself, self.patient, claim_id, "The authorisation was for three visits.")
        self.say("The patient appeals, in time.")
        first, second, third = (one.billed for one in self.claim.items)
        decisions = [
            ItemDecision(1, first),
            ItemDecision(2, Money(second.minor * 8 // 10, second.currency), CONTRACTUAL),
            ItemDecision(3, third),
        ]
        return await self._decided(claim_id, decisions, "The insurer decides again, no line worse than before")

    async def _decided(self, claim_id: str, decisions: Sequence[ItemDecision], words: str) -> list[str]:
        await claim_payer.adjudicate(self.payer, self.patient, claim_id, decisions)
        outcomes = [one.outcome.value for one in (await claiming.get(self.herself, self.patient, claim_id)).decisions]
        explained = await claiming.explanation_of(self.herself, self.patient, claim_id)
        told = [
            f"{one.line} {outcome}" + (f" (CARC {one.carc})" if one.carc else "")
            for one, outcome in zip(explained.lines, outcomes, strict=True)
        ]
        self.say(f"{words}, and the patient opens the explanation of benefit: {', '.join(told)}.")
        return outcomes

    async def disputed(self, claim_id: str) -> tuple[bool, bool]:
        """A commitment is opened before the agency: to the amount, and to another one."""
        officer = self.consortium.staff(AGENCY, "health-officer")
        total = (await claiming.body_of(self.hospital.actor, self.patient, claim_id)).total
        holds = await claim_payer.holds(officer, self.patient, claim_id, Part.TOTAL, total)
        other = Opening(total.minor + 1, total.currency, total.salt)
        other_holds = await claim_payer.holds(officer, self.patient, claim_id, Part.TOTAL, other)
        self.say(
            f"In a dispute the hospital opens the commitment before the agency: {total.amount}: {holds};"
            f" {other.amount}: {other_holds}."
        )
        return holds, other_holds

    async def coordinated(self, claim_id: str) -> Money:
        """The secondary coverage pays what the primary one left of the second visit."""
        options = ClaimOptions(self.secondary, primary=claim_id, attached=self.explanations)
        second = await claiming.submit(self.hospital, self.patient, self.claim, options)
        left = {one.number: Money(0, one.billed.currency) for one in self.claim.items}
        for one in (await claiming.explanation_of(self.payer, self.patient, claim_id)).lines:
            if one.paid is not None:
                billed = self.claim.items[one.line - 1].billed
                left[one.line] = Money(billed.minor - one.paid.minor, billed.currency)
        decisions = [ItemDecision(number, amount, PRIOR_PAYER) for number, amount in left.items()]
        await claim_payer.adjudicate(self.payer, self.patient, second, decisions)
        paid = await claim_payer.settle(self.payer, self.patient, second)
        self.say(
            f"Now that the primary coverage was explained, the secondary takes the same visits, with"
            f" {len(self.explanations)} explanations of benefit attached: it pays {paid}."
        )
        return paid
