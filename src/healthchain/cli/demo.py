"""`healthchain demo`: a scenario on a consortium of its own, embedded or on Fabric's peers and orderers."""

from __future__ import annotations

import signal
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from healthchain.app.scenarios import Engine, Scenario, scenario
from healthchain.cli.options import Json, one_of
from healthchain.cli.output import Output, failures, run_async

BASE_PORT = 7051


def demo(
    chosen: Annotated[Scenario, typer.Option("--scenario", help="What to show.")] = Scenario.RECORDS,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Keep the consortium here; default: thrown away.")
    ] = None,
    engine: Annotated[Engine, typer.Option(help="Where: in this process, or on a Fabric network.")] = Engine.EMBEDDED,
    programs: Annotated[
        Path | None,
        typer.Option("--bin", envvar="FABRIC_BIN", help="On Fabric: the folder of peer, orderer, osnadmin."),
    ] = None,
    consensus: Annotated[str, typer.Option(help="On Fabric: raft, or bft (SmartBFT).")] = "raft",
    base_port: Annotated[int, typer.Option("--base-port", help="On Fabric: of the first peer.")] = BASE_PORT,
    json: Json = False,
) -> None:
    """Walk synthetic patients' records through a consortium, or a claim, an emergency, a vote, an outbreak.

    With --engine fabric a Fabric network is made for it, and its processes are ended afterwards.
    """
    import asyncio
    import tempfile

    output = Output(as_json=json)

    async def played(place: Path) -> Any:
        if engine == Engine.EMBEDDED:
            from healthchain.app.scenarios.embedded import Embedded

            return await scenario(chosen)(Embedded(place), output.say)
        from healthchain.app.scenarios.on_fabric import on_fabric
        from healthchain.errors import BadInput
        from healthchain.fabric.nodes import Consensus, Settings

        if programs is None:
            raise BadInput("--engine fabric needs Fabric's programs: name their folder with --bin or FABRIC_BIN")
        settings = Settings(one_of(Consensus, consensus, "consensus"), base_port)
        stopped = partial(signal.raise_signal, signal.SIGINT)  # no process of the network outlives the demo
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped)
        async with on_fabric(place, programs, settings) as stage:
            return await scenario(chosen)(stage, output.say)

    with failures(output), tempfile.TemporaryDirectory() as scratch:
        facts = run_async(played(folder or Path(scratch) / "consortium"))
        output.result(asdict(facts), f"{facts.transactions} transactions in {facts.blocks} blocks.")
