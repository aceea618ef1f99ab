"""Help is quick, complete, and has an example that can be run."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator

import pytest
import typer

from healthchain.cli.commands import app

from .program import PROGRAM, Program

USER_SECONDS_MAX = 0.3

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


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_help_takes_less_than_03_seconds(path: Path) -> None:
    """That of a command imports what its group's does."""
    assert any(_user_seconds(*path, "--help") < USER_SECONDS_MAX for _ in range(5))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_of_options_that_there_are(program: Program, command: Path) -> None:
    shown = program(*command, "--help")
    assert shown.status == 0
    text = " ".join(shown.stdout.split())
    assert "--json" in text
    example = shlex.split(text[text.index("Example: ") + len("Example: ") :])
    assert tuple(example[: len(command) + 1]) == ("healthchain", *command)
    assert all(f"{option} " in text for option in example if option.startswith("--"))


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_without_arguments_a_group_shows_its_help(program: Program, group: Path) -> None:
    shown = program(*group)
    assert shown.stdout == program(*group, "--help").stdout
    assert shown.stdout
    inside = {path[len(group)] for path in COMMANDS if path[: len(group)] == group}
    assert all(f"  {one} " in shown.stdout for one in inside)
    assert "..." not in shown.stdout.partition("Commands:")[2]  # whole sentences


def _user_seconds(*arguments: str) -> float:
    before = os.times().children_user
    started = time.perf_counter()
    subprocess.run([*PROGRAM, *arguments], check=True, capture_output=True)  # noqa: S603 (the program under test)
    assert time.perf_counter() - started < 30
    return os.times().children_user - before
