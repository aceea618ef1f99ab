"""Every vector of `vectors`, byte for byte."""

from __future__ import annotations

from hashlib import sha256

import pytest
from fabric_protos.common import common_pb2, policies_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_event_pb2, chaincode_pb2, chaincode_shim_pb2, proposal_response_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2

from healthchain.chaincode.stub import MAX_CODE_POINT, composite_key, split_composite_key
from healthchain.identity.keys import P256_ORDER, low_s
from healthchain.identity.msp import serialize_identity
from healthchain.wire import block
from healthchain.wire.channel import Role, role_policy
from healthchain.wire.lifecycle import ChaincodeDefinition, definition_writes
from healthchain.wire.proposal import Proposal, build_proposal, parse_proposal, transaction_id
from healthchain.wire.rwset import (
    CollectionSet,
    NamespaceSet,
    PrivateWrite,
    Version,
    encode_private,
    encode_public,
    range_summary,
)
from healthchain.wire.transaction import endorsed_payload

from . import vectors

READ_WRITE_SET = {
    "ehr": NamespaceSet(
        reads={"k2": Version(3, 1), "k1": None},
        writes={"k1": b"v1", "k0": b""},
        collections={
            "coll": CollectionSet(
                reads={"p1": None},
                writes={"p2": PrivateWrite("p2", None, purge=True), "p1": PrivateWrite("p1", b"pv")},
            )
        },
    ),
    "_lifecycle": NamespaceSet(reads={"namespaces/fields/ehr/Sequence": Version(2, 0)}),
}


def proposal() -> Proposal:
    return build_proposal(
        creator=vectors.CREATOR,
        nonce=vectors.NONCE,
        channel_id="health",
        chaincode="ehr",
        args=[b"put", b"k1", b"v1"],
        transient={"secret": b"s3"},
        timestamp_ns=1_700_000_000_000_000_005,
    )


def test_1_transaction_id() -> None:
    assert serialize_identity("HospitalMSP", vectors.CERTIFICATE) == vectors.CREATOR
    assert transaction_id(vectors.NONCE, vectors.CREATOR) == vectors.TX_ID


def test_2_proposal() -> None:
    built = proposal()
    parsed = parse_proposal(built.bytes_)
    assert built.tx_id == parsed.tx_id == vectors.TX_ID
    assert len(built.bytes_) == vectors.PROPOSAL_BYTES_LENGTH
    assert sha256(built.bytes_).digest() == vectors.PROPOSAL_DIGEST
    assert built.bytes_.endswith(vectors.PROPOSAL_PAYLOAD)
    assert parsed.channel_header == vectors.CHANNEL_HEADER
    assert parsed.payload_without_transient == b"\x0a\x1a" + vectors.PROPOSAL_INPUT
    assert parsed.hash == vectors.PROPOSAL_HASH
    assert parsed.timestamp_ns == 1_700_000_000_000_000_005
    assert parsed.transient == {"secret": b"s3"}


def test_3_read_write_set() -> None:
    assert encode_public(READ_WRITE_SET) == vectors.RESULTS
    assert encode_private(READ_WRITE_SET) == {("ehr", "coll"): vectors.PRIVATE_SET}
    assert sha256(vectors.PRIVATE_SET).digest() == vectors.PRIVATE_SET_HASH


def test_4_endorsement() -> None:
    event = chaincode_event_pb2.ChaincodeEvent(
        chaincode_id="ehr", tx_id=vectors.TX_ID, event_name="created", payload=b"x"
    ).SerializeToString()
    response = proposal_response_pb2.Response(status=200, payload=b"ok")
    payload = endorsed_payload(parse_proposal(proposal().bytes_), vectors.RESULTS, event, response, "1")
    assert len(payload) == vectors.RESPONSE_PAYLOAD_LENGTH
    assert sha256(payload).digest() == vectors.RESPONSE_PAYLOAD_HASH
    assert sha256(payload + vectors.CREATOR).digest() == vectors.ENDORSEMENT_DIGEST


@pytest.mark.parametrize("number", vectors.HEADERS)
def test_5_block_header(number: int) -> None:
    previous, encoded, digest = vectors.HEADERS[number]
    made = block.new_block(number, bytes.fromhex(previous), vectors.BLOCK_DATA)
    assert made.header.data_hash.hex() == vectors.DATA_HASH
    assert block.encoded_header(made).hex() == encoded
    assert block.header_hash(made).hex() == digest


def test_6_orderer_signatures() -> None:
    header = bytes.fromhex(vectors.HEADERS[5][1])
    raft = common_pb2.SignatureHeader(creator=vectors.CREATOR, nonce=vectors.NONCE).SerializeToString()
    assert sha256(block.signed_bytes(vectors.ORDERER_VALUE, raft, header)).digest() == vectors.RAFT_DIGEST
    identifier = block.identifier_header(3, vectors.NONCE)
    assert identifier == vectors.IDENTIFIER_HEADER
    assert sha256(block.signed_bytes(vectors.ORDERER_VALUE, identifier, header)).digest() == vectors.BFT_DIGEST


def test_6_quorum() -> None:
    """The table of Fabric's smartbft `computeQuorum`; 1 and 2 have no fault to tolerate."""
    assert {n: block.quorum(n) for n in range(1, 11)} == {1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 8: 6, 9: 6, 10: 7}


def test_7_composite_key() -> None:
    key = composite_key("rec", ["p1", "2026"])
    assert key.encode() == vectors.COMPOSITE_KEY
    assert (key + MAX_CODE_POINT).encode() == vectors.COMPOSITE_END
    assert split_composite_key(key) == ("rec", ["p1", "2026"])


def test_8_policies() -> None:
    policy = role_policy(["AgencyMSP", "HospitalMSP", "InsurerMSP"], Role.PEER)
    policy.rule.n_out_of.n = 2
    assert policy.SerializeToString() == vectors.OUT_OF_2
    assert policies_pb2.SignaturePolicyEnvelope.FromString(vectors.OUT_OF_2) == policy
    written = definition_writes(ChaincodeDefinition("ehr", "1", 1, ()))["namespaces/fields/ehr/ValidationInfo"]
    info = chaincode_definition_pb2.ChaincodeValidationInfo.FromString(db_pb2.StateData.FromString(written).Bytes)
    assert info.validation_parameter == vectors.DEFAULT_VALIDATION_PARAMETER


def test_9_low_s() -> None:
    assert low_s(vectors.HIGH_S, P256_ORDER) == vectors.LOW_S
    assert low_s(vectors.LOW_S, P256_ORDER) == vectors.LOW_S
    assert P256_ORDER >> 1 == vectors.P256_HALF_ORDER


def test_10_fifty_range_results_stay_raw() -> None:
    reads = [(f"k{index:03}", Version(1, index)) for index in range(50)]
    assert isinstance(range_summary(reads), kv_rwset_pb2.QueryReads)


@pytest.mark.parametrize("count", vectors.RANGE_HASHES)
def test_10_range_summary(count: int) -> None:
    summary = range_summary([(f"k{index:03}", Version(1, index)) for index in range(count)])
    hashes = [bytes.fromhex(one) for one in vectors.RANGE_HASHES[count]]
    assert summary == kv_rwset_pb2.QueryReadsMerkleSummary(max_degree=50, max_level=1, max_level_hashes=hashes)


def test_11_messages() -> None:
    parameters = chaincode_pb2.ChaincodeAdditionalParams(
        use_write_batch=True, max_size_write_batch=1000, use_get_multiple_keys=True, max_size_get_multiple_keys=1000
    )
    assert parameters.SerializeToString() == vectors.READY_PAYLOAD
    message = chaincode_shim_pb2.ChaincodeMessage(
        type=chaincode_shim_pb2.ChaincodeMessage.GET_STATE,
        payload=chaincode_shim_pb2.GetState(key="k1").SerializeToString(),
        txid="t1",
        channel_id="health",
    )
    assert message.SerializeToString() == vectors.GET_STATE_MESSAGE
    status = gateway_pb2.CommitStatusRequest(transaction_id="t1", channel_id="health", identity=b"id")
    assert status.SerializeToString() == vectors.COMMIT_STATUS_REQUEST
    detail = gateway_pb2.ErrorDetail(address="peer0:7051", msp_id="HospitalMSP", message="boom")
    assert detail.SerializeToString() == vectors.ERROR_DETAIL
