"""What block 0 settles for everything that follows: members, designated orderers, policies."""

from __future__ import annotations

from collections.abc import Sequence

from fabric_protos.common import common_pb2, policies_pb2

from healthchain.identity.msp import MSP, MSPs, Identity, Role
from healthchain.identity.policy import CompiledPolicy, compile_policy
from healthchain.wire.block import quorum
from healthchain.wire.channel import ChannelConfig, config_hash, read_genesis
from healthchain.wire.lifecycle import ChaincodeDefinition


class Channel:
    """Members' MSPs, endorsement policies and consenters' keys, read from block 0."""

    def __init__(self, genesis: common_pb2.Block) -> None:
        self.genesis = genesis
        self.config: ChannelConfig = read_genesis(genesis)
        self.config_hash = config_hash(genesis)
        self.msps = MSPs({one.msp_id: MSP.from_config(one.msp_config) for one in self.config.organizations})
        self._consenters: dict[int, Identity] = {}
        for consenter in self.config.consenters:
            identity = self.msps[consenter.msp_id].validate(consenter.identity)
            assert identity.role is Role.ORDERER
            self._consenters[consenter.id] = identity
        self._policies: dict[bytes, CompiledPolicy] = {}

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

    def consenter(self, id: int) -> Identity | None:
        return self._consenters.get(id)

    def endorsement_satisfied(self, definition: ChaincodeDefinition | None, endorsers: Sequence[Identity]) -> bool:
        """The definition's signature policy, or (also for `_lifecycle`) the channel's: a majority of members' peers."""
        if definition is None or definition.signature_policy is None:
            endorsing = {one.msp_id for one in endorsers if one.role is Role.PEER}
            return len(endorsing) >= len(self.config.organizations) // 2 + 1
        encoded = definition.signature_policy
        if encoded not in self._policies:
            self._policies[encoded] = compile_policy(policies_pb2.SignaturePolicyEnvelope.FromString(encoded), self.msps)
        return self._policies[encoded].evaluate(endorsers)
