"""A compose file of one organisation's machine, with Fabric's official images, and a Dockerfile for the contract's.

As JSON, which is YAML too. The containers use the machine's own network, so that the addresses in the configuration
files hold, and what listens on localhost is reached from this machine only. Each sees the files that it needs.
Source: the Compose Specification.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from healthchain import __version__
from healthchain.fabric.machines.units import ENVIRONMENT, serve_arguments
from healthchain.fabric.nodes import Member

FABRIC_VERSION = "3.1.5"
INSIDE = Path("/healthchain")
"""Where a container has the parts of the organisation's folder that it sees."""
_DOCKERFILE = """\
# The contract's service. Put the wheel of the version that the members agreed on beside this file.
FROM python:3.11-slim
COPY {wheel} /tmp/
RUN pip install --no-cache-dir /tmp/{wheel} && rm /tmp/{wheel}
ENTRYPOINT ["healthchain"]
"""


def compose_files(member: Member, folder: Path) -> dict[str, bytes]:
    """By file name; `folder` is where the organisation's folder is on its machine."""
    wheel = f"healthchain_consortium-{__version__}-py3-none-any.whl"
    return {
        "compose.yaml": json.dumps(_compose(member, folder), indent=2).encode() + b"\n",
        "image/Dockerfile": _DOCKERFILE.format(wheel=wheel).encode(),
        "environment": b"# Who owns this folder: UID:GID. `docker compose --env-file environment up -d`\n"
        b"HEALTHCHAIN_USER=10001:10001\n",
    }


def _compose(member: Member, folder: Path) -> dict[str, Any]:
    def within(path: Path) -> str:
        return os.path.relpath(path, folder)

    orderer, peer = within(member.folder / "orderer"), within(member.folder / "peer")
    tls = within(member.credentials.peer / "tls")
    builder = "fabric/builder"
    return {
        "name": f"healthchain-{member.name}",
        "services": {
            "orderer": {
                **_service(f"hyperledger/fabric-orderer:{FABRIC_VERSION}", orderer),
                "environment": {"FABRIC_CFG_PATH": str(INSIDE / orderer)},
                "volumes": [_mounted(orderer, writes=True), _mounted(within(member.credentials.orderer))],
            },
            "peer": {
                **_service(f"hyperledger/fabric-peer:{FABRIC_VERSION}", peer),
                "environment": {"FABRIC_CFG_PATH": str(INSIDE / peer)},
                "volumes": [
                    _mounted(peer, writes=True),
                    _mounted(within(member.credentials.peer)),
                    _mounted(builder),
                ],
            },
            "chaincode": {
                **_service(f"healthchain-contract:{__version__}", within(member.folder)),
                "build": {"context": "image"},
                "env_file": [f"{within(member.folder)}/{ENVIRONMENT}"],
                "command": serve_arguments(member),
                "volumes": [_mounted(tls)],
            },
        },
    }


def _service(image: str, runs_in: str) -> dict[str, Any]:
    return {
        "image": image,
        "user": "${HEALTHCHAIN_USER:?the owner of this folder, see the file environment}",
        "network_mode": "host",
        "working_dir": str(INSIDE / runs_in),
        "restart": "unless-stopped",
        "stop_grace_period": "60s",
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 (the container's own)
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "logging": {"driver": "json-file", "options": {"max-size": "50m", "max-file": "5"}},
    }


def _mounted(path: str, *, writes: bool = False) -> dict[str, Any]:
    return {"type": "bind", "source": f"./{path}", "target": str(INSIDE / path), "read_only": not writes}
