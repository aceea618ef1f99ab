"""`healthchain chaincode`: the contract as a service that peers dial, and chaincodes of other makers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.chaincode.serving import TLS

app = group("Chaincodes as services, ours and others'.")


@app.command(epilog="Example: healthchain chaincode serve --address 0.0.0.0:9999 --package-id ehr_1:HASH")
def serve(
    address: Annotated[str, typer.Option("--address", help="HOST:PORT to listen on; port 0 chooses a free one.")],
    package_id: Annotated[
        str, typer.Option("--package-id", envvar="CHAINCODE_ID", help="As the peer that installed it says: LABEL:HASH.")
    ] = "ehr:1",
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Our certificate, PEM; without: no TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, PEM.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option("--tls-client-ca", help="Accept only peers with a certificate from here, PEM.")
    ] = None,
    json: Json = False,
) -> None:
    """Serve the EHR contract to Fabric peers (chaincode-as-a-service), until SIGTERM or Ctrl-C."""
    from healthchain.app.chaincode_service import serve_contract

    output = Output(as_json=json)
    with failures(output):
        tls = _tls(tls_cert, tls_key, tls_client_ca)

        def ready(listening: str) -> None:
            output.result({"address": listening, "package_id": package_id}, f"Serving {package_id} at {listening}.")

        run_async(serve_contract(address, package_id, tls, ready))


@app.command(epilog="Example: healthchain chaincode deploy --dir consortium --name assets --address localhost:9999")
def deploy(
    folder: Folder,
    name: Annotated[str, typer.Option("--name", help="Under which clients call it.")],
    address: Annotated[str, typer.Option("--address", help="HOST:PORT of its service, which must run.")],
    version: Annotated[str, typer.Option("--version", help="Of the definition that the members agree on.")] = "1",
    policy: Annotated[
        str | None, typer.Option("--policy", help="Who endorses, OR('A.peer', ...); default: a majority of members.")
    ] = None,
    collections: Annotated[
        Path | None, typer.Option("--collections", help="Private data collections: Fabric's JSON file.")
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help="The first call must be one that initialises it (isInit).")
    ] = False,
    package_id: Annotated[str, typer.Option("--package-id", help="As which it must register; default: any.")] = "",
    tls_root: Annotated[
        Path | None, typer.Option("--tls-root", help="Who issued the service's certificate, PEM; without: no TLS.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="The peers' own certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, PEM.")] = None,
    json: Json = False,
) -> None:
    """Deploy a chaincode-as-a-service, in any language, to the peers of all organisations."""
    from healthchain.app.chaincodes import Connection, agreed_definition
    from healthchain.app.deploying import deploy as deploy_service

    output = Output(as_json=json)
    with failures(output):
        definition = agreed_definition(
            name, version, policy, _read(collections) if collections else None, init_required=init
        )
        connection = Connection(
            address,
            package_id,
            tls_required=tls_root is not None,
            root_cert=_read(tls_root).decode(errors="replace"),
            client_cert=_read(tls_cert).decode(errors="replace"),
            client_key=_read(tls_key).decode(errors="replace"),
        )
        sequence = run_async(deploy_service(folder, definition, connection))
        output.result(
            {"name": name, "version": version, "sequence": sequence, "address": address},
            f"{name} {version} is deployed, as definition {sequence}: peers dial {address}.",
        )


def _read(path: Path | None) -> bytes:
    """Nothing for no file. Raises BadInput."""
    from healthchain.errors import BadInput

    try:
        return path.read_bytes() if path else b""
    except OSError:
        raise BadInput("a file that an option names cannot be read") from None


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TLS | None:
    """Raises BadInput."""
    from healthchain.chaincode.serving import TLS
    from healthchain.errors import BadInput

    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise BadInput("TLS needs both --tls-cert and --tls-key")
    return TLS(_read(certificate), _read(key), _read(client_ca) or None)
