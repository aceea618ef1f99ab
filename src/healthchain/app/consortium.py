"""A consortium on one machine: the folder, its embedded network, and who may act in it."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from healthchain.app.chaincodes import services, stored_connections
from healthchain.client.gateway import Connection, GatewayService
from healthchain.config import CHAINCODE, Organisation, Topology, TopologyInvalid, read_topology, write_topology
from healthchain.contract import licences, members
from healthchain.contract.codes import Code
from healthchain.contract.ehr import CONTRACT
from healthchain.contract.ids import COLLECTIONS, Kind
from healthchain.contract.policies import DAY_MS
from healthchain.errors import BadInput, Refused
from healthchain.fabric.nodes import is_fabric, read_settings
from healthchain.fabric.nodes import members as fabric_members
from healthchain.identity.folders import write_private
from healthchain.network.execution import Chaincode, Service
from healthchain.network.network import LOCK, Network, Progress, folder_lock
from healthchain.network.provision import GENESIS, GenesisMissing, create, organisation_folder
from healthchain.records import guardians, licensing
from healthchain.records.actor import Actor, now_ms
from healthchain.records.importing import Custodian
from healthchain.records.keyring import Keyring
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments

TOPOLOGY = "topology.toml"
OWN_NAMES = frozenset((TOPOLOGY, f"{TOPOLOGY}.new", f"{GENESIS}.new", LOCK, "organizations"))
"""What an interrupted `initialise` may have left."""
ADMINISTRATOR = "administrator"
CLINICIAN = "clinician"
Gateways = Callable[[str], GatewayService]
"""An organisation's gateway, by its name."""
LICENSED_MS = 10 * 365 * DAY_MS


class FolderTaken(BadInput):
    """There is a network in the folder already."""


class NotEmbedded(BadInput):
    """What was asked for is in the ledgers of the embedded network, which is not what runs here."""

    def __init__(self) -> None:
        super().__init__(
            "this consortium runs on Fabric, and this command is for the embedded network's own ledgers:"
            " see `healthchain fabric --help`"
        )


class Consortium:
    """Open with `opened`. Organisations and users go by the names of the topology, patients by their pseudonyms."""

    def __init__(self, folder: Path, topology: Topology, gateway: Gateways, network: Network | None = None) -> None:
        """`network` is the embedded one, if that is where the gateways are."""
        self.folder = folder
        self.topology = topology
        self._gateway = gateway
        self._network = network
        self._keyrings = {
            one.name: Keyring(organisation_folder(folder, topology, one.name)) for one in topology.organisations
        }

    @property
    def network(self) -> Network:
        """The embedded network. Raises NotEmbedded."""
        if self._network is None:
            raise NotEmbedded
        return self._network

    def keyring(self, organisation: str) -> Keyring:
        self.topology.organisation(organisation)
        return self._keyrings[organisation]

    def staff(self, organisation: str, user: str) -> Actor:
        """A user of an organisation; what is sealed to the organisation opens for its users. Raises BadInput."""
        keyring = self.keyring(organisation)
        if user not in self.topology.organisation(organisation).roles:
            if keyring.has_patient(user):
                return self.patient(user)
            if keyring.has_guardian(user):
                return self.guardian(user, organisation)
            roles = ", ".join(self.topology.organisation(organisation).roles)
            raise BadInput(f"{organisation} has no such user: choose one of {roles}, or a patient's pseudonym")
        connection = self.connection(organisation, user, CHAINCODE)
        return Actor(connection, keyring.msp_id, keyring.organisation_key())

    def patient(self, pseudonym: str) -> Actor:
        """The patient's own identity, which the custodian enrolled. Raises BadInput."""
        for organisation, keyring in self._keyrings.items():
            if keyring.has_patient(pseudonym):
                connection = self.connection(organisation, pseudonym, CHAINCODE)
                return Actor(connection, pseudonym, keyring.patient_key(pseudonym))
        raise BadInput("no organisation here enrolled a patient of this pseudonym: see `healthchain patients`")

    def guardian(self, guardian: str, organisation: str | None = None) -> Actor:
        """As the organisation enrolled it, or the first that did. Raises BadInput."""
        for name, keyring in self._keyrings.items():
            if organisation in (None, name) and keyring.has_guardian(guardian):
                connection = self.connection(name, guardian, CHAINCODE)
                return Actor(connection, guardian, keyring.guardian_key(guardian))
        raise BadInput("no organisation here enrolled a guardian of this id")

    def enrol_guardian(self, guardian: str, organisation: str) -> bytes:
        """With the key that it has elsewhere, or a new one; answers with the public key."""
        holder = next((one for one in self._keyrings.values() if one.has_guardian(guardian)), None)
        key = holder.guardian_key(guardian) if holder else None
        now = datetime.datetime.now(datetime.UTC)
        return self.keyring(organisation).enrol_guardian(guardian, now, key).public_bytes

    async def move_wallets(self, pseudonym: str, organisation: str) -> None:
        """A patient's new custodian enrols it and its guardians, with the keys that they have. Repeatable.

        Raises BadInput for a patient whom nobody here enrolled.
        """
        holder = next((one for one in self._keyrings.values() if one.has_patient(pseudonym)), None)
        if holder is None:
            raise BadInput("no organisation here enrolled a patient of this pseudonym: see `healthchain patients`")
        taking = self.keyring(organisation)
        taking.enrol_patient(pseudonym, datetime.datetime.now(datetime.UTC), holder.patient_key(pseudonym))
        for keyring in self._keyrings.values():
            if keyring is not taking:
                keyring.forget_patient(pseudonym)
        for one in await guardians.list_guardians(self.patient(pseudonym), pseudonym):
            if one.lasts(now_ms()):
                self.enrol_guardian(one.id, organisation)

    def custodian(self, organisation: str) -> Custodian:
        """Raises BadInput for an organisation that is no hospital."""
        if self.topology.organisation(organisation).kind != "hospital":
            raise BadInput(f"{organisation} is no hospital: only hospitals import records")
        return Custodian(self.staff(organisation, CLINICIAN), self.keyring(organisation))

    def connection(self, organisation: str, user: str, chaincode: str) -> Connection:
        identity = self.keyring(organisation).identity(user)
        sign = self._network.signer.sign if self._network else None
        return Connection(self._gateway(organisation), identity, self.topology.channel, chaincode, sign=sign)

    async def found(self) -> None:
        """Define the contract, then `establish`. What an earlier attempt did is left alone."""
        await self.define(definition(self.topology))
        await self.establish()

    async def establish(self, founding: Sequence[Organisation] | None = None) -> None:
        """List and license the members, or only those named. What an earlier attempt did is left alone."""
        founding = self.topology.organisations if founding is None else founding
        await self.list_members(self.topology.organisations[0].name, founding)
        await self._license(founding)

    async def list_members(self, founder: str, founding: Sequence[Organisation]) -> None:
        """The founding, by one organisation's administrator, unless there was one."""
        founders = tuple(
            members.Founder(
                msp_id=one.msp_id,
                kind=Kind(one.kind),
                name=one.title or one.name,
                contact=f"{ADMINISTRATOR}@{one.domain}",
                public_key=self.keyring(one.name).public_key(),
            )
            for one in founding
        )
        try:
            await self.staff(founder, ADMINISTRATOR).submit("members:Found", members.Found(founders))
        except Refused as refused:
            if refused.code != Code.CONSORTIUM_FOUNDED:
                raise

    async def define(self, agreed: ChaincodeDefinition) -> None:
        """Commit a chaincode's next definition, unless it is in force; each organisation approves what it opened with.

        Its sequence number follows from the one that is in force.
        """
        first = next(name for name, peer in self.network.peers.items() if peer.member is not None)
        before = self.network.peers[first].ledger.definitions.get(agreed.name)
        if before is None or before != replace(agreed, sequence=before.sequence):
            following = replace(agreed, sequence=before.sequence + 1 if before else 1)
            connection = self.connection(first, ADMINISTRATOR, LIFECYCLE)
            await connection.submit("CommitChaincodeDefinition", commit_arguments(following))

    async def _license(self, founding: Sequence[Organisation]) -> None:
        """By the first agency: every hospital and its clinician, for ten years."""
        agency = next(one for one in self.topology.organisations if one.kind == "agency")
        officer = self.staff(agency.name, ADMINISTRATOR)
        now = now_ms()
        licensed = {one.holder for one in await licensing.list_licences(officer)}  # or perhaps suspended since
        for holder in [one for one in license_holders(founding) if one not in licensed]:
            await licensing.license_holder(officer, holder, now, now + LICENSED_MS)


def license_holders(founding: Sequence[Organisation]) -> list[str]:
    """Who is licensed when a consortium is made: hospitals, and their clinicians as MSP/CN."""
    hospitals = [one for one in founding if one.kind == "hospital"]
    clinicians = [f"{one.msp_id}/{CLINICIAN}" for one in hospitals]
    return [*(one.msp_id for one in hospitals), *clinicians]


def definition(topology: Topology) -> ChaincodeDefinition:
    """The EHR contract as the members agree to run it: a majority endorses; all hold both collections."""
    every_member = tuple(one.msp_id for one in topology.organisations)
    collections = tuple(Collection(name, every_member) for name in COLLECTIONS)
    return ChaincodeDefinition(CHAINCODE, CONTRACT.version, 1, collections)


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    progress: Progress = lambda organisation, block: None,
    extra: Sequence[tuple[ChaincodeDefinition, Chaincode | Service]] = (),
    agreed: ChaincodeDefinition | None = None,
) -> AsyncIterator[Consortium]:
    """With the chaincodes that were deployed, and `extra` ones; `agreed` is another definition of the contract.

    Raises what `Network.opened` raises, TopologyInvalid and ChaincodeInvalid. On Fabric only the folder counts.
    """
    topology = stored_topology(folder)
    if is_fabric(folder):
        async with _on_fabric(folder, topology) as consortium:
            yield consortium
        return
    approved = [agreed or definition(topology), *[one for one, _ in extra]]
    async with contextlib.AsyncExitStack() as stack:
        deployed = services(stored_connections(folder))
        for one in deployed.values():
            await stack.enter_async_context(one)
        added = {one.name: chaincode for one, chaincode in extra}
        chaincodes: dict[str, Chaincode | Service] = {CHAINCODE: CONTRACT, **deployed, **added}
        opening = Network.opened(folder, topology, chaincodes, approved, progress=progress)
        network = await stack.enter_async_context(opening)
        yield Consortium(folder, topology, network.gateway, network)


@contextlib.asynccontextmanager
async def _on_fabric(folder: Path, topology: Topology) -> AsyncIterator[Consortium]:
    """Through the gateways of Fabric's peers; each organisation asks its own first."""
    from healthchain.client.failover import RemoteGateway  # gRPC, which the embedded network needs not
    from healthchain.client.remote import Endpoint, Peer

    async with contextlib.AsyncExitStack() as stack:
        peers: dict[str, Peer] = {}
        for one in fabric_members(folder, topology, read_settings(folder)):
            endpoint = Endpoint(one.peer, one.credentials.tls_authority(), msp_id=one.msp_id)
            peers[one.name] = await stack.enter_async_context(Peer(endpoint))

        def gateway(organisation: str) -> RemoteGateway:
            others = [there for name, there in peers.items() if name != organisation]
            return RemoteGateway([peers[organisation], *others])

        yield Consortium(folder, topology, gateway)


async def initialise(folder: Path, topology: Topology) -> None:
    """Make a new consortium in the folder; an attempt that was cut off is completed.

    Raises FolderTaken, or FolderInUse while another process makes one there.
    """
    with folder_lock(folder):
        prepared = _prepared(folder, topology)
    if prepared and not await _unfinished(folder):
        raise FolderTaken("there is a network in this folder already: choose another folder")
    async with opened(folder) as consortium:
        await consortium.found()


def _prepared(folder: Path, topology: Topology) -> bool:
    """Whether credentials and block 0 were there already; they are now."""
    if is_fabric(folder):
        raise FolderTaken("there is a Fabric network in this folder already: choose another folder")
    if (folder / GENESIS).exists():
        if stored_topology(folder) != topology:
            raise FolderTaken("there is a network of another topology in this folder: choose another folder")
        return True
    if (folder / "peers").exists():
        raise FolderTaken("there are ledgers in this folder without a block 0: choose another folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(one.name not in OWN_NAMES for one in folder.iterdir()):
        raise FolderTaken("the folder holds other files: choose an empty one, or one that does not exist yet")
    folder.chmod(0o700)  # names of folders in it are pseudonyms
    write_private(folder / TOPOLOGY, write_topology(topology).encode())
    for one in topology.organisations:
        Keyring(organisation_folder(folder, topology, one.name)).create()
    create(folder, topology, datetime.datetime.now(datetime.UTC))
    return False


async def _unfinished(folder: Path) -> bool:
    """Whether an earlier `initialise` was cut off before the last licence."""
    async with opened(folder) as consortium:
        last = consortium.topology.organisations[-1]
        ledger = consortium.network.peers[last.name].ledger
        if CHAINCODE not in ledger.definitions:
            return True
        return (
            ledger.get(CHAINCODE, licences.LICENCES.key(license_holders(consortium.topology.organisations)[-1])) is None
        )


def stored_topology(folder: Path) -> Topology:
    """Raises GenesisMissing or TopologyInvalid."""
    try:
        text = (folder / TOPOLOGY).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise GenesisMissing("there is no network in this folder: make one with `healthchain init`") from None
    except UnicodeDecodeError:
        raise TopologyInvalid(f"{TOPOLOGY} in the folder is not text in UTF-8: restore it") from None
    return read_topology(text)
