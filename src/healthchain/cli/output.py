"""What a command prints: for a person, or with --json one JSON object; and how it ends.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | it failed: the text says why and what to do |
| 2 | the command or its input cannot be used; nothing was written |
| 3 | the consortium's rules refuse it: the text starts with the code |
| 4 | `verify`, `doctor` or `fabric traces` found something, or a receipt proves nothing |
| 130 | interrupted |
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn, TypeVar

import typer

from healthchain.errors import BadInput, HealthChainError, Refused

ADVICE = {
    errno.ENOSPC: "free space and try again: what was committed stays",
    errno.EDQUOT: "free space and try again: what was committed stays",
    errno.EACCES: "mend the folder's permissions and try again",
    errno.EPERM: "mend the folder's permissions and try again",
    errno.EROFS: "choose a folder that can be written",
    errno.EEXIST: "give a folder, not a file",
    errno.ENOTDIR: "give a folder, not a file",
}
FAILED, UNUSABLE, REFUSED, FOUND, INTERRUPTED = 1, 2, 3, 4, 130

_Result = TypeVar("_Result")


class Output:
    """`result` goes to standard output, everything else to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def result(self, facts: Any, text: str) -> None:
        """One JSON object, or words."""
        # Escapes: a file's name may have bytes, and a terminal an encoding, that are not UTF-8.
        shown = json.dumps(facts) if self.as_json else _printable(text)
        _write(shown.encode(sys.stdout.encoding, "backslashreplace"))

    def raw(self, document: bytes) -> None:
        """A document that is JSON already."""
        _write(document)

    def say(self, text: str) -> None:
        """A step of something that is not at its end."""
        if self.as_json:
            _complain(text)
        else:
            self.result({}, text)

    def end(self, status: int, facts: dict[str, Any], text: str) -> NoReturn:
        if self.as_json:
            self.result(facts, text)
        else:
            _complain(text)
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
        text = f"{error}; `healthchain doctor` says which nodes do not run" if _is_unreachable(error) else str(error)
        output.end(FAILED, {"error": text}, f"error: {text}")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        advice = ADVICE.get(error.errno or 0, "mend that and try again")
        output.end(FAILED, {"error": reason}, f"error: {reason}: {advice}")
    except KeyboardInterrupt:
        output.end(
            INTERRUPTED, {"error": "interrupted"}, "interrupted: what was committed stays, run it again to go on"
        )


def _is_unreachable(error: HealthChainError) -> bool:
    """Whether no gateway could be reached, or not enough endorsers or orderers."""
    from healthchain.client.errors import GatewayFailed
    from healthchain.wire.gateway import Status

    return isinstance(error, GatewayFailed) and error.status is Status.UNAVAILABLE


def _write(line: bytes) -> None:
    """To standard output, at once: what cannot be written is noticed here and not when Python ends."""
    rest = memoryview(line + b"\n")
    try:
        while rest:  # with PYTHONUNBUFFERED there is no buffer, and a write may take a part only
            taken = sys.stdout.buffer.write(rest)
            if taken is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            rest = rest[taken:]
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whoever closed the pipe has seen enough
            _complain(f"error: standard output: {error.strerror}")
        raise typer.Exit(FAILED) from None


def _complain(text: str) -> None:
    encoding = sys.stderr.encoding
    print(_printable(text).encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)


def _printable(text: str) -> str:
    """Nothing that a file's name or another member's name may hold moves the cursor or hides a line."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def run_async(main: Coroutine[Any, Any, _Result]) -> _Result:
    """On uvloop where there is one; Ctrl-C cancels and closes the ledgers before it is raised here.

    What a transaction makes is freed by reference counts; looking for cycles as often as Python does by default costs
    7% of the throughput.
    """
    import asyncio  # a third of the time that help takes

    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
