"""A load on the embedded network, in a folder of its own.

The machine's own signature rates are measured beside, since each transaction costs five signatures and five
verifications: proposal, two or more endorsements, envelope, and the question for the commit's status.
"""

from __future__ import annotations

import time
from pathlib import Path

from healthchain.app.bench.put import PUT_DEFINITION, Put
from healthchain.app.bench.watching import own_processes
from healthchain.app.bench.work import Advance, Figures, Load, Work, figures, signature_rates, topology
from healthchain.app.consortium import initialise, opened


async def on_embedded(folder: Path, load: Load, advance: Advance = lambda transactions: None) -> Figures:
    """In a folder without a network; raises FolderTaken otherwise."""
    rates = signature_rates()
    await initialise(folder, topology(load.organisations))
    async with opened(folder, extra=[(PUT_DEFINITION, Put())]) as consortium:
        await consortium.define(PUT_DEFINITION)
        work = Work(consortium)
        await work.prepare(load.records_before)
        measured = await work.measured(load, own_processes, advance)
    started = time.perf_counter()
    async with opened(folder):
        restart = time.perf_counter() - started
    return figures(load, measured, restart, rates)
