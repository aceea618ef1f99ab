"""`healthchain fabric export` and what follows it at each organisation: a network on several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from healthchain.cli.options import Folder, Json, one_of, toml_text, topology_of
from healthchain.cli.output import Output, failures, run_async

Programs = Annotated[
    Path, typer.Option("--bin", envvar="FABRIC_BIN", help="The folder of Fabric's programs: peer and osnadmin.")
]
Hsm = Annotated[bool, typer.Option("--hsm", help="The signing keys of peer and orderer are in an HSM, not here.")]


def export(
    out: Annotated[Path, typer.Option("--out", help="A folder to make: in it one folder an organisation.")],
    topology: Annotated[
        Path | None, typer.Option("--topology", help="A topology file; default: the demo's four members.")
    ] = None,
    hosts: Annotated[
        Path | None, typer.Option("--hosts", help="Where nodes are; default: peer0.DOMAIN:7051, and so on.")
    ] = None,
    consensus: Annotated[
        str, typer.Option("--consensus", help="raft, or bft (SmartBFT), which needs four organisations.")
    ] = "raft",
    json: Json = False,
) -> None:
    """Write what each organisation's machine needs: configuration, units, a compose file. No secrets."""
    from healthchain.app.fabric.machines.exporting import export as write
    from healthchain.fabric.hosts import read_hosts
    from healthchain.fabric.nodes import Consensus

    output = Output(as_json=json)
    with failures(output):
        chosen = topology_of(topology)
        agree = one_of(Consensus, consensus, "consensus")
        write(chosen, read_hosts(toml_text(hosts, "hosts") if hosts else "", chosen), agree, out)
        names = [one.name for one in chosen.organisations]
        output.result(
            {"organisations": names, "channel": chosen.channel, "consensus": agree},
            f"A folder for each of {len(names)} organisations ({agree}): {', '.join(names)}. Give each its own.",
        )


def request(folder: Folder, hsm: Hsm = False, json: Json = False) -> None:
    """At an organisation: make its keys, which stay here, and the requests for its authorities to sign."""
    from healthchain.app.fabric.machines.enrolling import REQUESTS
    from healthchain.app.fabric.machines.enrolling import request as ask

    output = Output(as_json=json)
    with failures(output):
        names = ask(folder, hsm=hsm)
        output.result({"requests": names}, f"{len(names)} requests are in {REQUESTS}: have them signed.")


def install(
    folder: Folder,
    certificates: Annotated[
        Path, typer.Option("--certificates", help="The folder of what the authorities signed, and of their own.")
    ],
    hsm: Hsm = False,
    json: Json = False,
) -> None:
    """Check the certificates, put them in place, and write the organisation's file for the other members."""
    from healthchain.app.fabric.machines.enrolling import install as put
    from healthchain.fabric.machines.public_part import SUFFIX

    output = Output(as_json=json)
    with failures(output):
        part = put(folder, certificates, hsm=hsm)
        file = f"{part.name}{SUFFIX}"
        output.result(
            {"file": file, "fingerprint": part.fingerprint()},
            f"The certificates are in place. Give {file} to all members; its SHA-256: {part.fingerprint()}",
        )


def assemble(
    folder: Folder,
    members: Annotated[Path, typer.Option("--members", help="The folder of all members' files, the own one too.")],
    json: Json = False,
) -> None:
    """Make block 0 from all members' files: it is the same at each, and its hash is to be compared."""
    from healthchain.app.fabric.machines.assembling import assemble as make

    output = Output(as_json=json)
    with failures(output):
        block, files = make(folder, members)
        lines = [f"{fingerprint}  {name}" for name, fingerprint in files.items()]
        output.result(
            {"block": block, "members": files}, "\n".join([*lines, f"{block}  block 0: compare it with all others"])
        )


def candidate(folder: Folder, json: Json = False) -> None:
    """At a newcomer: print the change with which an administrator proposes it (`governance propose --change`)."""
    import msgspec

    from healthchain.app.fabric.machines.admitting import candidate as proposed

    output = Output(as_json=json)
    with failures(output):
        output.raw(msgspec.json.encode(proposed(folder)))


def admit(
    folder: Folder,
    members: Annotated[Path, typer.Option("--members", help="The folder of all members' files, the newcomer's too.")],
    json: Json = False,
) -> None:
    """Once the channel has a newcomer, and this folder the larger topology: put its certificates in place."""
    from healthchain.app.fabric.machines.admitting import admit as put

    output = Output(as_json=json)
    with failures(output):
        done = run_async(put(folder, members))
        lines = [
            f"{fingerprint}  {name}: compare it with the one that it has"
            for name, fingerprint in done.fingerprints.items()
        ]
        text = (
            "the newcomer's certificates are in place" if lines else "all members' certificates were in place already"
        )
        text += ", and the channel's newest configuration" if done.configuration else ""
        output.result(
            {"configuration": done.configuration, "members": done.fingerprints},
            "\n".join([*lines, f"{text}: go on with `healthchain fabric deploy`"]),
        )


def deploy(folder: Folder, programs: Programs, json: Json = False) -> None:
    """Once the nodes run: join the channel, approve the contract; whoever is the last commits it and founds."""
    from healthchain.app.fabric.machines.agreeing import Stage
    from healthchain.app.fabric.machines.agreeing import deploy as agree

    output = Output(as_json=json)
    with failures(output):
        done = run_async(agree(folder, programs, output.say))
        text = {
            Stage.JOINED: "too few orderers are in the channel to agree: run this again when more members have joined",
            Stage.APPROVED: f"waiting for the approval of {', '.join(done.waiting_for)}: then run this again",
            Stage.FOUNDED: "nothing is left to do here",
        }
        output.result({"stage": done.stage, "waiting_for": done.waiting_for}, text[done.stage])
