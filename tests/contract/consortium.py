"""Who and what the tests are about: two hospitals, an insurer, an agency, their people and patients."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from healthchain.chaincode.stub import Caller

from .chain import START_MS, Chain

HOUR = 3_600_000
DAY = 24 * HOUR


def ident(name: str) -> str:
    return base64.urlsafe_b64encode(sha256(name.encode()).digest()[:16]).decode().rstrip("=")


def person(msp_id: str, name: str, role: str | None, patient: str | None = None) -> Caller:
    attributes = {"hc.role": role, "hc.patient": patient}
    return Caller(msp_id, name, {key: value for key, value in attributes.items() if value is not None})


ALICE, BOB, CAROL = ident("alice"), ident("bob"), ident("carol")  # Bob gets erased, Carol is never registered
K = tuple(sorted(ident(f"alice {number}") for number in range(5)))
KEY = base64.b64encode(bytes(1216)).decode()

ADMIN_A = person("HospitalA", "admin", "administrator")
DOCTOR_A = person("HospitalA", "doctor", "clinician")
ADMIN_B = person("HospitalB", "admin", "administrator")
DOCTOR_B = person("HospitalB", "doctor", "clinician")
ADMIN_I = person("Insurer", "admin", "administrator")
AGENT = person("Insurer", "agent", "claims-agent")
OFFICER = person("Agency", "officer", "health-officer")
PATIENT = person("HospitalA", "alice", "patient", ALICE)
FORGED_PATIENT = person("HospitalB", "alice", "patient", ALICE)  # another member's CA claims to know Alice
OTHER_PATIENT = person("HospitalA", "bob", "patient", BOB)
STRANGER = person("Elsewhere", "doctor", "clinician")
NOBODY = person("HospitalA", "clerk", None)

MEMBERS = [
    {"msp_id": msp_id, "kind": kind, "name": name, "contact": f"it@{msp_id}.example", "public_key": KEY}
    for msp_id, kind, name in (
        ("Agency", "agency", "Agency"),
        ("HospitalA", "hospital", "Hospital A"),
        ("HospitalB", "hospital", "Hospital B"),
        ("Insurer", "insurer", "Insurer"),
    )
]
LICENSED = ("HospitalA", "HospitalB", "HospitalA/doctor", "HospitalA/admin", "HospitalB/doctor", "HospitalB/admin")
ACTS = ["claim", "emergency", "record", "report"]


def license_all(chain: Chain) -> None:
    for holder in LICENSED:
        chain.submit(OFFICER, "licences:Issue", licence(holder))


def licence(holder: str, **changes: Any) -> dict[str, Any]:
    period = {"start_ms": START_MS, "end_ms": START_MS + 365 * DAY}
    return {"holder": holder, "number": f"L-{holder.replace('/', '-')}", "acts": ACTS} | period | changes


def sealed(compartments: Sequence[str], epoch: int, *recipients: str) -> dict[str, bytes]:
    """Transient envelopes; the "ciphertext" tells for whom and which key it is."""
    return {f"{one}/{epoch}/{to}": f"{one} {epoch} {to}".encode() for one in compartments for to in recipients}


def body(record: str, version: int) -> dict[str, bytes]:
    return {f"{record}/{version}": f"{record} {version}".encode()}


def written(record: str, version: int, compartment: str, epoch: int = 1, status: str = "active") -> dict[str, Any]:
    return {"id": record, "version": version, "compartment": compartment, "epoch": epoch, "status": status}


def granted(name: str, grantee: str, compartments: Sequence[str], purpose: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": ident(name),
        "patient": ALICE,
        "grantee": grantee,
        "compartments": list(compartments),
        "purposes": [purpose],
        "actions": ["read"],
        "start_ms": START_MS,
        "end_ms": START_MS + 30 * DAY,
    } | changes


def opened(name: str, purpose: str, **changes: Any) -> dict[str, Any]:
    return {"id": ident(name), "patient": ALICE, "purpose": purpose, "end_ms": START_MS + 3 * HOUR} | changes


def registered(patient: str) -> dict[str, Any]:
    return {"patient": patient, "public_key": KEY, "compartments": compartments_of(patient)}


def compartments_of(patient: str) -> list[str]:
    return list(K) if patient == ALICE else sorted(ident(f"{patient} {number}") for number in range(5))


def register(chain: Chain, patient: str) -> None:
    envelopes = sealed(compartments_of(patient), 1, "HospitalA", patient)
    chain.submit(DOCTOR_A, "patients:Register", registered(patient), envelopes)


def disclosing(session: str, *records: tuple[str, int], patient: str = ALICE) -> dict[str, Any]:
    return {
        "session": session,
        "patient": patient,
        "records": [{"id": record, "version": version} for record, version in records],
    }


def write(chain: Chain, record: str, version: int, compartment: str) -> None:
    arguments = {"patient": ALICE, "records": [written(record, version, compartment)]}
    chain.submit(DOCTOR_A, "records:Write", arguments, body(record, version))


R1, R2, R3, R4 = (ident(f"record {number}") for number in range(1, 5))
NEW = ident("new")
TO_B, TO_INSURER, EXPIRED, REVOKED = (ident(name) for name in ("to b", "to insurer", "expired", "revoked"))
BY_A, BY_B, BY_B_NARROW, BY_AGENT, BY_PATIENT = (
    ident(f"by {one}") for one in ("a", "b", "b narrow", "agent", "patient")
)
CLOSED, OVER, BY_OFFICER = ident("closed"), ident("over"), ident("by officer")


def full_chain() -> Chain:
    """One hour on. Alice: R1 (version 2) and R4 (erased) in K[0], R2 in K[1], R3 in K[2]; K[3] is at epoch 2.

    Hospital B may read and contribute to K[0], K[1] for TREAT, the insurer read K[0] for HPAYMT; the agency's
    consent for K[0] has expired, the insurer's for K[3] was revoked. Bob is erased. Each session of staff that runs has
    disclosed all that it may read.
    """
    chain = Chain()
    chain.submit(ADMIN_A, "members:Found", {"members": MEMBERS})
    license_all(chain)
    register(chain, ALICE)
    register(chain, BOB)
    chain.submit(ADMIN_A, "patients:Erase", {"patient": BOB})
    for record, version, compartment in (
        (R1, 1, K[0]),
        (R1, 2, K[0]),
        (R2, 1, K[1]),
        (R3, 1, K[2]),
        (R4, 1, K[0]),
    ):
        chain.now_ms += 1
        write(chain, record, version, compartment)
    chain.submit(DOCTOR_A, "records:Erase", {"patient": ALICE, "records": [R4]})
    _consents(chain)
    _sessions(chain)
    chain.now_ms = START_MS + HOUR
    return chain


def _consents(chain: Chain) -> None:
    both = {"actions": ["read", "contribute"]}
    grants = (
        granted("revoked", "Insurer", K[3:4], "HPAYMT"),
        granted("to b", "HospitalB", K[:2], "TREAT", **both),
        granted("to insurer", "Insurer", K[:1], "HPAYMT"),
        granted("expired", "Agency", K[:1], "PUBHLTH", end_ms=START_MS + HOUR),
    )
    for one in grants:
        chain.submit(PATIENT, "consents:Grant", one, sealed(one["compartments"], 1, one["grantee"]))
    revoke = {"patient": ALICE, "consents": [REVOKED], "new_epochs": {K[3]: 2}}
    chain.submit(PATIENT, "consents:Revoke", revoke, sealed(K[3:4], 2, "HospitalA", ALICE))


def _sessions(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "sessions:Open", opened("by a", "TREAT"))
    chain.submit(DOCTOR_A, "sessions:Open", opened("over", "TREAT", end_ms=START_MS + HOUR))
    chain.submit(DOCTOR_A, "sessions:Open", opened("closed", "TREAT"))
    chain.submit(DOCTOR_A, "sessions:Close", {"id": CLOSED, "patient": ALICE})
    chain.submit(DOCTOR_B, "sessions:Open", opened("by b", "TREAT"))
    chain.submit(DOCTOR_B, "sessions:Open", opened("by b narrow", "TREAT", compartments=[K[1], K[4]]))
    chain.submit(AGENT, "sessions:Open", opened("by agent", "HPAYMT"))
    chain.submit(OFFICER, "sessions:Open", opened("by officer", "PUBHLTH"))
    chain.submit(PATIENT, "sessions:Open", opened("by patient", "PATRQT"))
    chain.submit(DOCTOR_A, "records:Disclose", disclosing(BY_A, (R1, 2), (R2, 1), (R3, 1)))
    chain.submit(DOCTOR_B, "records:Disclose", disclosing(BY_B, (R1, 2), (R2, 1)))
    chain.submit(DOCTOR_B, "records:Disclose", disclosing(BY_B_NARROW, (R2, 1)))
    chain.submit(AGENT, "records:Disclose", disclosing(BY_AGENT, (R1, 2)))
