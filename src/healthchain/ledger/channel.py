"""What the rules go by at one height: members, designated orderers, policies. Block 0 says it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fabric_protos.common import common_pb2, policies_pb2
from google.protobuf.message import DecodeError

from healthchain.chaincode.membership import Membership
from healthchain.identity.msp import MSP, Identity, IdentityRefused, Role
from healthchain.identity.policy import CompiledPolicy, PolicyMalformed, compile_policy, majority
from healthchain.ledger.membership import Memberships, member_msps, orderers
from healthchain.wire.block import quorum
from healthchain.wire.channel import ChannelConfig, ChannelMalformed, Consenter, config_hash, read_genesis

POLICIES_MAX, POLICY_BYTES_MAX = 1000, 4096
"""How many are kept compiled, none of them longer: single keys have policies that users of a chaincode may choose."""
AS_FOUNDED: Mapping[str, Membership] = MappingProxyType({})


class Channel:
    """Active members' MSPs, endorsement policies and orderers' keys; a value that never changes.

    What is in force for the next block is `Ledger.channel`. Raises ChannelMalformed for block 0 only: what was agreed
    to later is taken as far as it makes sense, for no row of the state may stop a peer.
    """

    def __init__(self, genesis: common_pb2.Block, memberships: Memberships = AS_FOUNDED) -> None:
        self.genesis = genesis
        self.memberships = memberships
        self.config: ChannelConfig = read_genesis(genesis)
        self.config_hash = config_hash(genesis)
        _require_orderers(self.config)
        self.msps, self._known = member_msps(self.config, memberships)
        self.consenters: Mapping[int, Identity] = orderers(self.config, memberships, self.msps)
        self._ids: dict[bytes, int | None] = {}
        self._policies: dict[bytes, CompiledPolicy | None] = {}

    def following(self, memberships: Memberships) -> Channel:
        """As these rows change it; the same one if they change nothing."""
        return self if memberships == self.memberships else Channel(self.genesis, memberships)

    @property
    def id(self) -> str:
        return self.config.channel_id

    @property
    def msp_ids(self) -> tuple[str, ...]:
        """Of the active members."""
        return tuple(self.msps)

    @property
    def majority(self) -> int:
        """Active members that must endorse; one at least, so that nothing is valid where there is none."""
        return majority(len(self.msps)) or 1

    @property
    def quorum(self) -> int:
        """Signatures that a block needs: 2f + 1 of 3f + 1 designated orderers; one at least."""
        return quorum(len(self.consenters)) or 1

    def consenter_id(self, serialized: bytes) -> int | None:
        """Under which the holder of this identity signs blocks; None if it is no active member's orderer.

        For the orderers themselves, who ask often: each identity is looked at once.
        """
        if serialized not in self._ids:
            self._ids[serialized] = self._consenter_id(serialized)
        return self._ids[serialized]

    def endorsement_satisfied(self, policy: bytes | None, endorsers: Sequence[Identity]) -> bool:
        """A pb(SignaturePolicyEnvelope), or None for the channel's policy: a majority of members' peers.

        `endorsers` are identities that `msps` knows: those of active members.
        """
        if policy is None:
            endorsing = {one.msp_id for one in endorsers if one.role is Role.PEER}
            return len(endorsing) >= self.majority
        compiled = self._policies[policy] if policy in self._policies else self._compiled_once(policy)
        return compiled is not None and compiled.evaluate(endorsers)

    def _consenter_id(self, serialized: bytes) -> int | None:
        try:
            fingerprint = self.msps.identify(serialized).fingerprint
        except IdentityRefused:
            return None
        return next((number for number, one in self.consenters.items() if one.fingerprint == fingerprint), None)

    def _compiled_once(self, policy: bytes) -> CompiledPolicy | None:
        compiled = self._compiled(policy)
        if len(policy) <= POLICY_BYTES_MAX:
            if len(self._policies) >= POLICIES_MAX:
                self._policies.clear()
            self._policies[policy] = compiled
        return compiled

    def _compiled(self, encoded: bytes) -> CompiledPolicy | None:
        """None for a policy that makes no sense: nothing satisfies it. It may well name a suspended member."""
        try:
            return compile_policy(policies_pb2.SignaturePolicyEnvelope.FromString(encoded), self._known)
        except (PolicyMalformed, DecodeError, UnicodeDecodeError):
            return None


def _require_orderers(config: ChannelConfig) -> None:
    """Block 0's, by block 0's own MSPs. Raises ChannelMalformed."""
    msps = {one.msp_id: MSP.from_config(one.msp_config) for one in config.organizations}
    for one in config.consenters:
        _require_orderer(msps[one.msp_id], one)


def _require_orderer(msp: MSP, consenter: Consenter) -> None:
    try:
        identity = msp.validate(consenter.identity)
    except IdentityRefused as refused:
        raise ChannelMalformed(f"an orderer of block 0 is no member: {refused}") from None
    if identity.role is not Role.ORDERER:
        raise ChannelMalformed("an orderer of block 0 has a certificate for something else")
