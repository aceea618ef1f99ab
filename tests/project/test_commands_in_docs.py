"""Every `healthchain ...` in a block of a document is a command that there is, with options that it has and needs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from typer.main import get_command

from healthchain.cli.commands import app

from .tracked_files import ROOT, tracked

LINE = re.compile(r"^(?:    )?(?:\$ )?(healthchain .*)$", re.MULTILINE)
BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```|^((?: {4}.+\n)+)", re.MULTILINE | re.DOTALL)
COMMAND = get_command(app)


def lines() -> Iterator[tuple[str, str]]:
    """(page, line); what a shell does with the output, and the rest of a line that was shortened, is left out."""
    for path in tracked():
        if path.suffix == ".md":
            for block in BLOCK.findall(path.read_text()):
                for line in LINE.findall("".join(block)):
                    yield str(path.relative_to(ROOT)), re.split(r" [|>] |  +#|\|\|", line)[0]


@pytest.mark.parametrize(("page", "line"), sorted(set(lines())), ids=str)
def test_a_command_of_a_document_can_be_given_so(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    command, context = COMMAND, COMMAND.make_context("healthchain", [], resilient_parsing=True)
    while hasattr(command, "commands"):
        assert words, f"{page}: which command?"
        assert words[0] in command.commands, f"{page}: there is no {words[0]}"
        command, words = command.commands[words[0]], words[1:]
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
    context.resilient_parsing = False  # or an option that there is not would be passed over
    given, rest, _ = command.make_parser(context).parse_args(words)
    assert rest == []
    needed = {one.name for one in command.params if one.required and not one.envvar}
    assert needed <= {name for name, value in given.items() if value is not None}
