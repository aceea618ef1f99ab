"""What is written before Fabric's programs start: block 0, packages, configuration; and who is ended afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fabric_protos.common import configuration_pb2, policies_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2
from fabric_protos.peer import collection_pb2

from healthchain.app.consortium import FolderTaken, definition
from healthchain.app.fabric.local import init, status
from healthchain.config import DEFAULT, Organisation, Topology
from healthchain.errors import BadInput
from healthchain.fabric import processes
from healthchain.fabric.configs import write_configs
from healthchain.fabric.deploying import write_collections
from healthchain.fabric.nodes import Consensus, Member, Settings, is_fabric, members, read_settings, require_programs
from healthchain.fabric.package import write_package
from healthchain.network.provision import read_genesis_block
from healthchain.wire.channel import genesis_config
from healthchain.wire.lifecycle import collection_package

TWO = Topology(organisations=(Organisation("one", "hospital"), Organisation("two", "agency")))


def made(folder: Path, consensus: Consensus) -> list[Member]:
    settings = Settings(consensus, 7051)
    init(folder, DEFAULT, settings)
    return members(folder, DEFAULT, settings)


def test_block_0_for_raft(tmp_path: Path) -> None:
    listed = made(tmp_path, Consensus.RAFT)
    group = genesis_config(read_genesis_block(tmp_path)).channel_group
    orderer = group.groups["Orderer"]
    assert "Orderers" not in orderer.values
    kind = orderer_pb2.ConsensusType.FromString(orderer.values["ConsensusType"].value)
    consenters = raft_pb2.ConfigMetadata.FromString(kind.metadata).consenters
    assert (kind.type, [one.port for one in consenters]) == ("etcdraft", [7052, 7072, 7092, 7112])
    for one in listed:
        endpoints = orderer.groups[one.name].values["Endpoints"].value
        assert configuration_pb2.OrdererAddresses.FromString(endpoints).addresses == [one.orderer]
        assert "AnchorPeers" in group.groups["Application"].groups[one.name].values


def test_block_0_for_bft_asks_for_a_quorum_of_signatures(tmp_path: Path) -> None:
    made(tmp_path, Consensus.BFT)
    orderer = genesis_config(read_genesis_block(tmp_path)).channel_group.groups["Orderer"]
    validation = orderer.policies["BlockValidation"].policy
    assert validation.type == policies_pb2.Policy.SIGNATURE
    policy = policies_pb2.SignaturePolicyEnvelope.FromString(validation.value)
    assert (policy.rule.n_out_of.n, len(policy.identities)) == (3, 4)
    consenters = configuration_pb2.Orderers.FromString(orderer.values["Orderers"].value).consenter_mapping
    assert all(one.server_tls_cert and one.client_tls_cert for one in consenters)


def test_what_no_network_can_be_made_of(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="SmartBFT needs 4"):
        init(tmp_path / "few", TWO, Settings(Consensus.BFT, 7051))
    with pytest.raises(BadInput, match="base port"):
        init(tmp_path / "port", TWO, Settings(Consensus.RAFT, 65000))
    assert not list(tmp_path.iterdir())
    (tmp_path / "other").touch()
    with pytest.raises(FolderTaken):
        init(tmp_path, TWO, Settings(Consensus.RAFT, 7051))
    with pytest.raises(BadInput, match="lacks orderer, peer, osnadmin"):
        require_programs(tmp_path)
    assert not is_fabric(tmp_path)
    with pytest.raises(BadInput, match="fabric init"):
        read_settings(tmp_path)


def test_the_file_of_the_collections_says_what_the_definition_says(tmp_path: Path) -> None:
    """Who commits with the file and who commits with the message have to agree on it byte for byte."""
    agreed = definition(DEFAULT)
    write_collections(tmp_path / "collections.json", agreed)
    package = collection_pb2.CollectionConfigPackage.FromString(collection_package(agreed.collections))
    described = [
        {
            "name": one.name,
            "requiredPeerCount": one.required_peer_count,
            "maxPeerCount": one.maximum_peer_count,
            "blockToLive": one.block_to_live,
            "memberOnlyRead": one.member_only_read,
            "memberOnlyWrite": one.member_only_write,
        }
        for one in (each.static_collection_config for each in package.config)
    ]
    told = json.loads((tmp_path / "collections.json").read_text())
    assert [{name: value for name, value in one.items() if name != "policy"} for one in told] == described


def test_a_package_is_the_same_for_the_same_connection(tmp_path: Path) -> None:
    first, second, *_ = made(tmp_path, Consensus.RAFT)
    path, package_id = write_package(first, "ehr_1")
    assert package_id.startswith("ehr_1:")
    assert write_package(first, "ehr_1") == (path, package_id)
    assert write_package(second, "ehr_1")[1] != package_id
    assert path.stat().st_mode & 0o077 == 0  # it holds the key with which the peer calls the service


def test_no_port_is_used_twice_and_an_erased_value_goes_at_once(tmp_path: Path) -> None:
    listed = made(tmp_path, Consensus.RAFT)
    ports = [
        address
        for one in listed
        for address in (one.peer, one.orderer, one.orderer_admin, one.chaincode, one.nodes.callback)
    ]
    assert len(set(ports)) == 5 * len(listed)
    write_configs(listed[0], tmp_path / "builder")
    core = json.loads((listed[0].folder / "peer" / "core.yaml").read_text())
    assert core["ledger"]["pvtdataStore"]["purgeInterval"] == 1
    assert not any(one.running for one in status(tmp_path))


def test_only_the_process_that_was_started_is_ended(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", "import time; time.sleep(60)"]
    own, others = tmp_path / "own.pid", tmp_path / "others.pid"
    processes.start(own, tmp_path / "log", arguments, {})
    started = processes.running(own)
    assert started is not None
    processes.start(own, tmp_path / "log", arguments, {})
    assert processes.running(own) == started  # not a second one
    with subprocess.Popen(arguments) as another:  # noqa: S603
        try:
            others.write_text(json.dumps({"pid": another.pid, "began": "at another time"}))
            assert processes.stop([own, others]) == 1
            assert processes.running(own) is None
            assert another.poll() is None
        finally:
            another.kill()
    os.waitpid(started.pid, 0)


def test_a_process_is_not_over_before_its_last_thread(tmp_path: Path) -> None:
    """Which may hold a lock that the next process needs, after the first thread has ended."""
    ends_first = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    leaves = "; ctypes.CDLL(None).pthread_exit(None)"
    own = tmp_path / "own.pid"
    processes.start(own, tmp_path / "log", [sys.executable, "-c", ends_first + leaves], {})
    started = processes.running(own)
    assert started is not None
    while _state(started.pid) != "Z":
        time.sleep(0.02)
    assert processes.running(own) == started
    assert processes.stop([own]) == 1
    assert processes.running(own) is None
    os.waitpid(started.pid, 0)


def _state(pid: int) -> str:
    told = subprocess.run(["/bin/ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return told.stdout.strip()[:1]
