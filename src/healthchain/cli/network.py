"""`healthchain up` and `healthchain env`: the network for Fabric's own tools and SDKs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from healthchain.cli.options import Folder, Json
from healthchain.cli.output import Output, failures, run_async

BasePort = Annotated[
    int, typer.Option("--base-port", min=0, max=65535, help="Of the first organisation; the others' are 1000 apart.")
]
BASE_PORT = 7051


def up(
    folder: Folder,
    base_port: BasePort = BASE_PORT,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    client_certificates: Annotated[
        bool, typer.Option("--mutual-tls", help="Ask clients for a TLS certificate of a member's authority.")
    ] = False,
    json: Json = False,
) -> None:
    """Run the network in the foreground and serve Fabric's protocol, one port an organisation, until Ctrl-C."""
    from healthchain.app.up import up as serve

    output = Output(as_json=json)

    def ready(addresses: Mapping[str, str]) -> None:
        listed = ", ".join(f"{name} {address}" for name, address in addresses.items())
        output.result({"ready": True, "addresses": dict(addresses)}, f"ready: {listed}")

    with failures(output):
        run_async(
            serve(
                folder,
                host=host,
                base_port=base_port,
                client_certificates=client_certificates,
                ready=ready,
                say=output.say,
            )
        )
        output.say("stopped")


def env(
    organisation: Annotated[str, typer.Argument(help="As the topology names it.")],
    folder: Folder,
    base_port: BasePort = BASE_PORT,
    user: Annotated[str, typer.Option("--user", help="Who acts: a user of the organisation.")] = "administrator",
    host: Annotated[
        str, typer.Option("--host", help="By which name the user's machine reaches this one.")
    ] = "localhost",
    profile: Annotated[bool, typer.Option("--profile", help="A connection profile (JSON) instead.")] = False,
    json: Json = False,
) -> None:
    """Print what Fabric's `peer` needs to act for an organisation: eval "$(healthchain env ORG --dir DIR)".

    On Fabric, addresses are the folder's: --base-port and --host are for `healthchain up`.
    """
    import shlex

    from healthchain.app.consortium import stored_topology
    from healthchain.app.profile import connection_profile, endpoints, peer_environment

    output = Output(as_json=json)
    with failures(output):
        topology = stored_topology(folder)
        topology.organisation(organisation)
        found = endpoints(folder, topology, base_port, host)
        if profile:
            output.raw(connection_profile(found, organisation, topology.channel).encode())
            return
        variables = peer_environment(found[organisation], user, topology.channel)
        output.result(variables, "\n".join(f"export {name}={shlex.quote(text)}" for name, text in variables.items()))
