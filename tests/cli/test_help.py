"""Help is quick, complete, and has an example that can be run."""

from __future__ import annotations

import os
import shlex
import subprocess
import time

import pytest

from healthchain.cli.commands import app

from .program import PROGRAM, Program

COMMANDS = sorted(one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands)
USER_SECONDS_MAX = 0.3


def test_the_commands_are_these() -> None:
    assert " ".join(COMMANDS) == "audit bench blocks demo erase grant import init patients read records revoke verify"


@pytest.mark.parametrize("command", [(), *[(one,) for one in COMMANDS]])
def test_help_takes_less_than_03_seconds(command: tuple[str, ...]) -> None:
    assert any(_user_seconds(*command, "--help") < USER_SECONDS_MAX for _ in range(3))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_of_options_that_there_are(program: Program, command: str) -> None:
    shown = program(command, "--help")
    assert shown.status == 0
    text = " ".join(shown.stdout.split())
    assert "--json" in text
    example = shlex.split(text[text.index("Example: ") + len("Example: ") :])
    assert example[:2] == ["healthchain", command]
    assert all(f"{option} " in text for option in example if option.startswith("--"))


def test_without_arguments_the_program_shows_its_help(program: Program) -> None:
    assert program().stdout == program("--help").stdout
    assert all(f"  {command} " in program().stdout for command in COMMANDS)


def _user_seconds(*arguments: str) -> float:
    before = os.times().children_user
    started = time.perf_counter()
    subprocess.run([*PROGRAM, *arguments], check=True, capture_output=True)  # noqa: S603 (the program under test)
    assert time.perf_counter() - started < 30
    return os.times().children_user - before
