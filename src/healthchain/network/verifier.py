"""Every signature verified once in a process: few at once, many in batches by a process beside this one.

Peers of one process ask the same question of the same bytes; the key of a verdict is exactly what was checked, so
nobody gains anything by choosing an id (docs/decisions/0004).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from healthchain.ledger.validate import SignatureCheck
from healthchain.network.batches import Batches, Work
from healthchain.network.verify_worker import encode_request
from healthchain.network.worker import Worker

GENERATION_MAX = 8_000
SIGNATURE_BYTES_MAX = 104  # P-384 in DER; anything longer is none, and is neither sent nor remembered
CHUNK = 48

_Key = tuple[bytes, bytes, bytes]


class Verifier:
    """`verify` before `verdict`: then the verdict is there without work. Both are for the event loop's thread."""

    def __init__(self, *, use_worker: bool = True) -> None:
        self._young: dict[_Key, bool] = {}
        self._old: dict[_Key, bool] = {}
        self._worker = Worker("healthchain.network.verify_worker") if use_worker else None
        work = Work(_request, self._verdicts, self.verdict, inline_max=8, chunk=CHUNK)
        self._batches = Batches(self._worker, work)

    def verdict(self, check: SignatureCheck) -> bool:
        """Whether the signature holds; verified now unless it was before."""
        if len(check.signature) > SIGNATURE_BYTES_MAX:
            return False
        key = _key(check)
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is None:
                known = check.holds()
            self._remember(key, known)
        return known

    async def verify(self, checks: Iterable[SignatureCheck]) -> None:
        """Make the verdicts of all these known."""
        unknown = [one for one in checks if not self._known(one)]
        waiting = [self._batches.ask(unknown[i : i + CHUNK]) for i in range(0, len(unknown), CHUNK)]
        for one in waiting:
            await one

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()

    def _known(self, check: SignatureCheck) -> bool:
        if len(check.signature) > SIGNATURE_BYTES_MAX:
            return True
        key = _key(check)
        return key in self._young or key in self._old

    def _remember(self, key: _Key, verdict: bool) -> None:
        if len(self._young) >= GENERATION_MAX:
            self._old, self._young = self._young, {}
        self._young[key] = verdict

    def _verdicts(self, checks: Sequence[SignatureCheck], answer: bytes) -> list[bool]:
        """The worker's, one byte each, remembered."""
        verdicts = [bool(one) for one in answer]
        for check, holds in zip(checks, verdicts, strict=True):
            self._remember(_key(check), holds)
        return verdicts


def _request(checks: Sequence[SignatureCheck]) -> bytes:
    return encode_request([_key(one) for one in checks])


def _key(check: SignatureCheck) -> _Key:
    return check.identity.public_point, check.digest, check.signature
