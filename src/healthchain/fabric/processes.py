"""Processes that outlive the command that started them, each known by its id and the time of its start."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from healthchain.identity.folders import write_private

STOP_S_MAX = 15.0
POLL_S = 0.1


class Started(msgspec.Struct, frozen=True):
    """What the file PID holds; a process of this id that began at another time is somebody else's."""

    pid: int
    began: str


def running(pid_file: Path) -> Started | None:
    """The process that this file speaks of, if it still runs."""
    try:
        started = msgspec.json.decode(pid_file.read_bytes(), type=Started)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return started if _began(started.pid) == started.began else None


def start(
    pid_file: Path, log: Path, arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> None:
    """Unless it runs already. Its output goes to the end of `log`; it runs in `folder`, or where the PID file is."""
    if running(pid_file) is not None:
        return
    pid_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 (the operator names the folder of the programs)
            arguments,
            env=dict(environment),
            cwd=folder or pid_file.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    write_private(pid_file, msgspec.json.encode(Started(process.pid, _began(process.pid) or "")))
    process.returncode = 0  # it is not ours to wait for


def stop(pid_files: Sequence[Path]) -> int:
    """Ends these processes and no others: asks, waits, and then makes them. How many ran."""
    found = {path: one for path in pid_files if (one := running(path)) is not None}
    for one in found.values():
        os.kill(one.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S_MAX
    while any(running(path) for path in found) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for path in found:
        if (one := running(path)) is not None:
            os.kill(one.pid, signal.SIGKILL)
    for path in pid_files:
        path.unlink(missing_ok=True)
    return len(found)


def _began(pid: int) -> str | None:
    """None if there is none, or one that has ended and only waits to be noticed."""
    told = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        env={"LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    state, _, began = told.partition(" ")
    ended = state.startswith("Z") and "l" not in state  # with an l, other threads go on, and hold locks on files
    return None if not told or ended else began.strip()
