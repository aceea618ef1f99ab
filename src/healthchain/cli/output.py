"""What a command prints: for a person, or with --json one JSON object; and how it ends.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | it failed: the text says why and what to do |
| 2 | the command or its input cannot be used; nothing was written |
| 3 | the consortium's rules refuse it: the text starts with the code |
| 4 | `verify` found something |
| 130 | interrupted |
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn, TypeVar

import typer

from healthchain.errors import BadInput, HealthChainError, Refused

FAILED, UNUSABLE, REFUSED, FOUND, INTERRUPTED = 1, 2, 3, 4, 130

_Result = TypeVar("_Result")


class Output:
    """`result` goes to standard output, everything else to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def result(self, facts: Any, text: str) -> None:
        """One JSON object, or words."""
        print(json.dumps(facts, ensure_ascii=False) if self.as_json else text)

    def raw(self, document: bytes) -> None:
        """A document that is JSON already."""
        sys.stdout.buffer.write(document + b"\n")
        sys.stdout.buffer.flush()

    def say(self, text: str) -> None:
        print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def end(self, status: int, facts: dict[str, Any], text: str) -> NoReturn:
        if self.as_json:
            print(json.dumps(facts, ensure_ascii=False))
        else:
            print(text, file=sys.stderr)
        raise typer.Exit(status)

    @contextlib.contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal's standard error; call it with how much more is done."""
        if not sys.stderr.isatty():
            yield lambda more: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda more: bar.advance(task, more)


@contextlib.contextmanager
def failures(output: Output) -> Iterator[None]:
    """Every expected failure becomes its exit status and a text; no traceback reaches a user."""
    try:
        yield
    except Refused as refused:
        output.end(REFUSED, {"refused": refused.code, "message": refused.message}, f"refused: {refused}")
    except BadInput as error:
        output.end(UNUSABLE, {"error": str(error)}, f"error: {error}")
    except HealthChainError as error:
        output.end(FAILED, {"error": str(error)}, f"error: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        output.end(
            FAILED, {"error": reason}, f"error: {reason}: free space or mend the folder's permissions, try again"
        )
    except KeyboardInterrupt:
        output.end(
            INTERRUPTED, {"error": "interrupted"}, "interrupted: what was committed stays, run it again to go on"
        )


def run_async(main: Coroutine[Any, Any, _Result]) -> _Result:
    """On uvloop where there is one; Ctrl-C cancels and closes the ledgers before it is raised here.

    What a transaction makes is freed by reference counts; looking for cycles as often as Python does by default costs
    7% of the throughput.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
