"""The checkpoint's file: what was stored comes back, whole, whenever the writer is killed; else a clear error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthchain.client.checkpoint import BLOCK_MAX, CheckpointDamaged, FileCheckpoint, Position, after_block
from healthchain.errors import BadInput

IDS = st.sampled_from(["", "ab" * 32])
POSITIONS = st.builds(Position, st.integers(0, BLOCK_MAX), IDS)
WRITER = """
import sys
from pathlib import Path
from healthchain.client.checkpoint import FileCheckpoint, Position
checkpoint = FileCheckpoint(Path(sys.argv[1]))
number = checkpoint.position.block if checkpoint.position else 0
while True:
    number += 1
    checkpoint.store(Position(number, "ab" * 32 if number % 2 else ""))
    print(number, flush=True)
"""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(positions=st.lists(POSITIONS, min_size=1, max_size=4))
def test_what_was_stored_last_is_where_it_goes_on(tmp_path: Path, positions: list[Position]) -> None:
    path = tmp_path / "checkpoint.json"
    checkpoint = FileCheckpoint(path)
    for one in positions:
        checkpoint.store(one)
        assert FileCheckpoint(path).position == checkpoint.position == one
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_stored_is_no_position(tmp_path: Path) -> None:
    assert FileCheckpoint(tmp_path / "none.json").position is None
    (tmp_path / "sdk.json").write_text("{}")  # as Fabric's SDK leaves it before the first event
    assert FileCheckpoint(tmp_path / "sdk.json").position is None


def test_after_a_block_the_next_one_and_after_an_event_the_rest_of_its_block(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    FileCheckpoint(path).store(after_block(7))
    assert json.loads(path.read_bytes()) == {"blockNumber": "8"}
    FileCheckpoint(path).store(Position(8, "ab" * 32))
    assert json.loads(path.read_bytes()) == {"blockNumber": "8", "transactionId": "ab" * 32}


WHOLE = b'{"blockNumber":"8","transactionId":"' + b"ab" * 32 + b'"}'


@pytest.mark.parametrize(
    "content",
    [
        *(WHOLE[:length] for length in range(len(WHOLE))),
        b"\xff",
        b'{"blockNumber":"\xff"}',
        b"[]",
        b'{"blockNumber":8}',
        b'{"blockNumber":"-1"}',
        b'{"blockNumber":"18446744073709551616"}',
        b'{"blockNumber":"' + b"9" * 5000 + b'"}',
        '{"blockNumber":"٣"}'.encode(),
        b'{"transactionId":"ab"}',
        b'{"blockNumber":"8","other":1}',
    ],
    ids=repr,
)
def test_a_damaged_file_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointDamaged, match="restore it, or delete it"):
        FileCheckpoint(path)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        FileCheckpoint(tmp_path)
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")
    (tmp_path / "checkpoint.json").mkdir()
    with pytest.raises(BadInput, match="cannot be written"):
        checkpoint.store(Position(1))
    assert checkpoint.position is None


def kill_a_writer(path: Path, after_s: float) -> int:
    """What it had acknowledged before it was killed."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:  # noqa: S603
        assert writer.stdout is not None
        told = int(writer.stdout.readline())
        time.sleep(after_s)
        os.kill(writer.pid, signal.SIGKILL)
        for line in writer.stdout:
            if line.endswith("\n"):
                told = int(line)
    return told


def test_a_kill_leaves_what_was_acknowledged_or_the_next(tmp_path: Path) -> None:
    acknowledged = kill_a_writer(tmp_path / "checkpoint.json", 0.02)
    found = FileCheckpoint(tmp_path / "checkpoint.json").position
    assert found is not None
    assert found.block in (acknowledged, acknowledged + 1)


@pytest.mark.crash
def test_kills_at_many_moments(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    for step in range(40):
        acknowledged = kill_a_writer(path, 0.001 * step)
        found = FileCheckpoint(path).position
        assert found is not None
        assert found.block in (acknowledged, acknowledged + 1)
        assert found.transaction_id == ("ab" * 32 if found.block % 2 else "")
