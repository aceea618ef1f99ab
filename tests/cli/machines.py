"""Several machines on this one: each organisation's exported folder alone, its units' commands, its own authorities."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from healthchain.config import DEFAULT, Topology, write_topology

from .program import process

SECONDS_MAX = 150
GROUPS = {"fabric": 2, "licences": 2, "governance": 2}  # words of a command before its options
KINDS = ("peer", "orderer", "admin", "chaincode", "callback", "peer_operations", "orderer_operations")
UNITS = ("orderer", "chaincode", "peer")


class Machine:
    """Of one organisation: `/opt/healthchain` there is `folder` here."""

    def __init__(self, folder: Path, authorities: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._authorities = authorities
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def equip(self, programs: Path) -> None:
        """With Fabric's programs and ours, where the units look for them."""
        (self.folder / "bin").symlink_to(programs)
        (self.folder / "venv" / "bin").mkdir(parents=True)
        (self.folder / "venv" / "bin" / "healthchain").symlink_to(Path(sys.executable).with_name("healthchain"))

    def done(self, *arguments: str | Path) -> Any:
        count = 3 if arguments[1] == "membership" else GROUPS.get(str(arguments[0]), 1)
        words, rest = arguments[:count], arguments[count:]
        ended = process(*words, "--dir", self.folder, *rest, "--json", seconds_max=SECONDS_MAX)
        assert ended.status == 0, ended
        return json.loads(ended.stdout)

    def certify(self) -> str:
        """Keys, requests, signatures by the organisation's authorities, all in place: the file for the others."""
        self.done("fabric", "request")
        certificates = self._authorities / "certificates"
        script = self.folder / "requests" / "openssl.sh"
        arguments = [str(self.folder / "requests"), str(self._authorities / "own"), str(certificates)]
        subprocess.run(["/bin/sh", str(script), *arguments], check=True, capture_output=True)  # noqa: S603 (exported)
        file: str = self.done("fabric", "install", "--certificates", certificates)["file"]
        return file

    def address(self, index: int) -> str:
        """Of its peer (0), its orderer (1), and so on."""
        read = json.loads((self.folder / "fabric" / "settings.json").read_text())["hosts"][self.name]
        address: str = read[KINDS[index]]
        return address

    def take(self, made: Path) -> None:
        """Of a later export: who takes part, and where."""
        for file in ("topology.toml", "fabric/settings.json"):
            shutil.copy(made / file, self.folder / file)

    def start(self, *units: str) -> None:
        for unit in units or UNITS:
            self._running[unit] = self._started(unit)

    def stop(self, *units: str) -> None:
        ended = [self._running.pop(unit) for unit in units or tuple(self._running)]
        for one in ended:
            one.send_signal(signal.SIGTERM)
        for one in ended:
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()

    def _started(self, unit: str) -> subprocess.Popen[bytes]:
        """As systemd would: the unit's command, folder and environment."""
        read = directives(self.folder / "units" / f"healthchain-{unit}.service")
        environment = dict(one.split("=", 1) for one in read["Environment"])
        for file in read.get("EnvironmentFile", []):
            path = Path(file.removeprefix("-"))
            if path.exists() or not file.startswith("-"):
                lines = path.read_text().splitlines()
                environment |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        [command], [folder] = read["ExecStart"], read["WorkingDirectory"]
        with (self.folder / f"{unit}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (the exported unit's own command)
                command.split(),
                env={"PATH": os.environ["PATH"], "FABRIC_LOGGING_SPEC": "warning", **environment},
                cwd=folder,
                stdout=log,
                stderr=log,
            )


def directives(unit: Path) -> dict[str, list[str]]:
    """Name -> values, of all sections of a unit."""
    read: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            read.setdefault(name, []).append(value)
    return read


def exported(folder: Path, port: int, consensus: str, names: Sequence[str]) -> list[Machine]:
    """One address an organisation, from 127.0.0.2 on, each with the same ports."""
    out = _export(folder, "export", port, consensus, names)
    return [Machine((out / name).rename(folder / name), folder / "authorities" / name) for name in names]


def larger(folder: Path, port: int, consensus: str, names: Sequence[str], known: Sequence[Machine]) -> Machine:
    """The last of these names is new; the others' folders are in `larger`, to be taken from."""
    out = _export(folder, "larger", port, consensus, names)
    assert [*names[:-1]] == [one.name for one in known]
    return Machine((out / names[-1]).rename(folder / names[-1]), folder / "authorities" / names[-1])


def _export(folder: Path, to: str, port: int, consensus: str, names: Sequence[str]) -> Path:
    hosts = [f"[{name}]\n{_hosts(f'127.0.0.{index + 2}', port, folder / name)}" for index, name in enumerate(names)]
    (folder / "hosts.toml").write_text("\n".join(hosts))
    topology = Topology(organisations=tuple(DEFAULT.organisation(name) for name in names))
    (folder / "topology.toml").write_text(write_topology(topology))
    files = ("--topology", folder / "topology.toml", "--hosts", folder / "hosts.toml", "--out", folder / to)
    ended = process("fabric", "export", *files, "--consensus", consensus, "--json")
    assert ended.status == 0, ended
    return folder / to


def _hosts(address: str, port: int, folder: Path) -> str:
    lines = [f'{kind} = "{address}:{port + index}"' for index, kind in enumerate(KINDS)]
    return "\n".join([*lines, f'listen = "{address}"', f'folder = "{folder}"', ""])


def exchange(machines: Sequence[Machine], files: Sequence[str], at: Path) -> None:
    """Every member's file for every member."""
    at.mkdir()
    for machine, file in zip(machines, files, strict=True):
        shutil.copy(machine.folder / file, at)
