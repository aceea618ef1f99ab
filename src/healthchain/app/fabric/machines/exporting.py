"""What several machines need to run the consortium on Fabric: one folder an organisation, without any secret.

    OUT/ORGANISATION/topology.toml, fabric/settings.json      the same for all
    OUT/ORGANISATION/fabric/ORGANISATION/{orderer,peer}/      configuration; the ledgers will be beside it
    OUT/ORGANISATION/fabric/builder/                          how a peer takes the contract's package
    OUT/ORGANISATION/units/                                   systemd
    OUT/ORGANISATION/compose.yaml, environment, image/        or Docker
    OUT/ORGANISATION/requests/                                how its authorities are asked for certificates

The same input gives the same bytes. docs/fabric-production.md says who does what with it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from healthchain.app.consortium import TOPOLOGY, FolderTaken
from healthchain.app.fabric.machines.enrolling import requests_of
from healthchain.config import Topology, write_topology
from healthchain.fabric import nodes
from healthchain.fabric.configs import node_configs
from healthchain.fabric.hosts import Nodes
from healthchain.fabric.machines.authority_scripts import authority_scripts
from healthchain.fabric.machines.compose import compose_files
from healthchain.fabric.machines.units import units
from healthchain.fabric.nodes import Consensus, Member, Settings
from healthchain.fabric.package import builder_scripts
from healthchain.network.provision import folder_of

BUILDER = Path(nodes.FOLDER) / "builder"
FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o644, 0o755, 0o755


def export(topology: Topology, hosts: dict[str, Nodes], consensus: Consensus, out: Path) -> None:
    """Whole or not at all. Raises BadInput."""
    nodes.require_possible(topology, Settings(consensus))
    if out.exists() and any(out.iterdir()):
        raise FolderTaken("the folder of --out is not empty: choose an empty one, or one that does not exist yet")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as temporary:
        made = Path(temporary) / "export"
        for one in topology.organisations:
            settings = Settings(consensus, organisation=one.name, hosts=hosts)
            for file, content in _files(topology, settings).items():
                _write(made / one.name / file, content)
        made.chmod(FOLDER_MODE)
        if out.exists():
            out.rmdir()
        made.rename(out)


def _files(topology: Topology, settings: Settings) -> dict[Path, bytes]:
    """By their places in the organisation's folder."""
    organisation = topology.organisation(settings.organisation)
    root = Path(settings.hosts[organisation.name].folder)
    own = root / nodes.FOLDER / organisation.name
    member = Member(organisation.name, folder_of(root, organisation), own, settings.hosts[organisation.name])
    scripts = authority_scripts(requests_of(root, topology, settings), organisation.domain)
    named: dict[Path, bytes] = {
        Path(TOPOLOGY): write_topology(topology).encode(),
        nodes.SETTINGS_FILE: nodes.encode_settings(settings),
    }
    named |= {own.relative_to(root) / file: content for file, content in node_configs(member, root / BUILDER).items()}
    named |= {BUILDER / "bin" / name: script for name, script in builder_scripts().items()}
    named |= {Path("units") / name: unit for name, unit in units(member, root).items()}
    named |= {Path(name): content for name, content in compose_files(member, root).items()}
    named |= {Path("requests") / name: script for name, script in scripts.items()}
    return named


def _write(path: Path, content: bytes) -> None:
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(FOLDER_MODE)
    path.write_bytes(content)
    path.chmod(PROGRAM_MODE if content.startswith(b"#!") else FILE_MODE)
