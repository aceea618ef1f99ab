"""Files that cannot be imported: each is refused with its name and a reason, and nothing of any file is written."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from healthchain.app import input as files

from .bundles import bundle, bundle_file
from .program import Program

HOSPITAL = ("--org", "general-hospital")


def _missing(path: Path) -> None:
    assert not path.exists()


def _directory(path: Path) -> None:
    path.mkdir()


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def _with_one_bad_entry(path: Path) -> None:
    value = json.loads(bundle(patient=9))
    value["entry"][2]["resource"]["status"] = "Winterbottom"
    path.write_text(json.dumps(value))


def _content(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


GZIPPED = gzip.compress(bundle(patient=9), mtime=0)
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (_missing, "No such file"),
    "a folder": (_directory, "Is a directory"),
    "a link to itself": (_link_to_itself, "symbolic links"),
    "empty": (_content(b""), "Bundle"),
    "text": (_content(b"Winterbottom, 1951"), "Bundle"),
    "not UTF-8": (_content(bundle().decode().encode("utf-16")), "not UTF-8"),
    "cut short": (_content(bundle(patient=9)[:-10]), "Bundle"),
    "no bundle": (_content(b'{"resourceType":"Patient"}'), "Bundle"),
    "gzip cut short": (_content(GZIPPED[:-9]), "cut short"),
    "gzip with a broken header": (_content(b"\x1f\x8b\x00" + GZIPPED[3:]), "not whole gzip"),
    "gzip with a broken body": (_content(GZIPPED[:40] + b"\xff\xff\xff" + GZIPPED[43:]), "not whole gzip"),
    "gzip with a false checksum": (_content(GZIPPED[:-8] + bytes(4) + GZIPPED[-4:]), "not whole gzip"),
    "gzip of text": (_content(gzip.compress(b"Winterbottom")), "Bundle"),
    "one bad entry": (_with_one_bad_entry, "entry 2: Observation.status: not one of the codes"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_file_among_good_ones_writes_nothing(
    program: Program, filled_once: tuple[Path, str], tmp_path: Path, name: str
) -> None:
    folder, _ = filled_once
    before = program.done("blocks", "--dir", folder, "--last", "1")
    make, reason = BAD[name]
    make(tmp_path / "bad.json")
    good = [bundle_file(tmp_path, "good.json", patient=1), bundle_file(tmp_path, "good2.json", patient=2)]
    arguments = ("import", "--dir", folder, *HOSPITAL, good[0], tmp_path / "bad.json", good[1])
    refused = program(*arguments, "--json")
    assert refused.status == 2
    assert refused.document["error"].startswith("bad.json: ")
    assert reason in refused.document["error"]
    assert "Winterbottom" not in refused.stdout
    said = program(*arguments)
    assert (said.status, said.stdout) == (2, "")
    assert said.stderr == f"error: {refused.document['error']}\n"
    assert program.done("blocks", "--dir", folder, "--last", "1") == before


def test_a_gzip_bomb_is_not_unpacked(
    program: Program, filled_once: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BYTES_MAX", 100_000)
    bomb = tmp_path / "bomb.json.gz"
    bomb.write_bytes(gzip.compress(bytes(50_000_000)))
    assert len(files.read_file(bomb)) == 100_001
    refused = program("import", "--dir", filled_once[0], *HOSPITAL, bomb, "--json")
    assert refused.status == 2


def test_two_files_of_one_name_are_refused(program: Program, filled_once: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    same = [bundle_file(tmp_path, patient=1), bundle_file(tmp_path / "other", patient=2)]
    refused = program("import", "--dir", filled_once[0], *HOSPITAL, *same, "--json")
    assert refused.status == 2
    assert "one name" in refused.document["error"]


def test_gzip_of_several_members_is_read_to_its_end(program: Program, made: Path, tmp_path: Path) -> None:
    content = bundle(patient=4)
    file = tmp_path / "blocks.json.gz"
    file.write_bytes(b"".join(gzip.compress(content[at : at + 100]) for at in range(0, len(content), 100)))
    assert program.done("import", "--dir", made, *HOSPITAL, file)["resources"] == 3


def test_a_name_that_is_not_utf_8_still_gives_json(program: Program, made: Path, tmp_path: Path) -> None:
    file = bundle_file(tmp_path, os.fsdecode(b"caf\xe9.json"))
    done = program.done("import", "--dir", made, *HOSPITAL, file)
    assert [os.fsencode(name) for name in done["patients"]] == [b"caf\xe9.json"]
    file.write_bytes(b"")
    assert program("import", "--dir", made, *HOSPITAL, file).status == 2


def test_a_pipe_is_a_file_too(program: Program, made: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, bundle(patient=5))
    os.close(writing)
    try:
        done = program.done("import", "--dir", made, *HOSPITAL, f"/dev/fd/{reading}")
    finally:
        os.close(reading)
    assert list(done["patients"]) == [str(reading)]
