"""The same load on a real Fabric network, made for it on this machine and ended afterwards.

Its processes are counted by kind: peers, orderers and chaincode services, and the client, which is this one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from healthchain.app.bench.put import PUT_DEFINITION
from healthchain.app.bench.work import Advance, Figures, Load, Work, Workload, figures, signature_rates, topology
from healthchain.app.consortium import CLINICIAN, opened
from healthchain.app.fabric import local
from healthchain.client.errors import EndorseFailed
from healthchain.fabric import deploying, nodes, processes
from healthchain.fabric.nodes import Member, Settings
from healthchain.fabric.package import write_package
from healthchain.fabric.tools import eventually

PUT_PORT = 5  # from the member's own; `nodes` says what the others are for


async def on_fabric(
    folder: Path, load: Load, programs: Path, settings: Settings, advance: Advance = lambda transactions: None
) -> Figures:
    """In a folder without a network; raises FolderTaken otherwise, BadInput, and FabricFailed."""
    rates = signature_rates()
    async with _network(folder, load, programs, settings) as members:
        async with opened(folder) as consortium:
            work, running = Work(consortium), processes_by_kind(members)
            await work.prepare(load.records_before)
            measured = await work.measured(load, lambda: running, advance)
        local.down(folder)
        started = time.perf_counter()
        await local.up(folder, programs, lambda step: None)
        return figures(load, measured, time.perf_counter() - started, rates)


@asynccontextmanager
async def _network(folder: Path, load: Load, programs: Path, settings: Settings) -> AsyncIterator[Sequence[Member]]:
    """Whatever happens, its processes are ended; the folder stays."""
    nodes.require_programs(programs)
    agreed = topology(load.organisations)
    local.init(folder, agreed, settings)
    members = nodes.members(folder, agreed, settings)
    try:
        await local.up(folder, programs, lambda step: None)
        if load.workload is Workload.PUT:
            await _deploy_put(folder, programs, members, agreed.channel)
        yield members
    finally:
        processes.stop([_put_service(one) for one in members])
        local.down(folder)


async def _deploy_put(folder: Path, programs: Path, members: Sequence[Member], channel: str) -> None:
    """A definition of its own, with a service for each member, as the contract has."""
    programs = nodes.absolute(programs)
    package_ids = [await _install_put(programs, one) for one in members]
    collections = members[0].folder.parent / "put-collections.json"
    deploying.write_collections(collections, PUT_DEFINITION)
    await deploying.agree(programs, members, channel, PUT_DEFINITION, package_ids, collections)
    async with opened(folder) as consortium:
        putter = consortium.connection(members[0].name, CLINICIAN, PUT_DEFINITION.name)
        # Until the peers know of each other's service.
        await eventually(lambda: putter.submit("Put", b"first", b"value"), EndorseFailed)


async def _install_put(programs: Path, member: Member) -> str:
    address = f"localhost:{member.port + PUT_PORT}"
    package, package_id = write_package(member, f"{PUT_DEFINITION.name}_{PUT_DEFINITION.version}", address)
    await deploying.install(programs, member, package, package_id)
    tls = member.credentials.peer / "tls"
    files = [str(tls / name) for name in ("server.crt", "server.key", "ca.crt")]
    serve = [sys.executable, "-m", "healthchain.app.bench.put", address, package_id, *files]
    processes.start(_put_service(member), member.folder / "put.log", serve, os.environ)
    return package_id


def _put_service(member: Member) -> Path:
    return member.folder / "put.pid"


def processes_by_kind(members: Sequence[Member]) -> Mapping[str, Sequence[int]]:
    kinds = {"peers": ("peer",), "orderers": ("orderer",), "services": ("chaincode", "put")}
    found = {
        kind: [
            running.pid
            for one in members
            for name in names
            if (running := processes.running(one.folder / f"{name}.pid")) is not None
        ]
        for kind, names in kinds.items()
    }
    return {**found, "client": [os.getpid()]}
