"""Signature policies: which combinations of signers satisfy a rule (Fabric common/cauthdsl/cauthdsl.go).

Evaluation is greedy in order: an identity is used up by the first principal that it satisfies, there is no
backtracking, and a branch that fails gives back what it used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from google.protobuf.message import DecodeError

from healthchain.errors import BadInput
from healthchain.identity.msp import Identity, IdentityRefused, MSPs, Role

DEPTH_MAX = 32

Principal = Callable[[Identity], bool]
_Rule = Callable[[Sequence[Identity], list[bool]], bool]
_PRINCIPAL = msp_principal_pb2.MSPPrincipal
_ROLE = msp_principal_pb2.MSPRole
_ROLES = {
    _ROLE.ADMIN: Role.ADMIN,
    _ROLE.CLIENT: Role.CLIENT,
    _ROLE.PEER: Role.PEER,
    _ROLE.ORDERER: Role.ORDERER,
}


class PolicyMalformed(BadInput):
    """The policy does not decode, or names a principal that cannot be judged."""


class CompiledPolicy:
    """A SignaturePolicyEnvelope ready to be evaluated."""

    def __init__(self, rule: _Rule) -> None:
        self._rule = rule

    def evaluate(self, signers: Sequence[Identity]) -> bool:
        """`signers` have each given a valid signature; one who signed twice counts once."""
        distinct = list({one.fingerprint: one for one in signers}.values())
        return self._rule(distinct, [False] * len(distinct))


def compile_policy(envelope: policies_pb2.SignaturePolicyEnvelope, msps: MSPs) -> CompiledPolicy:
    """Raises PolicyMalformed."""
    if envelope.version != 0:
        raise PolicyMalformed("only version 0 of signature policies exists")
    principals = [compile_principal(one, msps) for one in envelope.identities]
    return CompiledPolicy(_compile(envelope.rule, principals, 0))


def majority(members: int) -> int:
    """How many sub-policies an implicit MAJORITY needs (Fabric common/policies/implicitmeta.go)."""
    return members // 2 + 1 if members else 0


def compile_principal(principal: msp_principal_pb2.MSPPrincipal, msps: MSPs) -> Principal:
    kind = principal.principal_classification
    try:
        if kind == _PRINCIPAL.ROLE:
            return _role_principal(_ROLE.FromString(principal.principal))
        if kind == _PRINCIPAL.ORGANIZATION_UNIT:
            unit = msp_principal_pb2.OrganizationUnit.FromString(principal.principal)
            return lambda one: one.msp_id == unit.msp_identifier and unit.organizational_unit_identifier in one.ous
        if kind == _PRINCIPAL.IDENTITY:
            wanted = msps.identify(principal.principal).fingerprint
            return lambda one: one.fingerprint == wanted
    except (DecodeError, UnicodeDecodeError, IdentityRefused) as error:
        raise PolicyMalformed("a principal of the policy does not decode") from error
    raise PolicyMalformed("a principal must be a role, an organisational unit or an identity")


def _role_principal(role: msp_principal_pb2.MSPRole) -> Principal:
    msp_id = role.msp_identifier
    if role.role == _ROLE.MEMBER:
        return lambda one: one.msp_id == msp_id
    wanted = _ROLES.get(role.role)
    if wanted is None:
        raise PolicyMalformed("a role principal must be member, admin, client, peer or orderer")
    return lambda one: one.msp_id == msp_id and one.role is wanted


def _compile(rule: policies_pb2.SignaturePolicy, principals: Sequence[Principal], depth: int) -> _Rule:
    if depth > DEPTH_MAX:
        raise PolicyMalformed("the policy is nested too deeply")
    kind = rule.WhichOneof("Type")
    if kind == "signed_by":
        if not 0 <= rule.signed_by < len(principals):
            raise PolicyMalformed("the policy refers to a principal that it does not list")
        return _signed_by(principals[rule.signed_by])
    if kind == "n_out_of":
        rules = [_compile(one, principals, depth + 1) for one in rule.n_out_of.rules]
        return _n_out_of(rule.n_out_of.n, rules)
    raise PolicyMalformed("a rule of the policy is empty")


def _signed_by(satisfied: Principal) -> _Rule:
    def rule(signers: Sequence[Identity], used: list[bool]) -> bool:
        for index, signer in enumerate(signers):
            if not used[index] and satisfied(signer):
                used[index] = True
                return True
        return False

    return rule


def _n_out_of(needed: int, rules: Sequence[_Rule]) -> _Rule:
    def rule(signers: Sequence[Identity], used: list[bool]) -> bool:
        """All branches are tried, also after enough have held: each uses up the signers it took."""
        held = 0
        for one in rules:
            branch = used.copy()
            if one(signers, branch):
                held += 1
                used[:] = branch
        return held >= needed

    return rule
