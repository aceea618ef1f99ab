"""The project's own files: commands, lock, licence, and what must never be committed."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tomllib

import pytest

import healthchain

from .tracked_files import ROOT, findings, forbidden_in_tracked

APACHE_2_0_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def _makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _lock_entries() -> list[str]:
    """One package each, its hashes on the lines that follow."""
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _declared_packages() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {re.split(r"[^\w.-]", requirement)[0] for requirement in declared}


def test_make_alone_lists_every_command() -> None:
    shown = subprocess.run(["make", "-s", "-C", str(ROOT)], check=True, capture_output=True, text=True).stdout  # noqa: S603, S607
    listed = set(re.findall(r"^  make ([a-z-]+) +\S", shown, re.MULTILINE))
    assert listed == _makefile_targets()
    assert {"help", "setup", "check", "test", "demo", "bench"} <= listed


def test_every_command_is_phony() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == _makefile_targets()


def test_lock_pins_every_package_by_version_and_hash() -> None:
    entries = _lock_entries()
    assert len(entries) >= 30
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry.split(" ")[0]


def test_lock_has_what_the_project_declares() -> None:
    assert _declared_packages() <= {entry.partition("==")[0] for entry in _lock_entries()}


def test_lock_names_no_address() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_licence_is_apache_2_0() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0_SHA256


def test_changelog_has_this_version() -> None:
    assert re.search(
        rf"^## \[({re.escape(healthchain.__version__)}|Unreleased)\]",
        (ROOT / "CHANGELOG.md").read_text(),
        re.M,
    )


def test_nothing_forbidden_is_tracked() -> None:
    assert forbidden_in_tracked() == []


@pytest.mark.parametrize(
    "parts",
    [
        ("see /ro", "ot/notes"),
        ("--index", "-url https://packages.example"),
        ("https://files.python", "hosted.org/x"),
        ("postgres://me:sec", "ret@db.example"),
        ("-----BEGIN EC PRIVATE", " KEY-----\nMHcCAQEEIBkg3Vb7xJ2s8aDq\n"),
        ("ghp", "_0123456789abcdefghij0123"),
    ],
)
def test_forbidden_text_is_found(parts: tuple[str, str]) -> None:
    """In two parts, so that this file does not contain it."""
    assert len(list(findings("a harmless line\n" + "".join(parts)))) == 1


@pytest.mark.parametrize("text", ["https://example.org/work/1", "127.0.0.1:7051", "src/healthchain", "~/data"])
def test_harmless_text_is_not_found(text: str) -> None:
    assert list(findings(text)) == []


def test_decisions_are_numbered_and_complete() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text()
        assert text.startswith(f"# {int(page.name[:4])}. "), page.name
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == [
            "Context",
            "Choice",
            "Rejected",
            "Consequences",
        ], page.name
        assert page.name in (ROOT / "docs/decisions/README.md").read_text(), page.name
