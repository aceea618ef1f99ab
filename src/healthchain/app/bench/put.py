"""A contract without rules, to compare with: one key, one value. On Fabric it has services of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from healthchain.app.chaincode_service import serve_contract
from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.serving import TLS
from healthchain.chaincode.stub import Stub
from healthchain.wire.lifecycle import ChaincodeDefinition

PUT_DEFINITION = ChaincodeDefinition("put", "1", 1, ())


class Put:
    def only_reads(self, args: Sequence[bytes]) -> bool:
        return False

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        _, key, value = args
        stub.put_state(key.decode(), value)
        return Response(200, "", b"")


def main(address: str, package_id: str, certificate: str, key: str, client_roots: str) -> None:
    """Serve it until SIGTERM; the files are PEM."""
    tls = TLS(*(Path(one).read_bytes() for one in (certificate, key, client_roots)))
    asyncio.run(serve_contract(address, package_id, tls, lambda listening: None, Put()))


if __name__ == "__main__":
    main(*sys.argv[1:])
