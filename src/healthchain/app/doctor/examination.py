"""The whole examination of a network's folder: what can be read, who listens, what they answer; then the judgement."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from healthchain.app.consortium import stored_topology
from healthchain.app.doctor import credentials, embedded, fabric
from healthchain.app.doctor.findings import Code, Finding, Report, in_order
from healthchain.config import Topology
from healthchain.fabric.nodes import is_fabric, read_settings
from healthchain.network.provision import GENESIS, GenesisMissing, organisation_folder, read_genesis_block

EXPIRING_DAYS = 30
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Options:
    """`base_port` is that of `healthchain up`, None where it does not run; `clock_ns` is this machine's."""

    expiring_days: int = EXPIRING_DAYS
    base_port: int | None = None
    clock_ns: Callable[[], int] = time.time_ns


async def examine(folder: Path, options: Options = Options()) -> Report:
    """Changes nothing, and is done in some seconds. Raises BadInput for a folder without a network."""
    topology = stored_topology(folder)
    whose = read_settings(folder).organisation if is_fabric(folder) else ""
    found = await asyncio.to_thread(_credentials, folder, topology, whose)
    now = datetime.datetime.fromtimestamp(options.clock_ns() / 1e9, datetime.UTC)
    on_disk = credentials.judge(found, now, datetime.timedelta(days=options.expiring_days))
    told = (
        await fabric.examine(folder, topology, on_disk, options.clock_ns)
        if is_fabric(folder)
        else await embedded.examine(folder, topology, on_disk, options.base_port)
    )
    certified = {one.certificate: one.node for one in found if one.certificate is not None}
    persons = list(certified.values()).count(credentials.PERSONS)
    organisations = len({one.organisation for one in found})
    what = f"{len(certified) - persons} certificates of {organisations} organisations"
    people = f", {persons} of {credentials.PERSONS}" if persons else ""
    findings = in_order((*_folder(folder, whose), *on_disk, *told.findings))
    return Report(findings, (f"{what}{people}", *told.examined), told.unanswered)


def _credentials(folder: Path, topology: Topology, whose: str) -> list[credentials.Credential]:
    """Of all organisations; in one's part of a network on several machines, its own."""
    return [
        credential
        for one in topology.organisations
        if whose in ("", one.name)
        for credential in credentials.read_credentials(
            one.name, organisation_folder(folder, topology, one.name), one.roles, complete=not whose
        )
    ]


def _folder(folder: Path, whose: str) -> list[Finding]:
    """One organisation's part is made for several users of its machine, with keys that are their owners' only."""
    found = []
    if not whose and folder.stat().st_mode & 0o077:
        found.append(Finding(Code.FOLDER_OPEN, "", "folder", f"mode {folder.stat().st_mode & 0o777:03o}"))
    try:
        read_genesis_block(folder)
    except (GenesisMissing, OSError):  # it may be a folder, or another's
        found.append(Finding(Code.FILE_DAMAGED, "", "folder", GENESIS))
    return found
