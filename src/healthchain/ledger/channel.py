"""What block 0 settles for everything that follows: members, designated orderers, policies."""

from __future__ import annotations

from collections.abc import Sequence

from fabric_protos.common import common_pb2, policies_pb2

from healthchain.identity.msp import MSP, Identity, IdentityRefused, MSPs, Role
from healthchain.identity.policy import CompiledPolicy, PolicyMalformed, compile_policy
from healthchain.wire.block import quorum
from healthchain.wire.channel import ChannelConfig, ChannelMalformed, Consenter, config_hash, read_genesis
from healthchain.wire.lifecycle import ChaincodeDefinition


class Channel:
    """Members' MSPs, endorsement policies and consenters' keys, read from block 0; raises ChannelMalformed."""

    def __init__(self, genesis: common_pb2.Block) -> None:
        self.genesis = genesis
        self.config: ChannelConfig = read_genesis(genesis)
        self.config_hash = config_hash(genesis)
        self.msps = MSPs({one.msp_id: MSP.from_config(one.msp_config) for one in self.config.organizations})
        self._consenters = {one.id: self._orderer(one) for one in self.config.consenters}
        self._policies: dict[bytes, CompiledPolicy | None] = {}

    @property
    def id(self) -> str:
        return self.config.channel_id

    @property
    def msp_ids(self) -> tuple[str, ...]:
        return tuple(one.msp_id for one in self.config.organizations)

    @property
    def quorum(self) -> int:
        """Signatures that a block needs: 2f + 1 of 3f + 1 designated orderers."""
        return quorum(len(self._consenters))

    def consenter(self, id: int) -> Identity | None:  # noqa: A002 (Fabric's name)
        return self._consenters.get(id)

    def endorsement_satisfied(self, definition: ChaincodeDefinition | None, endorsers: Sequence[Identity]) -> bool:
        """The definition's signature policy, or (also for `_lifecycle`) the channel's: a majority of members' peers."""
        if definition is None or definition.signature_policy is None:
            endorsing = {one.msp_id for one in endorsers if one.role is Role.PEER}
            return len(endorsing) >= len(self.config.organizations) // 2 + 1
        encoded = definition.signature_policy
        if encoded not in self._policies:
            self._policies[encoded] = self._compiled(encoded)
        policy = self._policies[encoded]
        return policy is not None and policy.evaluate(endorsers)

    def _orderer(self, consenter: Consenter) -> Identity:
        try:
            identity = self.msps[consenter.msp_id].validate(consenter.identity)
        except IdentityRefused as refused:
            raise ChannelMalformed(f"an orderer of block 0 is no member: {refused}") from None
        if identity.role is not Role.ORDERER:
            raise ChannelMalformed("an orderer of block 0 has a certificate for something else")
        return identity

    def _compiled(self, encoded: bytes) -> CompiledPolicy | None:
        """None for a policy that makes no sense: nothing satisfies it."""
        try:
            return compile_policy(policies_pb2.SignaturePolicyEnvelope.FromString(encoded), self.msps)
        except PolicyMalformed:
            return None
