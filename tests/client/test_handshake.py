"""A handshake tells apart why there is nobody to talk to: each outcome with a server that really is so."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from healthchain.client import handshake
from healthchain.client.handshake import ClientFiles, Handshake, Outcome, shake_hands
from healthchain.identity.certificates import CertificateAuthority, Enrolment

NOW = datetime.datetime.now(datetime.UTC)
YEAR = datetime.timedelta(days=366)
AUTHORITY = CertificateAuthority.create("tlsca.here", "here", NOW - 3 * YEAR)
LOCAL = ("localhost",)


def files(folder: Path, enrolment: Enrolment) -> ClientFiles:
    found = ClientFiles(folder / "server.crt", folder / "server.key")
    found.certificate.write_bytes(enrolment.certificate)
    found.key.write_bytes(enrolment.key.to_pem())
    return found


async def _nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _reject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@asynccontextmanager
async def listening(server: ssl.SSLContext | None, *, answers: bool = True) -> AsyncIterator[str]:
    """With TLS, or without; where it does not answer, it takes what it is sent."""
    reply = _reject if server is None and answers else _nothing
    async with await asyncio.start_server(reply, "localhost", 0, ssl=server, family=socket.AF_INET) as started:
        yield f"localhost:{started.sockets[0].getsockname()[1]}"


def shaken(folder: Path, enrolment: Enrolment | None, *, answers: bool = True, authority: bytes = b"") -> Handshake:
    async def work() -> Handshake:
        context = None
        if enrolment is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            own = files(folder, enrolment)
            context.load_cert_chain(own.certificate, own.key)
        async with listening(context, answers=answers) as address:
            return await shake_hands(address, authority or AUTHORITY.certificate)

    return asyncio.run(work())


def test_done_and_the_certificate_is_the_server_s(tmp_path: Path) -> None:
    enrolment = AUTHORITY.issue_tls("peer0", LOCAL, NOW)
    der = x509.load_pem_x509_certificate(enrolment.certificate).public_bytes(Encoding.DER)
    assert shaken(tmp_path, enrolment) == Handshake(Outcome.DONE, der)


@pytest.mark.parametrize(
    ("enrolment", "outcome"),
    [
        (CertificateAuthority.create("tlsca.here", "here", NOW).issue_tls("peer0", LOCAL, NOW), "other authority"),
        (AUTHORITY.issue_tls("peer0", LOCAL, NOW - YEAR), "expired"),
        (AUTHORITY.issue_tls("peer0", LOCAL, NOW + YEAR), "not yet valid"),
        (AUTHORITY.issue_tls("peer0", ("peer0.here", "127.0.0.1"), NOW), "other host"),
    ],
    ids=["authority", "expired", "early", "host"],
)
def test_certificates_that_are_refused(tmp_path: Path, enrolment: Enrolment, outcome: str) -> None:
    found = shaken(tmp_path, enrolment)
    assert (found.outcome, found.certificate) == (outcome, None)
    assert found.said


def test_no_tls_and_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shaken(tmp_path, None).outcome == Outcome.NOT_TLS
    monkeypatch.setattr(handshake, "SECONDS_MAX", 0.2)
    assert shaken(tmp_path, None, answers=False).outcome == Outcome.SILENT


def test_nobody() -> None:
    async def work() -> list[Outcome]:
        addresses = ("localhost:1", "nobody.invalid:7051")
        return [(await shake_hands(one, AUTHORITY.certificate)).outcome for one in addresses]

    assert asyncio.run(work()) == [Outcome.NOTHING_LISTENS, Outcome.NO_SUCH_HOST]


def test_without_tls_somebody_listens() -> None:
    async def work() -> Handshake:
        async with listening(None) as address:
            return await shake_hands(address, None)

    assert asyncio.run(work()).outcome == Outcome.DONE


def test_own_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError):
        shaken(tmp_path, AUTHORITY.issue_tls("peer0", LOCAL, NOW), authority=b"-----BEGIN CERTIFICATE-----")
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(shake_hands("nowhere", AUTHORITY.certificate))
