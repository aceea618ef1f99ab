"""`healthchain bench`: one load on the embedded network, and beside it on Fabric's peers and orderers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from healthchain.app.scenarios import Engine
from healthchain.cli.options import Json, one_of
from healthchain.cli.output import Output, failures, run_async

BASE_PORT = 7051


def bench(
    workload: Annotated[str, typer.Option(help="put, record, batch or import.")] = "record",
    organisations: Annotated[int, typer.Option(min=2, max=50, help="Members of the consortium.")] = 3,
    in_flight: Annotated[int, typer.Option("--in-flight", min=1, max=2000, help="Transactions at once.")] = 300,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="How long to measure.")] = 10,
    records_before: Annotated[int, typer.Option("--records-before", min=0, help="Records on the ledger first.")] = 0,
    folder: Annotated[Path | None, typer.Option("--dir", help="Measure here; default: a temporary folder.")] = None,
    engine: Annotated[
        Engine, typer.Option(help="embedded, or fabric: the same on both, one after the other.")
    ] = Engine.EMBEDDED,
    programs: Annotated[
        Path | None,
        typer.Option("--bin", envvar="FABRIC_BIN", help="On Fabric: the folder of peer, orderer, osnadmin."),
    ] = None,
    consensus: Annotated[str, typer.Option(help="On Fabric: raft, or bft (SmartBFT).")] = "raft",
    base_port: Annotated[int, typer.Option("--base-port", help="On Fabric: of the first peer.")] = BASE_PORT,
    json: Json = False,
) -> None:
    """Measure this machine: throughput, latency, memory, processor time, and its own signature rates beside them.

    With --engine fabric a Fabric network is made for it, and its processes are ended afterwards.
    """
    import asyncio
    import signal
    import tempfile
    from functools import partial

    from healthchain.app.bench.embedded import on_embedded
    from healthchain.app.bench.work import Load, Workload, topology

    output = Output(as_json=json)

    async def measured(place: Path, load: Load) -> dict[str, dict[str, Any]]:
        """By engine."""
        if engine == Engine.EMBEDDED:
            return {engine: asdict(await on_embedded(place, load, advance))}
        from healthchain.app.bench.fabric import on_fabric
        from healthchain.errors import BadInput
        from healthchain.fabric.nodes import Consensus, Settings, require_possible, require_programs

        if programs is None:
            raise BadInput("--engine fabric needs Fabric's programs: name their folder with --bin or FABRIC_BIN")
        settings = Settings(one_of(Consensus, consensus, "consensus"), base_port)
        require_programs(programs)
        require_possible(topology(organisations), settings)
        stopped = partial(signal.raise_signal, signal.SIGINT)  # no process of the network outlives the bench
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped)
        embedded = await on_embedded(place / "embedded", load, advance)
        fabric = await on_fabric(place / "fabric", load, programs, settings, advance)
        return {Engine.EMBEDDED: asdict(embedded), Engine.FABRIC: asdict(fabric)}

    with failures(output), tempfile.TemporaryDirectory() as scratch:
        load = Load(one_of(Workload, workload, "workload"), organisations, in_flight, seconds, records_before)
        with output.progress("measuring", None) as advance:
            figures = run_async(measured(folder or Path(scratch) / "bench", load))
        output.result(figures if len(figures) > 1 else next(iter(figures.values())), _side_by_side(figures))


def _side_by_side(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """A line a figure, a column an engine."""
    named = next(iter(figures.values()))
    rows = [["", *figures]] if len(figures) > 1 else []
    rows += [[name, *(_shown(one[name]) for one in figures.values())] for name in named]
    return "\n".join("  ".join([f"{row[0]:28}", *(f"{cell:>32}" for cell in row[1:])]) for row in rows)


def _shown(value: Any) -> str:
    return ", ".join(f"{kind} {one}" for kind, one in value.items()) if isinstance(value, Mapping) else str(value)
