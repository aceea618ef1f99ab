"""The documents say what the program does: commands, figures, exit statuses, settings, links."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from healthchain.cli import output
from healthchain.config import Blocks, Organisation, Topology

from .tracked_files import ROOT, tracked

README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def block_after(marker: str) -> str:
    """The fenced text that follows a comment of the README."""
    found = re.search(rf"<!-- {re.escape(marker)} -->\n```\n(.*?)```", README, re.DOTALL)
    assert found is not None, marker
    return found[1]


def links() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path.suffix == ".md":
            for target in LINK.findall(path.read_text()):
                if "://" not in target:
                    yield path, target


@pytest.mark.parametrize(("page", "target"), sorted(links()), ids=str)
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


def test_every_file_that_architecture_names_exists() -> None:
    named = re.findall(r"`((?:wire|ledger|network|identity|contract|client|records|cli)/\w+\.py)`", _architecture())
    assert named
    assert [one for one in named if not (ROOT / "src/healthchain" / one).is_file()] == []


def test_architecture_lists_the_packages_that_there_are() -> None:
    packages = {one.parent.name for one in (ROOT / "src/healthchain").glob("*/__init__.py")}
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?`) \| ", _architecture(), re.MULTILINE))))
    assert packages <= listed


def test_architecture_lists_every_file_of_the_agreement() -> None:
    table = _architecture().partition("## The agreement")[2].partition("## ")[0]
    rows = re.findall(r"^\| [^|]+ \| ([^|]*) \| ([^|]*) \| [^|]*\|$", table, re.MULTILINE)
    rules, use_cases = ({one for row in rows for one in re.findall(r"`(\w+)`", row[column])} for column in (0, 1))
    assert rules == _modules("contract") - {"codes", "ehr", "ids", "members", "messages", "state"}
    assert use_cases <= _modules("records")


def _modules(package: str) -> set[str]:
    return {one.stem for one in (ROOT / "src/healthchain" / package).glob("*.py")} - {"__init__"}


def _architecture() -> str:
    return (ROOT / "ARCHITECTURE.md").read_text()


def test_the_readmes_commands_work_in_their_order(tmp_path: Path) -> None:
    folder, pseudonym, refused = tmp_path / "consortium", "", []
    for line in block_after("commands").splitlines():
        words = shlex.split(line.replace("PSEUDONYM", pseudonym).replace("--dir consortium", f"--dir {folder}"))
        done = subprocess.run(  # noqa: S603 (the README's own commands)
            [sys.executable, "-m", "healthchain.cli", *words[1:], "--json"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode in (0, output.REFUSED), done.stderr
        answer = json.loads(done.stdout)
        if words[1] == "patients":
            [pseudonym] = answer["patients"]
        if done.returncode == output.REFUSED:
            refused.append((words[1], answer["refused"]))
    assert refused == [("read", "CONSENT_MISSING")]


def test_the_readmes_exit_statuses_are_the_programs() -> None:
    listed = re.findall(r"^\| (\d+) \|", README, re.MULTILINE)
    told = re.findall(r"^\| (\d+) \|", output.__doc__ or "", re.MULTILINE)
    statuses = {0, output.FAILED, output.UNUSABLE, output.REFUSED, output.FOUND, output.INTERRUPTED}
    assert listed == told == [str(one) for one in sorted(statuses)]


def test_the_readmes_figures_are_those_measured() -> None:
    stored = json.loads((ROOT / "bench/results/figures.json").read_text())
    shown = subprocess.run(
        [sys.executable, "-c", "import sys, json; from figures import table; print(table(json.load(sys.stdin)))"],
        cwd=ROOT / "bench",
        input=json.dumps(stored["figures"]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown in README


def test_the_comparison_of_services_is_as_measured() -> None:
    told = "import json, sys; from run import table; print(table(json.load(sys.stdin)))"
    shown = subprocess.run(  # noqa: S603 (the bench's own code)
        [sys.executable, "-c", told],
        cwd=ROOT / "bench/service",
        input=(ROOT / "bench/results/service.json").read_text(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown in (ROOT / "docs/performance.md").read_text()


@pytest.mark.parametrize("settings", [Topology, Blocks, Organisation], ids=lambda one: one.__name__)
def test_every_setting_of_the_topology_is_documented(settings: type[msgspec.Struct]) -> None:
    documented = sys.modules["healthchain.config"].__doc__ or ""
    assert [one.name for one in msgspec.structs.fields(settings) if one.name not in documented] == []
