"""`healthchain receipt`: files that prove what happened to a patient's records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Patient
from healthchain.cli.output import FOUND, Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.app.receipts import Proven

KINDS = "record, consent, session, disclosure, emergency or erasure"

app = group("Receipts: files that prove, without network or ledger, what happened to a patient's records.")


@app.command(
    epilog="Example: healthchain receipt issue --dir consortium --patient PSEUDONYM --kind record --id ID"
    " --version 1 --out FILE"
)
def issue(
    folder: Folder,
    patient: Patient,
    kind: Annotated[str, typer.Option(help=f"Of what: {KINDS}.")],
    subject: Annotated[
        str,
        typer.Option("--id", help="Its id; of a disclosure or erasure, its transaction's, which `audit own` prints."),
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Of a record; or the how-manieth change, from 1; default: the newest.")
    ] = None,
    org: Annotated[
        str | None, typer.Option("--org", help="As the custodian's administrator; default: as the patient.")
    ] = None,
    json: Json = False,
) -> None:
    """As the patient, or the custodian's administrator: have the members' peers attest what is on their ledgers."""
    from healthchain.app.consortium import ADMINISTRATOR, opened
    from healthchain.app.receipts import Kind, Subject, verify
    from healthchain.app.receipts import issue as issued
    from healthchain.errors import BadInput

    output = Output(as_json=json)

    async def work() -> bytes:
        if kind not in list(Kind):
            raise BadInput(f"there are no such receipts: choose one of {KINDS}")
        async with opened(folder) as consortium:
            actor = consortium.staff(org, ADMINISTRATOR) if org else consortium.patient(patient)
            return await issued(consortium, actor, Subject(Kind(kind), patient, subject, version))

    with failures(output):
        encoded = run_async(work())
        out.write_bytes(encoded)
        proven = verify(encoded)
        output.result({"file": str(out), "bytes": len(encoded), **_facts(proven)}, f"{out}\n{_text(proven)}")


@app.command(epilog="Example: healthchain receipt verify FILE --fingerprint HEX")
def verify(
    file: Annotated[Path, typer.Argument(help="What `receipt issue` wrote.")],
    fingerprint: Annotated[
        str | None,
        typer.Option(help="Of the consortium, as you had it from a member; without it, compare the one that is shown."),
    ] = None,
    json: Json = False,
) -> None:
    """Check a receipt without network or ledger; exit status 4 if it proves nothing.

    Anybody can found a consortium and sign as it. A receipt is worth what its fingerprint is: that of block 0 and of
    the members' certificates.
    """
    from healthchain.app.receipts import verify as verified
    from healthchain.ledger.receipt import RECEIPT_BYTES_MAX, ReceiptRefused

    output = Output(as_json=json)
    with failures(output):
        with file.open("rb") as stream:
            encoded = stream.read(RECEIPT_BYTES_MAX + 1)
        try:
            proven = verified(encoded, fingerprint)
        except ReceiptRefused as refused:
            output.end(FOUND, {"holds": False, "why": str(refused)}, f"this receipt proves nothing: {refused}")
        output.result({"holds": True, **_facts(proven)}, _text(proven))


def _facts(proven: Proven) -> dict[str, Any]:
    from dataclasses import asdict

    import msgspec

    shown = {name: value for name, value in asdict(proven.evidence).items() if name not in ("key", "value")}
    written = msgspec.to_builtins(proven.written)
    return {"kind": proven.kind, "patient": proven.patient, "id": proven.id, "written": written, **shown}


def _text(proven: Proven) -> str:
    import datetime

    evidence = proven.evidence
    when = datetime.datetime.fromtimestamp(evidence.time_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
    rows = {
        proven.kind.value: proven.id,
        "of patient": proven.patient,
        "by": evidence.creator,
        "at": when,
        "transaction": evidence.tx_id,
        "block": f"{evidence.block}  {evidence.block_hash}",
        "endorsed by": ", ".join(evidence.endorsers),
        "attested by": ", ".join(evidence.attesters),
        "fingerprint": evidence.fingerprint,
    }
    return "\n".join(f"{name:12} {value}" for name, value in rows.items())
