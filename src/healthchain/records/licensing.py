"""The agency's licences for hospitals and practitioners."""

from __future__ import annotations

from collections.abc import Sequence

from healthchain.contract import licences
from healthchain.contract.licences import Act, ListedLicence
from healthchain.records.actor import Actor


async def license_holder(
    officer: Actor, holder: str, start_ms: int, end_ms: int, acts: Sequence[Act] = tuple(Act)
) -> None:
    """`holder` is an MSP id, or MSP/CN. Raises Refused."""
    number = f"L{start_ms}-{holder.split('/', 1)[0]}"[:40]
    issuing = licences.Issue(holder=holder, number=number, acts=tuple(acts), start_ms=start_ms, end_ms=end_ms)
    await officer.submit("licences:Issue", issuing)


async def suspend(officer: Actor, holder: str) -> None:
    """Raises Refused."""
    await officer.submit("licences:Suspend", licences.Suspend(holder=holder))


async def reinstate(officer: Actor, holder: str) -> None:
    """Raises Refused."""
    await officer.submit("licences:Reinstate", licences.Reinstate(holder=holder))


async def list_licences(actor: Actor) -> list[ListedLicence]:
    """All of them, by holder."""
    found: list[ListedLicence] = []
    start: str | None = ""
    while start is not None:
        page = await actor.ask("licences:List", licences.List(start=start), licences.Licences)
        found += page.licences
        start = page.next
    return found
