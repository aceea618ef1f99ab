"""Everything that can be found wrong: its stable code, what it means, what to do. docs/doctor.md lists the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum


class Severity(StrEnum):
    """An error stops somebody or endangers something now; a warning will."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Meaning:
    severity: Severity
    wrong: str
    remedy: str


def _error(wrong: str, remedy: str) -> Meaning:
    return Meaning(Severity.ERROR, wrong, remedy)


def _warning(wrong: str, remedy: str) -> Meaning:
    return Meaning(Severity.WARNING, wrong, remedy)


class Code(Enum):
    """The name is stable; grouped by what is examined, the first cause before what follows from it."""

    # The folder and its credentials
    FILE_DAMAGED = _error("a file of the folder is missing or damaged", "restore it from the folder's copy")
    FOLDER_OPEN = _warning("others on the machine may look into the folder", "chmod 700 DIR")
    KEY_OPEN = _error("others on the machine may read a private key", "chmod 600 FILE, and renew what it certifies")
    CREDENTIAL_MISSING = _error(
        "a certificate or key is not there, or cannot be read", "restore it, or enrol its holder again"
    )
    CREDENTIAL_DAMAGED = _error("a certificate or key does not decode", "restore it, or enrol its holder again")
    CERTIFICATE_EXPIRED = _error(
        "a certificate has expired", "issue a new one, put it in its place, and start the node again"
    )
    CERTIFICATE_EXPIRING = _warning(
        "a certificate expires soon", "issue a new one before that day, put it in its place, and start the node again"
    )
    CERTIFICATE_NOT_YET_VALID = _error(
        "a certificate is not valid yet", "set this machine's clock, or wait for the certificate's first day"
    )
    CERTIFICATE_FOREIGN = _error(
        "a certificate was not issued by its organisation's authority",
        "put one of the organisation's own authority in its place, and start the node again",
    )
    KEY_FOREIGN = _error("a private key is not its certificate's", "restore the two that belong together")
    AUTHORITY_DIFFERS = _error(
        "a copy of an authority's certificate is not the organisation's own", "copy the organisation's over it"
    )
    AUTHORITY_UNKNOWN = _error(
        "the channel knows another authority for the organisation",
        "restore the old authority, or have the members accept the new one (docs/governance.md)",
    )

    # Who listens
    PEER_UNREACHABLE = _error(
        "a peer cannot be reached",
        "start it: `healthchain fabric up`, or its own unit or container; why it ended is at the end of its log",
    )
    ORDERER_UNREACHABLE = _error(
        "an orderer cannot be reached",
        "start it: `healthchain fabric up`, or its own unit or container; why it ended is at the end of its log",
    )
    SERVICE_UNREACHABLE = _error(
        "a chaincode service cannot be reached",
        "start it: `healthchain fabric up`, its own unit or container, or as its maker says",
    )
    NOT_TLS = _error(
        "something listens there that speaks no TLS", "end what took the port, or give the network another"
    )
    OTHER_AUTHORITY = _error(
        "the certificate shown there is another authority's",
        "find out who listens there; give the node a certificate of its own authority, and start it again",
    )
    SERVED_EXPIRED = _error(
        "the certificate shown there has expired, or is not valid yet, though the one on disk is",
        "start the node again; if it lasts, set the clocks",
    )
    OTHER_HOST = _error(
        "the certificate shown there is for other host names",
        "issue one with the name that the address has, or call the node by a name in it",
    )
    OLD_CERTIFICATE = _warning("a node still shows a certificate that is no longer on its disk", "start the node again")
    NODE_SILENT = _error(
        "a node takes connections, and does not answer", "look at the end of its log, and start it again"
    )
    NODE_REFUSES = _error(
        "a node answers, and refuses its own administrator's question",
        "what it said names the reason: mend that, and ask again",
    )
    ORDERERS_TOO_FEW = _error(
        "fewer orderers answer than must agree on a block: nothing can be written", "start more of them"
    )

    NO_LEADER = _error(
        "an orderer does not know a leader: nothing is ordered there",
        "wait some seconds; if it stays, its log says which orderers it cannot reach",
    )

    # Clocks
    CLOCK_OFF = _error(
        "clocks differ: at 15 minutes every call is refused, and consents begin and end at another time before that",
        "have each machine set its clock from the network (NTP)",
    )

    # The channel
    NOT_JOINED = _error(
        "a node has not joined the channel",
        "`healthchain fabric up` lets it join; on several machines `healthchain fabric deploy`",
    )
    PEER_BEHIND = _warning(
        "a peer lacks blocks that another has", "wait; if it stays, its log says which orderers it cannot reach"
    )
    PEER_FORKED = _error(
        "two peers of one height have other blocks",
        "stop both, compare their block files with a third member's, and rebuild the one that differs",
    )
    MEMBER_MISSING = _error(
        "the channel's configuration lacks an organisation of the topology",
        "submit the update that its admission yielded (`healthchain fabric membership`); if it left: `fabric leave`",
    )
    MEMBER_STAYS = _error(
        "a member that was removed is still in the channel's configuration: its peer gets every block",
        "submit the update that its removal yielded (`healthchain fabric membership`)",
    )
    ANCHOR_PEER_MISSING = _error(
        "an organisation has no anchor peer: the others' peers do not find its own",
        "submit a configuration update with its peer as AnchorPeers",
    )
    ANCHOR_PEER_OTHER = _warning(
        "an organisation's anchor peer is not the peer that it has", "submit a configuration update with its address"
    )
    ENDPOINT_MISSING = _error(
        "an organisation's orderer is not among its endpoints: peers do not find it",
        "submit a configuration update with its address as Endpoints",
    )
    CONSENTER_MISSING = _error(
        "an organisation's orderer does not take part in ordering",
        "submit a configuration update with it among the consenters",
    )
    CONSENTER_OTHER_CERTIFICATE = _error(
        "the other orderers know another certificate of an orderer: they refuse it",
        "submit a configuration update with the new certificate, or restore the old one",
    )
    CAPABILITY_MISSING = _error(
        "the channel lacks a capability that the contract needs", "submit a configuration update with it"
    )

    # The contract
    CHAINCODE_NOT_COMMITTED = _error(
        "no definition of the contract is in force",
        "`healthchain fabric up` installs, approves and commits it; on several machines `healthchain fabric deploy`",
    )
    CHAINCODE_NOT_APPROVED = _error(
        "an organisation has not approved the definition in force: its peer does not endorse",
        "its administrator approves the very same definition: `healthchain fabric deploy`, or Fabric's `peer`",
    )
    CHAINCODE_PENDING = _warning(
        "a following definition is approved by some, and not in force",
        "those who are named approve the very same definition; then any member commits it",
    )
    CHAINCODE_OTHER = _error(
        "the definition in force is not the one that this version of the contract needs",
        "approve and commit the definition that this version needs, or go back to the version that is in force",
    )
    PACKAGE_MISSING = _error(
        "a peer has no package for the definition that its organisation approved",
        "`healthchain fabric up` installs and approves it; on several machines `healthchain fabric deploy`",
    )
    CHAINCODE_FAILS = _error(
        "a peer cannot run the contract", "what it said names the reason; then start its chaincode service again"
    )

    # Private data
    COLLECTION_MISSING = _error(
        "a private data collection of the contract is not defined", "approve and commit a definition with it"
    )
    COLLECTION_MEMBER_MISSING = _error(
        "an organisation is not a member of a private data collection",
        "approve and commit a definition that has it as a member",
    )
    COLLECTION_PEERS_TOO_MANY = _error(
        "requiredPeerCount is more than the other members' peers: nobody can endorse a private value",
        "start the missing peers, or approve and commit a definition with a lower requiredPeerCount",
    )
    COLLECTION_EXPIRES = _error(
        "blockToLive takes private values away that nobody erased",
        "approve and commit a definition with blockToLive 0",
    )
    PURGE_INTERVAL = _error(
        "a peer purges its private data store only now and then: erased values stay on its disk",
        "set ledger.pvtdataStore.purgeInterval to 1 in its core.yaml, and start it again",
    )
    ERASED_ON_DISK = _warning(
        "a peer's files still hold values that were erased or replaced: LevelDB lets go of them when it merges files",
        "`healthchain fabric compact` makes it",
    )

    # Gossip
    GOSSIP_INCOMPLETE = _error(
        "a peer does not know another one that answers",
        "wait 30 seconds and ask again; if it stays, look at anchor peers, addresses and TLS in its log",
    )
    ENDORSERS_TOO_FEW = _error(
        "a peer finds no endorsers that satisfy the policy: nothing can be written through it",
        "start the missing peers; just started, wait 30 seconds and ask again",
    )

    # The embedded network
    NETWORK_DOES_NOT_OPEN = _error(
        "the embedded network does not open", "what it said names the reason; `healthchain verify` tells more"
    )

    @property
    def severity(self) -> Severity:
        return self.value.severity

    @property
    def remedy(self) -> str:
        return self.value.remedy


@dataclass(frozen=True, slots=True)
class Finding:
    """`organisation` as the topology names it, empty for the whole network; `what` never names a person."""

    code: Code
    organisation: str
    node: str
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """`examined` says what was looked at, `unanswered` what could not be; findings are errors first."""

    findings: tuple[Finding, ...]
    examined: tuple[str, ...]
    unanswered: tuple[str, ...]

    @property
    def errors(self) -> int:
        return sum(one.code.severity == Severity.ERROR for one in self.findings)


_PLACES = {code: place for place, code in enumerate(Code)}


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings, causes before what follows from them; each once."""

    def place(one: Finding) -> tuple[bool, int, str, str, str]:
        warning = one.code.severity == Severity.WARNING
        return warning, _PLACES[one.code], one.organisation, one.node, one.what

    return tuple(sorted(set(findings), key=place))
