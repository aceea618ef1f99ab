"""`healthchain chaincode`: the contract as a service that peers dial, and chaincodes of other makers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Json
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.chaincode.serving import TLS

app = group("Chaincodes as services, ours and others'.")


@app.callback()
def _group() -> None:
    """Keeps `serve` a command of its own while it is the only one."""


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


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TLS | None:
    """Raises BadInput."""
    from healthchain.chaincode.serving import TLS
    from healthchain.errors import BadInput

    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise BadInput("TLS needs both --tls-cert and --tls-key")
    try:
        return TLS(certificate.read_bytes(), key.read_bytes(), client_ca.read_bytes() if client_ca else None)
    except OSError:
        raise BadInput("a file of the TLS options cannot be read: give PEM files") from None
