"""Whatever standard output is, all of a result reaches it, or the command fails."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest
import typer

from healthchain.cli.output import FAILED, Output


class Pipe(io.RawIOBase):
    """Unbuffered, as PYTHONUNBUFFERED makes standard output: takes a part of each write, and `room` bytes in all."""

    def __init__(self, room: int) -> None:
        self.taken = b""
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int | None:
        assert isinstance(data, memoryview)
        part = bytes(data[: min(7, self.room - len(self.taken))])
        self.taken += part
        return len(part) or None


class Stdout:
    encoding = "utf-8"

    def __init__(self, room: int) -> None:
        self.buffer = Pipe(room)

    def fileno(self) -> int:
        return os.open(os.devnull, os.O_WRONLY)


def test_a_result_is_written_whole_where_a_write_takes_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Stdout(room=1000)
    monkeypatch.setattr(sys, "stdout", stdout)
    Output(as_json=True).result({"entries": list(range(50))}, "")
    assert json.loads(stdout.buffer.taken) == {"entries": list(range(50))}


def test_what_cannot_be_written_whole_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Stdout(room=20))
    with pytest.raises(typer.Exit) as end:
        Output(as_json=True).result({"entries": list(range(50))}, "")
    assert end.value.exit_code == FAILED
    assert "standard output" in capsys.readouterr().err
