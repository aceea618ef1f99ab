"""A Fabric CA as far as `fabric-ca.sh` asks one: HTTPS, POST /api/v1/enroll with a name, a secret and a request."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from .signing import Authorities


@contextlib.contextmanager
def fabric_ca(folder: Path, authorities: Authorities, secret: str) -> Iterator[dict[str, str]]:
    """What the script's environment has of it. Everybody has the same secret."""

    class Enrolling(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            given = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            if self.path != "/api/v1/enroll" or given.partition(":")[2] != secret:
                self.send_error(401)
                return
            issuer = authorities.tls_root if asked["profile"] == "tls" else authorities.members
            signed = authorities.sign(asked["certificate_request"].encode(), issuer)
            result = {"Cert": base64.b64encode(signed).decode()}
            answer = json.dumps({"result": result, "success": True}, separators=(",", ":")).encode()  # as Go's
            self.send_response(201)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Enrolling)
    enrolment = authorities.tls_root.issue_tls("localhost", ["localhost"], authorities.now)
    (folder / "server.pem").write_bytes(enrolment.key.to_pem() + enrolment.certificate)
    (folder / "root.pem").write_bytes(authorities.tls_root.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    address, root = f"https://localhost:{server.server_port}", str(folder / "root.pem")
    try:
        yield {"CA": address, "CA_ROOT": root, "TLS_CA": address, "TLS_CA_ROOT": root}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
