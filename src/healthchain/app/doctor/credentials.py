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
    """A certificate with its key, as they are on disk; `certificate` is None if it cannot be used.

    One of `issuers` should have issued it; none are known of an authority.
    """

    organisation: str
    node: str
    kind: str
    certificate: x509.Certificate | None
    wrong: tuple[Wrong, ...] = ()
    issuers: tuple[x509.Certificate, ...] = ()


def read_credentials(
    organisation: str, folder: OrganisationFolder, roles: Collection[str], *, complete: bool
) -> list[Credential]:
    """Of an organisation: its authorities, nodes, users of these roles, and persons.

    Where the folder is not `complete`, nodes and users may well be elsewhere.
    """
    reader = _Reader(organisation, folder)
    found = list(reader.authorities)
    for node, path in ((PEER, folder.peer), (ORDERER, folder.orderer)):
        if complete or path.is_dir():
            found += [*reader.identity(node, path), reader.tls(node, path, "server")]
    enrolled = set(folder.users())
    for user in roles:
        path = folder.user(user)
        if complete or user in enrolled:
            found += reader.identity(user, path)
        if (path / "tls").is_dir():  # networks that an earlier version made have none
            found.append(reader.tls(user, path, "client"))
    return found + [reader.signing(PERSONS, folder.user(one)) for one in sorted(enrolled - set(roles))]


def judge(credentials: Sequence[Credential], now: datetime.datetime, expiring: datetime.timedelta) -> list[Finding]:
    """`expiring` is how long before its end a certificate is worth a warning."""
    found: list[Finding] = []
    persons: Counter[tuple[str, Code]] = Counter()
    for one in credentials:
        wrong = (*one.wrong, *_time(one, now, expiring), *_issuer(one))
        if one.node == PERSONS:
            persons.update({(one.organisation, each.code) for each in wrong})
        else:
            found += [Finding(each.code, one.organisation, one.node, each.what) for each in wrong]
    counted = [Finding(code, name, PERSONS, f"{count} of them") for (name, code), count in persons.items()]
    return found + counted


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
    if one.certificate is not None and one.issuers and not any(_issued(one.certificate, by) for by in one.issuers):
        yield Wrong(Code.CERTIFICATE_FOREIGN, f"the {one.kind} is not the organisation's authority's")


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


class _Reader:
    """Of one organisation's folder: the authorities first, which the rest is compared with."""

    def __init__(self, organisation: str, folder: OrganisationFolder) -> None:
        self._organisation = organisation
        self._folder = folder
        roots = self._listed(AUTHORITY, "cacerts", required=True)
        between = self._listed(AUTHORITY, "intermediatecerts", required=False)
        tls = self._listed(TLS_AUTHORITY, "tlscacerts", required=True)
        self._issuers = _certificates([*roots, *between])
        self._tls_issuers = _certificates(tls)
        self._originals = {"cacerts": _certificates(roots), "tlscacerts": self._tls_issuers}
        self.authorities = [*roots, *between, *tls, *self._own_authorities()]

    def identity(self, node: str, path: Path) -> Iterator[Credential]:
        """And the copies of the authorities beside it, by which the node knows its own."""
        yield self.signing(node, path)
        for name, originals in self._originals.items():
            for file in sorted((path / "msp" / name).glob("*.pem")):
                copy = self._read(node, f"copy of the authority in msp/{name}", file)
                differs = copy.certificate is not None and bool(originals) and copy.certificate not in originals
                wrong = [Wrong(Code.AUTHORITY_DIFFERS, f"the {copy.kind}")] if differs else []
                yield replace(copy, certificate=None, wrong=(*copy.wrong, *wrong))  # its time is the original's

    def signing(self, node: str, path: Path) -> Credential:
        """Without a keystore its key is elsewhere, in a hardware module for instance."""
        key = path / "msp" / KEY
        certificate = path / "msp" / "signcerts" / f"{path.name}-cert.pem"
        one = self._read(node, IDENTITY, certificate, key if key.parent.is_dir() else None)
        return replace(one, issuers=self._issuers)

    def tls(self, node: str, path: Path, name: str) -> Credential:
        one = self._read(node, TLS, path / "tls" / f"{name}.crt", path / "tls" / f"{name}.key")
        return replace(one, issuers=self._tls_issuers)

    def _own_authorities(self) -> Iterator[Credential]:
        """With their keys, where those are in the folder."""
        for node, kind in ((AUTHORITY, "ca"), (TLS_AUTHORITY, "tlsca")):
            at = self._folder.path / kind
            if (at / "priv_sk").exists():
                yield self._read(node, IDENTITY, at / f"{kind}.{self._folder.domain}-cert.pem", at / "priv_sk")

    def _listed(self, node: str, kind: str, *, required: bool) -> list[Credential]:
        folder = self._folder.path / "msp" / kind
        found = [self._read(node, IDENTITY, one) for one in sorted(folder.glob("*.pem"))]
        if required and not found:
            return [Credential(self._organisation, node, IDENTITY, None, (Wrong(Code.CREDENTIAL_MISSING, IDENTITY),))]
        return found

    def _read(self, node: str, kind: str, certificate: Path, key: Path | None = None) -> Credential:
        wrong: list[Wrong] = []
        read = _certificate(certificate, kind, wrong)
        if key is not None:
            _check_key(key, kind, read, wrong)
        return Credential(self._organisation, node, kind, read, tuple(wrong))


def _certificates(credentials: Sequence[Credential]) -> tuple[x509.Certificate, ...]:
    return tuple(one.certificate for one in credentials if one.certificate is not None)


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
