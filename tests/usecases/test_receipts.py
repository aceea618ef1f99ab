"""Receipts from the embedded network, and their verification where there is no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from healthchain.app.consortium import ADMINISTRATOR, Consortium
from healthchain.app.receipts import TABLES, Kind, Proven, ReceiptUnavailable, Subject, issue, verify
from healthchain.chaincode.stub import MAX_CODE_POINT, split_composite_key
from healthchain.cli.commands import run
from healthchain.config import CHAINCODE
from healthchain.contract.consents import Consent, ConsentStatus
from healthchain.contract.disclosures import Disclosure
from healthchain.contract.erasure import Erasure
from healthchain.contract.records import Header, RecordStatus
from healthchain.contract.sessions import Session
from healthchain.contract.trail import Happening
from healthchain.ledger.attesting import AttestationRefused
from healthchain.ledger.segments import LogCorrupted
from healthchain.records import consenting, erasing
from healthchain.records.auditing import trail

from .bundles import simple
from .consortium import (
    AGENCY,
    CLINIC,
    HOSPITAL,
    INSURER,
    assert_equal_peers,
    clinician,
    code,
    consent,
    imported,
    read,
    within,
)


def test_every_kind_has_receipts_that_verify_alone(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        owner = consortium.patient(patient)
        given = await consenting.grant(owner, consent(consortium))
        assert await read(clinician(consortium, CLINIC), patient)
        await consenting.revoke(owner, consent_ids=[given])
        entries = await trail(owner, patient)
        [record, *_] = (entry.ids[0] for entry in entries if entry.happening is Happening.WRITTEN)
        await erasing.erase_records(owner, patient, [record])
        ids = {entry.happening: entry.ids for entry in await trail(owner, patient)}
        session = ids[Happening.SESSION_OPENED][0]

        async def proven(kind: Kind, id_: str, version: int | None = None) -> Proven:
            found = verify(await issue(consortium, owner, Subject(kind, patient, id_, version)))
            assert (found.kind, found.patient, found.id) == (kind, patient, id_)
            assert len(found.evidence.attesters) == 4
            return found

        first, last = [(await proven(Kind.RECORD, record, version)).written for version in (1, None)]
        assert isinstance(first, Header)
        assert isinstance(last, Header)
        assert (first.version, first.status, last.status) == (1, RecordStatus.ACTIVE, RecordStatus.ERASED)
        granted, revoked = [(await proven(Kind.CONSENT, given, version)) for version in (1, 2)]
        assert isinstance(granted.written, Consent)
        assert isinstance(revoked.written, Consent)
        assert (granted.written.status, revoked.written.status) == (ConsentStatus.ACTIVE, ConsentStatus.REVOKED)
        assert granted.evidence.block < revoked.evidence.block
        assert granted.evidence.creator == f"{owner.connection.identity.msp_id}/{patient}"
        assert isinstance((await proven(Kind.SESSION, session)).written, Session)
        for kind, struct in ((Kind.DISCLOSURE, Disclosure), (Kind.ERASURE, Erasure)):
            assert isinstance((await proven(kind, written_in(consortium, kind, patient))).written, struct)
        assert_equal_peers(consortium)

    within(folder, work)


def written_in(consortium: Consortium, kind: Kind, patient: str) -> str:
    """The id of the one row of this kind: the transaction that wrote it."""
    start = TABLES[kind].key(patient)
    [(key, _)] = consortium.network.peers[HOSPITAL].ledger.range(CHAINCODE, start, start + MAX_CODE_POINT)
    return split_composite_key(key)[1][-1]


def test_only_who_may_audit_gets_a_receipt_and_only_of_what_there_is(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        other = (await imported(consortium, simple(1, patient=1))).patient
        owner = consortium.patient(patient)
        [record, *_] = (entry.ids[0] for entry in await trail(owner, patient) if entry.happening is Happening.WRITTEN)
        subject = Subject(Kind.RECORD, patient, record)
        verify(await issue(consortium, consortium.staff(HOSPITAL, ADMINISTRATOR), subject))
        for stranger, refused in (
            (consortium.staff(CLINIC, ADMINISTRATOR), "AUDIT_FORBIDDEN"),
            (clinician(consortium), "ROLE_FORBIDDEN"),
            (consortium.patient(other), "NOT_THE_PATIENT"),
        ):
            assert await code(issue(consortium, stranger, subject)) == refused
        for wrong in (
            Subject(Kind.RECORD, patient, "A" * 22),
            Subject(Kind.CONSENT, patient, record),
            Subject(Kind.RECORD, patient, record, 2),
        ):
            with pytest.raises(ReceiptUnavailable):
                await issue(consortium, owner, wrong)

    within(folder, work)


def test_peers_that_do_not_say_the_same_are_left_out_as_long_as_a_majority_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        owner = consortium.patient(patient)
        [record, *_] = (entry.ids[0] for entry in await trail(owner, patient) if entry.happening is Happening.WRITTEN)
        subject = Subject(Kind.RECORD, patient, record)
        ledgers = {one.msp_id: one.ledger for one in consortium.network.peers.values()}
        msp_ids = [consortium.topology.organisation(name).msp_id for name in (HOSPITAL, CLINIC, INSURER, AGENCY)]

        def damaged(_: int) -> NoReturn:
            raise LogCorrupted("an altered byte")

        wrongs: dict[str, Callable[..., object]] = {
            "transaction": lambda _: None,
            "block": damaged,
            "history": lambda *_: iter(()),
            "range": lambda *_: iter(()),
        }
        for out, (attribute, wrong) in zip(msp_ids, wrongs.items(), strict=True):
            with monkeypatch.context() as patch:
                patch.setattr(ledgers[out], attribute, wrong)
                found = verify(await issue(consortium, owner, subject)).evidence
                assert found.attesters == tuple(sorted({*msp_ids} - {out})), attribute
        for out in msp_ids[:2]:
            monkeypatch.setattr(ledgers[out], "block", damaged)
        with pytest.raises(AttestationRefused, match="2 peers say the same, 3 are needed"):
            await issue(consortium, owner, subject)

    within(folder, work)


def test_the_commands_issue_and_verify(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def work(consortium: Consortium) -> tuple[str, str]:
        patient = (await imported(consortium, simple(1))).patient
        entries = await trail(consortium.patient(patient), patient)
        return patient, next(entry.ids[0] for entry in entries if entry.happening is Happening.WRITTEN)

    def done(*words: object, status: int = 0) -> dict[str, object]:
        assert run([*map(str, words), "--json"]) == status
        answer: dict[str, object] = json.loads(capsys.readouterr().out)
        return answer

    patient, record = within(folder, work)
    file = tmp_path / "receipt"
    subject = ("--kind", "record", "--id", record, "--patient", patient)
    issued = done("receipt", "issue", "--dir", folder, *subject, "--version", 1, "--out", file)
    assert issued["bytes"] == file.stat().st_size
    (folder / "genesis.block").unlink()  # nothing but the file is needed
    found = done("receipt", "verify", file, "--fingerprint", issued["fingerprint"])
    assert (found["holds"], found["id"], found["attesters"]) == (True, record, issued["attesters"])
    assert run(["receipt", "verify", str(file)]) == 0
    assert f"fingerprint  {issued['fingerprint']}" in capsys.readouterr().out
    assert done("receipt", "verify", file, "--fingerprint", "00" * 32, status=4)["holds"] is False
    file.write_bytes(file.read_bytes() + b"\n")
    assert done("receipt", "verify", file, status=4)["holds"] is False
    assert done("receipt", "issue", "--dir", folder, "--kind", "gift", *subject[2:], "--out", file, status=2)
    assert done("receipt", "verify", tmp_path / "none", status=1)
