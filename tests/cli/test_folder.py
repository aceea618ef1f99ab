"""The folder: one process at a time, kept between runs, half-made by an init that was killed, damaged, not writable."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from healthchain.config import DEFAULT, write_topology

from .bundles import bundle_file
from .program import Ended, Program, process, start

HOSPITAL = ("--org", "general-hospital")


def test_a_second_process_is_told_to_wait(program: Program, made: Path, tmp_path: Path) -> None:
    file = bundle_file(tmp_path)
    commands: list[tuple[str | Path, ...]] = [
        ("patients", "--dir", made, *HOSPITAL),
        ("import", "--dir", made, *HOSPITAL, file),
        ("blocks", "--dir", made),
        ("verify", "--dir", made),
        ("init", "--dir", made),
    ]
    with (made / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for command in commands:
            ended = program(*command, "--json")
            assert ended.status == 1
            assert "another process has this network's folder open" in ended.document["error"]
    assert program.done("patients", "--dir", made, *HOSPITAL) == {"patients": []}


def test_processes_follow_one_another(tmp_path: Path) -> None:
    """As a user runs it: each command a process of its own."""
    folder, file = tmp_path / "c", bundle_file(tmp_path)
    assert process("init", "--dir", folder).status == 0
    done = process("import", "--dir", folder, *HOSPITAL, file, "--json")
    patient = done.document["patients"]["bundle.json"]
    reading = ("read", "--user", "clinician", "--patient", patient, "--json", "--org")
    inherited = {"HEALTHCHAIN_DIR": str(folder)}
    assert len(process(*reading, "general-hospital", environment=inherited).document["entry"]) == 3
    assert process(*reading, "city-clinic", environment=inherited).document["refused"] == "CONSENT_MISSING"
    assert process("verify", "--dir", folder, "--json").document["clean"] is True


def test_two_inits_at_once_make_one_consortium(tmp_path: Path) -> None:
    both = [start("init", "--dir", tmp_path / "c", "--json") for _ in range(2)]
    ended = [(one.communicate(timeout=60), one.returncode) for one in both]
    assert all(status in (0, 1, 2) for _, status in ended)
    assert any(status == 0 for _, status in ended)
    assert not any("Traceback" in stderr for (_, stderr), _ in ended)
    assert process("verify", "--dir", tmp_path / "c").status == 0


@pytest.mark.parametrize("after", [0.2, 0.3, 0.4])
def test_an_init_that_was_killed_is_completed_by_the_next(program: Program, tmp_path: Path, after: float) -> None:
    folder = tmp_path / "c"
    _killed_init(folder, after + random.uniform(0, 0.05))  # noqa: S311
    _is_completed(program, folder, tmp_path)


@pytest.mark.crash
def test_an_init_killed_at_fifty_moments(program: Program, tmp_path: Path) -> None:
    for number in range(50):
        folder = tmp_path / f"c{number}"
        _killed_init(folder, 0.1 + number * 0.01)
        _is_completed(program, folder, tmp_path)


def test_an_init_that_stopped_at_any_file_is_completed(program: Program, made_once: Path, tmp_path: Path) -> None:
    """As if it had stopped before block 0: whatever credentials were written are written again."""
    for share in (0.2, 0.8):
        folder = tmp_path / f"c{share}"
        shutil.copytree(made_once / "organizations", folder / "organizations")
        written = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in written[int(len(written) * share) :]:
            path.unlink()
        written[0].write_bytes(b"")
        _is_completed(program, folder, tmp_path)


def test_a_half_made_folder_says_what_to_do(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "topology.toml").write_text(write_topology(DEFAULT))
    for command in (("verify",), ("blocks",), ("patients", *HOSPITAL)):
        ended = program(*command, "--dir", folder, "--json")
        assert ended.status == 2
        assert "healthchain init" in ended.document["error"]


def test_an_init_of_another_topology_is_refused(program: Program, made: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text(
        '[[organisations]]\nname = "a"\nkind = "hospital"\n[[organisations]]\nname = "b"\nkind = "agency"\n'
    )
    ended = program("init", "--dir", made, "--topology", file, "--json")
    assert ended.status == 2
    assert "another topology" in ended.document["error"]


def test_ledgers_without_block_0_are_not_made_anew(program: Program, made: Path) -> None:
    (made / "genesis.block").unlink()
    ended = program("init", "--dir", made, "--json")
    assert ended.status == 2
    assert "without a block 0" in ended.document["error"]


@pytest.mark.parametrize(
    "spoiled",
    [
        "topology.toml",
        "genesis.block",
        "organizations/peerOrganizations/general-hospital.healthchain.example/hpke/private.key",
        "organizations/peerOrganizations/general-hospital.healthchain.example/users/"
        "clinician@general-hospital.healthchain.example/msp/keystore/priv_sk",
        "organizations/peerOrganizations/general-hospital.healthchain.example/users/"
        "clinician@general-hospital.healthchain.example/msp/signcerts/"
        "clinician@general-hospital.healthchain.example-cert.pem",
        "peers/general-hospital/blocks/000000",
        "peers/general-hospital/private/000000",
        "peers/general-hospital/state/data.mdb",
    ],
)
@pytest.mark.parametrize("content", [None, b"\xff\x00 nonsense \xfe" * 40])
def test_a_damaged_or_missing_file_gives_a_clear_error(
    program: Program, made: Path, spoiled: str, content: bytes | None
) -> None:
    assert (made / spoiled).exists()
    if content is None:
        (made / spoiled).unlink()
    else:
        (made / spoiled).write_bytes(content)
    ended = program("patients", "--dir", made, *HOSPITAL, "--json")
    assert ended.status in (0, 1, 2), ended  # 0: what is computed from the blocks is computed again
    if ended.status:
        assert len(ended.document["error"]) > 20
    checked = program("verify", "--dir", made, "--json")
    assert checked.status in (0, 1, 2, 4)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(program: Program, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ended = program("init", "--dir", tmp_path / "c", "--json")
    assert ended.status == 1
    assert "Permission denied" in ended.document["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="a folder in which nobody can write")
def test_a_place_where_nothing_can_be_made(program: Program) -> None:
    ended = program("init", "--dir", "/proc/self/c", "--json")
    assert ended.status == 1
    assert set(ended.document) == {"error"}


def _killed_init(folder: Path, after: float) -> None:
    running = start("init", "--dir", folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    running.send_signal(signal.SIGKILL)
    running.wait()


def _is_completed(program: Program, folder: Path, tmp_path: Path) -> None:
    ended: Ended = program("init", "--dir", folder, "--json")
    assert ended.status == 0 or "is a network in this folder already" in ended.stdout
    assert program.done("import", "--dir", folder, *HOSPITAL, bundle_file(tmp_path))["resources"] == 3
    assert program.done("verify", "--dir", folder)["clean"] is True


def test_init_makes_no_network_among_other_files(program: Program, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    ended = program("init", "--dir", tmp_path)
    assert ended.status == 2
    assert "holds other files" in ended.stderr
    assert [one.name for one in tmp_path.iterdir() if one.name != "lock"] == ["notes.txt"]
