"""The program as a user runs it: in this process where that is quicker, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from healthchain.cli.commands import run

PROGRAM = (sys.executable, "-m", "healthchain.cli")
SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the program ended; whatever it was, a user saw no traceback."""

    status: int
    stdout: str
    stderr: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.stdout + self.stderr
        assert "defect in HealthChain" not in self.stdout + self.stderr, self.stderr

    @property
    def document(self) -> Any:
        """Standard output, which must be one JSON document and one line."""
        assert self.stdout.endswith("\n")
        assert self.stdout.count("\n") == 1
        return json.loads(self.stdout)


class Program:
    """In this process: `program("patients", "--json")`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Ended:
        self._capsys.readouterr()
        status = run([str(one) for one in arguments])
        printed = self._capsys.readouterr()
        return Ended(status, printed.out, printed.err)

    def done(self, *arguments: str | Path) -> Any:
        """The document of a run with --json that must succeed."""
        ended = self(*arguments, "--json")
        assert ended.status == 0, ended
        return ended.document


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """A process of its own, in a process group of its own as a terminal's job is."""
    return subprocess.Popen(  # noqa: S603 (the program under test)
        [*PROGRAM, *map(str, arguments)],
        text=True,
        errors="replace",
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        start_new_session=True,
        **options,
    )


def process(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    seconds_max: float = SECONDS_MAX,
    **options: Any,
) -> Ended:
    with start(*arguments, env={**os.environ, **(environment or {})}, **options) as running:
        stdout, stderr = running.communicate(timeout=seconds_max)
    return Ended(running.returncode, stdout or "", stderr or "")
