"""A network of four organisations with a chaincode that does what a test asks for, and who may act in it."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from healthchain.chaincode.dispatch import Refusal, Response
from healthchain.chaincode.stub import Stub
from healthchain.client.gateway import Connection
from healthchain.config import Blocks, Organisation, Topology
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import OrganisationFolder, SigningIdentity
from healthchain.identity.keys import SigningKey
from healthchain.identity.msp import serialize_identity
from healthchain.network.clock import Clock
from healthchain.network.network import Network
from healthchain.network.provision import create, organisation_folder
from healthchain.wire.block import transaction_codes
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments
from healthchain.wire.proposal import Proposal, build_proposal

TOY = "toy"
ALL, SOME = "all", "some"
NAMES = ("north", "south", "payer", "state")
TOPOLOGY = Topology(
    organisations=(
        Organisation("north", "hospital"),
        Organisation("south", "hospital"),
        Organisation("payer", "insurer"),
        Organisation("state", "agency"),
    ),
    blocks=Blocks(transactions_max=20, bytes_preferred=128 * 1024, bytes_max=512 * 1024),
)
MSP_IDS = tuple(one.msp_id for one in TOPOLOGY.organisations)
DEFINITION = ChaincodeDefinition(TOY, "1", 1, (Collection(ALL, MSP_IDS), Collection(SOME, MSP_IDS[:3])))
SECONDS_MAX = 20.0

Scenario = Callable[[Network], Awaitable[None]]


class Toy:
    """args[0] names what to do; `calls` differs between two endorsements of one proposal."""

    def __init__(self) -> None:
        self.calls = itertools.count()

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return False

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        function, *rest = (one.decode() for one in args)
        try:
            return Response(200, "", self._run(stub, function, rest))
        except Refusal as refused:
            return Response(refused.status, str(refused), b"")

    def _run(self, stub: Stub, function: str, rest: Sequence[str]) -> bytes:
        match function, rest:
            case "Put", [key, value]:
                stub.put_state(key, value.encode())
            case "Get", [key]:
                return stub.get_state(key) or b""
            case "Add", [key]:
                total = int(stub.get_state(key) or b"0") + 1
                stub.put_state(key, str(total).encode())
                return str(total).encode()
            case "Count", [start, end, key]:
                stub.put_state(key, str(len(list(stub.range_states(start, end)))).encode())
            case "PutPrivate", [collection, key]:
                stub.put_private(collection, key, stub.transient["value"])
            case "GetPrivate", [collection, key]:
                return stub.get_private(collection, key) or b""
            case "Purge", [collection, key]:
                stub.purge_private(collection, key)
            case "Say", [name, payload]:
                stub.put_state(f"said {name}", payload.encode())
                stub.set_event(name, payload.encode())
            case "Who", []:
                return f"{stub.caller.msp_id}/{stub.caller.common_name}/{stub.caller.role}".encode()
            case "Vary", []:
                return str(next(self.calls)).encode()
            case "Refuse", [code]:
                raise Refusal(code, "the toy's rules forbid it")
            case _:
                raise Refusal("FUNCTION_UNKNOWN", "the toy has no function of that name", 404)
        return b""


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def clock_ms() -> int:
    return time.time_ns() // 1_000_000


def make_network(folder: Path) -> None:
    """With the toy defined in block 1."""
    create(folder, TOPOLOGY, now())

    async def define(network: Network) -> None:
        administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
        await administrator.submit("CommitChaincodeDefinition", commit_arguments(DEFINITION))

    run(folder, define)


def run(
    folder: Path,
    scenario: Scenario,
    *,
    clock: Clock = clock_ms,
    topology: Topology = TOPOLOGY,
    approved: Sequence[ChaincodeDefinition] = (DEFINITION,),
) -> None:
    """Open the network, play the scenario, close; never longer than SECONDS_MAX."""
    chaincodes = {one.name: Toy() for one in approved}

    async def play() -> None:
        async with (
            asyncio.timeout(SECONDS_MAX),
            Network.opened(folder, topology, chaincodes, approved, clock_ms=clock) as network,
        ):
            await scenario(network)

    asyncio.run(play())


def organisation(folder: Path, name: str) -> OrganisationFolder:
    return organisation_folder(folder, TOPOLOGY, name)


def identity(folder: Path, name: str, user: str = "clinician") -> SigningIdentity:
    owner = organisation(folder, name)
    return owner.signing_identity(owner.user(user))


def authority(folder: Path, name: str) -> CertificateAuthority:
    owner = organisation(folder, name)
    certificate = (owner.path / "ca" / f"ca.{owner.domain}-cert.pem").read_bytes()
    return CertificateAuthority(SigningKey.from_pem((owner.path / "ca" / "priv_sk").read_bytes()), certificate)


def issued(
    folder: Path,
    name: str,
    *,
    at: datetime.datetime,
    days: int,
    ou: NodeOU = NodeOU.CLIENT,
    msp_id: str | None = None,
    patient: str | None = None,
    role: str = "clinician",
) -> SigningIdentity:
    """Somebody new, enrolled by the organisation's authority at another time, who may claim another MSP."""
    attributes = {"hc.role": role} | ({"hc.patient": patient} if patient else {})
    enrolment = authority(folder, name).issue("newcomer", ou, at, attributes, days)
    claimed = msp_id or organisation(folder, name).msp_id
    return SigningIdentity(claimed, serialize_identity(claimed, enrolment.certificate), enrolment.key)


def connect(
    network: Network,
    folder: Path,
    name: str,
    user: str | SigningIdentity = "clinician",
    *,
    chaincode: str = TOY,
    offset_ms: int = 0,
) -> Connection:
    who = identity(folder, name, user) if isinstance(user, str) else user
    return Connection(
        network.gateway(name), who, TOPOLOGY.channel, chaincode, lambda: time.time_ns() + offset_ms * 1_000_000
    )


def proposal(who: SigningIdentity, *args: str, channel: str = TOPOLOGY.channel, chaincode: str = TOY) -> Proposal:
    return build_proposal(
        creator=who.serialized,
        nonce=secrets.token_bytes(24),
        channel_id=channel,
        chaincode=chaincode,
        args=[one.encode() for one in args],
        transient={},
        timestamp_ns=time.time_ns(),
    )


def endorse_request(
    who: SigningIdentity, built: Proposal, *, signature: bytes | None = None, organizations: Sequence[str] = ()
) -> gateway_pb2.EndorseRequest:
    signed = proposal_pb2.SignedProposal(
        proposal_bytes=built.bytes_, signature=who.key.sign(built.bytes_) if signature is None else signature
    )
    return gateway_pb2.EndorseRequest(
        transaction_id=built.tx_id,
        channel_id=TOPOLOGY.channel,
        proposed_transaction=signed,
        endorsing_organizations=organizations,
    )


def submit_request(payload: bytes, signature: bytes) -> gateway_pb2.SubmitRequest:
    return gateway_pb2.SubmitRequest(
        prepared_transaction=common_pb2.Envelope(payload=payload, signature=signature), channel_id=TOPOLOGY.channel
    )


def status_request(
    who: SigningIdentity, tx_id: str, *, channel: str = TOPOLOGY.channel, signature: bytes | None = None
) -> gateway_pb2.SignedCommitStatusRequest:
    asked = gateway_pb2.CommitStatusRequest(
        transaction_id=tx_id, channel_id=channel, identity=who.serialized
    ).SerializeToString()
    return gateway_pb2.SignedCommitStatusRequest(
        request=asked, signature=who.key.sign(asked) if signature is None else signature
    )


def block_codes(network: Network, start: int = 0) -> list[int]:
    """Of all transactions from block `start` on."""
    ledger = network.peers["north"].ledger
    return [code for number in range(start, ledger.height) for code in transaction_codes(ledger.block(number))]


def copy_network(made: Path, folder: Path) -> Path:
    shutil.copytree(made, folder)
    return folder
