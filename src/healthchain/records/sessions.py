"""Access sessions beyond one reader's own: renewed, delegated to a colleague, listed with what was read in them."""

from __future__ import annotations

from functools import partial

from healthchain.contract import disclosures, sessions
from healthchain.contract.disclosures import ListedSession
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.keyring import random_id
from healthchain.records.reading import SESSION_MS, Session


async def renew(opened: Session, lasts_ms: int = SESSION_MS) -> None:
    """From now on. Raises Refused."""
    renewing = sessions.Renew(id=opened.id, patient=opened.patient, end_ms=now_ms() + lasts_ms)
    await repeated_on_conflict(partial(opened.actor.submit, "sessions:Renew", renewing))


async def delegate(opened: Session, colleague: str, end_ms: int) -> str:
    """To a user of the same organisation and role, by common name; answers with the session's id. Raises Refused."""
    delegating = sessions.Delegate(
        id=opened.id, patient=opened.patient, to=colleague, delegated=random_id(), end_ms=end_ms
    )
    await repeated_on_conflict(partial(opened.actor.submit, "sessions:Delegate", delegating))
    return delegating.delegated


async def join(colleague: Actor, delegated_from: Session, session_id: str) -> Session:
    """The session that was delegated to this colleague. Raises Refused."""
    held = await keys.within_session(colleague, delegated_from.patient, session_id)
    return Session(colleague, session_id, delegated_from.patient, delegated_from.purpose, held)


async def list_sessions(actor: Actor, patient: str) -> list[ListedSession]:
    """In order of time: all for the patient and the custodian's administrator, for others their own."""
    found: list[ListedSession] = []
    start: str | None = ""
    while start is not None:
        asked = disclosures.List(patient=patient, start=start)
        page = await actor.ask("sessions:List", asked, disclosures.Sessions)
        found += page.sessions
        start = page.next
    return sorted(found, key=lambda one: (one.start_ms, one.id))
