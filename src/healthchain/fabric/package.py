"""The contract as a chaincode package of type ccaas, and the builder with which a peer takes it.

Sources: Fabric core/chaincode/persistence/chaincode_package.go, core/container/externalbuilder/, ccaas_builder/.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from healthchain.fabric.nodes import Member
from healthchain.identity.folders import write_private

TYPE = "ccaas"
_SCRIPTS = {
    "detect": 'grep -q \'"type": *"ccaas"\' "$2/metadata.json"',
    "build": 'cp "$1/connection.json" "$3/"',
    "release": 'mkdir -p "$2/chaincode/server" && cp "$1/connection.json" "$2/chaincode/server/"',
}


def write_builder(folder: Path) -> Path:
    """Three scripts, since there is nothing to build: the peer is told where the service listens."""
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, script in builder_scripts().items():
        path = programs / name
        path.write_bytes(script)
        path.chmod(0o700)
    return folder


def builder_scripts() -> dict[str, bytes]:
    return {name: f"#!/bin/sh\nset -eu\n{script}\n".encode() for name, script in _SCRIPTS.items()}


def write_package(member: Member, label: str, address: str = "") -> tuple[Path, str]:
    """The file, and the package id that a peer gives it: the same again for the same connection.

    It leads to the member's own service, or to another one's HOST:PORT.
    """
    tls = member.credentials.peer / "tls"
    connection = {
        "address": address or member.chaincode,
        "dial_timeout": "10s",
        "tls_required": True,
        "client_auth_required": True,
        "root_cert": member.credentials.tls_authority().decode(),
        "client_key": (tls / "server.key").read_text(),
        "client_cert": (tls / "server.crt").read_text(),
    }
    package, package_id = packed(label, connection)
    path = member.folder / f"{label}.tar.gz"
    write_private(path, package)
    return path, package_id


def packed(label: str, connection: Mapping[str, object]) -> tuple[bytes, str]:
    """The package of a service that is reached as connection.json says, and its id."""
    code = _archive({"connection.json": json.dumps(connection).encode()})
    package = _archive({"metadata.json": json.dumps({"type": TYPE, "label": label}).encode(), "code.tar.gz": code})
    return package, f"{label}:{hashlib.sha256(package).hexdigest()}"


def _archive(files: dict[str, bytes]) -> bytes:
    """tar.gz without times or owners, so that equal content has equal bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
