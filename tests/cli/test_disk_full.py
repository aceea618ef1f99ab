"""A disk that is full part-way through an import: said clearly, nothing lost, and it goes on once there is space."""

from __future__ import annotations

import errno
import os
import resource
import sys
from pathlib import Path

import pytest

from healthchain.app.scenarios.records import sample_files

from .bundles import bundle_file
from .program import Ended, Program, process

HOSPITAL = ("--org", "general-hospital")


class _FullDisk:
    """`os.pwrite` until so many bytes are written; the last write before the disk is full comes short."""

    def __init__(self, space: int) -> None:
        self._space = space
        self._pwrite = os.pwrite

    def __call__(self, file: int, data: bytes, offset: int) -> int:
        if self._space <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._pwrite(file, data[: self._space], offset)
        self._space -= written
        return written


@pytest.mark.parametrize("space", [0, 60_000, 400_000, 800_000, 1_200_000])
def test_an_import_on_a_full_disk(
    program: Program, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: int
) -> None:
    before = bundle_file(tmp_path, "before.json")
    known = program.done("import", "--dir", made, *HOSPITAL, before)["patients"]["before.json"]
    importing: tuple[str | Path, ...] = ("import", "--dir", made, *HOSPITAL, sample_files()[0])
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", _FullDisk(space))
        _says_so(program(*importing, "--json"))
    assert program.done("verify", "--dir", made)["clean"] is True
    who = ("--org", "general-hospital", "--user", "clinician", "--patient", known)
    assert len(program.done("read", "--dir", made, *who)["entry"]) == 3
    done = program.done(*importing)
    assert done["written"] + done["unchanged"] == done["resources"]
    assert program.done("verify", "--dir", made)["clean"] is True


def _says_so(ended: Ended) -> None:
    assert ended.status == 1, ended
    assert "space" in ended.document["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a file as Linux does")
@pytest.mark.parametrize("kib", [104, 160])
def test_an_import_where_no_file_may_grow(program: Program, made: Path, kib: int) -> None:
    """A limit of the operating system, which meets every write: at 104 KiB the tables' before the logs'."""
    importing: tuple[str | Path, ...] = ("import", "--dir", made, *HOSPITAL, sample_files()[0])

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib << 10, kib << 10))

    ended = process(*importing, "--json", preexec_fn=limited)
    assert ended.status == 1, ended
    assert "a peer cannot write its ledger" in ended.document["error"]
    assert program.done("verify", "--dir", made)["clean"] is True
    done = program.done(*importing)
    assert done["written"] + done["unchanged"] == done["resources"]
    assert program.done("verify", "--dir", made)["clean"] is True
