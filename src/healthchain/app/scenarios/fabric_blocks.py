"""Whether a chain of blocks from a Fabric peer is one that the channel's orderers made.

Sources: Fabric protoutil/blockutils.go, common/policies/bft.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from fabric_protos.common import common_pb2
from fabric_protos.common.configuration_pb2 import Orderers
from google.protobuf.message import DecodeError

from healthchain.identity.msp import MSP, IdentityRefused, MSPs, Role
from healthchain.ledger.quorum import BlockRefused, check_content, check_place
from healthchain.ledger.validate import SignatureCheck
from healthchain.wire.block import Metadata, encoded_header, header_hash, quorum, signed_bytes
from healthchain.wire.channel import genesis_config, read_organizations
from healthchain.wire.transaction import CONFIG, TransactionInvalid, decode_header


def finding(chain: Sequence[common_pb2.Block], genesis: common_pb2.Block) -> str:
    """The first thing wrong with it: number, link, data hash, form, orderers' signatures; "" if nothing is."""
    if not chain or chain[0].header != genesis.header:
        return "block 0 is another one than was agreed on"
    signers, previous = _Signers(chain[0]), b""
    try:
        for number, block in enumerate(chain):
            check_place(block, number, previous)
            check_content(block)
            if number:
                signers.check(block)
                signers = _Signers(block) if _is_configuration(block) else signers
            previous = header_hash(block)
    except BlockRefused as refused:
        return str(refused)
    return ""


def _is_configuration(block: common_pb2.Block) -> bool:
    """Which is always a block of its own."""
    try:
        return decode_header(block.data.data[0]).type == CONFIG
    except TransactionInvalid:  # of a client: it is in a block, and changes nothing
        return False


class _Signers:
    """Under SmartBFT a quorum of consenters signs, under Raft the one orderer that cut the block."""

    def __init__(self, configuration: common_pb2.Block) -> None:
        """As this block has the channel's configuration."""
        self._msps = MSPs({one.msp_id: MSP.from_config(one.msp_config) for one in read_organizations(configuration)})
        orderer = genesis_config(configuration).channel_group.groups["Orderer"]
        listed = Orderers.FromString(orderer.values["Orderers"].value) if "Orderers" in orderer.values else Orderers()
        self._consenters = {one.id: self._msps[one.msp_id].validate(one.identity) for one in listed.consenter_mapping}

    def check(self, block: common_pb2.Block) -> None:
        """Raises BlockRefused."""
        metadata = common_pb2.Metadata.FromString(block.metadata.metadata[Metadata.SIGNATURES])
        signed = {signer for one in metadata.signatures if (signer := self._signer(one, metadata.value, block))}
        if len(signed) < (quorum(len(self._consenters)) or 1):
            raise BlockRefused(f"block {block.header.number} is signed by too few orderers of the channel")

    def _signer(self, signed: common_pb2.MetadataSignature, value: bytes, block: common_pb2.Block) -> str:
        """Its fingerprint; "" for a signature that counts for nothing."""
        try:
            if self._consenters:
                consenter = common_pb2.IdentifierHeader.FromString(signed.identifier_header).identifier
                header, signer = signed.identifier_header, self._consenters[consenter]
            else:
                creator = common_pb2.SignatureHeader.FromString(signed.signature_header).creator
                header, signer = signed.signature_header, self._msps.identify(creator)
        except (DecodeError, IdentityRefused, KeyError):
            return ""
        digest = sha256(signed_bytes(value, header, encoded_header(block))).digest()
        counts = signer.role is Role.ORDERER and SignatureCheck(signer, digest, signed.signature).holds()
        return str(signer.fingerprint) if counts else ""
