"""Deploying a chaincode's service, and serving the contract, as a user does."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .program import Program, start

NAME = ("--name", "copy")


@contextmanager
def served(*options: str | Path) -> Iterator[dict[str, Any]]:
    """Our own contract stands for another maker's chaincode. It ends cleanly."""
    running = start("chaincode", "serve", "--address", "127.0.0.1:0", "--json", *options)
    try:
        assert running.stdout is not None
        yield json.loads(running.stdout.readline())
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            _, said = running.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        assert (running.returncode, "Traceback" in said) == (0, False), said


def test_a_service_is_deployed_moved_and_changed(program: Program, made: Path, tmp_path: Path) -> None:
    deploying = ("chaincode", "deploy", "--dir", made, *NAME)
    collections = tmp_path / "collections.json"
    collections.write_text('[{"name": "shared", "policy": "OR(\'GeneralHospitalMSP.member\')"}]')
    with served("--package-id", "copy:1") as first, served("--package-id", "copy:2") as second:
        done = program.done(*deploying, "--address", first["address"], "--package-id", "copy:1")
        assert done == {"name": "copy", "version": "1", "sequence": 1, "address": first["address"]}
        moved = program.done(*deploying, "--address", second["address"])
        assert moved["sequence"] == 1
        stored = json.loads((made / "chaincodes/copy.json").read_text())
        assert (stored["address"], stored["tls_required"]) == (second["address"], False)
        changed = program.done(
            *deploying, "--address", first["address"], "--version", "2", "--collections", collections,
            "--policy", "OR('GeneralHospitalMSP.peer', 'CityClinicMSP.peer')",
        )  # fmt: skip
        assert changed["sequence"] == 2
        wrong = program(*deploying, "--address", first["address"], "--package-id", "other:1")
        assert (wrong.status, "registers as another chaincode" in wrong.stderr) == (1, True)
    gone = program(*deploying, "--address", first["address"])
    assert (gone.status, "cannot be reached" in gone.stderr) == (1, True)
    assert program.done("verify", "--dir", made)["clean"] is True


def test_with_tls_on_both_sides(program: Program, made: Path) -> None:
    tls = made / "organizations/peerOrganizations"
    tls = next(tls.glob("*general-hospital*")) / "peers"
    tls = next(tls.iterdir()) / "tls"
    own = ("--tls-cert", tls / "server.crt", "--tls-key", tls / "server.key")
    deploying = ("chaincode", "deploy", "--dir", made, *NAME)
    with served(*own, "--tls-client-ca", tls / "ca.crt") as service:
        address = ("--address", service["address"].replace("127.0.0.1", "localhost"))
        assert program.done(*deploying, *address, "--tls-root", tls / "ca.crt", *own)["sequence"] == 1
        for options in ((), ("--tls-root", tls / "ca.crt")):  # no TLS; no certificate of the peers' own
            refused = program(*deploying, *address, *options)
            assert (refused.status, "cannot be reached" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--name", "ehr"), "is not taken"),
        (("--name", "a b"), "letters and digits"),
        (("--name", "../x"), "letters and digits"),
        ((*NAME, "--version", "a b"), "a version has"),
        ((*NAME, "--policy", "OR("), "ends too early"),
        ((*NAME, "--collections", "/nowhere"), "cannot be read"),
    ],
)
def test_what_cannot_be_deployed_is_refused(program: Program, made: Path, options: tuple[str, ...], why: str) -> None:
    refused = program("chaincode", "deploy", "--dir", made, "--address", "127.0.0.1:1", *options)
    assert (refused.status, why in refused.stderr) == (2, True), refused
    assert not (made / "chaincodes").exists()


def test_policies_name_members_only(program: Program, made: Path, tmp_path: Path) -> None:
    collections = tmp_path / "collections.json"
    of_collection = {"signaturePolicy": "OR('Else.peer')"}
    collections.write_text(
        json.dumps([{"name": "c", "policy": "'CityClinicMSP.member'", "endorsementPolicy": of_collection}])
    )
    with served() as service:
        for options in (("--policy", "OR('Else.peer')"), ("--collections", collections)):
            refused = program("chaincode", "deploy", "--dir", made, *NAME, "--address", service["address"], *options)
            assert (refused.status, "no member of the channel is Else" in refused.stderr) == (2, True)
    assert not (made / "chaincodes").exists()


def test_tls_needs_both_certificate_and_key(program: Program) -> None:
    refused = program("chaincode", "serve", "--address", "127.0.0.1:0", "--tls-cert", __file__)
    assert (refused.status, "both" in refused.stderr) == (2, True)
