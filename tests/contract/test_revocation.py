"""Revoking: which compartments start a new epoch, to whom it must be sealed, and what is purged."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ALICE,
    BOB,
    BY_A,
    BY_B,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    EXPIRED,
    FORGED_PATIENT,
    NEW,
    OTHER_PATIENT,
    PATIENT,
    REVOKED,
    STRANGER,
    TO_B,
    TO_INSURER,
    K,
    granted,
    sealed,
)
from .table import Row, by_name, check_refused

# The agency's consent has expired: its envelope of K[0] goes at the same time.
REVOKE_B = {"patient": ALICE, "consents": [TO_B], "new_epochs": {K[0]: 2, K[1]: 2}}
ENVELOPES = sealed(K[:1], 2, "HospitalA", ALICE, "Insurer") | sealed(K[1:2], 2, "HospitalA", ALICE)
PREVIEW = {key: value for key, value in REVOKE_B.items() if key != "new_epochs"}


def revoke(name: str, code: str, caller: Caller = PATIENT, **changes: Any) -> Row:
    return Row(name, code, caller, "consents:Revoke", {**REVOKE_B, **changes}, ENVELOPES)


def revoke_with(name: str, code: str, transient: dict[str, bytes]) -> Row:
    return Row(name, code, PATIENT, "consents:Revoke", REVOKE_B, transient)


def preview(name: str, code: str, caller: Caller = PATIENT, **changes: Any) -> Row:
    return Row(name, code, caller, "consents:PreviewRevoke", {**PREVIEW, **changes})


def less(recipient: str) -> dict[str, bytes]:
    return {key: value for key, value in ENVELOPES.items() if not key.endswith(f"/{recipient}")}


ROWS = [
    revoke("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    revoke("by the custodian", "NOT_THE_PATIENT", ADMIN_A),
    revoke("by the grantee", "NOT_THE_PATIENT", DOCTOR_B),
    revoke("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    revoke("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT),
    revoke("for an unknown patient", "PATIENT_UNKNOWN", patient=CAROL),
    revoke("for an erased patient", "PATIENT_ERASED", OTHER_PATIENT, patient=BOB),
    revoke("an unknown consent", "CONSENT_UNKNOWN", consents=[NEW]),
    revoke("a known and an unknown one", "CONSENT_UNKNOWN", consents=[TO_B, NEW]),
    revoke("a second time", "CONSENT_REVOKED", consents=[REVOKED]),
    revoke("a grantee without consent", "CONSENT_UNKNOWN", consents=[], grantee="HospitalA"),
    revoke("nothing", "ARGUMENTS_INVALID", consents=[]),
    revoke("both ways", "ARGUMENTS_INVALID", grantee="HospitalB"),
    revoke("no new epochs", "EPOCH_WRONG", new_epochs={}),
    revoke("one epoch short", "EPOCH_WRONG", new_epochs={K[0]: 2}),
    revoke("one epoch more", "EPOCH_WRONG", new_epochs={K[0]: 2, K[1]: 2, K[2]: 2}),
    revoke("skipping an epoch", "EPOCH_WRONG", new_epochs={K[0]: 2, K[1]: 3}),
    revoke("the old epoch", "EPOCH_WRONG", new_epochs={K[0]: 1, K[1]: 2}),
    revoke_with("without envelopes", "ENVELOPE_MISSING", {}),
    revoke_with("not to the custodian", "ENVELOPE_MISSING", less("HospitalA")),
    revoke_with("not to the patient", "ENVELOPE_MISSING", less(ALICE)),
    revoke_with("not to one who stays", "ENVELOPE_MISSING", less("Insurer")),
    revoke_with("to the revoked one", "ENVELOPE_UNEXPECTED", ENVELOPES | sealed(K[:1], 2, "HospitalB")),
    revoke_with("to the expired one", "ENVELOPE_UNEXPECTED", ENVELOPES | sealed(K[:1], 2, "Agency")),
    revoke_with("to one not concerned", "ENVELOPE_UNEXPECTED", ENVELOPES | sealed(K[1:2], 2, "Insurer")),
    preview("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    preview("by the custodian", "NOT_THE_PATIENT", ADMIN_A),
    preview("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT),
    preview("an unknown consent", "CONSENT_UNKNOWN", consents=[NEW]),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


def rekeys(chain: Chain, **which: Any) -> list[tuple[str, int, list[str]]]:
    answer = chain.evaluate(PATIENT, "consents:PreviewRevoke", {"patient": ALICE, **which})["rekeys"]
    return [(one["compartment"], one["epoch"], one["recipients"]) for one in answer]


def revoke_as_previewed(chain: Chain, **which: Any) -> None:
    required = rekeys(chain, **which)
    envelopes: dict[str, bytes] = {}
    for compartment, epoch, recipients in required:
        envelopes |= sealed([compartment], epoch, *recipients)
    new_epochs = {compartment: epoch for compartment, epoch, _ in required}
    chain.submit(PATIENT, "consents:Revoke", {"patient": ALICE, "new_epochs": new_epochs, **which}, envelopes)


def holders(chain: Chain, compartment: str) -> set[str]:
    """epoch/recipient of every envelope that any peer still has."""
    keys = [key for collection, key in chain.memory.values if collection == "keys"]
    return {key.partition("/")[2] for key in keys if key.startswith(f"{compartment}/")}


def test_the_revoked_and_the_expired_lose_all_envelopes(chain: Chain) -> None:
    chain.submit(PATIENT, "consents:Revoke", REVOKE_B, ENVELOPES)
    kept = {"HospitalA", ALICE}
    assert holders(chain, K[0]) == {f"{epoch}/{one}" for epoch in (1, 2) for one in {*kept, "Insurer"}}
    assert holders(chain, K[1]) == {f"{epoch}/{one}" for epoch in (1, 2) for one in kept}
    assert holders(chain, K[2]) == {f"1/{one}" for one in kept}
    assert chain.event == ("consents:Revoked", f'{{"patient":"{ALICE}","ids":["{TO_B}"]}}'.encode())
    epochs = chain.evaluate(PATIENT, "patients:Get", {"patient": ALICE})["compartments"]
    assert list(epochs.items()) == [(K[0], 2), (K[1], 2), (K[2], 1), (K[3], 2), (K[4], 1)]


def test_the_revoked_reads_no_more_within_its_session(chain: Chain) -> None:
    chain.evaluate(DOCTOR_B, "records:List", {"patient": ALICE, "session": BY_B})
    chain.submit(PATIENT, "consents:Revoke", REVOKE_B, ENVELOPES)
    for function in ("records:List", "keys:Get"):
        arguments = {"patient": ALICE, "session": BY_B}
        check_refused(chain, Row("revoked", "CONSENT_MISSING", DOCTOR_B, function, arguments))


def test_those_who_stay_hold_the_old_and_the_new_key(chain: Chain) -> None:
    chain.submit(PATIENT, "consents:Revoke", REVOKE_B, ENVELOPES)
    handed = chain.evaluate(DOCTOR_A, "keys:Get", {"patient": ALICE, "session": BY_A})["envelopes"]
    assert [base64.b64decode(one["ciphertext"]).decode() for one in handed if one["compartment"] == K[0]] == [
        f"{K[0]} 1 HospitalA",
        f"{K[0]} 2 HospitalA",
    ]


def grant_again(chain: Chain, name: str, compartments: Sequence[str], **changes: Any) -> None:
    chain.submit(PATIENT, "consents:Grant", granted(name, "HospitalB", compartments, "HRESCH", **changes))


def test_what_another_consent_covers_is_kept(chain: Chain) -> None:
    """Also one that starts later: its grantee was given the keys with the grant."""
    grant_again(chain, "now", K[1:2])
    grant_again(chain, "tomorrow", K[:1], start_ms=START_MS + DAY)
    assert rekeys(chain, consents=[TO_B]) == [(K[0], 2, sorted(["HospitalA", "HospitalB", "Insurer", ALICE]))]
    revoke_as_previewed(chain, consents=[TO_B])
    assert {"1/HospitalB", "2/HospitalB"} <= holders(chain, K[0])
    assert rekeys(chain, grantee="HospitalB") == [
        (K[0], 3, sorted(["HospitalA", "Insurer", ALICE])),
        (K[1], 2, sorted(["HospitalA", ALICE])),
    ]


def test_a_grantee_loses_all_its_consents_at_once(chain: Chain) -> None:
    grant_again(chain, "again", K[:1])
    revoke_as_previewed(chain, grantee="HospitalB")
    listed = chain.evaluate(PATIENT, "consents:List", {"patient": ALICE})["consents"]
    assert {one["status"] for one in listed if one["grantee"] == "HospitalB"} == {"revoked"}
    assert not [one for one in holders(chain, K[0]) | holders(chain, K[1]) if one.endswith("/HospitalB")]


def test_a_second_revocation_needs_no_new_epoch_where_nobody_is_left(chain: Chain) -> None:
    revoke_as_previewed(chain, consents=[TO_INSURER])
    assert rekeys(chain, consents=[EXPIRED]) == []
    revoke_as_previewed(chain, consents=[EXPIRED])


def test_granting_again_after_a_revocation(chain: Chain) -> None:
    revoke_as_previewed(chain, consents=[TO_B])
    chain.submit(
        PATIENT,
        "consents:Grant",
        granted("again", "HospitalB", K[:1], "TREAT"),
        sealed(K[:1], 2, "HospitalB"),
    )
    handed = chain.evaluate(DOCTOR_B, "keys:Get", {"patient": ALICE, "session": BY_B})["envelopes"]
    assert [(one["compartment"], one["epoch"]) for one in handed] == [(K[0], 2)]
