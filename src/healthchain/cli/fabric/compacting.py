"""`healthchain fabric traces|compact`: what Fabric's peers still have in their files of what was erased."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from healthchain.cli.options import Folder, Json
from healthchain.cli.output import FOUND, Output, failures, run_async

Organisations = Annotated[
    list[str] | None, typer.Option("--org", help="Whose peer; repeat for several. Default: all in this folder.")
]
Programs = Annotated[
    Path | None,
    typer.Option("--bin", envvar="FABRIC_BIN", help="The folder of Fabric's programs: peer, orderer, osnadmin."),
]


def traces(folder: Folder, org: Organisations = None, json: Json = False) -> None:
    """Count private values that peers' files hold and their ledgers do not any more; exit status 4 if there are any."""
    from healthchain.app.fabric import compacting

    output = Output(as_json=json)
    with failures(output):
        found = compacting.on_disk(folder, org or ())
        facts = {"peers": [asdict(one) for one in found]}
        lines = [
            f"{one.organisation:20}  {one.dead} erased or replaced in files, {one.marked} to be purged,"
            f" {one.waiting} endorsed only"
            for one in found
        ]
        if not all(one.clean for one in found):
            advice = "`healthchain fabric compact` removes them"
            output.end(FOUND, facts, "\n".join([*lines, advice]))
        output.result(facts, "\n".join(lines) or "no peer has a ledger in this folder yet")


def compact(
    folder: Folder,
    programs: Programs = None,
    org: Organisations = None,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="The peers are stopped, and whoever runs them starts them afterwards.")
    ] = False,
    json: Json = False,
) -> None:
    """Stop and start one peer after another, so that none of their files holds what is erased by now."""
    from healthchain.app.fabric import compacting
    from healthchain.errors import BadInput

    output = Output(as_json=json)
    with failures(output):
        if stopped:
            names = compacting.prepare(folder, org or ())
            output.result({"prepared": names}, f"prepared: {', '.join(names)}; start, then look with `fabric traces`")
            return
        if programs is None:
            raise BadInput("give --bin, the folder of Fabric's programs, or --stopped for peers that others start")
        done = run_async(compacting.compact(folder, programs, output.say, org or ()))
        output.result({"peers": [asdict(one) for one in done]}, "no peer's files hold what was erased")


def after_erasing(folder: Path, programs: Path | None, block: int, output: Output) -> tuple[int, str]:
    """How many erased values are in the peers' files still, and what that means. With programs these are compacted."""
    from healthchain.app.fabric import compacting

    if programs is not None and compacting.runs_all_peers(folder):
        output.say(f"erased in block {block}; now the peers' files, one peer after another")
        run_async(compacting.compact(folder, programs, output.say))
        return 0, "no peer's files hold it"
    found = compacting.on_disk(folder)
    left = max((one.dead + one.marked for one in found), default=0)
    advice = "let every peer's operator run `healthchain fabric compact`"
    return left, f"{left} values are in files here still: {advice}" if left else f"to free other peers' files, {advice}"
