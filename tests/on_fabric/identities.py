"""Who calls in the contract's tests, with a certificate of its organisation's authority."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from healthchain.config import Organisation, Topology
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.keys import SigningKey
from healthchain.identity.msp import serialize_identity
from healthchain.network.provision import folder_of

from .refusals import Call

WITH_NODES = (
    Organisation("hospital-a", "hospital"),
    Organisation("hospital-b", "hospital"),
    Organisation("insurer", "insurer"),
    Organisation("agency", "agency"),
)
WITHOUT_NODES = (
    Organisation("other-insurer", "insurer"),
    Organisation("city-agency", "agency"),
    Organisation("hospital-c", "hospital"),
    Organisation("elsewhere", "hospital"),
)
"""Known to the channel, so that it is the contract that refuses a stranger."""
ALL = Topology(organisations=(*WITH_NODES, *WITHOUT_NODES))


@contextmanager
def named_as_in_the_tests() -> Iterator[None]:
    """MSP ids are HospitalA, Elsewhere and so on, without MSP at their end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Organisation, "msp_id", property(lambda self: self.name.title().replace("-", "")))
        yield


class Identities:
    """Enrolled when they first call; equal callers are one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str, tuple[tuple[str, str], ...]], SigningIdentity] = {}
        self._organisations = {one.msp_id: one for one in ALL.organisations}

    def organisation(self, call: Call) -> Organisation:
        return self._organisations[call.msp_id]

    def of(self, call: Call) -> SigningIdentity:
        key = call.msp_id, call.common_name, tuple(sorted(call.attributes.items()))
        if key not in self._known:
            self._known[key] = self._enrolled(call)
        return self._known[key]

    def _enrolled(self, call: Call) -> SigningIdentity:
        credentials = folder_of(self._folder, self.organisation(call))
        (certificate,) = (credentials.path / "ca").glob("*-cert.pem")
        authority_key = SigningKey.from_pem((credentials.path / "ca" / "priv_sk").read_bytes())
        authority = CertificateAuthority(authority_key, certificate.read_bytes())
        ou = NodeOU.ADMIN if call.attributes.get("hc.role") == "administrator" else NodeOU.CLIENT
        enrolled = authority.issue(call.common_name, ou, datetime.datetime.now(datetime.UTC), call.attributes)
        return SigningIdentity(call.msp_id, serialize_identity(call.msp_id, enrolled.certificate), enrolled.key)
