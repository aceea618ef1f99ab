"""`healthchain fabric`: the same consortium on a real Hyperledger Fabric network, on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from healthchain.cli import fabric_membership
from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, one_of
from healthchain.cli.output import Output, failures, run_async

app = group("The consortium on a real Hyperledger Fabric network, on this machine and without Docker.")
app.add_typer(fabric_membership.app, name="membership")

BASE_PORT = 7051


@app.command(epilog="Example: healthchain fabric init --dir consortium --consensus bft")
def init(
    folder: Folder,
    topology: Annotated[Path | None, typer.Option(help="A topology file; default: the demo's four members.")] = None,
    consensus: Annotated[str, typer.Option(help="raft, or bft (SmartBFT), which needs four organisations.")] = "raft",
    base_port: Annotated[
        int, typer.Option("--base-port", help="Of the first peer; each organisation has 20 ports from its own.")
    ] = BASE_PORT,
    json: Json = False,
) -> None:
    """Make a new consortium for Fabric: certificates, keys, block 0."""
    from healthchain.app import fabric
    from healthchain.config import DEFAULT, read_topology
    from healthchain.errors import BadInput
    from healthchain.fabric.nodes import Consensus, Settings

    output = Output(as_json=json)
    with failures(output):
        try:
            chosen = read_topology(topology.read_text(encoding="utf-8")) if topology else DEFAULT
        except (OSError, UnicodeDecodeError):
            raise BadInput("the topology file cannot be read: give a TOML file") from None
        agree = one_of(Consensus, consensus, "consensus")
        fabric.init(folder, chosen, Settings(agree, base_port))
        organisations = [one.name for one in chosen.organisations]
        output.result(
            {"organisations": organisations, "channel": chosen.channel, "consensus": agree},
            f"A consortium of {len(organisations)} for Fabric ({agree}): {', '.join(organisations)}.",
        )


@app.command(epilog="Example: healthchain fabric up --dir consortium --bin fabric/bin")
def up(
    folder: Folder,
    programs: Annotated[
        Path,
        typer.Option("--bin", envvar="FABRIC_BIN", help="The folder of Fabric's programs: peer, orderer, osnadmin."),
    ],
    json: Json = False,
) -> None:
    """Start orderers, peers and chaincode services, deploy the contract, found the consortium; then they run on."""
    from healthchain.app import fabric

    output = Output(as_json=json)
    with failures(output):
        run_async(fabric.up(folder, programs, output.say))
        found = fabric.status(folder)
        output.result(
            {"nodes": [asdict(one) for one in found]},
            f"{len(found)} processes run: `healthchain fabric down` ends them",
        )


@app.command(epilog="Example: healthchain fabric down --dir consortium")
def down(folder: Folder, json: Json = False) -> None:
    """End the processes that `up` started, and no others; the ledgers stay."""
    from healthchain.app import fabric

    output = Output(as_json=json)
    with failures(output):
        ended = fabric.down(folder)
        output.result({"ended": ended}, f"{ended} processes ended")


@app.command(epilog="Example: healthchain fabric status --dir consortium")
def status(folder: Folder, json: Json = False) -> None:
    """List each organisation's peer, orderer and chaincode service: where, and whether it runs."""
    from healthchain.app import fabric

    output = Output(as_json=json)
    with failures(output):
        found = fabric.status(folder)
        lines = [
            f"{one.organisation:20}  {one.node:10}  {one.address:20}  {'running' if one.running else 'down'}"
            for one in found
        ]
        output.result({"nodes": [asdict(one) for one in found]}, "\n".join(lines))
