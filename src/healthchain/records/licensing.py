"""The agency's licences for hospitals and practitioners."""

from __future__ import annotations

from healthchain.contract import licences
from healthchain.contract.licences import Act
from healthchain.records.actor import Actor


async def license_holder(officer: Actor, holder: str, start_ms: int, end_ms: int) -> None:
    """For every kind of act; `holder` is an MSP id, or MSP/CN. Raises Refused."""
    number = f"L{start_ms}-{holder.split('/', 1)[0]}"[:40]
    issuing = licences.Issue(holder=holder, number=number, acts=tuple(Act), start_ms=start_ms, end_ms=end_ms)
    await officer.submit("licences:Issue", issuing)
