"""Whether what is erased on Fabric leaves the peers' disks: how soon a peer purges, and what its files still hold.

Sources: Fabric core/ledger/pvtdatastorage/purge_mgr.go; `fabric.traces` reads the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from healthchain.app.doctor.findings import Code, Finding
from healthchain.errors import BadInput
from healthchain.fabric.leveldb.database import Changing
from healthchain.fabric.traces import STORES, traces

DEFAULT_INTERVAL = 100  # Fabric sampleconfig/core.yaml
READ_BYTES_MAX = 32 << 20  # of one peer's files, which takes two or three seconds
MIB = 1 << 20
ADVICE = "ask `healthchain fabric traces`"
_INTERVAL = re.compile(r"^[^#\n]*?\"?\bpurgeInterval\"?\s*:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PurgeInterval:
    """A peer's, as its core.yaml has it; None if that cannot be read."""

    organisation: str
    blocks: int | None


@dataclass(frozen=True, slots=True)
class Files:
    """Of one peer: values that they hold and its ledger does not, keys that it has still to purge.

    `unread` says why they were not read, without anything being wrong; `damaged` why they cannot be.
    """

    organisation: str
    dead: int = 0
    marked: int = 0
    unread: str = ""
    damaged: str = ""


def read_interval(organisation: str, core: Path) -> PurgeInterval:
    try:
        return PurgeInterval(organisation, interval(core.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return PurgeInterval(organisation, None)


def interval(core: str) -> int:
    """`ledger.pvtdataStore.purgeInterval` of a core.yaml, in YAML or JSON; no other key has this name."""
    found = _INTERVAL.search(core)
    return int(found[1]) if found else DEFAULT_INTERVAL


def read_files(organisation: str, ledger: Path, bytes_max: int = READ_BYTES_MAX) -> Files:
    """The peer may run."""
    try:
        size = sum(one.stat().st_size for store in STORES for one in (ledger / store).glob("*"))
        if size > bytes_max:
            return Files(organisation, unread=f"{size // MIB} MiB: {ADVICE}")
        found = traces(ledger)
    except (Changing, FileNotFoundError):  # LevelDB merges them meanwhile
        return Files(organisation, unread=f"they change too quickly: {ADVICE}")
    except BadInput as error:
        return Files(organisation, damaged=str(error))
    except OSError as error:
        return Files(organisation, damaged=f"its ledger cannot be read: {error.strerror}")
    return Files(organisation, len(found.dead), found.marked)


def judge_interval(one: PurgeInterval) -> Iterator[Finding]:
    if one.blocks is None:
        yield Finding(Code.FILE_DAMAGED, one.organisation, "peer", "core.yaml")
    elif one.blocks != 1:
        yield Finding(Code.PURGE_INTERVAL, one.organisation, "peer", f"each {one.blocks} blocks")


def judge_files(one: Files) -> Iterator[Finding]:
    if one.damaged:
        yield Finding(Code.FILE_DAMAGED, one.organisation, "peer", one.damaged)
    if one.dead or one.marked:
        what = f"{one.dead} values, and {one.marked} that it has still to purge"
        yield Finding(Code.ERASED_ON_DISK, one.organisation, "peer", what)


def unread(one: Files) -> Iterator[str]:
    if one.unread:
        yield f"{one.organisation}: what its peer's files hold of erased values ({one.unread})"
