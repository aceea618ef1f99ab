"""Real processes: Ctrl-C, a closed pipe, a full disk behind standard output, another locale."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from healthchain.app.scenarios.records import sample_files

from .bundles import bundle_file
from .program import Ended, Program, process, start

HOSPITAL = ("--org", "general-hospital")


def _interrupted(running: subprocess.Popen[str]) -> Ended:
    """As a terminal does it: the signal goes to every process of the job."""
    os.killpg(running.pid, signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    return Ended(running.returncode, stdout, stderr)


def test_an_interrupted_import_ends_cleanly_and_resumes(program: Program, made: Path) -> None:
    importing: tuple[str | Path, ...] = ("import", "--dir", made, *HOSPITAL, *sample_files())
    running = start(*importing, "--json")
    begun = (made / "peers/general-hospital/blocks/000000").stat().st_size
    deadline = time.monotonic() + 20
    while (made / "peers/general-hospital/blocks/000000").stat().st_size < begun + 300_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ended = _interrupted(running)
    assert (ended.status, ended.document) == (130, {"error": "interrupted"})
    assert not list((made / "peers").glob("*/open"))  # every ledger was closed
    assert program.done("verify", "--dir", made)["clean"] is True
    done = program.done(*importing)
    assert done["written"] > 0
    assert done["unchanged"] > 0
    assert done["written"] + done["unchanged"] == done["resources"] == 8033
    assert len(set(done["patients"].values())) == 10


@pytest.mark.parametrize("after", [0.02, 0.08, 0.15, 0.3, 0.6])
def test_interrupted_at_any_moment_no_traceback_is_seen(made: Path, after: float) -> None:
    running = start("import", "--dir", made, *HOSPITAL, sample_files()[0], "--json")
    time.sleep(after)
    os.killpg(running.pid, signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    if "Traceback" in stderr:  # Python itself had not begun with us yet
        assert "healthchain/cli/commands.py" not in stderr
        return
    ended = Ended(running.returncode, stdout, stderr)
    assert ended.status in (0, 130, -signal.SIGINT), ended
    if ended.stdout:
        assert ended.document


def test_a_reader_that_closes_its_end_early(filled_once: tuple[Path, str]) -> None:
    folder, patient = filled_once
    who = ("--dir", folder, *HOSPITAL, "--user", "clinician", "--patient", patient)
    trail = ("audit", "patient", "--dir", folder, "--patient", patient)
    for command in (("read", *who), ("records", *who), trail, ("--help",)):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            ended = process(*command, stdout=writing)
        finally:
            os.close(writing)
        assert ended.stderr == ""
        assert ended.status == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_standard_output_on_a_full_disk(filled_once: tuple[Path, str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = process("blocks", "--dir", filled_once[0], "--json", stdout=full)
    assert (ended.status, ended.stderr) == (1, "error: standard output: No space left on device\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_other_encodings(made: Path, tmp_path: Path, encoding: str) -> None:
    file = bundle_file(tmp_path, "Zoë-日本.json")
    environment = {"PYTHONIOENCODING": encoding}
    ended = process("import", "--dir", made, *HOSPITAL, file, "--json", environment=environment)
    assert list(json.loads(ended.stdout)["patients"]) == [file.name]
    file.write_bytes(b"")
    assert process("import", "--dir", made, *HOSPITAL, file, environment=environment).status == 2
