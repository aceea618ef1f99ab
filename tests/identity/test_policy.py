"""Signature policies: greedy, in order, without backtracking; compared with a plain twin and Fabric's own encoding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.identity.certificates import NodeOU
from healthchain.identity.msp import Identity, serialize_identity
from healthchain.identity.policy import DEPTH_MAX, PolicyMalformed, compile_policy, compile_principal, majority

from .forge import authority, leaf, msps

Rule = policies_pb2.SignaturePolicy
Envelope = policies_pb2.SignaturePolicyEnvelope
Principal = msp_principal_pb2.MSPPrincipal
MSPRole = msp_principal_pb2.MSPRole

ROOTS = {name: authority(f"ca.{name}") for name in ("AgencyMSP", "HospitalMSP", "InsurerMSP")}
MSPS = msps(**ROOTS)
CREATORS = {
    (msp_id, ou): serialize_identity(msp_id, leaf(root, ous=(ou.value, "ward")))
    for msp_id, root in ROOTS.items()
    for ou in (NodeOU.PEER, NodeOU.ADMIN)
}
PEOPLE: dict[tuple[str, NodeOU], Identity] = {who: MSPS.identify(creator) for who, creator in CREATORS.items()}
AGENCY, HOSPITAL, INSURER = (PEOPLE[msp_id, NodeOU.PEER] for msp_id in sorted(ROOTS))
HOSPITAL_ADMIN = PEOPLE["HospitalMSP", NodeOU.ADMIN]


def role(msp_id: str, kind: MSPRole.MSPRoleType) -> Principal:
    return Principal(
        principal_classification=Principal.ROLE,
        principal=MSPRole(msp_identifier=msp_id, role=kind).SerializeToString(),
    )


def by(index: int) -> Rule:
    return Rule(signed_by=index)


def out_of(n: int, *rules: Rule) -> Rule:
    return Rule(n_out_of=Rule.NOutOf(n=n, rules=rules))


def holds(rule: Rule, principals: Sequence[Principal], signers: Sequence[Identity]) -> bool:
    return compile_policy(Envelope(rule=rule, identities=principals), MSPS).evaluate(signers)


PEERS = [role(msp_id, MSPRole.PEER) for msp_id in sorted(ROOTS)]
MEMBERS = [role(msp_id, MSPRole.MEMBER) for msp_id in sorted(ROOTS)]


def test_two_of_three_as_fabric_encodes_it() -> None:
    """Fabric's own Go code: OutOf(2,'AgencyMSP.peer','HospitalMSP.peer','InsurerMSP.peer')."""
    encoded = bytes.fromhex(
        "1210120e08021202080012020801120208021a0f120d0a094167656e63794d535010031a11120f0a0b486f73706974616c4d535010"
        "031a10120e0a0a496e73757265724d53501003"
    )
    assert Envelope(rule=out_of(2, by(0), by(1), by(2)), identities=PEERS).SerializeToString() == encoded
    policy = compile_policy(Envelope.FromString(encoded), MSPS)
    assert policy.evaluate([AGENCY, HOSPITAL])
    assert policy.evaluate([INSURER, HOSPITAL, AGENCY])
    for too_few in ([], [AGENCY], [AGENCY, AGENCY], [AGENCY, HOSPITAL_ADMIN]):
        assert not policy.evaluate(too_few)


@pytest.mark.parametrize(
    ("principal", "satisfied"),
    [
        (role("HospitalMSP", MSPRole.MEMBER), {HOSPITAL, HOSPITAL_ADMIN}),
        (role("HospitalMSP", MSPRole.PEER), {HOSPITAL}),
        (role("HospitalMSP", MSPRole.ADMIN), {HOSPITAL_ADMIN}),
        (role("HospitalMSP", MSPRole.CLIENT), set()),
        (role("HospitalMSP", MSPRole.ORDERER), set()),
        (role("NobodyMSP", MSPRole.MEMBER), set()),
        (
            Principal(
                principal_classification=Principal.ORGANIZATION_UNIT,
                principal=msp_principal_pb2.OrganizationUnit(
                    msp_identifier="HospitalMSP", organizational_unit_identifier="ward"
                ).SerializeToString(),
            ),
            {HOSPITAL, HOSPITAL_ADMIN},
        ),
        (
            Principal(principal_classification=Principal.IDENTITY, principal=CREATORS["HospitalMSP", NodeOU.PEER]),
            {HOSPITAL},
        ),
    ],
)
def test_principals(principal: Principal, satisfied: set[Identity]) -> None:
    judge = compile_principal(principal, MSPS)
    assert {one for one in PEOPLE.values() if judge(one)} == satisfied


def test_the_first_principal_takes_the_signer() -> None:
    """The admin satisfies both; whichever comes first uses it up, and nobody tries the other way round."""
    principals = [MEMBERS[1], role("HospitalMSP", MSPRole.ADMIN)]
    both = [HOSPITAL_ADMIN, HOSPITAL]
    assert not holds(out_of(2, by(0), by(1)), principals, both)
    assert holds(out_of(2, by(1), by(0)), principals, both)
    assert holds(out_of(2, by(0), by(1)), principals, both[::-1])


def test_a_branch_that_fails_gives_its_signers_back() -> None:
    both = out_of(2, by(0), by(1))
    assert holds(out_of(1, both, by(0)), PEERS, [AGENCY])
    assert not holds(out_of(2, both, by(0)), PEERS, [AGENCY, HOSPITAL])


def test_branches_after_enough_still_take_signers() -> None:
    assert not holds(out_of(2, out_of(1, by(0), by(1)), by(1)), PEERS, [AGENCY, HOSPITAL])
    assert holds(out_of(2, by(1), out_of(1, by(0), by(1))), PEERS, [AGENCY, HOSPITAL])


def test_a_rule_may_name_a_principal_twice() -> None:
    assert holds(out_of(2, by(0), by(0)), [MEMBERS[1]], [HOSPITAL, HOSPITAL_ADMIN])
    assert not holds(out_of(2, by(0), by(0)), [MEMBERS[1]], [HOSPITAL, HOSPITAL])


def test_none_out_of_some_needs_nobody() -> None:
    """As Fabric: whoever writes such a policy asks for nothing."""
    assert holds(out_of(0), PEERS, [])
    assert holds(out_of(0, by(0)), PEERS, [])
    assert not holds(out_of(1), PEERS, list(PEOPLE.values()))
    assert not holds(out_of(4, by(0), by(1), by(2)), PEERS, list(PEOPLE.values()))


def nested(depth: int) -> Rule:
    rule = by(0)
    for _ in range(depth):
        rule = out_of(1, rule)
    return rule


def test_depth() -> None:
    assert holds(nested(DEPTH_MAX), PEERS, [AGENCY])
    with pytest.raises(PolicyMalformed, match="too deeply"):
        holds(nested(DEPTH_MAX + 1), PEERS, [AGENCY])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Envelope(version=1, rule=by(0), identities=PEERS),
        lambda: Envelope(identities=PEERS),
        lambda: Envelope(rule=Rule(), identities=PEERS),
        lambda: Envelope(rule=out_of(1, Rule()), identities=PEERS),
        lambda: Envelope(rule=by(3), identities=PEERS),
        lambda: Envelope(rule=by(-1), identities=PEERS),
        lambda: Envelope(rule=by(0), identities=[Principal(principal=b"\xff")]),
        lambda: Envelope(rule=by(0), identities=[Principal(principal_classification=Principal.ANONYMITY)]),
        lambda: Envelope(rule=by(0), identities=[Principal(principal_classification=Principal.COMBINED)]),
        lambda: Envelope(
            rule=by(0), identities=[Principal(principal_classification=Principal.IDENTITY, principal=b"nobody")]
        ),
        lambda: Envelope(rule=by(0), identities=[role("AMSP", 9)]),  # type: ignore[arg-type]
    ],
)
def test_no_policy(make: Callable[[], Envelope]) -> None:
    with pytest.raises(PolicyMalformed):
        compile_policy(make(), MSPS)


def test_majorities() -> None:
    assert [majority(one) for one in range(6)] == [0, 1, 2, 2, 3, 3]


# The plain twin: cauthdsl.go, word for word on dictionaries


def plain(rule: Rule, principals: Sequence[Principal], signers: Sequence[Identity]) -> bool:
    distinct: list[Identity] = []
    for one in signers:
        if all(one.fingerprint != other.fingerprint for other in distinct):
            distinct.append(one)
    return _plain(rule, principals, distinct, dict.fromkeys(range(len(distinct)), False))


def _plain(rule: Rule, principals: Sequence[Principal], signers: list[Identity], used: dict[int, bool]) -> bool:
    if rule.WhichOneof("Type") == "signed_by":
        wanted = MSPRole.FromString(principals[rule.signed_by].principal)
        names = {MSPRole.PEER: "peer", MSPRole.ADMIN: "admin"}
        for index, one in enumerate(signers):
            fits = wanted.role == MSPRole.MEMBER or one.role.value == names[wanted.role]
            if not used[index] and one.msp_id == wanted.msp_identifier and fits:
                used[index] = True
                return True
        return False
    verified = 0
    trial = dict(used)
    for one_rule in rule.n_out_of.rules:
        attempt = copy.copy(trial)
        if _plain(one_rule, principals, signers, attempt):
            verified += 1
            trial = attempt
    if verified >= rule.n_out_of.n:
        used.update(trial)
        return True
    return False


ALL = [role(msp_id, kind) for msp_id in sorted(ROOTS) for kind in (MSPRole.MEMBER, MSPRole.PEER, MSPRole.ADMIN)]
RULES = st.recursive(
    st.integers(0, len(ALL) - 1).map(by),
    lambda rules: st.builds(
        lambda n, some: out_of(n, *some), st.integers(0, 4), st.lists(rules, min_size=0, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400)
@given(RULES, st.lists(st.sampled_from(list(PEOPLE.values())), max_size=7))
def test_as_the_plain_twin(rule: Rule, signers: list[Identity]) -> None:
    assert holds(rule, ALL, signers) == plain(rule, ALL, signers)


@settings(max_examples=200)
@given(RULES, st.lists(st.sampled_from(list(PEOPLE.values())), max_size=7))
def test_who_signs_twice_gains_nothing(rule: Rule, signers: list[Identity]) -> None:
    assert holds(rule, ALL, signers) == holds(rule, ALL, signers + signers[::-1])
