"""Governance: what may be proposed, who votes, when it is decided, and what the deciding vote does."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    AGENT,
    ALICE,
    BY_AGENT,
    DAY,
    DOCTOR_A,
    KEY,
    NOBODY,
    OFFICER,
    PATIENT,
    R1,
    STRANGER,
    K,
    full_chain,
    ident,
    opened,
    person,
)
from .table import Row, Success, by_name, check_refused

ADMIN_G = person("Agency", "admin", "administrator")
ADMIN_C = person("HospitalC", "admin", "administrator")
PROPOSE, VOTE = "governance:Propose", "governance:Vote"
NEW_KEY = base64.b64encode(bytes([1]) * 1216).decode()
CONFIG = base64.b64encode(b"an MSP").decode()
ORDERER = base64.b64encode(b"a certificate").decode()

ADD = {
    "change": "add-member",
    "msp_id": "HospitalC",
    "kind": "hospital",
    "name": "Hospital C",
    "contact": "it@c.example",
    "public_key": KEY,
    "msp_config": CONFIG,
    "orderer": ORDERER,
}
SUSPEND = {"change": "suspend-member", "msp_id": "Insurer"}
RESUME = {"change": "resume-member", "msp_id": "Insurer"}
REMOVE = {"change": "remove-member", "msp_id": "Insurer"}
SHORTER = {"change": "change-policies", "values": {"session_ms_max": 60_000}}
NARROW = {"change": "narrow-permission", "permission": "write-record", "roles": ["clinician"]}
WIDEN = {"change": "narrow-permission", "permission": "write-record", "roles": None}
TWO_THIRDS = {
    "change": "change-decision-rule",
    "decision": {"share": "two-thirds", "hospitals": 2, "insurers": 0, "agencies": 1},
}
ENCRYPT = {"change": "rotate-encryption-key", "public_key": NEW_KEY}
CERTIFY = {"change": "rotate-certificates", "msp_config": CONFIG}

P, Q, ENACTED, REJECTED, EXPIRED = (ident(f"proposal {one}") for one in ("p", "q", "enacted", "rejected", "expired"))
ABOUT_INSURER, UNKNOWN = ident("about the insurer"), ident("unknown")
SEALED_P, SEALED_A = {f"proposal/{Q}": b"sealed"}, {f"vote/{P}/HospitalA": b"sealed"}


def proposed(change: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": Q, "change": change} | more


def changed(change: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return proposed(change | changes)


def ballot(in_favour: bool = True, **more: Any) -> dict[str, Any]:
    return {"id": P, "in_favour": in_favour} | more


def values(**chosen: Any) -> dict[str, Any]:
    return proposed({"change": "change-policies", "values": chosen})


def decision(**chosen: Any) -> dict[str, Any]:
    return proposed({"change": "change-decision-rule", "decision": chosen})


def pass_change(chain: Chain, change: dict[str, Any], name: str, *voters: Caller) -> dict[str, Any]:
    """Proposed by the first voter; answers with the last vote's outcome."""
    voters = voters or (ADMIN_A, ADMIN_I, ADMIN_G)
    chain.submit(voters[0], PROPOSE, {"id": ident(name), "change": change})
    outcome: dict[str, Any] = {}
    for voter in voters:
        outcome = chain.submit(voter, VOTE, {"id": ident(name), "in_favour": True})
    return outcome


@pytest.fixture(scope="module")
def governed_once() -> Chain:
    """The full chain; P is open with Hospital B's vote, one on the insurer's suspension, and three are over."""
    chain = full_chain()
    chain.submit(ADMIN_A, PROPOSE, {"id": EXPIRED, "change": SHORTER})
    chain.now_ms += 30 * DAY
    pass_change(chain, {"change": "change-policies", "values": {"cell_min": 7}}, "proposal enacted")
    chain.submit(ADMIN_A, PROPOSE, {"id": REJECTED, "change": ADD})
    chain.submit(ADMIN_G, VOTE, {"id": REJECTED, "in_favour": False})
    chain.submit(ADMIN_I, PROPOSE, {"id": P, "change": SHORTER}, {f"proposal/{P}": b"why"})
    chain.submit(ADMIN_B, VOTE, ballot(), {f"vote/{P}/HospitalB": b"yes"})
    chain.submit(ADMIN_A, PROPOSE, {"id": ABOUT_INSURER, "change": SUSPEND})
    return chain


@pytest.fixture
def governed(governed_once: Chain) -> Chain:
    return governed_once.copy()


READ = {"session": BY_AGENT, "patient": ALICE, "records": [R1]}
AGAIN = opened("again", "HPAYMT")

ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, PROPOSE, proposed(SHORTER)),
    Row("by a clinician", "ROLE_FORBIDDEN", DOCTOR_A, PROPOSE, proposed(SHORTER)),
    Row("by an agent", "ROLE_FORBIDDEN", AGENT, PROPOSE, proposed(SHORTER)),
    Row("by an officer", "ROLE_FORBIDDEN", OFFICER, PROPOSE, proposed(SHORTER)),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, PROPOSE, proposed(SHORTER)),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, PROPOSE, proposed(SHORTER)),
    Row("with a known id", "PROPOSAL_EXISTS", ADMIN_A, PROPOSE, proposed(SHORTER) | {"id": P}),
    Row("with the id of one that is over", "PROPOSAL_EXISTS", ADMIN_A, PROPOSE, proposed(SHORTER) | {"id": ENACTED}),
    Row("without a change", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, {"id": Q}),
    Row("of an unknown change", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, proposed({"change": "dissolve"})),
    Row("of a change that says more", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(SUSPEND, until=1)),
    Row("with an empty comment", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, proposed(SHORTER, comment="")),
    Row("with a long comment", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, proposed(SHORTER, comment="x" * 501)),
    Row("with two comments", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, proposed(SHORTER, comment="x"), SEALED_P),
    Row("with another's comment", "MESSAGE_UNEXPECTED", ADMIN_A, PROPOSE, proposed(SHORTER), {f"proposal/{P}": b"x"}),
    Row("with an empty seal", "MESSAGE_MISSING", ADMIN_A, PROPOSE, proposed(SHORTER), {f"proposal/{Q}": b""}),
    Row("to add a member", "MEMBER_EXISTS", ADMIN_A, PROPOSE, changed(ADD, msp_id="HospitalB")),
    Row("to add an odd kind", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(ADD, kind="pharmacy")),
    Row("to add a pseudonym", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(ADD, msp_id=ALICE)),
    Row("to add without a key", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(ADD, public_key="")),
    Row("to add without an MSP", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(ADD, msp_config="")),
    Row("to suspend a stranger", "MEMBER_NOT_LISTED", ADMIN_A, PROPOSE, changed(SUSPEND, msp_id="Elsewhere")),
    Row("to suspend the only agency", "LAST_OF_KIND", ADMIN_A, PROPOSE, changed(SUSPEND, msp_id="Agency")),
    Row("to resume an active one", "MEMBER_STANDING", ADMIN_A, PROPOSE, proposed(RESUME)),
    Row("to resume a stranger", "MEMBER_NOT_LISTED", ADMIN_A, PROPOSE, changed(RESUME, msp_id="Elsewhere")),
    Row("to remove a stranger", "MEMBER_NOT_LISTED", ADMIN_A, PROPOSE, changed(REMOVE, msp_id="Elsewhere")),
    Row("to remove the only agency", "LAST_OF_KIND", ADMIN_A, PROPOSE, changed(REMOVE, msp_id="Agency")),
    Row("of no policy", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, values()),
    Row("of an unknown policy", "POLICY_INVALID", ADMIN_A, PROPOSE, values(tax=1)),
    Row("of a policy too small", "POLICY_INVALID", ADMIN_A, PROPOSE, values(cell_min=2)),
    Row("of a policy too large", "POLICY_INVALID", ADMIN_A, PROPOSE, values(session_ms_max=DAY + 1)),
    Row("of two, one too large", "POLICY_INVALID", ADMIN_A, PROPOSE, values(cell_min=9, batch_records_max=501)),
    Row("of a policy in words", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, values(cell_min="9")),
    Row("of a rule as a number", "POLICY_INVALID", ADMIN_A, PROPOSE, values(decision=1)),
    Row("of roles as a number", "POLICY_INVALID", ADMIN_A, PROPOSE, values(roles=1)),
    Row("of what is in force", "CHANGE_VOID", ADMIN_A, PROPOSE, values(cell_min=7)),
    Row("of an unknown permission", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(NARROW, permission="fly")),
    Row("to widen a permission", "POLICY_INVALID", ADMIN_A, PROPOSE, changed(NARROW, roles=["claims-agent"])),
    Row("to permit nobody", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(NARROW, roles=[])),
    Row("of a permission as it is", "CHANGE_VOID", ADMIN_A, PROPOSE, proposed(WIDEN)),
    Row("of the rule in force", "CHANGE_VOID", ADMIN_A, PROPOSE, decision()),
    Row("of an unknown share", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, decision(share="some")),
    Row("of fewer than no hospitals", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, decision(hospitals=-1)),
    Row("of a short key", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(ENCRYPT, public_key=KEY[:-4])),
    Row("of another's key", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(ENCRYPT, msp_id="HospitalB")),
    Row("of no certificates", "ARGUMENTS_INVALID", ADMIN_A, PROPOSE, changed(CERTIFY, msp_config="")),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, VOTE, ballot()),
    Row("by a clinician", "ROLE_FORBIDDEN", DOCTOR_A, VOTE, ballot()),
    Row("by an agent", "ROLE_FORBIDDEN", AGENT, VOTE, ballot()),
    Row("by an officer", "ROLE_FORBIDDEN", OFFICER, VOTE, ballot()),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, VOTE, ballot()),
    Row("on nothing", "PROPOSAL_UNKNOWN", ADMIN_A, VOTE, ballot() | {"id": UNKNOWN}),
    Row("on an enacted one", "PROPOSAL_DECIDED", ADMIN_B, VOTE, ballot() | {"id": ENACTED}),
    Row("on a rejected one", "PROPOSAL_DECIDED", ADMIN_A, VOTE, ballot() | {"id": REJECTED}),
    Row("on an expired one", "PROPOSAL_EXPIRED", ADMIN_A, VOTE, ballot() | {"id": EXPIRED}),
    Row("too late", "PROPOSAL_EXPIRED", ADMIN_A, VOTE, ballot(), later_ms=30 * DAY),
    Row("twice", "VOTE_CAST", ADMIN_B, VOTE, ballot()),
    Row("otherwise than before", "VOTE_CAST", ADMIN_B, VOTE, ballot(False)),
    Row("about itself", "VOTE_NOT_ELIGIBLE", ADMIN_I, VOTE, ballot(False) | {"id": ABOUT_INSURER}),
    Row("for another", "ARGUMENTS_INVALID", ADMIN_A, VOTE, ballot(msp_id="Agency")),
    Row("neither way", "ARGUMENTS_INVALID", ADMIN_A, VOTE, {"id": P}),
    Row("with an empty comment", "ARGUMENTS_INVALID", ADMIN_A, VOTE, ballot(comment="")),
    Row("with two comments", "ARGUMENTS_INVALID", ADMIN_A, VOTE, ballot(comment="x"), SEALED_A),
    Row("with another's comment", "MESSAGE_UNEXPECTED", ADMIN_A, VOTE, ballot(), {f"vote/{P}/Agency": b"x"}),
    Row("with a huge comment", "MESSAGE_TOO_LARGE", ADMIN_A, VOTE, ballot(), dict.fromkeys(SEALED_A, bytes(2**20 + 1))),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "governance:Get", {"id": P}),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "governance:Get", {"id": P}),
    Row("of nothing", "PROPOSAL_UNKNOWN", AGENT, "governance:Get", {"id": UNKNOWN}),
    Row("without an id", "ARGUMENTS_INVALID", AGENT, "governance:Get", {}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "governance:List", {}),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "governance:List", {}),
    Row("of no page", "ARGUMENTS_INVALID", AGENT, "governance:List", {"limit": 0}),
    Row("from a false id", "ARGUMENTS_INVALID", AGENT, "governance:List", {"start": "x"}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "governance:Comment", {"id": P}),
    Row("by a clinician", "ROLE_FORBIDDEN", DOCTOR_A, "governance:Comment", {"id": P}),
    Row("of no proposal", "PROPOSAL_UNKNOWN", ADMIN_A, "governance:Comment", {"id": UNKNOWN}),
    Row("where there is none", "MESSAGE_UNKNOWN", ADMIN_A, "governance:Comment", {"id": ENACTED}),
    Row("of no voter", "MESSAGE_UNKNOWN", ADMIN_A, "governance:Comment", {"id": P, "msp_id": "Agency"}),
    Row("of a voter with a slash", "ARGUMENTS_INVALID", ADMIN_A, "governance:Comment", {"id": P, "msp_id": "a/b"}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "governance:Policies", {}),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "governance:Policies", {}),
    Row("of one", "ARGUMENTS_INVALID", AGENT, "governance:Policies", {"name": "cell_min"}),
]

SUSPENDED_ROWS = [
    Row("by its agent", "MEMBER_SUSPENDED", AGENT, "records:Read", READ),
    Row("by its agent", "MEMBER_SUSPENDED", AGENT, "sessions:Open", AGAIN),
    Row("by its agent", "MEMBER_SUSPENDED", AGENT, "governance:List", {}),
    Row("by its administrator", "MEMBER_SUSPENDED", ADMIN_I, VOTE, ballot()),
    Row("by its administrator", "MEMBER_SUSPENDED", ADMIN_I, PROPOSE, proposed(RESUME)),
    Row("that is suspended", "MEMBER_STANDING", ADMIN_A, PROPOSE, proposed(SUSPEND)),
    Row("to add it again", "MEMBER_EXISTS", ADMIN_A, PROPOSE, changed(ADD, msp_id="Insurer")),
]

SUCCESSES = [
    *[
        Success(f"to {change['change']}", ADMIN_A, PROPOSE, proposed(change))
        for change in (ADD, SUSPEND, REMOVE, SHORTER, NARROW, TWO_THIRDS, ENCRYPT, CERTIFY)
    ],
    Success("by the insurer", ADMIN_I, PROPOSE, proposed(SHORTER)),
    Success("by the agency", ADMIN_G, PROPOSE, proposed(SHORTER)),
    Success("of its own suspension", ADMIN_I, PROPOSE, proposed(SUSPEND)),
    Success("with a comment", ADMIN_A, PROPOSE, proposed(SHORTER, comment="why")),
    Success("with a sealed comment", ADMIN_A, PROPOSE, proposed(SHORTER), SEALED_P),
    Success("of one hospital of two", ADMIN_A, PROPOSE, changed(SUSPEND, msp_id="HospitalB")),
    Success("without an orderer", ADMIN_A, PROPOSE, changed(ADD, orderer="")),
    Success("for", ADMIN_A, VOTE, ballot()),
    Success("against", ADMIN_A, VOTE, ballot(False)),
    Success("by its proposer", ADMIN_I, VOTE, ballot(False)),
    Success("with a comment", ADMIN_A, VOTE, ballot(comment="why")),
    Success("with a sealed comment", ADMIN_A, VOTE, ballot(), SEALED_A),
    Success("on another's suspension", ADMIN_G, VOTE, ballot() | {"id": ABOUT_INSURER}),
    Success("by a clinician", DOCTOR_A, "governance:Get", {"id": P}),
    Success("by a patient", PATIENT, "governance:List", {}),
    Success("by an agent", AGENT, "governance:Policies", {}),
    Success("of the proposal", ADMIN_A, "governance:Comment", {"id": P}),
    Success("of a voter", ADMIN_A, "governance:Comment", {"id": P, "msp_id": "HospitalB"}),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(governed: Chain, row: Row) -> None:
    check_refused(governed, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(governed: Chain, row: Success) -> None:
    governed.call(row.caller, row.function, row.arguments, row.transient)


@pytest.mark.parametrize(
    ("votes", "status"),
    [
        ([(ADMIN_A, True), (ADMIN_I, True)], "open"),  # no agency
        ([(ADMIN_A, True), (ADMIN_B, True), (ADMIN_I, True)], "open"),  # a majority, but no agency
        ([(ADMIN_A, True), (ADMIN_I, True), (ADMIN_G, True)], "enacted"),
        ([(ADMIN_A, True), (ADMIN_B, False), (ADMIN_I, True), (ADMIN_G, True)], "enacted"),
        ([(ADMIN_A, False)], "open"),
        ([(ADMIN_A, False), (ADMIN_B, False)], "rejected"),  # both hospitals
        ([(ADMIN_I, False)], "rejected"),  # the only insurer
        ([(ADMIN_A, True), (ADMIN_B, True), (ADMIN_G, False)], "rejected"),
    ],
)
def test_the_last_of_these_votes_decides(chain: Chain, votes: Sequence[tuple[Caller, bool]], status: str) -> None:
    chain.submit(ADMIN_A, PROPOSE, proposed(SHORTER))
    for caller, in_favour in votes[:-1]:
        assert chain.submit(caller, VOTE, {"id": Q, "in_favour": in_favour})["status"] == "open"
    last, in_favour = votes[-1]
    assert chain.submit(last, VOTE, {"id": Q, "in_favour": in_favour})["status"] == status
    found = chain.evaluate(AGENT, "governance:Get", {"id": Q})
    assert found["proposal"]["status"] == status
    assert (found["proposal"]["decided_ms"] == chain.now_ms) == (status != "open")
    cast = {one["msp_id"]: one["in_favour"] for one in found["votes"]}
    assert cast == {caller.msp_id: in_favour for caller, in_favour in votes}
    policies = chain.evaluate(AGENT, "governance:Policies", {})["policies"]
    assert (policies["session_ms_max"] == 60_000) == (status == "enacted")


def test_a_policy_holds_from_the_deciding_vote_on(chain: Chain) -> None:
    two_minutes = opened("two minutes", "TREAT", end_ms=chain.now_ms + 120_000)
    chain.copy().submit(DOCTOR_A, "sessions:Open", two_minutes)
    assert pass_change(chain, SHORTER, "shorter") == {"status": "enacted", "reason": None}
    check_refused(chain, Row("too long", "PERIOD_INVALID", DOCTOR_A, "sessions:Open", two_minutes))


def test_a_permission_is_narrowed_and_wide_again(chain: Chain) -> None:
    writing = Row("narrowed", "ROLE_FORBIDDEN", ADMIN_A, "records:Write", {"patient": ALICE, "records": []})
    pass_change(chain, NARROW, "narrow")
    assert chain.evaluate(AGENT, "governance:Policies", {})["policies"]["roles"] == {"write-record": ["clinician"]}
    check_refused(chain, writing._replace(arguments=written_by_nobody()))
    pass_change(chain, WIDEN, "widen")
    assert chain.evaluate(AGENT, "governance:Policies", {})["policies"]["roles"] == {}


def written_by_nobody() -> dict[str, Any]:
    record = {"id": ident("none"), "version": 1, "compartment": K[0], "epoch": 1, "status": "active"}
    return {"patient": ALICE, "records": [record]}


def test_a_new_decision_rule_decides_what_is_open(chain: Chain) -> None:
    """Two thirds of four are three, and both hospitals must be for it."""
    chain.submit(ADMIN_A, PROPOSE, proposed(SHORTER))
    for caller in (ADMIN_A, ADMIN_I):
        chain.submit(caller, VOTE, {"id": Q, "in_favour": True})
    pass_change(chain, TWO_THIRDS, "two thirds")
    assert chain.submit(ADMIN_G, VOTE, {"id": Q, "in_favour": True})["status"] == "open"
    assert chain.submit(ADMIN_B, VOTE, {"id": Q, "in_favour": True})["status"] == "enacted"


@pytest.mark.parametrize("row", SUSPENDED_ROWS, ids=by_name)
def test_a_suspended_member_is_refused_everywhere_until_it_is_resumed(chain: Chain, row: Row) -> None:
    chain.submit(ADMIN_I, PROPOSE, {"id": P, "change": SHORTER})
    pass_change(chain, SUSPEND, "suspend", ADMIN_A, ADMIN_G)
    check_refused(chain, row)
    pass_change(chain, RESUME, "resume", ADMIN_A, ADMIN_G)
    if row.code == "MEMBER_SUSPENDED" and row.arguments != proposed(RESUME):
        chain.call(row.caller, row.function, row.arguments)


def test_a_member_whose_kind_is_gone_is_not_waited_for(chain: Chain) -> None:
    """Of three active members two are a majority; there is no insurer to ask."""
    pass_change(chain, SUSPEND, "suspend", ADMIN_A, ADMIN_G)
    assert pass_change(chain, SHORTER, "shorter", ADMIN_B, ADMIN_G)["status"] == "enacted"


def test_votes_of_those_who_are_out_by_then_do_not_count(chain: Chain) -> None:
    chain.submit(ADMIN_A, PROPOSE, proposed(SHORTER))
    chain.submit(ADMIN_I, VOTE, {"id": Q, "in_favour": True})
    pass_change(chain, SUSPEND, "suspend", ADMIN_A, ADMIN_G)
    assert chain.submit(ADMIN_A, VOTE, {"id": Q, "in_favour": True})["status"] == "open"
    assert chain.submit(ADMIN_G, VOTE, {"id": Q, "in_favour": True})["status"] == "enacted"


def test_a_member_is_added_votes_and_is_listed(chain: Chain) -> None:
    check_refused(chain, Row("before", "MEMBER_UNKNOWN", ADMIN_C, "governance:List", {}))
    pass_change(chain, ADD, "add")
    (listed,) = [one for one in chain.evaluate(AGENT, "members:List", {})["members"] if one["msp_id"] == "HospitalC"]
    expected = {key: ADD[key] for key in ("msp_id", "kind", "name", "contact", "public_key")}
    assert listed == expected | {"standing": "active", "key_version": 1}
    assert membership(chain, "HospitalC") == {"standing": "active", "msp_config": CONFIG, "orderer": ORDERER}
    assert pass_change(chain, SHORTER, "shorter", ADMIN_C, ADMIN_I, ADMIN_G)["status"] == "enacted"


def membership(chain: Chain, msp_id: str) -> Any:
    return json.loads(chain.memory.state[f"\x00membership\x00{msp_id}\x00"].value)


def test_two_proposals_to_add_one_member_end_with_a_void_one(chain: Chain) -> None:
    for proposal in (P, Q):
        chain.submit(ADMIN_A, PROPOSE, {"id": proposal, "change": ADD})
        for caller in (ADMIN_A, ADMIN_I):
            chain.submit(caller, VOTE, {"id": proposal, "in_favour": True})
    assert chain.submit(ADMIN_G, VOTE, {"id": P, "in_favour": True}) == {"status": "enacted", "reason": None}
    void = chain.submit(ADMIN_G, VOTE, {"id": Q, "in_favour": True})
    assert void == {"status": "rejected", "reason": "MEMBER_EXISTS"}
    found = chain.evaluate(AGENT, "governance:Get", {"id": Q})
    assert found["proposal"]["reason"] == "MEMBER_EXISTS"
    assert len(found["votes"]) == 3


def test_the_last_hospital_stays(chain: Chain) -> None:
    pass_change(chain, {"change": "remove-member", "msp_id": "HospitalB"}, "remove", ADMIN_A, ADMIN_I, ADMIN_G)
    for change in (SUSPEND, REMOVE):
        last = {"id": Q, "change": change | {"msp_id": "HospitalA"}}
        check_refused(chain, Row("the last", "LAST_OF_KIND", ADMIN_I, PROPOSE, last))


def test_a_removed_member_is_out_for_good(chain: Chain) -> None:
    chain.submit(ADMIN_A, PROPOSE, {"id": P, "change": SUSPEND})
    pass_change(chain, REMOVE, "remove", ADMIN_A, ADMIN_G)
    assert membership(chain, "Insurer")["standing"] == "removed"
    check_refused(chain, Row("removed", "MEMBER_REMOVED", AGENT, "sessions:Open", AGAIN))
    check_refused(chain, Row("removed", "MEMBER_REMOVED", ADMIN_I, VOTE, ballot()))
    for code, change in (
        ("MEMBER_STANDING", RESUME),
        ("MEMBER_STANDING", REMOVE),
        ("MEMBER_EXISTS", ADD | {"msp_id": "Insurer", "kind": "insurer"}),
    ):
        check_refused(chain, Row("removed", code, ADMIN_A, PROPOSE, proposed(change)))
    chain.submit(ADMIN_A, VOTE, ballot())
    assert chain.submit(ADMIN_G, VOTE, ballot()) == {"status": "rejected", "reason": "MEMBER_STANDING"}


def test_a_suspended_member_is_removed(chain: Chain) -> None:
    pass_change(chain, SUSPEND, "suspend", ADMIN_A, ADMIN_G)
    assert pass_change(chain, REMOVE, "remove", ADMIN_A, ADMIN_G)["status"] == "enacted"


def test_an_organisations_keys_change_for_itself_alone(chain: Chain) -> None:
    before = {one["msp_id"]: one for one in chain.evaluate(AGENT, "members:List", {})["members"]}
    pass_change(chain, ENCRYPT, "encrypt", ADMIN_B, ADMIN_I, ADMIN_G)
    after = {one["msp_id"]: one for one in chain.evaluate(AGENT, "members:List", {})["members"]}
    assert after.pop("HospitalB") == before.pop("HospitalB") | {"key_version": 2, "public_key": NEW_KEY}
    assert after == before


def test_certificates_change_and_the_orderers_stays_where_none_is_given(chain: Chain) -> None:
    pass_change(chain, CERTIFY | {"orderer": ORDERER}, "both", ADMIN_B, ADMIN_I, ADMIN_G)
    assert membership(chain, "HospitalB") == {"standing": "active", "msp_config": CONFIG, "orderer": ORDERER}
    other = base64.b64encode(b"another MSP").decode()
    pass_change(chain, CERTIFY | {"msp_config": other}, "one", ADMIN_B, ADMIN_I, ADMIN_G)
    assert membership(chain, "HospitalB") == {"standing": "active", "msp_config": other, "orderer": ORDERER}
    assert membership(chain, "HospitalA")["msp_config"] == ""


def test_a_rotation_is_void_once_its_proposer_is_out(chain: Chain) -> None:
    chain.submit(ADMIN_I, PROPOSE, proposed(ENCRYPT))
    pass_change(chain, SUSPEND, "suspend", ADMIN_A, ADMIN_G)
    chain.submit(ADMIN_A, VOTE, {"id": Q, "in_favour": True})
    void = chain.submit(ADMIN_G, VOTE, {"id": Q, "in_favour": True})
    assert void == {"status": "rejected", "reason": "MEMBER_STANDING"}


def test_an_open_proposal_expires_by_time_alone(chain: Chain) -> None:
    chain.submit(ADMIN_A, PROPOSE, proposed(SHORTER))
    status = {"open": chain.now_ms + 30 * DAY - 1, "expired": chain.now_ms + 30 * DAY}
    for expected, chain.now_ms in status.items():
        assert chain.evaluate(AGENT, "governance:Get", {"id": Q})["proposal"]["status"] == expected
        (listed,) = chain.evaluate(AGENT, "governance:List", {})["proposals"]
        assert listed["status"] == expected


def test_proposals_are_listed_by_pages(governed: Chain) -> None:
    everything = governed.evaluate(AGENT, "governance:List", {})
    ids = [one["id"] for one in everything["proposals"]]
    assert ids == sorted((P, ENACTED, REJECTED, EXPIRED, ABOUT_INSURER))
    assert everything["next"] is None
    page: dict[str, Any] = {"next": ""}
    paged: list[str] = []
    while page["next"] is not None:
        page = governed.evaluate(AGENT, "governance:List", {"start": page["next"], "limit": 2})
        paged += [one["id"] for one in page["proposals"]]
    assert paged == ids
    found = {one["id"]: one for one in everything["proposals"]}
    assert found[P]["change"] == SHORTER
    assert found[P]["by"] == "Insurer/admin"
    assert found[P]["sealed_comment"] is True


def test_a_list_has_no_certificates_and_each_proposal_has_its_own(chain: Chain) -> None:
    """A page of a hundred would have megabytes."""
    for name, change in (("add", ADD), ("rotate", CERTIFY | {"orderer": ORDERER})):
        chain.submit(ADMIN_A, PROPOSE, proposed(change, id=ident(name)))
        whole = chain.evaluate(AGENT, "governance:Get", {"id": ident(name)})["proposal"]
        listed = {one["id"]: one for one in chain.evaluate(AGENT, "governance:List", {})["proposals"]}[ident(name)]
        assert whole["change"] == change
        assert listed["change"] == {key: change[key] for key in set(change) - {"msp_config", "orderer"}}
        assert listed | {"change": change} == whole | {"change": change}


def test_comments_are_public_or_sealed(governed: Chain) -> None:
    governed.submit(ADMIN_A, VOTE, ballot(comment="agreed"))
    votes = {one["msp_id"]: one for one in governed.evaluate(AGENT, "governance:Get", {"id": P})["votes"]}
    assert (votes["HospitalA"]["comment"], votes["HospitalA"]["sealed_comment"]) == ("agreed", False)
    assert (votes["HospitalB"]["comment"], votes["HospitalB"]["sealed_comment"]) == (None, True)
    for arguments, text in (({"id": P}, b"why"), ({"id": P, "msp_id": "HospitalB"}, b"yes")):
        found = governed.evaluate(ADMIN_G, "governance:Comment", arguments)
        assert base64.b64decode(found["ciphertext"]) == text


def test_two_votes_at_one_time_meet_in_what_they_read(chain: Chain) -> None:
    """Each reads the range of all votes, so that the second of one block is a phantom read conflict."""
    chain.submit(ADMIN_A, PROPOSE, proposed(SHORTER))
    chain.submit(ADMIN_A, VOTE, {"id": Q, "in_favour": True})
    read = [(one.start, one.end) for one in chain.last.ranges]
    assert (f"\x00vote\x00{Q}\x00", f"\x00vote\x00{Q}\x00\U0010ffff") in read
