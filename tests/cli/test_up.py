"""The network in the foreground, as a process: ready, in use, stopped; and what Fabric's tools are told of it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

import healthchain.app.up as foreground
from healthchain.config import DEFAULT
from healthchain.network.committer import Committer, StorageFailed

from .program import Program, process, start

SECONDS_MAX = 30
ORG = "general-hospital"
LISTENING: dict[str, Any] = {"host": "127.0.0.1", "base_port": 0, "client_certificates": False}
ORGANISATIONS = [one.name for one in DEFAULT.organisations]


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The running process, and what it said when it was ready."""
    with start("up", "--dir", folder, "--base-port", "0", "--json", *arguments) as running:
        try:
            assert running.stdout is not None
            yield running, json.loads(running.stdout.readline())
        finally:
            running.kill()


def ended(running: subprocess.Popen[str], number: int) -> tuple[int, str]:
    running.send_signal(number)
    _, stderr = running.communicate(timeout=SECONDS_MAX)
    return running.returncode, stderr


def evaluate_nothing(folder: Path, address: str) -> grpc.StatusCode:
    """The status that a gateway has for an empty request, which only a gateway gives."""
    authority = next((folder / "organizations/peerOrganizations").glob(f"{ORG}.*/tlsca/*.pem")).read_bytes()
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(authority)) as channel:
        call: Any = channel.unary_unary("/gateway.Gateway/Evaluate")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=SECONDS_MAX, wait_for_ready=True)
    code: grpc.StatusCode = caught.value.code()
    return code


def send_noise(address: str) -> None:
    """As whoever scans ports; read until it is hung up on."""
    with socket.create_connection((address.split(":")[0], int(address.split(":")[1])), SECONDS_MAX) as connection:
        connection.sendall(bytes(range(256)) * 8)
        with suppress(ConnectionError):
            while connection.recv(4096):
                pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_stopped(program: Program, made: Path, number: int) -> None:
    with up(made) as (running, ready):
        assert ready["ready"] is True
        assert list(ready["addresses"]) == ORGANISATIONS
        assert evaluate_nothing(made, ready["addresses"][ORG]) is grpc.StatusCode.INVALID_ARGUMENT
        send_noise(ready["addresses"][ORG])
        other = program("blocks", "--dir", made, "--json")
        assert (other.status, "another process has" in other.document["error"]) == (1, True)
        status, stderr = ended(running, number)
    assert (status, stderr) == (0, "stopped\n")
    assert program.done("verify", "--dir", made)["clean"] is True


def test_without_json_it_says_where_it_listens(made: Path) -> None:
    with start("up", "--dir", made, "--base-port", "0") as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line.startswith(f"ready: {ORG} localhost:")
        running.terminate()
        stdout, stderr = running.communicate(timeout=SECONDS_MAX)
    assert (running.returncode, stdout, stderr) == (0, "stopped\n", "")


def test_a_port_that_is_taken_ends_with_2(made: Path, tmp_path: Path) -> None:

    other = tmp_path / "other"
    shutil.copytree(made, other)
    with up(made) as (_, ready):
        taken = ready["addresses"][ORG].split(":")[1]
        refused = process("up", "--dir", other, "--base-port", taken, "--json")
    assert refused.status == 2
    assert taken in refused.document["error"]


def test_clients_without_a_certificate_are_not_let_in_where_it_is_asked_for(made: Path) -> None:
    with up(made, "--mutual-tls") as (_, ready):
        authority = next((made / "organizations/peerOrganizations").glob(f"{ORG}.*/tlsca/*.pem")).read_bytes()
        with grpc.secure_channel(ready["addresses"][ORG], grpc.ssl_channel_credentials(authority)) as channel:
            call: Any = channel.unary_unary("/gateway.Gateway/Evaluate")
            deadline = time.monotonic() + SECONDS_MAX
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=SECONDS_MAX)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert time.monotonic() < deadline


def test_env_names_files_that_there_are(program: Program, made: Path) -> None:
    told = program.done("env", ORG, "--dir", made, "--base-port", "9000", "--user", "clinician")
    assert told["CORE_PEER_ADDRESS"] == "localhost:9000"
    assert told["CORE_PEER_LOCALMSPID"] == "GeneralHospitalMSP"
    assert (Path(told["CORE_PEER_MSPCONFIGPATH"]) / "config.yaml").is_file()
    assert Path(told["CORE_PEER_TLS_ROOTCERT_FILE"]).is_file()
    for name in ("ORDERER_CA", "CORE_PEER_TLS_CLIENTCERT_FILE", "CORE_PEER_TLS_CLIENTKEY_FILE"):
        assert Path(told[name]).is_file()
    second = program.done("env", ORGANISATIONS[1], "--dir", made)
    assert second["CORE_PEER_ADDRESS"] == "localhost:8051"
    elsewhere = program.done("env", ORG, "--dir", made, "--host", "ledger.hospital.org")
    assert elsewhere["CORE_PEER_ADDRESS"] == elsewhere["ORDERER_ADDRESS"] == "ledger.hospital.org:7051"
    lines = program("env", ORG, "--dir", made, "--base-port", "9000", "--user", "clinician").stdout.splitlines()
    assert dict(shlex.split(one)[1].split("=", 1) for one in lines) == told


def test_now_and_then_it_says_how_it_is(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreground, "HEALTH_S", 0.05)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        os.kill(os.getpid(), signal.SIGTERM)

    asyncio.run(foreground.up(made, **LISTENING, ready=lambda addresses: None, say=say))
    assert said[0] == "healthy: 7 blocks, 4 peers, 4 orderers of which 3 must sign"


def test_a_network_that_cannot_go_on_ends_it(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(self: Committer) -> None:
        raise StorageFailed("a peer cannot write its ledger")

    monkeypatch.setattr(Committer, "run", full)
    with pytest.raises(StorageFailed):
        asyncio.run(foreground.up(made, **LISTENING, ready=lambda addresses: None, say=print))


def test_the_connection_profile_lists_every_organisations_peer(program: Program, made: Path) -> None:
    profile = program("env", ORG, "--dir", made, "--profile")
    assert profile.status == 0
    document = json.loads(profile.stdout)
    assert document["client"]["organization"] == ORG
    assert list(document["organizations"]) == ORGANISATIONS
    [peer] = document["organizations"][ORG]["peers"]
    assert document["organizations"][ORG]["mspid"] == "GeneralHospitalMSP"
    assert document["peers"][peer]["url"] == "grpcs://localhost:7051"
    assert document["peers"][peer]["tlsCACerts"]["pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert set(document["channels"]["health"]["peers"]) == set(document["peers"])
    assert "PRIVATE KEY" not in profile.stdout
