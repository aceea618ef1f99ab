"""A group of commands: `healthchain` itself, and each area."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class Group(TyperGroup):
    """Lists each command with its whole first sentence, on two lines where it needs them."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(limit=10 * formatter.width)) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def group(what: str) -> typer.Typer:
    """Of an area; without a command it shows its help."""
    return typer.Typer(cls=Group, help=what, no_args_is_help=True, rich_markup_mode=None)
