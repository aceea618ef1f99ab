"""A Fabric network's folder on this machine, as far as that goes without Fabric's programs."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from healthchain.app.chaincodes import Connection, agreed_definition
from healthchain.app.consortium import FolderTaken, NotEmbedded, initialise
from healthchain.app.deploying import deploy
from healthchain.app.fabric.compacting import on_disk, prepare
from healthchain.app.fabric.local import init, up
from healthchain.app.profile import endpoints, peer_environment
from healthchain.app.verify import verify
from healthchain.config import Organisation, Topology
from healthchain.errors import BadInput
from healthchain.fabric.nodes import PROGRAMS, Consensus, Settings, read_settings

TWO = Topology(organisations=(Organisation("one", "hospital"), Organisation("two", "agency")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("local") / "consortium"
    init(made, TWO, Settings(Consensus.RAFT, free_base_port()))
    return made


def free_base_port() -> int:
    """Somebody else may take a port of it in the meantime: then the test that starts something says which."""
    with socket.create_server(("localhost", 0)) as found:
        return min(int(found.getsockname()[1]), 60_000)


def test_the_embedded_network_s_commands_have_nothing_to_say_of_it(folder: Path) -> None:
    with pytest.raises(NotEmbedded, match="runs on Fabric"):
        verify(folder)
    with pytest.raises(NotEmbedded):
        asyncio.run(deploy(folder, agreed_definition("assets", "1", None, None), Connection("localhost:1", "")))
    with pytest.raises(FolderTaken, match="a Fabric network in this folder"):
        asyncio.run(initialise(folder, TWO))


@pytest.mark.parametrize(("taken", "who"), [(0, "one's peer"), (2, "one's orderer"), (23, "two's chaincode")])
def test_nothing_is_started_where_somebody_has_a_port(tmp_path: Path, taken: int, who: str) -> None:
    made, programs = tmp_path / "consortium", tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).touch()  # that they are not programs would be noticed
    with socket.create_server(("localhost", 0)) as other:
        port = int(other.getsockname()[1])
        init(made, TWO, Settings(Consensus.RAFT, port - taken))
        with pytest.raises(BadInput, match=f"localhost:{port}, which {who} needs, is taken"):
            asyncio.run(up(made, programs, print))
    assert not list(made.rglob("*.pid"))


def test_fabric_s_tools_are_told_where_its_nodes_are(folder: Path) -> None:
    found = endpoints(folder, TWO, base_port=7051)
    port = read_settings(folder).base_port
    assert [one.address for one in found.values()] == [f"localhost:{port}", f"localhost:{port + 20}"]
    told = peer_environment(found["two"], "administrator", TWO.channel)
    assert (told["CORE_PEER_ADDRESS"], told["ORDERER_ADDRESS"]) == (f"localhost:{port + 20}", f"localhost:{port + 21}")


def test_there_is_nothing_to_compact_before_peers_have_run(folder: Path) -> None:
    assert on_disk(folder) == []
    with pytest.raises(BadInput, match="no peer has a ledger"):
        prepare(folder)
