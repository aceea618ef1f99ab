"""Where the attacks play: the default consortium, one patient's records on its ledger, and who may act there."""

from __future__ import annotations

import asyncio
import datetime
import json
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from healthchain.app.consortium import CLINICIAN, Consortium, initialise, opened
from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.stub import Stub
from healthchain.client.gateway import Connection
from healthchain.config import CHAINCODE, DEFAULT
from healthchain.contract.ids import Action, Purpose
from healthchain.errors import HealthChainError
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import OrganisationFolder, SigningIdentity
from healthchain.identity.keys import SigningKey
from healthchain.identity.msp import serialize_identity
from healthchain.network.network import peer_folder
from healthchain.network.provision import organisation_folder
from healthchain.records import consenting
from healthchain.records.actor import Actor, now_ms
from healthchain.records.bundle import ParsedBundle, parse_bundle
from healthchain.records.importing import import_bundle
from healthchain.wire.lifecycle import ChaincodeDefinition

HOSPITAL, CLINIC, INSURER, AGENCY = (one.name for one in DEFAULT.organisations)
FAMILY, FINDING = "Winterbottom", "a finding that is nobody else's business"
DAY_MS = 24 * 60 * 60 * 1000
SECONDS_MAX = 20.0
PUT = ChaincodeDefinition("put", "1", 1, ())

_Result = TypeVar("_Result")


class Put:
    """A contract without rules: one key, one value, nothing read."""

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return False

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        _, key, value = args
        stub.put_state(key.decode(), value)
        return Response(200, "", b"")


@dataclass(frozen=True)
class Stage:
    """A copy of the consortium's folder, for one attack; `patient` is registered at HOSPITAL."""

    folder: Path
    patient: str

    def play(self, work: Callable[[Consortium], Awaitable[_Result]]) -> _Result:
        async def opening() -> _Result:
            async with asyncio.timeout(SECONDS_MAX), opened(self.folder, extra=[(PUT, Put())]) as consortium:
                return await work(consortium)

        return asyncio.run(opening())

    def copy(self, folder: Path) -> Stage:
        shutil.copytree(self.folder, folder)
        return Stage(folder, self.patient)

    def credentials(self, organisation: str) -> OrganisationFolder:
        return organisation_folder(self.folder, DEFAULT, organisation)

    def peer(self, organisation: str) -> Path:
        return peer_folder(self.folder, organisation)

    def issued(self, organisation: str, name: str, attributes: dict[str, str]) -> SigningIdentity:
        """Whatever the organisation's own authority is willing to sign."""
        owner = self.credentials(organisation)
        certificate = (owner.path / "ca" / f"ca.{owner.domain}-cert.pem").read_bytes()
        authority = CertificateAuthority(SigningKey.from_pem((owner.path / "ca/priv_sk").read_bytes()), certificate)
        enrolment = authority.issue(name, NodeOU.CLIENT, datetime.datetime.now(datetime.UTC), attributes)
        return SigningIdentity(owner.msp_id, serialize_identity(owner.msp_id, enrolment.certificate), enrolment.key)


def make_stage(folder: Path) -> Stage:
    asyncio.run(initialise(folder, DEFAULT))

    async def work(consortium: Consortium) -> str:
        await consortium.define(PUT)
        return (await import_bundle(consortium.custodian(HOSPITAL), bundle(0))).patient

    return Stage(folder, Stage(folder, "").play(work))


def urn(number: int, patient: int) -> str:
    return f"urn:uuid:{uuid.UUID(int=(patient + 7) << 64 | number)}"


def bundle(patient: int, *, value: int = 1) -> ParsedBundle:
    """Two resources of a patient; another `value` amends the second."""
    resources: list[dict[str, object]] = [
        {"resourceType": "Patient", "name": [{"family": FAMILY}], "birthDate": "1951-07-23"},
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": FINDING},
            "subject": {"reference": urn(0, patient)},
            "valueInteger": value,
        },
    ]
    entries = [
        {"fullUrl": urn(n, patient), "resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for n, one in enumerate(resources)
    ]
    return parse_bundle(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode())


def connect(consortium: Consortium, organisation: str, who: SigningIdentity, *, offset_ms: int = 0) -> Connection:
    return Connection(
        consortium.network.gateway(organisation),
        who,
        consortium.topology.channel,
        CHAINCODE,
        lambda: time.time_ns() + offset_ms * 1_000_000,
    )


def clinician(consortium: Consortium, organisation: str = HOSPITAL) -> Actor:
    return consortium.staff(organisation, CLINICIAN)


async def grant(consortium: Consortium, patient: str) -> None:
    """To the clinic, to read for treatment."""
    decision = consenting.Decision(
        grantee=consortium.topology.organisation(CLINIC).msp_id,
        purposes=(Purpose.TREAT,),
        actions=(Action.READ,),
        end_ms=now_ms() + DAY_MS,
    )
    await consenting.grant(consortium.patient(patient), decision)


async def revoke(consortium: Consortium, patient: str) -> None:
    msp_id = consortium.topology.organisation(CLINIC).msp_id
    await consenting.revoke(consortium.patient(patient), grantee=msp_id)


async def succeeds(attempt: Awaitable[object]) -> bool:
    """False if it is refused in words; anything else that it raises is the test's failure."""
    try:
        await attempt
    except HealthChainError:
        return False
    return True


def found_on_disk(folders: Iterable[Path], wanted: Iterable[bytes]) -> bool:
    """Whether any file below the folders has any of these bytes."""
    searched = list(wanted)
    assert searched
    files = [one for folder in folders for one in folder.rglob("*") if one.is_file()]
    assert files
    return any(part in content for content in (one.read_bytes() for one in files) for part in searched)
