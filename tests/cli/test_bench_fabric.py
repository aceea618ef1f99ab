"""`bench --engine fabric`: the same load on both engines, and no process of the network left, however it ends."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from .program import start
from .test_fabric import programs

LOAD = ("bench", "--engine", "fabric", "--organisations", "3", "--in-flight", "8", "--seconds", "2", "--json")
SECONDS_MAX = 120


@pytest.fixture
def fabric_bin() -> Path:
    folder = programs()
    if folder is None or not (folder / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    return folder


def pids(folder: Path) -> set[int]:
    """As the network's files have them while it runs."""
    return {json.loads(one.read_bytes())["pid"] for one in folder.glob("fabric/fabric/*/*.pid")}


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until_started(folder: Path, count: int) -> set[int]:
    deadline = time.monotonic() + SECONDS_MAX
    while len(pids(folder)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return pids(folder)


@pytest.mark.fabric
def test_put_on_both_engines(tmp_path: Path, fabric_bin: Path) -> None:
    arguments = ("--workload", "put", "--bin", fabric_bin, "--base-port", "19051", "--dir", tmp_path / "bench")
    with start(*LOAD, *arguments) as running:
        started = until_started(tmp_path / "bench", 12)  # three of them serve what `put` calls
        stdout, stderr = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 0, stderr
    figures = json.loads(stdout)
    assert list(figures) == ["embedded", "fabric"]
    assert all(one["transactions_per_second"] > 0 for one in figures.values())
    assert set(figures["fabric"]["cpu_ms_per_transaction"]) == {"peers", "orderers", "services", "client"}
    assert all(map(gone, started))


@pytest.mark.fabric
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_process(stop: signal.Signals, tmp_path: Path, fabric_bin: Path) -> None:
    arguments = ("--bin", fabric_bin, "--base-port", "19051", "--dir", tmp_path / "bench")
    with start(*LOAD, *arguments) as running:
        started = until_started(tmp_path / "bench", 9)
        os.kill(running.pid, stop)
        _, stderr = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 130, stderr
    assert all(map(gone, started))
