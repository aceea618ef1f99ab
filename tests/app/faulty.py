"""A real Fabric network in which single faults are made and mended again."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from healthchain.app.doctor.examination import Options, examine
from healthchain.app.doctor.findings import Report
from healthchain.app.fabric import local
from healthchain.config import DEFAULT
from healthchain.fabric import processes
from healthchain.fabric.nodes import Consensus, Member, Settings, members
from healthchain.fabric.tools import Tools
from healthchain.identity.certificates import CertificateAuthority, Enrolment
from healthchain.identity.keys import SigningKey

Seen = list[tuple[str, str, str]]
"""Code, organisation and node of each finding, sorted."""
SECONDS_MAX = 60.0


def programs() -> Path | None:
    """FABRIC_BIN's folder, or the one on PATH that has an orderer."""
    found = os.environ.get("FABRIC_BIN") or shutil.which("osnadmin")
    folder = Path(found) if found else None
    return folder.parent if folder and folder.name == "osnadmin" else folder


def seen(report: Report) -> Seen:
    return sorted((one.code.name, one.organisation, one.node) for one in report.findings)


class Network:
    """Of the demo's four members; `folder` is `init`ed, and perhaps changed, before it goes `up`."""

    def __init__(self, folder: Path, consensus: Consensus, base_port: int, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        settings = Settings(consensus, base_port)
        local.init(folder, DEFAULT, settings)
        self.members = {one.name: one for one in members(folder, DEFAULT, settings)}

    def up(self) -> None:
        asyncio.run(local.up(self.folder, self._programs, lambda text: None))

    def down(self) -> None:
        local.down(self.folder)

    def examine(self, options: Options | None = None) -> Report:
        return asyncio.run(examine(self.folder, options or Options()))

    def seen(self) -> Seen:
        return seen(self.examine())

    def eventually(self, expected: Seen) -> Seen:
        """What is seen as soon as it is this, or at the end of a minute."""
        deadline = time.monotonic() + SECONDS_MAX
        while (found := self.seen()) != expected and time.monotonic() < deadline:
            time.sleep(1)
        return found

    def pid_file(self, organisation: str, node: str) -> Path:
        return self.members[organisation].folder / f"{node}.pid"

    def kill(self, organisation: str, node: str) -> None:
        file = self.pid_file(organisation, node)
        self.signal(organisation, node, signal.SIGKILL)
        deadline = time.monotonic() + SECONDS_MAX
        while processes.running(file) and time.monotonic() < deadline:
            time.sleep(0.05)

    def signal(self, organisation: str, node: str, what: signal.Signals) -> None:
        running = processes.running(self.pid_file(organisation, node))
        assert running is not None
        os.kill(running.pid, what)

    def start_peer(self, organisation: str) -> None:
        """As it is configured on disk, where `up` would configure it anew; returns once it listens."""
        member = self.members[organisation]
        environment = {"FABRIC_CFG_PATH": str(member.folder / "peer"), "PATH": os.environ["PATH"]}
        arguments = [str(self._programs / "peer"), "node", "start"]
        processes.start(self.pid_file(organisation, "peer"), member.folder / "peer.log", arguments, environment)
        host, _, port = member.peer.partition(":")
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
                return
            time.sleep(0.1)
        raise AssertionError("the peer does not listen")

    @contextlib.contextmanager
    def restarted_with(self, organisation: str, change: Callable[[Member], None]) -> Iterator[None]:
        """Its peer with another configuration or certificate; as it was afterwards."""
        member = self.members[organisation]
        kept = [member.credentials.peer / "tls" / "server.crt", member.credentials.peer / "tls" / "server.key"]
        kept.append(member.folder / "peer" / "core.yaml")
        contents = [one.read_bytes() for one in kept]
        self.kill(organisation, "peer")
        change(member)
        try:
            self.start_peer(organisation)
            yield
        finally:
            for path, content in zip(kept, contents, strict=True):
                path.write_bytes(content)
            self.kill(organisation, "peer")
            self.up()

    def change_core(self, organisation: str, *path: str, value: Any) -> None:
        core = self.members[organisation].folder / "peer" / "core.yaml"
        config = json.loads(core.read_text())
        inner = config
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        core.write_text(json.dumps(config, indent=1))

    def peer(self, organisation: str, *arguments: str) -> str:
        """Fabric's `peer`, as the organisation's administrator."""
        return asyncio.run(Tools(self._programs, self.members[organisation]).peer(*arguments))

    def osnadmin(self, organisation: str, *arguments: str) -> str:
        return asyncio.run(Tools(self._programs, self.members[organisation]).osnadmin(*arguments))

    def ordering(self) -> Sequence[str]:
        first = next(iter(self.members.values()))
        return ("-o", first.orderer, "--tls", "--cafile", str(first.tls_root))


def put_tls(member: Member, enrolment: Enrolment) -> None:
    """In the place of the peer's own."""
    tls = member.credentials.peer / "tls"
    (tls / "server.crt").write_bytes(enrolment.certificate)
    (tls / "server.key").write_bytes(enrolment.key.to_pem())


def tls_authority(member: Member) -> CertificateAuthority:
    """The organisation's own."""
    folder = member.credentials.path / "tlsca"
    return CertificateAuthority(
        SigningKey.from_pem((folder / "priv_sk").read_bytes()), member.credentials.tls_authority()
    )


def another_authority() -> CertificateAuthority:
    return CertificateAuthority.create("tlsca.somewhere", "somewhere", datetime.datetime.now(datetime.UTC))
