"""The embedded network as a scenario's stage: its peers' ledgers are here, and are looked into."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from healthchain.app.consortium import ADMINISTRATOR, Consortium, initialise, opened
from healthchain.app.joining import join
from healthchain.app.scenarios.stage import Checked, Joined, Update
from healthchain.app.verify import verify
from healthchain.config import CHAINCODE, DEFAULT, Organisation
from healthchain.ledger import fsck
from healthchain.network.network import peer_folder
from healthchain.network.provision import read_genesis_block
from healthchain.records import governing
from healthchain.wire.config_update import update_envelope
from healthchain.wire.transaction import decode_action, decode_header


class Embedded:
    """In an empty folder, which holds the consortium afterwards."""

    copied = "a peer's block file"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memberships = VotedMemberships(folder)

    async def found(self) -> None:
        await initialise(self.folder, DEFAULT)

    def opened(self) -> AbstractAsyncContextManager[Consortium]:
        return opened(self.folder)

    async def held(self, consortium: Consortium, organisation: str, collection: str, key: str) -> bytes | None:
        return consortium.network.peers[organisation].ledger.private(CHAINCODE, collection, key)

    async def let_go(self) -> None:
        """They were overwritten before the block counted as committed."""

    async def on_disk(self, traces: Collection[bytes]) -> bool:
        return any_file_has(self.folder / "peers", traces)

    async def check(self) -> Checked:
        found = verify(self.folder)
        told = f"Every block, signature and value recomputed on every peer: {len(found.findings)} findings."
        return Checked(told, found.clean, found.height, found.transactions)

    async def tampered(self, organisation: str) -> str:
        copy = self.folder / "tampered-copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(peer_folder(self.folder, organisation), copy)
        try:
            block_file = copy / "blocks" / "000000"
            content = bytearray(block_file.read_bytes())
            content[len(content) // 2] ^= 1
            block_file.write_bytes(content)
            found = fsck.check(copy, read_genesis_block(self.folder)).findings
            return f"{found[0].where}: {found[0].what}" if found else "nothing found"
        finally:
            shutil.rmtree(copy)


def any_file_has(folder: Path, traces: Collection[bytes]) -> bool:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if any(one in content for one in traces):
                return True
    return False


class VotedMemberships:
    """The ledger itself says who takes part."""

    follow_votes = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def count(self, consortium: Consortium) -> int:
        return len(consortium.network.channel.msp_ids)

    async def join(self, spec: Organisation, proposal_id: str) -> Update:
        """The update is what a Fabric channel would need."""
        async with opened(self._folder) as consortium:
            anyone = consortium.staff(consortium.topology.organisations[0].name, ADMINISTRATOR)
            needed = await governing.fabric_update(anyone, consortium.network.channel.genesis, proposal_id)
        envelope = update_envelope(needed)
        await join(self._folder, spec)
        told = "A Fabric channel would need a configuration update, for administrators to sign"
        return Update(told, envelope.SerializeToString(), len(envelope.signatures))

    async def joined(self, consortium: Consortium, spec: Organisation) -> Joined:
        ledgers = [peer.ledger for peer in consortium.network.peers.values()]
        endorsers = _endorsers(consortium, consortium.network.height - 1)
        equal = len({one.state.commit_hash for one in ledgers}) == 1
        return Joined(len(ledgers), spec.msp_id in endorsers, equal)


def _endorsers(consortium: Consortium, block: int) -> set[str]:
    """MSP ids of those who endorsed a transaction of the block."""
    ledger = next(iter(consortium.network.peers.values())).ledger
    actions = [decode_action(decode_header(one)) for one in ledger.block(block).data.data]
    msps = ledger.channel.msps
    return {msps.identify(signed.endorser).msp_id for action in actions for signed in action.endorsements}
