"""The commands of `healthchain`: each reads its options, calls a use case, prints the result.

Imports of anything heavy are inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from healthchain.cli import (
    aggregates,
    audit,
    bench,
    certificates,
    chaincode,
    claims,
    consent,
    demo,
    doctor,
    emergency,
    governance,
    licences,
    network,
    patient,
    receipt,
    reports,
    sessions,
)
from healthchain.cli.fabric import commands as fabric
from healthchain.cli.fabric import compacting
from healthchain.cli.groups import Group
from healthchain.cli.options import (
    Actions,
    Compartments,
    Consents,
    Days,
    Folder,
    Json,
    Org,
    Patient,
    Person,
    PurposeOption,
    Purposes,
    Role,
    one_of,
    topology_of,
)
from healthchain.cli.output import FAILED, FOUND, UNUSABLE, Output, failures, run_async

app = typer.Typer(
    cls=Group,
    help="A consortium blockchain for electronic health records.",
    epilog="Start with: healthchain demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(aggregates.app, name="aggregates")
app.add_typer(audit.app, name="audit")
app.add_typer(certificates.app, name="certificates")
app.add_typer(chaincode.app, name="chaincode")
app.add_typer(consent.app, name="consent")
app.add_typer(claims.app, name="claims")
app.add_typer(emergency.app, name="emergency")
app.add_typer(fabric.app, name="fabric")
app.add_typer(governance.app, name="governance")
app.add_typer(licences.app, name="licences")
app.add_typer(patient.app, name="patient")
app.add_typer(receipt.app, name="receipt")
app.add_typer(reports.app, name="reports")
app.add_typer(sessions.app, name="sessions")


def run(arguments: Sequence[str]) -> int:
    """Exit status of the program, see `healthchain.cli.output`."""
    output = Output(as_json="--json" in arguments)
    try:
        try:
            os.umask(0o077)  # a consortium's folder is its owner's: names of folders in it are pseudonyms
            os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # or who scans a port writes a line; read at import
            status = app(args=list(arguments) or ["--help"], prog_name="healthchain", standalone_mode=False)
        except Exception as error:  # noqa: BLE001 (the outermost edge)
            _usage_or_defect(output, error)
    except typer.Exit as end:
        status = end.exit_code
    return status if isinstance(status, int) else 0


def _usage_or_defect(output: Output, error: Exception) -> NoReturn:
    """What no command caught. Raises Exit."""
    from typer.exceptions import TyperException

    if isinstance(error, typer.Exit):
        raise error
    if isinstance(error, TyperException):
        usage = getattr(error, "ctx", None)
        help_ = f"{usage.get_usage()}\nTry '{usage.command_path} --help' for help." if usage else ""
        message = error.format_message()
        if usage and message == usage.get_help():  # a group of commands, without a command
            output.result({}, message)
            raise typer.Exit
        output.end(UNUSABLE, {"error": message}, f"{help_}\n\nerror: {message}".strip())
    # A defect of ours. Its message may quote data, so only its kind and place are shown.
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"
    text = f"a defect in HealthChain ({type(error).__name__} at {where}): please report it"
    output.end(FAILED, {"error": text}, f"error: {text}")


@app.command(epilog="Example: healthchain init --dir consortium")
def init(
    folder: Folder,
    topology: Annotated[Path | None, typer.Option(help="A topology file; default: the demo's four members.")] = None,
    json: Json = False,
) -> None:
    """Make a new consortium: certificates, keys, block 0, the contract, the founding members."""
    from healthchain.app.consortium import initialise

    output = Output(as_json=json)
    with failures(output):
        chosen = topology_of(topology)
        run_async(initialise(folder, chosen))
        organisations = [one.name for one in chosen.organisations]
        output.result(
            {"organisations": organisations, "channel": chosen.channel},
            f"A consortium of {len(organisations)}: {', '.join(organisations)}.",
        )


@app.command("import", epilog="Example: healthchain import --dir consortium --org general-hospital bundle.json.gz")
def import_(
    folder: Folder,
    org: Org,
    files: Annotated[list[Path], typer.Argument(help="FHIR R4 Bundles of one patient each, JSON or gzip.")],
    json: Json = False,
) -> None:
    """Seal a FHIR Bundle's resources and write them; repeating it writes only what is new or changed."""
    import time

    from healthchain.app.consortium import opened
    from healthchain.app.input import read_file
    from healthchain.errors import BadInput, Refused
    from healthchain.records.bundle import ParsedBundle, parse_bundle
    from healthchain.records.importing import Custodian, Imported, Progress, import_bundle

    output = Output(as_json=json)

    def parsed(path: Path) -> ParsedBundle:
        try:
            return parse_bundle(read_file(path))
        except BadInput as error:
            raise BadInput(f"{path.name}: {error}") from None

    async def imported(custodian: Custodian, name: str, bundle: ParsedBundle, advance: Progress) -> Imported:
        try:
            return await import_bundle(custodian, bundle, advance)
        except Refused as refused:
            raise Refused(refused.code, f"{name}: {refused.message}") from None

    async def work(bundles: dict[str, ParsedBundle]) -> dict[str, Imported]:
        async with opened(folder) as consortium:
            custodian = consortium.custodian(org)
            with output.progress("importing", sum(len(one.entries) for one in bundles.values())) as advance:
                return {name: await imported(custodian, name, one, advance) for name, one in bundles.items()}

    with failures(output):
        if len({path.name for path in files}) != len(files):
            raise BadInput("two files have one name, which the result could not tell apart: import them one by one")
        started = time.perf_counter()
        bundles = {path.name: parsed(path) for path in files}  # all of them before anything is written
        done = run_async(work(bundles))
        facts: dict[str, Any] = {
            "patients": {name: one.patient for name, one in done.items()},
            "resources": sum(one.resources for one in done.values()),
            "written": sum(one.written for one in done.values()),
            "amended": sum(one.amended for one in done.values()),
            "unchanged": sum(one.unchanged for one in done.values()),
            "seconds": round(time.perf_counter() - started, 3),
        }
        lines = [f"{one.patient}  {one.resources} resources" for one in done.values()]
        counts = "{written} written, {amended} amended, {unchanged} unchanged, {seconds} s".format(**facts)
        output.result(facts, "\n".join([*lines, counts]))


@app.command(epilog="Example: healthchain patients --dir consortium --org general-hospital")
def patients(folder: Folder, org: Org, json: Json = False) -> None:
    """List the pseudonyms of a hospital's patients."""
    from healthchain.app.consortium import CLINICIAN, opened
    from healthchain.records.patients import pseudonyms

    output = Output(as_json=json)

    async def work() -> list[str]:
        async with opened(folder) as consortium:
            return await pseudonyms(consortium.staff(org, CLINICIAN))

    with failures(output):
        found = run_async(work())
        output.result({"patients": found}, "\n".join(found) if found else "no patients")


@app.command(epilog="Example: healthchain records --dir consortium --org general-hospital --patient PSEUDONYM")
def records(
    folder: Folder,
    org: Org,
    patient: Patient,
    user: Annotated[str, typer.Option(help="Who reads.")] = "clinician",
    purpose: PurposeOption = "TREAT",
    json: Json = False,
) -> None:
    """List the headers of a patient's records: ids, versions, authors; no content."""
    from healthchain.app.consortium import opened
    from healthchain.records.reading import ListedRecord, list_all

    output = Output(as_json=json)

    async def work() -> list[ListedRecord]:
        async with opened(folder) as consortium:
            return await list_all(consortium.staff(org, user), patient, _purpose(purpose))

    with failures(output):
        found = run_async(work())
        lines = [f"{one.id}  v{one.version}  {one.status:16}  {one.compartment:32}  {one.author}" for one in found]
        output.result({"records": [asdict(one) for one in found]}, "\n".join(lines) if lines else "no records")


@app.command(
    epilog="Example: healthchain read --dir consortium --org city-clinic --user clinician --patient PSEUDONYM"
    " --purpose TREAT"
)
def read(
    folder: Folder,
    org: Org,
    user: Annotated[str, typer.Option(help="Who reads.")],
    patient: Patient,
    purpose: PurposeOption = "TREAT",
    json: Json = False,
) -> None:
    """Read all that a user may read, as a FHIR collection Bundle; exit status 3 and a code if refused."""
    from healthchain.app.consortium import opened
    from healthchain.records.reading import as_bundle, read_all

    output = Output(as_json=json)

    async def work() -> bytes:
        async with opened(folder) as consortium:
            return as_bundle(await read_all(consortium.staff(org, user), patient, _purpose(purpose)))

    with failures(output):
        output.raw(run_async(work()))


@app.command(epilog="Example: healthchain grant --dir consortium --patient PSEUDONYM --to city-clinic --purpose TREAT")
def grant(
    folder: Folder,
    patient: Patient,
    to: Annotated[str, typer.Option(help="The organisation that may.")],
    role: Role = None,
    person: Person = None,
    exceptions: Annotated[list[str] | None, typer.Option("--except", help="Not this person; repeat.")] = None,
    purpose: Purposes = ["TREAT"],  # noqa: B006
    action: Actions = ["read"],  # noqa: B006
    compartment: Compartments = None,
    later: Annotated[bool, typer.Option("--later", help="Compartments that are added later too.")] = False,
    days: Days = 365,
    json: Json = False,
) -> None:
    """As the patient: give an organisation a consent, and seal the compartments' keys to it."""
    from healthchain.app.consortium import opened
    from healthchain.contract import ids
    from healthchain.contract.policies import DAY_MS
    from healthchain.records import consenting
    from healthchain.records.actor import now_ms

    output = Output(as_json=json)

    async def work() -> str:
        async with opened(folder) as consortium:
            decision = consenting.Decision(
                grantee=consortium.topology.organisation(to).msp_id,
                purposes=tuple(_purpose(one) for one in purpose),
                actions=tuple(one_of(ids.Action, one, "action") for one in action),
                end_ms=now_ms() + days * DAY_MS,
                compartments=tuple(compartment or ()),
                role=one_of(ids.Role, role, "role") if role else None,
                person=person,
                exceptions=tuple(exceptions or ()),
                later_compartments=later,
            )
            return await consenting.grant(consortium.patient(patient), decision)

    with failures(output):
        consent = run_async(work())
        output.result({"consent": consent}, f"consent {consent}")


@app.command(epilog="Example: healthchain revoke --dir consortium --patient PSEUDONYM --from city-clinic")
def revoke(
    folder: Folder,
    patient: Patient,
    grantee: Annotated[str | None, typer.Option("--from", help="The organisation that may no longer.")] = None,
    consent: Consents = None,
    everything: Annotated[bool, typer.Option("--all", help="Or every consent, at once.")] = False,
    json: Json = False,
) -> None:
    """As the patient: end consents; keys are purged and new ones come into force."""
    from healthchain.app.consortium import opened
    from healthchain.errors import BadInput
    from healthchain.records import consenting

    output = Output(as_json=json)

    async def work() -> int:
        if [bool(grantee), bool(consent), everything].count(True) != 1:
            raise BadInput("say one of --from ORGANISATION, --consent ID and --all")
        async with opened(folder) as consortium:
            msp_id = consortium.topology.organisation(grantee).msp_id if grantee else None
            actor = consortium.patient(patient)
            chosen = consent or ()
            return await consenting.revoke(actor, grantee=msp_id, consent_ids=chosen, everything=everything)

    with failures(output):
        block = run_async(work())
        output.result({"revoked": True, "block": block}, f"revoked in block {block}")


@app.command(epilog="Example: healthchain erase --dir consortium --patient PSEUDONYM --record ID")
def erase(
    folder: Folder,
    patient: Patient,
    record: Annotated[list[str] | None, typer.Option(help="A record's id; default: all of the patient.")] = None,
    programs: Annotated[
        Path | None,
        typer.Option(
            "--bin", envvar="FABRIC_BIN", help="On Fabric: its programs, to compact the peers' files at once."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """As the patient: erase records, or everything; ciphertext and keys are purged on every peer's disk.

    On Fabric they stay in the files of the peers until these are compacted; without --bin, that is left to do.
    """
    from healthchain.app.consortium import opened
    from healthchain.fabric.nodes import is_fabric, require_programs
    from healthchain.records import erasing

    output = Output(as_json=json)

    async def work() -> int:
        async with opened(folder) as consortium:
            actor = consortium.patient(patient)
            if record:
                return await erasing.erase_records(actor, patient, record)
            return await erasing.erase_patient(actor, patient)

    with failures(output):
        if programs is not None and is_fabric(folder):
            require_programs(programs)
        block = run_async(work())
        facts, text = {"erased": True, "block": block}, f"erased in block {block}"
        if is_fabric(folder):
            in_files, told = compacting.after_erasing(folder, programs, block, output)
            facts, text = facts | {"in_files": in_files}, f"{text}; {told}"
        output.result(facts, text)


@app.command(epilog="Example: healthchain blocks --dir consortium --last 5")
def blocks(
    folder: Folder,
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the newest.")] = 10,
    json: Json = False,
) -> None:
    """List blocks: number, hash, transactions and their validation codes."""
    from healthchain.app.blocks import BlockSummary, summaries
    from healthchain.app.consortium import opened

    output = Output(as_json=json)

    async def work() -> list[BlockSummary]:
        async with opened(folder) as consortium:
            return summaries(consortium.network, last)

    with failures(output):
        found = run_async(work())
        lines = [f"{one.number:8}  {one.hash[:16]}  {one.transactions:5} transactions  {one.codes}" for one in found]
        output.result({"blocks": [asdict(one) for one in found]}, "\n".join(lines))


@app.command(epilog="Example: healthchain verify --dir consortium")
def verify(folder: Folder, json: Json = False) -> None:
    """Recompute everything on every peer, from hashes and signatures to private values; exit status 4 if not clean."""
    from healthchain.app.verify import verify as check

    output = Output(as_json=json)
    with failures(output):
        with output.progress("verifying", None) as advance:
            found = check(folder, lambda organisation, block: advance(1))
        facts = {
            "clean": found.clean,
            "findings": [asdict(one) for one in found.findings],
            "blocks": found.height,
            "transactions": found.transactions,
            "seconds": round(found.seconds, 3),
        }
        lines = [f"{one.peer}: {one.where}: {one.what}" for one in found.findings]
        clean = f"clean: {found.height} blocks, {found.transactions} transactions, equal on every peer"
        if not found.clean:
            output.end(FOUND, facts, "\n".join(lines))
        output.result(facts, clean)


app.command(epilog="Example: healthchain bench --workload record --engine fabric --bin fabric/bin")(bench.bench)
app.command(epilog="Example: healthchain demo --scenario claim --json")(demo.demo)
app.command(epilog="Example: healthchain doctor --dir consortium --days 60")(doctor.doctor)
app.command(epilog="Example: healthchain up --dir consortium --base-port 7051")(network.up)
app.command(epilog="Example: healthchain env general-hospital --dir consortium")(network.env)


def _purpose(name: str) -> Any:
    from healthchain.contract.ids import Purpose

    return one_of(Purpose, name, "purpose")
