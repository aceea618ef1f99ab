"""Chaincode definitions: an administrator commits what a majority of organisations approved, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from healthchain.client.errors import CommitFailed, EndorseFailed
from healthchain.network.lifecycle import Lifecycle
from healthchain.network.network import Network
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, commit_arguments

from .toy import DEFINITION, NAMES, Toy, connect, run

SECOND = ChaincodeDefinition("second", "1", 1, ())


def approve(network: Network, names: tuple[str, ...]) -> None:
    for name in NAMES:
        approved = [DEFINITION, SECOND] if name in names else [DEFINITION]
        network.peers[name]._chaincodes = {"toy": Toy(), "second": Toy(), LIFECYCLE: Lifecycle(approved)}


@pytest.mark.parametrize("approving", [NAMES[:3], NAMES, NAMES[1:]])
def test_a_majority_that_approved_defines_a_chaincode(folder: Path, approving: tuple[str, ...]) -> None:
    async def scenario(network: Network) -> None:
        approve(network, approving)
        first = approving[0]
        administrator = connect(network, folder, first, "administrator", chaincode=LIFECYCLE)
        await administrator.submit("CommitChaincodeDefinition", commit_arguments(SECOND))
        assert {one.ledger.definitions["second"] for one in network.peers.values()} == {SECOND}
        await connect(network, folder, first, "administrator", chaincode="second").submit("Put", b"k", b"v")

    run(folder, scenario)


@pytest.mark.parametrize(
    ("approving", "user", "said"),
    [
        (NAMES[:2], "administrator", "has not approved"),
        ((), "administrator", "has not approved"),
        (NAMES, "clinician", "only an administrator"),
    ],
)
def test_others_define_nothing(folder: Path, approving: tuple[str, ...], user: str, said: str) -> None:
    async def scenario(network: Network) -> None:
        approve(network, approving)
        connection = connect(network, folder, "north", user, chaincode=LIFECYCLE)
        with pytest.raises(EndorseFailed, match=said):
            await connection.submit("CommitChaincodeDefinition", commit_arguments(SECOND))
        assert "second" not in network.peers["north"].ledger.definitions

    run(folder, scenario)


def test_what_is_defined_stays_as_it_was_approved(folder: Path) -> None:
    altered = ChaincodeDefinition(DEFINITION.name, "2", 2, DEFINITION.collections)

    async def scenario(network: Network) -> None:
        administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
        with pytest.raises(EndorseFailed, match="has not approved"):
            await administrator.submit("CommitChaincodeDefinition", commit_arguments(altered))
        with pytest.raises(EndorseFailed, match="defined already"):
            await administrator.submit("CommitChaincodeDefinition", commit_arguments(DEFINITION))
        with pytest.raises(EndorseFailed, match="has the functions"):
            await administrator.submit("ApproveChaincodeDefinitionForMyOrg", commit_arguments(SECOND))
        with pytest.raises(EndorseFailed, match="has the functions"):
            await administrator.submit("CommitChaincodeDefinition")

    run(folder, scenario)


def test_a_next_definition_follows_the_one_before(folder: Path) -> None:
    """Whoever approved what it says, approved it as the next one; what was endorsed by the one before is invalid."""
    following = [replace(DEFINITION, sequence=sequence, collections=()) for sequence in (1, 2, 3, 4)]

    async def scenario(network: Network) -> None:
        for one in network.peers.values():
            one._chaincodes = {"toy": Toy(), LIFECYCLE: Lifecycle([following[0]])}
        administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
        north = connect(network, folder, "north")
        before = await north.proposal("Put", b"k", b"v").endorse()
        for wrong in (following[0], following[2]):
            with pytest.raises(EndorseFailed, match="not the next one"):
                await administrator.submit("CommitChaincodeDefinition", commit_arguments(wrong))
        await administrator.submit("CommitChaincodeDefinition", commit_arguments(following[1]))
        assert network.peers["state"].ledger.definitions["toy"] == following[1]
        with pytest.raises(CommitFailed, match="MVCC_READ_CONFLICT"):
            await (await before.submit()).committed()
        with pytest.raises(EndorseFailed, match="no collection"):
            await north.submit("PutPrivate", b"all", b"k", transient={"value": b"v"})
        with pytest.raises(EndorseFailed, match="not the next one"):
            await administrator.submit("CommitChaincodeDefinition", commit_arguments(following[3]))
        with pytest.raises(EndorseFailed, match="has not approved"):
            await administrator.submit("CommitChaincodeDefinition", b"\xff")

    run(folder, scenario)


def test_a_chaincode_that_only_one_peer_runs_is_unknown_elsewhere(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        network.peers["south"]._chaincodes = {LIFECYCLE: Lifecycle([DEFINITION])}
        with pytest.raises(EndorseFailed, match="no chaincode of this name"):
            await connect(network, folder, "north").submit("Put", b"k", b"v")
        with pytest.raises(EndorseFailed, match="no chaincode of this name"):
            await connect(network, folder, "south").submit("Put", b"k", b"v")

    run(folder, scenario)
