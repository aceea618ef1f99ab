"""Peers run with different hash seeds; what they endorse and answer must not depend on it."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from .consortium import ALICE, BY_A, DOCTOR_A, PATIENT, full_chain

RUN = "from {module} import fingerprint; print(fingerprint())"


def fingerprint() -> str:
    chain = full_chain()
    answers = [
        chain.evaluate(DOCTOR_A, "keys:Get", {"patient": ALICE, "session": BY_A}),
        chain.evaluate(DOCTOR_A, "keys:GetForWriting", {"patient": ALICE}),
        chain.evaluate(PATIENT, "consents:PreviewRevoke", {"patient": ALICE, "grantee": "HospitalB"}),
        chain.evaluate(PATIENT, "audit:List", {"patient": ALICE}),
    ]
    ranges = [(one.start, one.end) for one in chain.last.ranges]
    digest = sha256(repr((answers, ranges)).encode())
    for key in sorted(chain.memory.state):
        digest.update(repr((key, chain.memory.state[key])).encode())
    return digest.hexdigest()


def test_the_hash_seed_changes_nothing() -> None:
    here = Path(__file__).parent
    module = __name__.rpartition(".")
    root = here.parents[module[0].count(".")]
    prints = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(  # noqa: S603 (this interpreter, constant arguments)
            [sys.executable, "-c", RUN.format(module=__name__)],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        )
        prints.add(done.stdout)
    assert len(prints) == 1
