"""Hyperledger Caliper, as npm has it, against a consortium made for this run: `make caliper`.

Prints Caliper's table; ends with 1 if a transaction failed. What it needs is installed by `npm ci` in this folder.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
HEALTHCHAIN = (sys.executable, "-m", "healthchain.cli")
AGENCY = "health-agency"
SECONDS_MAX = 300
ROW = re.compile(r"^\| (\S+) +\| (\d+) +\| (\d+) +\|")
"""Of Caliper's table: label, succeeded, failed."""


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Organisation -> address of a new network."""
    subprocess.run([*HEALTHCHAIN, "init", "--dir", str(folder)], check=True)  # noqa: S603
    command = [*HEALTHCHAIN, "up", "--dir", str(folder), "--base-port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603
        assert running.stdout is not None
        yield json.loads(running.stdout.readline())["addresses"]
        running.terminate()


def network_config(folder: Path, address: str) -> str:
    """As Caliper's peer gateway connector wants it; JSON is YAML."""
    shown = subprocess.run(  # noqa: S603
        [*HEALTHCHAIN, "env", AGENCY, "--dir", str(folder), "--json"], check=True, capture_output=True, text=True
    ).stdout
    told = json.loads(shown)
    msp = Path(told["CORE_PEER_MSPCONFIGPATH"])
    certificate = next((msp / "signcerts").iterdir())
    administrator = {
        "name": "administrator",
        "clientPrivateKey": {"path": str(msp / "keystore" / "priv_sk")},
        "clientSignedCert": {"path": str(certificate)},
    }
    organization = {
        "mspid": told["CORE_PEER_LOCALMSPID"],
        "identities": {"certificates": [administrator]},
        "peers": [{"endpoint": address, "tlsCACerts": {"path": told["CORE_PEER_TLS_ROOTCERT_FILE"]}}],
    }
    document = {
        "name": "healthchain",
        "version": "2.0.0",
        "caliper": {"blockchain": "fabric"},
        "channels": [{"channelName": told["CHANNEL_NAME"], "contracts": [{"id": "ehr"}]}],
        "organizations": [organization],
    }
    return json.dumps(document)


def launch(config: Path, report: Path) -> str:
    """What Caliper printed."""
    command = [str(HERE / "node_modules/.bin/caliper"), "launch", "manager", "--caliper-workspace", str(HERE)]
    command += ["--caliper-networkconfig", str(config), "--caliper-benchconfig", "benchmark.yaml"]
    command += ["--caliper-flow-only-test", "--caliper-report-path", str(report)]
    ended = subprocess.run(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX, check=False
    )
    return ended.stdout


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "consortium"
        with serving(folder) as addresses:
            config = Path(scratch) / "network.yaml"
            config.write_text(network_config(folder, addresses[AGENCY]))
            printed = launch(config, Path(scratch) / "report.html")
    table = [line for line in printed.rpartition("### All test results ###")[2].splitlines() if line.startswith("|")]
    counts = [ROW.match(line) for line in table]
    rounds = [(one[1], int(one[2]), int(one[3])) for one in counts if one]
    print("\n".join(table))
    if len(rounds) == 2 and all(succeeded and not failed for _, succeeded, failed in rounds):
        return 0
    print("\n".join(printed.splitlines()[-40:]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
