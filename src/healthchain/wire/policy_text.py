"""Signature policies as Fabric's tools write them: OutOf(2, 'A.peer', 'B.peer'), AND, OR (Fabric common/policydsl)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2

from healthchain.errors import BadInput
from healthchain.wire.channel import Role

TOKEN = re.compile(
    r"""\s* (?: (?P<word>[A-Za-z]+|\d+) | (?P<quote>['"])(?P<principal>[^'"]*)(?P=quote) | (?P<mark>[(),]) ) \s*""",
    re.VERBOSE,
)
PRINCIPAL = re.compile(r"(?P<msp>[A-Za-z0-9.-]+)\.(?P<role>admin|member|client|peer|orderer)")
TEXT_MAX = 10_000
DEPTH_MAX = 30

_Rule = policies_pb2.SignaturePolicy


class PolicyTextInvalid(BadInput):
    """It is no policy: the text says where it stops being one."""


def read_policy(text: str) -> policies_pb2.SignaturePolicyEnvelope:
    """Principals stand in order of appearance, one for each mention, as Fabric's own parser has them.

    Raises PolicyTextInvalid.
    """
    if len(text) > TEXT_MAX:
        raise PolicyTextInvalid(f"a policy may have at most {TEXT_MAX} characters")
    reader = _Reader(text)
    rule = reader.rule(0)
    reader.end()
    return policies_pb2.SignaturePolicyEnvelope(rule=rule, identities=reader.principals)


def members_named(policy: policies_pb2.SignaturePolicyEnvelope) -> tuple[str, ...]:
    """MSP ids, in order of appearance, of a policy that was read here."""
    return tuple(dict.fromkeys(Role.FromString(one.principal).msp_identifier for one in policy.identities))


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self.principals: list[msp_principal_pb2.MSPPrincipal] = []

    def rule(self, depth: int) -> _Rule:
        if depth > DEPTH_MAX:
            raise PolicyTextInvalid("the policy is nested too deeply")
        kind, value = self._take()
        if kind == "principal":
            return self._signed_by(value)
        name = value.lower()
        if kind != "word" or name not in ("and", "or", "outof"):
            raise PolicyTextInvalid(f"the policy has {value!r} where a principal in quotes, AND, OR or OutOf should be")
        self._mark("(")
        wanted = self._count() if name == "outof" else None
        rules = [self.rule(depth + 1)]
        while self._mark(",)") == ",":
            rules.append(self.rule(depth + 1))
        needed = {"and": len(rules), "or": 1}.get(name, wanted)
        if needed is None or not 1 <= needed <= len(rules):
            raise PolicyTextInvalid("OutOf asks for more than it lists, or for nothing")
        return _Rule(n_out_of=_Rule.NOutOf(n=needed, rules=rules))

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise PolicyTextInvalid(f"the policy goes on after its end, with {self._tokens[self._next][1]!r}")

    def _signed_by(self, principal: str) -> _Rule:
        found = PRINCIPAL.fullmatch(principal)
        if found is None:
            raise PolicyTextInvalid(f"{principal!r} is no principal: write 'MSPID.peer', or another role than peer")
        role = Role(msp_identifier=found["msp"], role=found["role"].upper())
        self.principals.append(
            msp_principal_pb2.MSPPrincipal(
                principal_classification=msp_principal_pb2.MSPPrincipal.ROLE, principal=role.SerializeToString()
            )
        )
        return _Rule(signed_by=len(self.principals) - 1)

    def _count(self) -> int:
        kind, value = self._take()
        if kind != "word" or not value.isdecimal() or len(value) > 3:
            raise PolicyTextInvalid("OutOf begins with a number: OutOf(2, 'A.peer', 'B.peer')")
        self._mark(",")
        return int(value)

    def _mark(self, allowed: str) -> str:
        kind, value = self._take()
        if kind != "mark" or value not in allowed:
            raise PolicyTextInvalid(f"the policy has {value!r} where one of {' '.join(allowed)} should be")
        return value

    def _take(self) -> tuple[str, str]:
        if self._next >= len(self._tokens):
            raise PolicyTextInvalid("the policy ends too early")
        self._next += 1
        return self._tokens[self._next - 1]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """(word, principal or mark; its text)."""
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None:
            raise PolicyTextInvalid(f"the policy cannot be read from its character {position + 1} on")
        kind = next(one for one in ("word", "principal", "mark") if found[one] is not None)
        yield kind, found[kind]
        position = found.end()
