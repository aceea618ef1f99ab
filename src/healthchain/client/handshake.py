"""Who answers at an address, as a TLS handshake tells: nobody, somebody else, or whom this authority vouches for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SECONDS_MAX = 4.0
FAREWELL_S_MAX = 0.3

# OpenSSL's X509_V_ERR_*, include/openssl/x509_vfy.h.in
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
_OTHER_AUTHORITY = frozenset((7, 18, 19, 20, 21, 30))
"""A signature that does not verify, self-signed, self-signed in the chain, no issuer (two kinds), another key's id."""


class Outcome(StrEnum):
    DONE = "done"
    NO_SUCH_HOST = "no such host"
    NOTHING_LISTENS = "nothing listens"
    SILENT = "silent"
    NOT_TLS = "not TLS"
    OTHER_AUTHORITY = "other authority"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    OTHER_HOST = "other host"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Handshake:
    """`certificate` is the server's in DER, once the handshake is done; `said` is what the library or system said."""

    outcome: Outcome
    certificate: bytes | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """With which a client shows who it is, in PEM."""

    certificate: Path
    key: Path


async def shake_hands(address: str, root: bytes | None, client: ClientFiles | None = None) -> Handshake:
    """At HOST:PORT; `root` is the authority's certificate in PEM, None for a server without TLS.

    Answers within `SECONDS_MAX` for each of two steps. Raises OSError, ssl.SSLError or ValueError for own files, or an
    address, that cannot be used.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(SECONDS_MAX):
            _, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:  # a timeout is one
        return Handshake(_unreached(error), said=_said(error))
    try:
        if root is None:
            return Handshake(Outcome.DONE)
        return await _secured(writer, _context(root, client), host)
    finally:
        await _close(writer)


async def _secured(writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str) -> Handshake:
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await writer.start_tls(context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        return Handshake(_outcome(error.verify_code), said=error.verify_message)
    except TimeoutError:
        return Handshake(Outcome.SILENT)
    except OSError as error:  # ssl.SSLError is one
        return Handshake(Outcome.NOT_TLS, said=_said(error))
    return Handshake(Outcome.DONE, writer.get_extra_info("ssl_object").getpeercert(binary_form=True))


async def _close(writer: asyncio.StreamWriter) -> None:
    """With a farewell, or the server notes an attack; some do not answer it."""
    writer.close()
    with suppress(OSError):
        async with asyncio.timeout(FAREWELL_S_MAX):
            await writer.wait_closed()
    writer.transport.abort()


def _context(root: bytes, client: ClientFiles | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root.decode("ascii", "replace"))
    context.set_alpn_protocols(["h2"])
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


def _unreached(error: OSError) -> Outcome:
    if isinstance(error, TimeoutError):
        return Outcome.SILENT
    return Outcome.NO_SUCH_HOST if isinstance(error, socket.gaierror) else Outcome.NOTHING_LISTENS


def _outcome(verify_code: int) -> Outcome:
    if verify_code in _OTHER_AUTHORITY:
        return Outcome.OTHER_AUTHORITY
    named = {
        _EXPIRED: Outcome.EXPIRED,
        _NOT_YET_VALID: Outcome.NOT_YET_VALID,
        _OTHER_HOST: Outcome.OTHER_HOST,
        _OTHER_ADDRESS: Outcome.OTHER_HOST,
    }
    return named.get(verify_code, Outcome.REFUSED)


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__
