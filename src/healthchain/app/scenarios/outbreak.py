"""An outbreak reported: cases filed in time and late, opened by the agency, counted, published without small counts.

Every fact it reports is observed in this run; nothing is assumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from healthchain.app.consortium import CLINICIAN, Consortium
from healthchain.app.input import read_file
from healthchain.app.scenarios import Say, refusal
from healthchain.app.scenarios.records import CLINIC, HOSPITAL, INSURER, sample_files
from healthchain.app.scenarios.stage import Stage
from healthchain.contract.aggregates import Category, Period, ShownAggregate
from healthchain.contract.policies import DAY_MS, HOUR_MS
from healthchain.records import publishing, reporting
from healthchain.records.actor import Actor, now_ms
from healthchain.records.bundle import parse_bundle
from healthchain.records.fhir_cases import Case, cases
from healthchain.records.publishing import Axes

AGENCY, OFFICER = "health-agency", "health-officer"
SINUSITIS = "444814009"
CONDITIONS = {
    SINUSITIS: "viral sinusitis",
    "66383009": "gingivitis",
    "65363002": "otitis media",
    "195662009": "viral pharyngitis",
    "10509002": "acute bronchitis",
}
"""SNOMED CT."""
DECADES = {"1980-2009": range(1980, 2010), "2010-2019": range(2010, 2020), "2020-2029": range(2020, 2030)}
ALL = "all"
FILED_AT_ONCE = 16
LATE_DAYS = 3


@dataclass(frozen=True, slots=True)
class Filed:
    """`opened_identical`: the agency opens each report, and finds what the hospitals sealed."""

    reports: int
    opened_identical: bool
    acknowledged: int
    late: int
    late_hours: int
    another_hospital: str
    the_reporter: str
    insurer: str


@dataclass(frozen=True, slots=True)
class FollowedUp:
    question_answered: bool
    requests_waiting: int
    withdrawn: int
    reports_counted: int


@dataclass(frozen=True, slots=True)
class Published:
    """Numbers of cells; a refusal is its code."""

    cells: int
    small: int
    suppressed: int
    with_small_counts: str
    small_alone_suppressed: str
    by_difference: str
    traced: int
    traced_by_hospital: str
    traced_by_insurer: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the scenario found; the names are those of its JSON. A refusal is its code."""

    filed: Filed
    followed_up: FollowedUp
    published: Published
    verify_clean: bool
    blocks: int
    transactions: int


async def run(stage: Stage, say: Say) -> Facts:
    await stage.found()
    async with stage.opened() as consortium:
        by_hospital = _found_cases()
        sealed = await _file(consortium, by_hospital, say)
        filed = await _filed(consortium, sealed, say)
        followed_up = await _followed_up(consortium, sealed, say)
        published = await _published(consortium, say)
    checked = await stage.check()
    say(checked.told)
    return Facts(
        filed=filed,
        followed_up=followed_up,
        published=published,
        verify_clean=checked.clean,
        blocks=checked.blocks,
        transactions=checked.transactions,
    )


def _found_cases() -> dict[str, list[Case]]:
    """By hospital, each of which treats every other sample patient."""
    found: dict[str, list[Case]] = {HOSPITAL: [], CLINIC: []}
    for number, source in enumerate(sample_files()):
        bundle = parse_bundle(read_file(source))
        found[(HOSPITAL, CLINIC)[number % 2]] += [case for one in CONDITIONS for case in cases(bundle, one)]
    return found


async def _file(consortium: Consortium, by_hospital: Mapping[str, Sequence[Case]], say: Say) -> dict[str, Case]:
    """Report -> what was sealed in it. The clinic's first one is late."""
    agency = consortium.topology.organisation(AGENCY).msp_id
    free = asyncio.Semaphore(FILED_AT_ONCE)

    async def file(hospital: str, case: Case, days_ago: int) -> tuple[str, Case]:
        async with free:
            known_ms = now_ms() - days_ago * DAY_MS
            return await reporting.file(consortium.staff(hospital, CLINICIAN), agency, case, known_ms), case

    filing = [
        file(hospital, case, LATE_DAYS if hospital == CLINIC and number == 0 else 0)
        for hospital, found in by_hospital.items()
        for number, case in enumerate(found)
    ]
    reports = dict(await asyncio.gather(*filing))
    say(f"Ten patients had {len(reports)} cases of {len(CONDITIONS)} conditions, which their hospitals report.")
    say("  Condition, onset, age band, sex and region are sealed to the agency alone. Public: who reports, and when.")
    return reports


async def _filed(consortium: Consortium, sealed: Mapping[str, Case], say: Say) -> Filed:
    officer = consortium.staff(AGENCY, OFFICER)
    found = await publishing.open_cases(officer)
    identical = found == dict(sealed)
    for report in sealed:
        await reporting.acknowledge(officer, report)
    listed = await reporting.list_reports(officer)
    acknowledged = sum(one.acknowledged_ms is not None for one in listed)
    say(f"The agency opens {len(found)} reports, identical: {identical}. It confirms {acknowledged}: the receipts.")
    (measured,) = (await reporting.overdue(officer)).hospitals
    late_hours = measured.late_ms_max // HOUR_MS
    say(f"{measured.late} report came late, {late_hours} hours after its deadline; the ledger measures it.")
    of_hospital = next(one.id for one in listed if one.hospital == consortium.topology.organisation(HOSPITAL).msp_id)
    another = await refusal(reporting.case_of(consortium.staff(CLINIC, CLINICIAN), of_hospital))
    own = await refusal(reporting.case_of(consortium.staff(HOSPITAL, CLINICIAN), of_hospital))
    insurer = await refusal(reporting.list_reports(consortium.staff(INSURER, "claims-agent")))
    say(f"The clinic asks for a report of the hospital's: refused, {another}. The hospital for its own: {own}.")
    say(f"The insurer asks for a list of reports: refused, {insurer}.")
    return Filed(
        reports=len(sealed),
        opened_identical=identical,
        acknowledged=acknowledged,
        late=measured.late,
        late_hours=late_hours,
        another_hospital=another,
        the_reporter=own,
        insurer=insurer,
    )


async def _followed_up(consortium: Consortium, sealed: Mapping[str, Case], say: Say) -> FollowedUp:
    officer, doctor = consortium.staff(AGENCY, OFFICER), consortium.staff(CLINIC, CLINICIAN)
    clinics = sorted((one.id for one in await reporting.list_reports(doctor)), key=lambda one: sealed[one].onset)
    asked, mistaken = clinics[0], [one for one in clinics if sealed[one].condition == SINUSITIS][-1]
    question = "Did others in the household fall ill?"
    request = await reporting.ask(officer, asked, question, now_ms() + 7 * DAY_MS)
    read = await reporting.question_of(doctor, asked, request)
    added = await reporting.follow_up(doctor, asked, f"{read} Nobody until today.", request)
    answer = await reporting.follow_up_of(officer, asked, added)
    answered = answer.startswith(question)
    say(f"The agency asks about a report, sealed to the clinic: {read}")
    say(f"The clinic answers, sealed to the agency: {answer}")
    await reporting.withdraw(doctor, mistaken, "A bacterial infection, as the culture showed.")
    why = await reporting.withdrawal_of(officer, mistaken)
    say(f"The clinic withdraws another report: {why}")
    listed = await reporting.list_reports(officer)
    waiting = len((await reporting.overdue(officer)).requests)
    withdrawn = sum(one.withdrawn_ms is not None for one in listed)
    return FollowedUp(answered, waiting, withdrawn, len(await publishing.open_cases(officer)))


async def _published(consortium: Consortium, say: Say) -> Published:
    officer = consortium.staff(AGENCY, OFFICER)
    counted = await publishing.open_cases(officer)
    axes = _axes({case.region for case in counted.values()})
    table, receipts = publishing.count(counted, axes)
    least = await publishing.least_count(officer)
    raw = await refusal(publishing.submit(officer, table, receipts))
    say(f"The agency counts {len(counted)} reports by decade and condition, and would publish all: refused, {raw}.")
    small = [number for number, one in enumerate(table.cells) if one and one < least]
    say(f"  The members agreed that a count of 1 to {least - 1} stays suppressed.")
    alone = await refusal(publishing.submit(officer, publishing.without_small(table, least), receipts))
    say(f"With those {len(small)} counts left out, but all totals shown, some could be computed: refused, {alone}.")
    published = await publishing.get(officer, await publishing.publish(officer, counted, axes))
    suppressed = sum(one is None for one in published.cells)
    say(f"With {suppressed} of {len(published.cells)} suppressed, it is published:")
    for line in _shown(published):
        say(line)
    difference = await _difference(officer, counted, axes)
    say("A second table has viral sinusitis since 2010 alone. It has no small count in it; but the total less this one")
    say(f"  would be the small count before 2010: refused, {difference}.")
    traced, hospital, insurer = await _traced(consortium, published, say)
    return Published(
        cells=len(published.cells),
        small=len(small),
        suppressed=suppressed,
        with_small_counts=raw,
        small_alone_suppressed=alone,
        by_difference=difference,
        traced=traced,
        traced_by_hospital=hospital,
        traced_by_insurer=insurer,
    )


def _axes(regions: set[str]) -> Axes:
    periods = {code: _months(years) for code, years in DECADES.items()}
    periods[ALL] = tuple(month for one in DECADES.values() for month in _months(one))
    conditions = {code: (code,) for code in CONDITIONS} | {ALL: tuple(CONDITIONS)}
    return Axes(
        periods=tuple(Period(code, parts) for code, parts in periods.items()),
        regions=tuple(Category(code, (code,)) for code in sorted(regions)),
        conditions=tuple(Category(code, parts) for code, parts in conditions.items()),
    )


def _months(years: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{year}-{month:02}" for year in years for month in range(1, 13))


def _shown(table: ShownAggregate) -> list[str]:
    """A line for each condition, a column for each period."""
    width = len(table.conditions)
    lines = [f"  {'':18}" + "".join(f"{one.code:>10}" for one in table.periods)]
    for number, condition in enumerate(table.conditions):
        column = table.cells[number::width]
        counts = "".join(f"{'*' if one is None else one:>10}" for one in column)
        lines.append(f"  {CONDITIONS.get(condition.code, condition.code):18}{counts}")
    return lines


async def _difference(officer: Actor, counted: Mapping[str, Case], axes: Axes) -> str:
    later = Period("2010-2029", _months(range(2010, 2030)))
    since = Axes((later,), axes.regions, (Category(SINUSITIS, (SINUSITIS,)),))
    return await refusal(publishing.submit(officer, *publishing.count(counted, since)))


async def _traced(consortium: Consortium, table: ShownAggregate, say: Say) -> tuple[int, str, str]:
    """How many reports the total of viral sinusitis is traced to, and how others' asking is refused."""
    last = len(table.periods) - 1
    cell = last * len(table.conditions) + [one.code for one in table.conditions].index(SINUSITIS)
    found = await publishing.trace(consortium.staff(AGENCY, OFFICER), table.id, cell)
    say(f"The agency traces the {table.cells[cell]} cases of viral sinusitis to {len(found.reports)} receipts.")
    hospital = await refusal(publishing.trace(consortium.staff(HOSPITAL, CLINICIAN), table.id, cell))
    insurer = await refusal(publishing.trace(consortium.staff(INSURER, "claims-agent"), table.id, cell))
    say(f"The hospital and the insurer ask for them: refused, {hospital} and {insurer}. All members see the table.")
    return len(found.reports), hospital, insurer
