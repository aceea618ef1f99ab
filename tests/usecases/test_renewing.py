"""An organisation's certificates are replaced: by proposal and votes, with everybody whom it enrolled, patients too."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from healthchain.app.consortium import Consortium, stored_topology
from healthchain.app.renewing import prepare_certificates, renew
from healthchain.client.errors import EndorseFailed
from healthchain.contract.ids import Purpose
from healthchain.errors import BadInput
from healthchain.identity.folders import OrganisationFolder
from healthchain.network.provision import organisation_folder

from .bundles import simple
from .consortium import (
    AGENCY,
    HOSPITAL,
    INSURER,
    assert_clean,
    assert_equal_peers,
    clinician,
    content,
    imported,
    read,
    within,
)
from .test_joining import decide


def renewed(folder: Path) -> None:
    asyncio.run(renew(folder, HOSPITAL))


def test_a_hospital_gets_new_certificates_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the change of the files is cut off."""
    bundle, later = simple(2), simple(1, patient=1)
    topology = stored_topology(folder)
    old = organisation_folder(folder, topology, HOSPITAL)
    patients: list[str] = []
    change = prepare_certificates(folder, topology, HOSPITAL)
    assert prepare_certificates(folder, topology, HOSPITAL) == change, "what was prepared before may be in a proposal"
    with pytest.raises(BadInput, match="have not accepted"):
        renewed(folder)
    before = old.signing_identity(old.user("administrator")).serialized

    async def propose(consortium: Consortium) -> None:
        patients.append((await imported(consortium, bundle)).patient)
        await decide(consortium, change, (HOSPITAL, INSURER, AGENCY))
        with pytest.raises(EndorseFailed, match="was not issued by"):
            await read(clinician(consortium), patients[0])

    async def afterwards(consortium: Consortium) -> None:
        assert await read(clinician(consortium), patients[0]) == content(bundle)
        assert await read(consortium.patient(patients[0]), patients[0], Purpose.PATRQT) == content(bundle)
        await imported(consortium, later)
        assert consortium.network.peers[HOSPITAL].member is not None
        assert all(one.works(consortium.network.channel) for one in consortium.network.orderers)
        assert_equal_peers(consortium)

    within(folder, propose)
    with monkeypatch.context() as patched:
        patched.setattr(OrganisationFolder, "replace", _half)
        with pytest.raises(OSError, match="half-way"):
            renewed(folder)
    renewed(folder)
    assert old.signing_identity(old.user("administrator")).serialized != before
    with pytest.raises(BadInput, match="have not accepted"):
        renewed(folder)
    within(folder, afterwards)
    assert_clean(folder)


def _half(self: OrganisationFolder, other: OrganisationFolder) -> None:
    shutil.copytree(self.path / "ca", other.path / "ca", dirs_exist_ok=True)
    shutil.copytree(self.path / "msp", other.path / "msp", dirs_exist_ok=True)
    raise OSError("half-way")
