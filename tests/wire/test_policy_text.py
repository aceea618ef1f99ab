"""Signature policies in Fabric's own notation, and the collections file that uses it."""

from __future__ import annotations

import json

import pytest

from healthchain.wire.collection_file import CollectionsInvalid, read_collections
from healthchain.wire.lifecycle import Collection
from healthchain.wire.policy_text import PolicyTextInvalid, members_named, read_policy

# Made with Fabric's package policydsl.
OUT_OF = (
    "OutOf(2,'AgencyMSP.peer','HospitalMSP.peer','InsurerMSP.peer')",
    "1210120e08021202080012020801120208021a0f120d0a094167656e63794d535010031a11120f0a0b486f73706974616c4d535010031a10"
    "120e0a0a496e73757265724d53501003",
)


def test_the_bytes_are_fabrics() -> None:
    assert read_policy(OUT_OF[0]).SerializeToString().hex() == OUT_OF[1]


def test_names_nest_and_each_mention_is_a_principal_of_its_own() -> None:
    policy = read_policy(""" and( 'A.member' , OR("B.peer",'C-1.x.client', 'A.member')) """)
    assert policy.rule.n_out_of.n == 2
    inner = policy.rule.n_out_of.rules[1].n_out_of
    assert (inner.n, [one.signed_by for one in inner.rules]) == (1, [1, 2, 3])
    assert members_named(policy) == ("A", "B", "C-1.x")
    assert len(policy.identities) == 4
    assert read_policy("'A.peer'").rule.WhichOneof("Type") == "signed_by"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "ends too early"),
        ("OR('A.peer'", "ends too early"),
        ("OR('A.peer'))", "goes on after its end"),
        ("OR 'A.peer'", "should be"),
        ("OR('A.peer' 'B.peer')", "should be"),
        ("OR()", "should be"),
        ("XOR('A.peer')", "should be"),
        ("OR('A.king')", "no principal"),
        ("OR('peer')", "no principal"),
        ("OR('A.peer\")", "cannot be read"),
        ("OR(A.peer)", "cannot be read|should be"),
        ("OutOf('A.peer')", "begins with a number"),
        ("OutOf(3, 'A.peer', 'B.peer')", "more than it lists"),
        ("OutOf(0, 'A.peer')", "for nothing"),
        ("OutOf(9999, 'A.peer')", "begins with a number"),
        ("OR(" * 40 + "'A.peer'" + ")" * 40, "nested too deeply"),
        ("OR('A.peer'" + ",'A.peer'" * 2000 + ")", "at most"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, why: str) -> None:
    with pytest.raises(PolicyTextInvalid, match=why):
        read_policy(text)


def test_the_collections_file() -> None:
    file = [
        {"name": "shared", "policy": "OR('A.member', 'B.member')", "requiredPeerCount": 1, "maxPeerCount": 3},
        {"name": "own", "policy": "'A.member'", "blockToLive": 0, "memberOnlyRead": True},
        {"name": "seen", "policy": "'A.member'", "endorsementPolicy": {"signaturePolicy": "OR('B.peer')"}},
    ]
    assert read_collections(json.dumps(file).encode()) == (
        Collection("shared", ("A", "B")),
        Collection("own", ("A",)),
        Collection("seen", ("A",), read_policy("OR('B.peer')").SerializeToString()),
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"blockToLive": 5}, "until they are purged"),
        ({"memberOnlyWrite": False}, "for members only"),
        ({"endorsementPolicy": {"signaturePolicy": "OR("}}, "ends too early"),
        ({"endorsementPolicy": {"channelConfigPolicy": "/Channel/Application/Endorsement"}}, "cannot be used"),
        ({"policy": "AND('A.member', 'B.member')"}, "is an OR"),
        ({"policy": "OR('A.member', AND('A.member', 'B.member'))"}, "is an OR"),
        ({"policy": "OR("}, "ends too early"),
        ({"name": "a b"}, "a collection's name"),
        ({"other": 1}, "cannot be used"),
        ({"policy": None}, "cannot be used"),
    ],
)
def test_what_this_network_does_not_do_is_refused(change: dict[str, object], why: str) -> None:
    file = [{"name": "shared", "policy": "OR('A.member')"} | change]
    with pytest.raises(CollectionsInvalid, match=why):
        read_collections(json.dumps(file).encode())


def test_two_collections_of_one_name_are_refused() -> None:
    with pytest.raises(CollectionsInvalid, match="one name"):
        read_collections(json.dumps([{"name": "a", "policy": "'A.member'"}] * 2).encode())
