"""Certificates and keys on disk: there, whole, in their time, of their authority, and nobody else's to read.

Persons whom an organisation enrolled are counted, never named.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from healthchain.app.doctor.findings import Code, Finding
from healthchain.identity.folders import KEY, OrganisationFolder

PERSONS = "patients and guardians"
AUTHORITY, TLS_AUTHORITY = "authority", "TLS authority"
IDENTITY, TLS = "certificate", "TLS certificate"
PEER, ORDERER = "peer", "orderer"
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Wrong:
    """What reading the files found already."""

    code: Code
    what: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate with its key, as they are on disk; `certificate` is None if it cannot be used."""

    organisation: str
    node: str
    kind: str
    certificate: x509.Certificate | None
    authority: x509.Certificate | None
    wrong: tuple[Wrong, ...] = ()


def read_credentials(organisation: str, folder: OrganisationFolder, roles: Collection[str]) -> list[Credential]:
    """Of an organisation: its authorities, nodes, users of these roles, and persons."""
    found = [
        _authority(organisation, AUTHORITY, folder, "ca"),
        _authority(organisation, TLS_AUTHORITY, folder, "tlsca"),
    ]
    authority, tls_authority = (one.certificate for one in found)
    for node, path in ((PEER, folder.peer), (ORDERER, folder.orderer)):
        found += _identity(organisation, node, path, authority, tls_authority)
        found.append(_tls(organisation, node, path, "server", tls_authority))
    for user in [*roles, *sorted(set(folder.users()) - set(roles))]:
        path = folder.user(user)
        if user not in roles:
            found.append(_signing(organisation, PERSONS, path, authority))
            continue
        found += _identity(organisation, user, path, authority, tls_authority)
        if (path / "tls").is_dir():  # networks that an earlier version made have none
            found.append(_tls(organisation, user, path, "client", tls_authority))
    return found


def judge(credentials: Sequence[Credential], now: datetime.datetime, expiring: datetime.timedelta) -> list[Finding]:
    """`expiring` is how long before its end a certificate is worth a warning."""
    found = [
        Finding(wrong.code, one.organisation, one.node, wrong.what)
        for one in credentials
        for wrong in (*one.wrong, *_time(one, now, expiring), *_issuer(one))
    ]
    persons = Counter(replace(one, what="") for one in found if one.node == PERSONS)
    counted = [replace(one, what=f"{count} of them") for one, count in persons.items()]
    return [one for one in found if one.node != PERSONS] + counted


def _time(one: Credential, now: datetime.datetime, expiring: datetime.timedelta) -> Iterator[Wrong]:
    if one.certificate is None:
        return
    begins, ends = one.certificate.not_valid_before_utc, one.certificate.not_valid_after_utc
    if now < begins:
        yield Wrong(Code.CERTIFICATE_NOT_YET_VALID, f"the {one.kind} is valid from {_shown(begins)}")
    elif now > ends:
        yield Wrong(Code.CERTIFICATE_EXPIRED, f"the {one.kind} was valid until {_shown(ends)}")
    elif now + expiring > ends:
        yield Wrong(
            Code.CERTIFICATE_EXPIRING, f"the {one.kind} is valid until {_shown(ends)}, {(ends - now).days} days"
        )


def _issuer(one: Credential) -> Iterator[Wrong]:
    if one.certificate is None or one.authority is None:
        return
    try:
        one.certificate.verify_directly_issued_by(one.authority)
    except (ValueError, TypeError, InvalidSignature):
        yield Wrong(Code.CERTIFICATE_FOREIGN, f"the {one.kind} is not the organisation's authority's")


def _identity(
    organisation: str,
    node: str,
    folder: Path,
    authority: x509.Certificate | None,
    tls_authority: x509.Certificate | None,
) -> Iterator[Credential]:
    """And the copies of the authorities beside it, by which the node knows its own."""
    yield _signing(organisation, node, folder, authority)
    for name, original in (("cacerts", authority), ("tlscacerts", tls_authority)):
        for path in sorted((folder / "msp" / name).glob("*.pem")):
            copy = _read(organisation, node, f"copy of the authority in msp/{name}", path, None)
            differs = original is not None and copy.certificate is not None and copy.certificate != original
            wrong = [Wrong(Code.AUTHORITY_DIFFERS, f"the {copy.kind}")] if differs else []
            yield replace(copy, certificate=None, wrong=(*copy.wrong, *wrong))  # its time is the original's


def _signing(organisation: str, node: str, folder: Path, authority: x509.Certificate | None) -> Credential:
    msp = folder / "msp"
    one = _read(organisation, node, IDENTITY, msp / "signcerts" / f"{folder.name}-cert.pem", msp / KEY)
    return replace(one, authority=authority)


def _authority(organisation: str, node: str, folder: OrganisationFolder, kind: str) -> Credential:
    """Its key may well be elsewhere."""
    at = folder.path / kind
    key = at / "priv_sk"
    certificate = at / f"{kind}.{folder.domain}-cert.pem"
    return _read(organisation, node, IDENTITY, certificate, key if key.exists() else None)


def _tls(organisation: str, node: str, folder: Path, name: str, authority: x509.Certificate | None) -> Credential:
    one = _read(organisation, node, TLS, folder / "tls" / f"{name}.crt", folder / "tls" / f"{name}.key")
    return replace(one, authority=authority)


def _read(organisation: str, node: str, kind: str, certificate: Path, key: Path | None) -> Credential:
    wrong: list[Wrong] = []
    read = _certificate(certificate, kind, wrong)
    if key is not None:
        _check_key(key, kind, read, wrong)
    return Credential(organisation, node, kind, read, None, tuple(wrong))


def _certificate(path: Path, kind: str, wrong: list[Wrong]) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError:
        wrong.append(Wrong(Code.CREDENTIAL_MISSING, f"the {kind}"))
    except ValueError:
        wrong.append(Wrong(Code.CREDENTIAL_DAMAGED, f"the {kind}"))
    return None


def _check_key(path: Path, kind: str, certificate: x509.Certificate | None, wrong: list[Wrong]) -> None:
    what = f"the private key of the {kind}"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
        mode = path.stat().st_mode
    except OSError:
        wrong.append(Wrong(Code.CREDENTIAL_MISSING, what))
    except (ValueError, TypeError):  # TypeError: it wants a password
        wrong.append(Wrong(Code.CREDENTIAL_DAMAGED, what))
    else:
        if mode & _OTHERS:
            wrong.append(Wrong(Code.KEY_OPEN, what))
        if certificate is not None and key.public_key() != certificate.public_key():
            wrong.append(Wrong(Code.KEY_FOREIGN, what))


def _shown(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
