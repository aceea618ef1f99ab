"""Measures the figures that the project promises, on this machine, and writes them to bench/results/figures.json.

    python bench/figures.py [--runs 3]

Each load runs several times in processes of its own; the median run is kept, with this machine's own signature rates
beside it. It takes some minutes; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "figures.json"
LOADS: dict[str, list[str]] = {
    "put, 300 in flight": ["--workload", "put"],
    "record, 300 in flight": ["--workload", "record"],
    "record, one at a time": ["--workload", "record", "--in-flight", "1"],
    "record, on an empty ledger": ["--workload", "record", "--seconds", "6"],
    "record, after 200,000 records": ["--workload", "record", "--seconds", "6", "--records-before", "200000"],
    "import of the sample patients": ["--workload", "import", "--organisations", "4", "--seconds", "6"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the promised figures; write bench/results/figures.json.")
    parser.add_argument("--runs", type=int, default=3, help="how often each load runs; the median is kept")
    runs = parser.parse_args().runs
    figures = {}
    for name, options in LOADS.items():
        figures[name] = _median([_run(name, options) for _ in range(runs)])
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine, "runs": runs, "figures": figures}, indent=2) + "\n")
    print(table(figures))
    return 0


def _run(name: str, options: list[str]) -> dict[str, Any]:
    print(f"measuring: {name}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "healthchain.cli", "bench", "--json", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 (this interpreter, own arguments)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole run in the middle, so that its figures belong together."""
    return sorted(runs, key=lambda one: one["transactions_per_second"])[len(runs) // 2]


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Markdown, as it stands in the README."""
    lines = [
        "| load | tx/s | records/s | p50 ms | p99 ms | MiB | sign/s | verify/s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    names = ("transactions_per_second", "records_per_second", "latency_ms_p50", "latency_ms_p99", "memory_mib")
    for name, one in figures.items():
        cells = [f"{one[key]:,.0f}" if one[key] >= 100 else f"{one[key]:,.1f}" for key in names]
        rates = [f"{one[key]:,}" for key in ("sign_per_second", "verify_per_second")]
        lines.append(f"| {' | '.join([name, *cells, *rates])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
