"""Crashes at any step of a commit: from then on nothing more is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from healthchain.ledger.ledger import Ledger
from healthchain.ledger.segments import SegmentedLog
from healthchain.ledger.state import TABLES, StateStore

STEPS = ((SegmentedLog, "append"), (SegmentedLog, "sync"), (SegmentedLog, "erase"), (StateStore, "apply"))


class Crash(BaseException):
    """The process is gone: nobody may catch it."""


@contextmanager
def crash_before(step: int, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Counts the calls that change the disk; at number `step` there is a crash instead. Yields the calls' names."""
    names: list[str] = []

    def counted(kind: type, name: str) -> Callable[..., Any]:
        real = getattr(kind, name)

        def call(*arguments: Any) -> Any:
            if len(names) == step:
                raise Crash
            names.append(name)
            return real(*arguments)

        return call

    with patch.context() as inner:
        for kind, name in STEPS:
            inner.setattr(kind, name, counted(kind, name))
        yield names


def tables(ledger: Ledger) -> dict[bytes, list[tuple[bytes, bytes]]]:
    return {name: list(ledger.state.items(name)) for name in TABLES}


def files(folder: Path) -> dict[str, bytes]:
    """The two logs; LMDB's file is not compared, its tables are."""
    return {
        f"{log}/{path.name}": path.read_bytes() for log in ("blocks", "private") for path in (folder / log).iterdir()
    }


def traces(folder: Path, secret: bytes) -> list[str]:
    """The files of a folder that hold these bytes."""
    return [path.name for path in sorted(folder.rglob("*")) if path.is_file() and secret in path.read_bytes()]
