"""What became of a patient is in its audit trail: each step of a life with guardians, custody, death and merge."""

from __future__ import annotations

from .chain import Chain
from .consortium import ADMIN_A, ADMIN_B, ADMIN_I, ALICE, DOCTOR_A, DOCTOR_B, OFFICER, PATIENT, registered, sealed
from .test_custody import (
    ADMIN_G,
    ASSIGN,
    LATER,
    OF_ALICE,
    OFFER,
    PATIENT_AT_B,
    message,
    suspend,
)
from .test_death_merging import DAN
from .test_guardians import GINA, all_keys, appointed, ended


def told(chain: Chain, patient: str = ALICE) -> list[tuple[str, str, list[str]]]:
    """(what, by whom, about whom) of each life event, in order of time."""
    custodian = chain.evaluate(DOCTOR_B, "patients:Get", {"patient": patient})["custodian"]
    auditor = {"HospitalA": ADMIN_A, "HospitalB": ADMIN_B}[custodian]
    entries = chain.evaluate(auditor, "audit:List", {"patient": patient})["entries"]
    return [(one["detail"], one["user"], one["ids"]) for one in entries if one["happening"] == "life-event"]


def test_guardians_and_death(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "guardians:Appoint", appointed(GINA), all_keys(GINA))
    chain.now_ms += 1
    chain.submit(PATIENT, "guardians:End", ended(GINA))
    chain.now_ms += 1
    chain.submit(DOCTOR_A, "patients:RecordDeath", OF_ALICE)
    chain.now_ms += 1
    chain.submit(ADMIN_A, "patients:RevokeDeath", OF_ALICE)
    assert told(chain) == [
        ("guardian-appointed", "HospitalA/doctor", [GINA]),
        ("guardian-ended", "HospitalA/alice", [GINA]),
        ("death-recorded", "HospitalA/doctor", []),
        ("death-revoked", "HospitalA/admin", []),
    ]


def test_offers_of_custody(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "custody:Offer", OFFER, message())
    chain.now_ms += 1
    chain.submit(ADMIN_A, "custody:Withdraw", OF_ALICE)
    for answer, envelopes in (("Refuse", {}), ("Accept", all_keys("HospitalB"))):
        chain.now_ms += 1
        chain.submit(DOCTOR_A, "custody:Offer", OFFER | {"id": LATER}, message(LATER))
        chain.now_ms += 1
        chain.submit(DOCTOR_B, f"custody:{answer}", OF_ALICE, envelopes)
    offered = ("custody-offered", "HospitalA/doctor", ["HospitalB"])
    assert told(chain) == [
        offered,
        ("custody-withdrawn", "HospitalA/admin", ["HospitalB"]),
        offered,
        ("custody-refused", "HospitalB/doctor", ["HospitalB"]),
        offered,
        ("custody-accepted", "HospitalB/doctor", ["HospitalA"]),
    ]


def test_an_assigned_custodian(chain: Chain) -> None:
    suspend(chain, "HospitalA", ADMIN_B, ADMIN_I, ADMIN_G)
    chain.submit(OFFICER, "custody:Assign", ASSIGN)
    chain.now_ms += 1
    chain.submit(PATIENT_AT_B, "custody:HandKeys", OF_ALICE, all_keys("HospitalB"))
    assert told(chain) == [
        ("custody-assigned", "Agency/officer", ["HospitalB"]),
        ("keys-handed", "HospitalB/alice", ["HospitalB"]),
    ]


def test_a_merge_is_told_of_both(chain: Chain) -> None:
    envelopes = sealed(registered(DAN)["compartments"], 1, "HospitalB", DAN)
    chain.submit(DOCTOR_B, "patients:Register", registered(DAN), envelopes)
    both = {"patient": ALICE, "into": DAN}
    chain.submit(DOCTOR_A, "merging:Propose", both)
    chain.now_ms += 1
    chain.submit(DOCTOR_B, "merging:Withdraw", OF_ALICE)
    chain.now_ms += 1
    chain.submit(DOCTOR_B, "merging:Propose", both)
    chain.now_ms += 1
    chain.submit(ADMIN_A, "merging:Confirm", both)
    assert told(chain) == [
        ("merge-proposed", "HospitalA/doctor", [DAN]),
        ("merge-withdrawn", "HospitalB/doctor", [DAN]),
        ("merge-proposed", "HospitalB/doctor", [DAN]),
        ("merged", "HospitalA/admin", [DAN]),
    ]
    assert told(chain, DAN) == [("merged", "HospitalA/admin", [ALICE])]
