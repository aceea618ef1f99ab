"""Help is quick, complete, and has an example that can be run."""

from __future__ import annotations

import json
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from healthchain.cli.commands import app

from .program import PROGRAM, Program

HEAVY = (
    *("healthchain.app.consortium", "healthchain.contract", "healthchain.network", "healthchain.ledger"),
    *("asyncio", "cryptography", "fabric_protos", "google.protobuf", "grpc", "lmdb", "msgspec", "rich"),
)
ALL_HELP = """
import json, sys
from healthchain.cli.commands import run
for path in json.loads(sys.argv[1]):
    run(path)
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
LIBRARY = (sys.executable, "-c", "import typer; from pydantic import TypeAdapter")
"""What reads the command line, without a command."""

Path = tuple[str, ...]
"""The words after `healthchain` that lead to a command or to a group of commands."""


def commands(group: typer.Typer, path: Path = ()) -> Iterator[Path]:
    """Of a group and of all groups in it; a command that does not say its name is called as its function is."""
    for one in group.registered_commands:
        name = one.name or (one.callback.__name__ if one.callback else "")
        yield (*path, name.rstrip("_").replace("_", "-"))
    for nested in group.registered_groups:
        assert nested.name
        assert nested.typer_instance
        yield from commands(nested.typer_instance, (*path, nested.name))


COMMANDS = sorted(commands(app))
GROUPS = sorted({command[:length] for command in COMMANDS for length in range(len(command))})


def test_help_loads_nothing_of_what_commands_run() -> None:
    """All groups' in one process: a command imports what it needs when it runs."""
    shown = subprocess.run(  # noqa: S603 (the program under test)
        [sys.executable, "-c", ALL_HELP, json.dumps([[*path, "--help"] for path in GROUPS])],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(json.loads(shown.stderr))
    assert "healthchain.cli.commands" in loaded
    assert not {one for one in loaded if one.startswith(HEAVY)}


def test_help_takes_hardly_longer_than_its_library() -> None:
    """In this one run, whatever else the machine does; the least of several, since others can only add to it."""
    pairs = [(_user_seconds(*PROGRAM, "--help"), _user_seconds(*LIBRARY)) for _ in range(5)]
    assert min(ours for ours, _ in pairs) < 2 * min(library for _, library in pairs)


@pytest.fixture(scope="module")
def built() -> Any:
    """The whole program: building it takes longer than any help."""
    return typer.main.get_command(app)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_of_options_that_there_are(built: Any, command: Path) -> None:
    found, context = built, built.make_context("healthchain", ["--help"], resilient_parsing=True)
    for word in command:
        found = found.get_command(context, word)
        context = found.make_context(word, [], parent=context, resilient_parsing=True)
    text = " ".join(found.get_help(context).split())
    options, _, shown = text.partition("Example: ")  # an option is described before
    assert "--json" in options
    example = shlex.split(shown)
    assert tuple(example[: len(command) + 1]) == ("healthchain", *command)
    assert all(f"{option} " in options for option in example if option.startswith("--"))


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_without_arguments_a_group_shows_its_help(program: Program, group: Path) -> None:
    shown = program(*group)
    assert shown.stdout == program(*group, "--help").stdout
    assert shown.stdout
    inside = {path[len(group)] for path in COMMANDS if path[: len(group)] == group}
    assert all(f"  {one} " in shown.stdout for one in inside)
    assert "..." not in shown.stdout.partition("Commands:")[2]  # whole sentences


def _user_seconds(*command: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 (the program under test)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
