"""systemd units of one organisation's machine: orderer, peer, and the contract's service beside the peer.

They run as the user `healthchain`, may write where their ledgers are, and cannot see keys that are none of theirs.
Source: systemd.exec(5), systemd.service(5).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from healthchain.fabric.nodes import Member

HEALTHCHAIN = Path("venv/bin/healthchain")
"""In the organisation's folder, as `bin` is, which has Fabric's programs."""
ENVIRONMENT = "chaincode.env"
_HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077"""


def units(member: Member, folder: Path) -> dict[str, bytes]:
    """By file name; `folder` is where the organisation's folder is on its machine."""
    orderer, peer = member.folder / "orderer", member.folder / "peer"
    secrets = [*_secrets(member)]
    return {
        "healthchain-orderer.service": _unit(
            f"HealthChain: orderer of {member.name}", [str(folder / "bin/orderer")], orderer, orderer, secrets
        ),
        "healthchain-peer.service": _unit(
            f"HealthChain: peer of {member.name}",
            [str(folder / "bin/peer"), "node", "start"],
            peer,
            peer,
            secrets,
            wants="healthchain-chaincode.service",
        ),
        "healthchain-chaincode.service": _unit(
            f"HealthChain: the contract for the peer of {member.name}",
            [str(folder / HEALTHCHAIN), *serve_arguments(member)],
            member.folder,
            None,
            secrets,
            environment=member.folder / ENVIRONMENT,
        ),
    }


def serve_arguments(member: Member) -> list[str]:
    """Paths are relative to the member's folder."""
    tls = Path(os.path.relpath(member.credentials.peer / "tls", member.folder))
    options = {
        "--address": member.chaincode,
        "--tls-cert": str(tls / "server.crt"),
        "--tls-key": str(tls / "server.key"),
        "--tls-client-ca": str(tls / "ca.crt"),
    }
    return ["chaincode", "serve", *(part for option in options.items() for part in option)]


def _secrets(member: Member) -> list[Path]:
    """Of the organisation, and none of its nodes' business."""
    return [member.credentials.path / one for one in ("ca", "hpke", "users")]


def _unit(
    what: str,
    command: Sequence[str],
    runs_in: Path,
    writes: Path | None,
    secrets: Sequence[Path],
    *,
    wants: str = "",
    environment: Path | None = None,
) -> bytes:
    lines = ["[Unit]", f"Description={what}", "Wants=network-online.target", "After=network-online.target"]
    lines += [f"Wants={wants}"] if wants else []
    lines += ["StartLimitIntervalSec=0", "", "[Service]", "User=healthchain", "Group=healthchain"]
    lines += [f"WorkingDirectory={runs_in}", f"Environment=FABRIC_CFG_PATH={runs_in}"]
    lines += [f"EnvironmentFile={environment}"] if environment else []
    lines += [f"EnvironmentFile=-{runs_in}.env"] if writes else []
    lines += [f"ExecStart={' '.join(command)}", "Restart=always", "RestartSec=5", "TimeoutStopSec=60"]
    lines += ["LimitNOFILE=65536", _HARDENING]
    lines += [f"ReadWritePaths={writes}"] if writes else []
    lines += [f"InaccessiblePaths=-{one}" for one in secrets]
    lines += ["", "[Install]", "WantedBy=multi-user.target"]
    return "\n".join(lines).encode() + b"\n"
