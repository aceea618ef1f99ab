"""What each peer has found out about the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from healthchain.app.doctor.findings import Code, Finding
from healthchain.client.asking import Known


@dataclass(frozen=True, slots=True)
class View:
    """One peer's."""

    organisation: str
    known: Known


def judge(views: list[View], addresses: Mapping[str, str]) -> Iterator[Finding]:
    """`addresses` are those of the peers that answer, by organisation."""
    for one in views:
        unknown = [
            name for name, address in addresses.items() if name != one.organisation and address not in one.known.peers
        ]
        if unknown:
            yield Finding(Code.GOSSIP_INCOMPLETE, one.organisation, "peer", f"does not know {', '.join(unknown)}")
        elif one.known.no_endorsers:
            yield Finding(Code.ENDORSERS_TOO_FEW, one.organisation, "peer", one.known.no_endorsers)
