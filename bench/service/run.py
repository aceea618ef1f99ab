"""What serving the contract costs on a real Fabric network: as it is, as a plain chaincode, and nothing to compare.

    FABRIC_BIN=fabric/bin python bench/service/run.py [--rounds 3] [--seconds 6]

One network of three organisations. In each round the services of all of them are changed, one kind after the other, at
the same addresses and under the same package ids, so that peers, chain and client are the same:

- served: `healthchain chaincode serve`
- plain: `plain.py`, one message a key
- put: a contract that writes one key, without rules or private data; none can do less

The medians go to standard output, and to bench/results/service.json. It takes some minutes, on a machine that does
nothing else: the load average is among the results, of which the measured network itself makes about 10.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from healthchain.app.bench.fabric import processes_by_kind
from healthchain.app.bench.watching import Processes
from healthchain.app.bench.work import Load, Work, Workload, figures, signature_rates, topology
from healthchain.app.consortium import ADMINISTRATOR, Consortium, opened
from healthchain.app.fabric import local
from healthchain.cli.output import run_async
from healthchain.client.errors import EndorseFailed
from healthchain.config import CHAINCODE
from healthchain.errors import Refused
from healthchain.fabric import nodes, processes
from healthchain.fabric.nodes import Consensus, Member, Settings
from healthchain.fabric.package import write_package
from healthchain.fabric.tools import eventually

ORGANISATIONS = 3
RECORD = Load(Workload.RECORD, ORGANISATIONS, 100, 0)
BATCH = Load(Workload.BATCH, ORGANISATIONS, 8, 0)
PUT = Load(Workload.PUT, ORGANISATIONS, 100, 0)
KINDS: dict[str, tuple[list[str], Sequence[Load]]] = {
    "plain": ([str(Path(__file__).parent / "plain.py")], (RECORD, BATCH)),
    "served": (["-m", "healthchain.cli", "chaincode", "serve"], (RECORD, BATCH)),
    "put": (["-m", "healthchain.app.bench.put"], (PUT,)),
}
RESULTS = Path(__file__).parent.parent / "results" / "service.json"
WARM_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the contract's service with a plain one on real Fabric.")
    parser.add_argument("--bin", default=os.environ.get("FABRIC_BIN"), help="Fabric's programs; default: FABRIC_BIN")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each load")
    parser.add_argument("--base-port", type=int, default=25051)
    given = parser.parse_args()
    if not given.bin:
        parser.error("name the folder of Fabric's programs with --bin or FABRIC_BIN")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it reads this when it starts; it remarks on each tool's process
    rates = signature_rates()
    folder = Path(tempfile.mkdtemp())
    try:
        agreed = topology(ORGANISATIONS)
        local.init(folder / "fabric", agreed, Settings(Consensus.RAFT, given.base_port))
        members = nodes.members(folder / "fabric", agreed, nodes.read_settings(folder / "fabric"))
        measured = run_async(compare(folder / "fabric", Path(given.bin), members, given.rounds, given.seconds))
    finally:
        local.down(folder / "fabric")
        shutil.rmtree(folder)
    machine = {"sign_per_second": rates[0], "verify_per_second": rates[1], "load_average": os.getloadavg()[1]}
    results = {**machine, **summary(measured)}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))
    return 0


async def compare(
    folder: Path, programs: Path, members: Sequence[Member], rounds: int, seconds: float
) -> dict[str, list[dict[str, Any]]]:
    """`KIND, WORKLOAD` -> the figures of each round."""
    await local.up(folder, programs, lambda step: None)
    found: dict[str, list[dict[str, Any]]] = {}
    async with opened(folder) as consortium:
        work = Work(consortium, putting=CHAINCODE)
        await work.prepare()
        for index in range(rounds):
            for kind in sorted(KINDS, reverse=bool(index % 2)):
                command, loads = KINDS[kind]
                await change_services(members, command)
                await answered(consortium, members)
                for load in loads:
                    print(f"round {index + 1}: {kind}, {load.workload}", file=sys.stderr, flush=True)
                    await work.measured(_lasting(load, WARM_S), dict)
                    measured = await work.measured(_lasting(load, seconds), _as_they_run(members))
                    found.setdefault(f"{kind}, {load.workload}", []).append(asdict(figures(load, measured, 0, (0, 0))))
    return found


async def change_services(members: Sequence[Member], command: Sequence[str]) -> None:
    processes.stop([one.folder / "chaincode.pid" for one in members])
    for one in members:
        _, package_id = write_package(one, f"{CHAINCODE}_1")
        tls = one.credentials.peer / "tls"
        given = [one.chaincode, package_id, *(str(tls / name) for name in ("server.crt", "server.key", "ca.crt"))]
        if "serve" in command:
            names = ("--address", "--package-id", "--tls-cert", "--tls-key", "--tls-client-ca")
            given = [part for pair in zip(names, given, strict=True) for part in pair]
        log = one.folder / "chaincode.log"
        processes.start(one.folder / "chaincode.pid", log, [sys.executable, *command, *given], os.environ)


async def answered(consortium: Consortium, members: Sequence[Member]) -> None:
    """Until each peer has reached its new service."""

    async def endorsed(organisation: str) -> None:
        connection = consortium.connection(organisation, ADMINISTRATOR, CHAINCODE)
        try:
            await connection.proposal("Put", b"first", b"value").endorse()
        except Refused as refused:
            if refused.code != "FUNCTION_UNKNOWN":  # what the contract says to that
                raise

    for one in members:
        await eventually(partial(endorsed, one.name), EndorseFailed)


def _as_they_run(members: Sequence[Member]) -> Processes:
    """Looked up once: that takes a process of its own for each."""
    running = processes_by_kind(members)
    return lambda: running


def _lasting(load: Load, seconds: float) -> Load:
    return Load(load.workload, load.organisations, load.in_flight, seconds)


def summary(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Medians of each figure, and of the ratios of each round."""
    rows: dict[str, Any] = {}
    for name, rounds in measured.items():
        cpu = [one["cpu_ms_per_transaction"] for one in rounds]
        rows[name] = {
            "transactions_per_second": median(one["transactions_per_second"] for one in rounds),
            "records_per_second": median(one["records_per_second"] for one in rounds),
            "latency_ms_p50": median(one["latency_ms_p50"] for one in rounds),
            "cpu_ms_per_transaction": {kind: round(median(one[kind] for one in cpu), 2) for kind in cpu[0]},
            "cpu_ms": round(median(sum(one.values()) for one in cpu), 2),
        }
    return {"rounds": len(next(iter(measured.values()))), "loads": rows, "ratios": ratios(measured)}


def ratios(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """How many times the plain chaincode's, within one round; the median of the rounds."""
    compared = {
        "record": ("served, record", "plain, record"),
        "batch": ("served, batch", "plain, batch"),
        "put against record": ("put, put", "plain, record"),
    }
    return {
        name: round(
            median(
                one["transactions_per_second"] / other["transactions_per_second"]
                for one, other in zip(measured[first], measured[second], strict=True)
            ),
            2,
        )
        for name, (first, second) in compared.items()
    }


def table(results: Mapping[str, Any]) -> str:
    """Markdown, as it stands in docs/performance.md."""
    kinds = ("peers", "orderers", "services", "client")
    lines = [
        "| service, load | tx/s | records/s | p50 ms | CPU ms/tx | peers | orderers | services | client |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, one in results["loads"].items():
        cells = [one[key] for key in ("transactions_per_second", "records_per_second", "latency_ms_p50", "cpu_ms")]
        cells += [one["cpu_ms_per_transaction"][kind] for kind in kinds]
        lines.append(f"| {' | '.join([name, *(f'{cell:,.1f}' for cell in cells)])} |")
    told = [f"{name} {one}" for name, one in results["ratios"].items()]
    machine = f"Signatures a second: {results['sign_per_second']:,} made, {results['verify_per_second']:,} verified"
    lines += ["", f"Times the plain chaincode's transactions a second: {', '.join(told)}."]
    return "\n".join([*lines, f"{machine}, on one core; load average {results['load_average']:.0f}."])


if __name__ == "__main__":
    sys.exit(main())
