"""Attacks on what members of a real channel hand each other, updates and files. Each answers whether it succeeded."""

from __future__ import annotations

import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from healthchain.app.consortium import ADMINISTRATOR, Consortium
from healthchain.contract.amendments import SuspendMember
from healthchain.fabric.machines.public_part import PublicPart, check_part
from healthchain.fabric.membership import without_member
from healthchain.identity.folders import OrganisationFolder
from healthchain.identity.keys import SigningKey
from healthchain.identity.requests import requests
from healthchain.records import governing
from healthchain.records.channel_membership import checked, current_config
from healthchain.records.keyring import Keyring
from healthchain.wire.config_update import config_update, update_envelope

from .stage import AGENCY, CLINIC, HOSPITAL, INSURER, Stage, succeeds

NOW = datetime.datetime.now(datetime.UTC)
JUNK = "-----BEGIN JUNK-----\nAAAA\n-----END JUNK-----\n"
"""Fabric reads the first block, whatever it is; Python's library the first certificate."""
MAPPINGS = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), b"no mappings of policies")
"""Go's x509 decodes them; Python's library leaves them as they are."""


# A channel's update says more than was decided


def another_goes_as_well(stage: Stage) -> bool:
    """The insurer was suspended; the update that the agency shall sign takes the clinic out too."""

    async def work(consortium: Consortium) -> bool:
        administrators = [consortium.staff(one, ADMINISTRATOR) for one in (HOSPITAL, CLINIC, AGENCY)]
        insurer, clinic = (consortium.topology.organisation(one).msp_id for one in (INSURER, CLINIC))
        proposal = await governing.propose(administrators[0], SuspendMember(insurer))
        for one in administrators:
            if not (await governing.proposal(one, proposal)).proposal.decided_ms:
                await governing.vote(one, proposal, in_favour=True)
        config = await current_config(administrators[2])
        less = without_member(without_member(config, insurer), clinic)
        envelope = update_envelope(config_update(consortium.topology.channel, config, less))
        return await succeeds(checked(administrators[2], proposal, envelope))

    return stage.play(work)


# A member's file is made to deceive the others, or to end their nodes


def accepted(stage: Stage, part: PublicPart) -> bool:
    """By another member, who is to make block 0 of it."""

    async def check() -> None:
        credentials = stage.credentials(CLINIC)
        asked = {one.name: one for one in requests(credentials, {}, (), (), persons=False)}
        check_part(part, credentials.msp_id, [asked["orderer0"], asked["orderer0-tls"]], NOW)

    return stage.play(lambda _: succeeds(check()))


def clinic_part(stage: Stage) -> PublicPart:
    credentials = stage.credentials(CLINIC)
    return PublicPart(
        name=CLINIC,
        domain=credentials.domain,
        root=(credentials.path / f"ca/ca.{credentials.domain}-cert.pem").read_text(),
        tls_root=credentials.tls_authority().decode(),
        intermediates=(),
        orderer=credentials.orderer_certificate().decode(),
        orderer_tls=(credentials.orderer / "tls/server.crt").read_text(),
        encryption_key=base64.b64encode(Keyring(credentials).organisation_key().public_bytes).decode(),
    )


def two_readings_of_a_file(stage: Stage) -> bool:
    part = clinic_part(stage)
    return accepted(stage, replace(part, orderer_tls=JUNK + part.orderer_tls))


def extension_that_only_go_decodes(stage: Stage) -> bool:
    """SmartBFT's orderers end over a consenter's certificate that they cannot read."""
    part = clinic_part(stage)
    signed = _with_extension(stage.credentials(CLINIC), x509.load_pem_x509_certificate(part.orderer_tls.encode()))
    return accepted(stage, replace(part, orderer_tls=signed.public_bytes(Encoding.PEM).decode()))


def _with_extension(credentials: OrganisationFolder, usual: x509.Certificate) -> x509.Certificate:
    key = SigningKey.from_pem((credentials.path / "tlsca/priv_sk").read_bytes())
    builder = x509.CertificateBuilder(usual.issuer, usual.subject, usual.public_key(), usual.serial_number)
    builder = builder.not_valid_before(usual.not_valid_before_utc).not_valid_after(usual.not_valid_after_utc)
    for one in usual.extensions:
        builder = builder.add_extension(one.value, critical=one.critical)
    return builder.add_extension(MAPPINGS, critical=False).sign(key.private, hashes.SHA256())
