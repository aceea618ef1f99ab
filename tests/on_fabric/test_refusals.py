"""Every refusal of the contract's tests, through the Gateway client: on Fabric's peers, and on the embedded network."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from healthchain.contract.codes import Code
from healthchain.contract.ehr import CONTRACT
from healthchain.fabric.nodes import Consensus, Settings

from .embedded_network import on_embedded
from .fabric_network import on_fabric
from .playing import Played, named_worlds, play
from .refusals import Recorded

TESTS = Path(__file__).parents[1]
ALONE = ("property", "determinism", "suppression")  # they ask at random, or another contract
SECONDS_MAX = 600
TABLE_ROWS_MIN = 4
ROWS_MIN, ALL_ROWS_MIN = 1345, 1453
OPEN_TO_ALL = {"members:List"}
AT_ONCE = 24
PORTS = {Consensus.RAFT: 20051, Consensus.BFT: 21051}


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """By running the contract's tests once more, in a process of their own."""
    file = tmp_path_factory.mktemp("recorded") / "refusals.json"
    left_out = [f"--ignore={one}" for name in ALONE for one in (TESTS / "contract").glob(f"test_*{name}*.py")]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run(  # noqa: S603 (this interpreter, constant arguments)
        [sys.executable, "-m", "pytest", "-q", "-p", "recording", *left_out, TESTS / "contract"],
        env={**os.environ, "PYTHONPATH": paths, "HEALTHCHAIN_RECORDED": str(file)},
        stdout=subprocess.DEVNULL,
        timeout=SECONDS_MAX,
        check=True,
    )
    return msgspec.json.decode(file.read_bytes(), type=Recorded)


def programs() -> Path:
    """FABRIC_BIN's folder, or the one on PATH that has an orderer."""
    found = os.environ.get("FABRIC_BIN") or shutil.which("osnadmin")
    folder = Path(found) if found else None
    folder = folder.parent if folder and folder.name == "osnadmin" else folder
    if folder is None or not (folder / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    return folder


def require_all(played: Played, rows_min: int) -> None:
    assert played.differences == []
    assert played.refused >= rows_min
    assert played.codes == set(Code)
    assert played.functions == {one.decode() for one in CONTRACT.functions} - OPEN_TO_ALL


@pytest.mark.fabric
@pytest.mark.parametrize("consensus", list(Consensus))
def test_on_fabric(consensus: Consensus, recorded: Recorded, tmp_path: Path) -> None:
    """The tables: states in which many rows are asked, and for every code one in which it is."""
    found, tables = programs(), recorded.tables(TABLE_ROWS_MIN)

    async def played() -> Played:
        async with on_fabric(tmp_path / "network", found, Settings(consensus, PORTS[consensus])) as network:
            return await play(tables, network, AT_ONCE)

    require_all(asyncio.run(played()), ROWS_MIN)


@pytest.mark.slow
def test_on_the_embedded_network(recorded: Recorded, tmp_path: Path) -> None:
    """Every one."""

    async def played() -> Played:
        async with on_embedded(tmp_path, list(named_worlds(recorded))) as network:
            return await play(recorded, network, AT_ONCE)

    require_all(asyncio.run(played()), ALL_ROWS_MIN)
