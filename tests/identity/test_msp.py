"""Who is a member: one row for each way a certificate can fail, and the few ways in which it cannot."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from fabric_protos.msp import identities_pb2, msp_config_pb2

from healthchain.identity.certificates import CLOCK_SKEW, CertificateAuthority, NodeOU, encode_attributes
from healthchain.identity.keys import P256_ORDER
from healthchain.identity.msp import (
    CACHED_IDENTITIES_MAX,
    MSP,
    PEM_BYTES_MAX,
    IdentityRefused,
    MSPMalformed,
    Role,
    encode_msp_config,
    serialize_identity,
)

from .forge import (
    MSP_ID,
    NOW,
    RSA_2048,
    Authority,
    authority,
    der,
    ec_key,
    leaf,
    length_of,
    msp,
    msp_config,
    msps,
    pem,
    resigned,
    revocation_list,
    usage,
)

ROOT = authority("ca.hospital")
OTHER = authority("ca.insurer")
MEMBERS = msp(ROOT)
GOOD = leaf(ROOT, attributes=encode_attributes({"hc.role": "clinician"}))


GOOD_7 = leaf(ROOT, serial=7)
CONSTRAINTS = bytes.fromhex("0603551d130101ff04023000")  # basic constraints, critical, CA false


def _twice(certificate: bytes) -> bytes:
    """With its first extension a second time."""
    parsed = x509.load_pem_x509_certificate(certificate)
    signed = parsed.tbs_certificate_bytes
    constraints = bytes.fromhex("0603551d13")
    start = signed.index(constraints) - 2
    extension = signed[start : start + 2 + signed[start + 1]]
    list_at = signed.index(b"\xa3")
    old_list = signed[start:]
    content = extension + old_list
    sequence = b"\x30" + length_of(content) + content
    tagged = b"\xa3" + length_of(sequence) + sequence
    header = 2 if signed[1] < 0x80 else 2 + (signed[1] & 0x7F)
    inner = signed[header:list_at] + tagged
    whole = b"\x30" + length_of(inner) + inner
    signature = ROOT.key.sign(whole, ec.ECDSA(hashes.SHA256()))
    bits = b"\x03" + length_of(b"\x00" + signature) + b"\x00" + signature
    body = whole + bytes.fromhex("300a06082a8648ce3d040302") + bits
    return pem(b"\x30" + length_of(body) + body)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    # 1. one PEM certificate
    "nothing": (lambda: b"", "exactly one"),
    "DER": (lambda: der(GOOD), "exactly one"),
    "two certificates": (lambda: GOOD + GOOD, "exactly one"),
    "another before it": (lambda: leaf(OTHER) + GOOD, "exactly one"),
    "bytes before it": (lambda: b"x" + GOOD, "exactly one"),
    "bytes after it": (lambda: GOOD + b"x", "exactly one"),
    "spaces after it": (lambda: GOOD + b" ", "exactly one"),
    "bytes after it, and an end": (lambda: GOOD + b"junk\n-----END CERTIFICATE-----", "exactly one"),
    "a key": (lambda: GOOD.replace(b"CERTIFICATE", b"PRIVATE KEY"), "exactly one"),
    "larger than any certificate": (lambda: GOOD + b"\n" * PEM_BYTES_MAX, "exactly one"),
    "no base64": (lambda: b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----", "does not decode"),
    "no ASN.1": (lambda: pem(b"nonsense"), "does not decode"),
    "cut": (lambda: pem(der(GOOD)[:-1]), "does not decode"),
    "bytes after its ASN.1": (lambda: pem(der(GOOD) + b"\x00"), "does not decode"),
    "a version that does not exist": (
        lambda: resigned(GOOD, ROOT, b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"),
        "does not decode",
    ),
    "an extension twice": (lambda: _twice(GOOD), "does not decode"),
    "a subject that is no text": (
        lambda: resigned(GOOD, ROOT, b"\x0c\x08somebody", b"\x0c\x08some\xff\xfe\xfdy"),
        "does not decode",
    ),
    "a basic constraint that is none": (
        lambda: resigned(GOOD, ROOT, CONSTRAINTS, CONSTRAINTS[:-2] + b"\xff\xff"),
        "does not decode",
    ),
    "a serial number that is none": (
        lambda: resigned(GOOD_7, ROOT, b"\x02\x01\x07", b"\x02\x01\x00"),
        "does not decode",
    ),
    # 2. a signer's key and usage
    "an authority": (lambda: leaf(ROOT, is_ca=True), "cannot sign as a member"),
    "the root itself": (lambda: ROOT.pem, "cannot sign as a member"),
    "key usage without signatures": (lambda: leaf(ROOT, key_usage=usage()), "digital signatures"),
    "RSA": (lambda: leaf(ROOT, key=RSA_2048), "P-256 or P-384"),
    "Ed25519": (lambda: leaf(ROOT, key=ed25519.Ed25519PrivateKey.generate()), "P-256 or P-384"),
    "P-521": (lambda: leaf(ROOT, key=ec_key(ec.SECP521R1())), "P-256 or P-384"),
    "secp256k1": (lambda: leaf(ROOT, key=ec_key(ec.SECP256K1())), "P-256 or P-384"),
    # 3. one chain to a root
    "another authority": (lambda: leaf(OTHER), "not issued by"),
    "another authority of the same name": (lambda: leaf(authority("ca.hospital")), "not issued by"),
    "a forged issuer": (lambda: leaf(ROOT, signed_by=OTHER.key), "not issued by"),
    "a forged issuer, no key named": (lambda: leaf(ROOT, signed_by=OTHER.key, names_authority=False), "not issued by"),
    "signed by a member": (lambda: _below_member(), "not issued by"),
    # 5. one NodeOU
    "no NodeOU": (lambda: leaf(ROOT, ous=()), "exactly one of the OUs"),
    "an unknown OU": (lambda: leaf(ROOT, ous=("clients",)), "exactly one of the OUs"),
    "two NodeOUs": (lambda: leaf(ROOT, ous=("client", "admin")), "exactly one of the OUs"),
    "one NodeOU twice": (lambda: leaf(ROOT, ous=("peer", "peer")), "exactly one of the OUs"),
    "another letter case": (lambda: leaf(ROOT, ous=("Client",)), "exactly one of the OUs"),
    "no common name": (lambda: leaf(ROOT, common_names=()), "one common name"),
    "a common name that moves the cursor": (lambda: leaf(ROOT, common_names=("x\x1b[2K\nforged",)), "printable"),
    "two common names": (lambda: leaf(ROOT, common_names=("a", "b")), "one common name"),
    # its attributes
    "attributes that are no JSON": (lambda: leaf(ROOT, attributes=b"hc.role=admin"), "attributes"),
    "attributes that are a list": (lambda: leaf(ROOT, attributes=b'{"attrs":["hc.role"]}'), "attributes"),
    "an attribute that is a number": (lambda: leaf(ROOT, attributes=b'{"attrs":{"hc.role":1}}'), "attributes"),
    "attributes nested too deep": (lambda: leaf(ROOT, attributes=b'{"attrs":' * 5000), "attributes"),
    "attributes that are not UTF-8": (lambda: leaf(ROOT, attributes=b'{"attrs":{"a":"\xff"}}'), "attributes"),
    "no attrs": (lambda: leaf(ROOT, attributes=b"{}"), "attributes"),
}


def _below_member() -> bytes:
    key = ec_key()
    member = x509.load_pem_x509_certificate(leaf(ROOT, key=key))
    return leaf(Authority(key, member))


@pytest.mark.parametrize("what", REFUSED)
def test_no_member(what: str) -> None:
    make, said = REFUSED[what]
    with pytest.raises(IdentityRefused, match=said) as caught:
        MEMBERS.validate(make())
    assert "somebody" not in str(caught.value)


def test_a_member_is_what_its_certificate_says() -> None:
    member = MEMBERS.validate(GOOD)
    assert (member.msp_id, member.common_name, member.role) == (MSP_ID, "somebody", Role.CLIENT)
    assert member.attributes == {"hc.role": "clinician"}
    assert MEMBERS.validate(leaf(ROOT)).attributes == {}


@pytest.mark.parametrize("ou", NodeOU)
def test_other_ous_do_not_matter_beside_one_node_ou(ou: NodeOU) -> None:
    member = MEMBERS.validate(leaf(ROOT, ous=("ward 3", ou.value)))
    assert member.role.value == ou.value
    assert member.ous == ("ward 3", ou.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: leaf(ROOT, key=ec_key(ec.SECP384R1())),
        lambda: leaf(ROOT, is_ca=None),
        lambda: leaf(ROOT, names_authority=False),
    ],
)
def test_members_all_the_same(make: Callable[[], bytes]) -> None:
    assert MEMBERS.validate(make()).common_name == "somebody"


# Chains


def test_intermediate_authorities_lead_to_the_root() -> None:
    first = authority("first", ROOT)
    second = authority("second", first)
    member = leaf(second)
    assert msp(ROOT, intermediates=[first, second]).validate(member).role is Role.CLIENT
    with pytest.raises(IdentityRefused, match="not issued by"):
        msp(ROOT, intermediates=[second]).validate(member)
    with pytest.raises(IdentityRefused, match="not issued by"):
        msp(ROOT).validate(member)


def test_members_come_from_the_leaves_of_the_tree_of_authorities() -> None:
    """As Fabric's own peer refused it: the root had an intermediate authority, and issued a member itself."""
    below = authority("below", ROOT)
    assert msp(ROOT, OTHER, intermediates=[below]).validate(leaf(below)).msp_id == MSP_ID
    assert msp(ROOT, OTHER, intermediates=[below]).validate(leaf(OTHER)).msp_id == MSP_ID
    with pytest.raises(IdentityRefused, match="has others below it"):
        msp(ROOT, intermediates=[below]).validate(leaf(ROOT))


@pytest.mark.parametrize(
    ("root_length", "first_length", "depth", "valid"),
    [
        (None, None, 2, True),
        (0, None, 0, True),
        (0, None, 1, False),
        (1, None, 1, True),
        (1, None, 2, False),
        (1, 0, 1, True),
        (None, 0, 2, False),
        (2, 1, 2, True),
    ],
)
def test_path_lengths(root_length: int | None, first_length: int | None, depth: int, *, valid: bool) -> None:
    """`depth` intermediate authorities below the root."""
    root = authority("root", path_length=root_length)
    chain = [root]
    for level in range(depth):
        chain.append(authority(f"level{level}", chain[-1], path_length=first_length if level == 0 else None))
    members, member = msp(root, intermediates=chain[1:]), leaf(chain[-1])
    if valid:
        assert members.validate(member).msp_id == MSP_ID
    else:
        with pytest.raises(IdentityRefused, match="longer than its authority permits"):
            members.validate(member)


def test_a_chain_may_not_be_endless() -> None:
    chain = [authority("level0")]
    for level in range(1, 12):
        chain.append(authority(f"level{level}", chain[-1]))
    with pytest.raises(IdentityRefused, match="too long"):
        msp(chain[0], intermediates=chain[1:]).validate(leaf(chain[-1]))


def test_authorities_that_certify_each_other_lead_nowhere() -> None:
    keys = ec_key(), ec_key()
    a = authority("a", authority("b", key=keys[1]), key=keys[0])
    b = authority("b", authority("a", key=keys[0]), key=keys[1])
    with pytest.raises(IdentityRefused, match="has others below it"):
        msp(ROOT, intermediates=[a, b]).validate(leaf(a))


def test_one_chain_and_no_other() -> None:
    """The same key under two certificates of one name: Fabric wants exactly one chain."""
    again = authority("ca.hospital", key=ROOT.key)
    with pytest.raises(IdentityRefused, match="not issued by"):
        msp(ROOT, again).validate(GOOD)
    assert msp(ROOT, OTHER).validate(GOOD).msp_id == MSP_ID


# Revocation


def test_revoked_members_and_all_below_a_revoked_authority() -> None:
    first, second = authority("first", ROOT), authority("second", ROOT)
    direct, below, stays = leaf(second), leaf(first), leaf(second)
    lists = [revocation_list(ROOT, [first.pem]), revocation_list(second, [direct])]
    members = msp(ROOT, intermediates=[first, second], revocations=lists)
    for one in (direct, below):
        with pytest.raises(IdentityRefused, match="revoked"):
            members.validate(one)
    assert members.validate(stays).msp_id == MSP_ID


def test_a_serial_number_is_revoked_for_its_own_authority_only() -> None:
    theirs, ours = leaf(OTHER, serial=77), leaf(ROOT, serial=77)
    members = msp(ROOT, OTHER, revocations=[revocation_list(OTHER, [theirs])])
    assert members.validate(ours).msp_id == MSP_ID
    with pytest.raises(IdentityRefused, match="revoked"):
        members.validate(theirs)


@pytest.mark.parametrize("signer", [OTHER, authority("ca.hospital")])
def test_a_revocation_list_of_somebody_else_is_refused(signer: Authority) -> None:
    with pytest.raises(MSPMalformed, match="not signed by an authority"):
        msp(ROOT, revocations=[revocation_list(ROOT, [GOOD], signed_by=signer)])


# The configuration of an MSP


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: msp_config([authority(certify=False).pem]), "CA's that may sign"),
        (lambda: msp_config([authority(is_ca=False).pem]), "CA's that may sign"),
        (lambda: msp_config([authority(identified=False).pem]), "subject key identifier"),
        (lambda: msp_config([ROOT.pem], [leaf(ROOT)]), "CA's that may sign"),
        (lambda: msp_config([b"nonsense"]), "does not decode"),
        (lambda: msp_config([ROOT.pem], revocations=[b"nonsense"]), "does not decode"),
        (lambda: msp_config([ROOT.pem], msp_id=""), "needs a name"),
        (lambda: b"\xff\xff", "does not decode"),
        (lambda: b"", "needs a name"),
    ],
)
def test_no_msp(make: Callable[[], bytes], said: str) -> None:
    with pytest.raises(MSPMalformed, match=said):
        MSP.from_config(make())


def _config() -> msp_config_pb2.FabricMSPConfig:
    return msp_config_pb2.FabricMSPConfig.FromString(encode_msp_config(MSP_ID, ROOT.pem, ROOT.pem))


def test_what_would_restrict_members_is_not_ignored() -> None:
    disabled, renamed, bound, units, sha3, rootless = (_config() for _ in range(6))
    disabled.fabric_node_ous.enable = False
    renamed.fabric_node_ous.client_ou_identifier.organizational_unit_identifier = "user"
    bound.root_certs.append(OTHER.pem)
    units.organizational_unit_identifiers.add(organizational_unit_identifier="ward")
    sha3.crypto_config.signature_hash_family = "SHA3"
    del rootless.root_certs[:]
    for one in (disabled, renamed, bound, units, sha3, rootless):
        with pytest.raises(MSPMalformed):
            MSP.from_config(one.SerializeToString())
    assert MSP.from_config(_config().SerializeToString()).validate(GOOD).msp_id == MSP_ID


# The creator


def test_the_name_of_another_member_with_ones_own_certificate() -> None:
    both = msps(HospitalMSP=ROOT, InsurerMSP=OTHER)
    assert both.identify(serialize_identity("HospitalMSP", GOOD)).msp_id == "HospitalMSP"
    for claimed in ("InsurerMSP", "NobodyMSP", "", "hospitalmsp", "HospitalMSP "):
        with pytest.raises(IdentityRefused):
            both.identify(serialize_identity(claimed, GOOD))


@pytest.mark.parametrize("creator", [b"", b"\xff", b"\x0a\x01\xff", serialize_identity(MSP_ID, b"")])
def test_no_creator(creator: bytes) -> None:
    with pytest.raises(IdentityRefused):
        msps(HospitalMSP=ROOT).identify(creator)


def test_identities_are_remembered_by_their_bytes_and_not_for_ever() -> None:
    members = msps(HospitalMSP=ROOT)
    creator = serialize_identity(MSP_ID, GOOD)
    assert members.identify(creator) is members.identify(creator)
    members._identities.update({index.to_bytes(4): members.identify(creator) for index in range(CACHED_IDENTITIES_MAX)})
    members.identify(serialize_identity(MSP_ID, leaf(ROOT)))
    assert len(members._identities) == 1


def test_two_msps_under_one_authority_are_two() -> None:
    both = msps(AMSP=ROOT, BMSP=ROOT)
    a, b = (both.identify(serialize_identity(one, GOOD)) for one in ("AMSP", "BMSP"))
    assert a.fingerprint != b.fingerprint
    assert set(both) == {"AMSP", "BMSP"}
    assert len(both) == 2


def _other_half(certificate: bytes) -> bytes:
    """The same certificate with its signature's s exchanged for n - s: anybody can do that."""
    parsed = x509.load_pem_x509_certificate(certificate)
    r, s = decode_dss_signature(parsed.signature)
    flipped = encode_dss_signature(r, P256_ORDER - s)
    bits = b"\x03" + length_of(b"\x00" + flipped) + b"\x00" + flipped
    body = parsed.tbs_certificate_bytes + bytes.fromhex("300a06082a8648ce3d040302") + bits
    return pem(b"\x30" + length_of(body) + body)


@pytest.mark.parametrize(
    "spelling",
    [
        GOOD + b"\n",
        b"\n" + GOOD,
        GOOD.strip(),
        GOOD.replace(b"\n", b"\r\n"),
        b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der(GOOD)) + b"\n-----END CERTIFICATE-----",
        _other_half(GOOD),
    ],
)
def test_spellings_of_one_certificate_are_one_identity(spelling: bytes) -> None:
    """In creators they are different bytes; where signers are counted they are one."""
    members = msps(HospitalMSP=ROOT)
    creators = [serialize_identity(MSP_ID, one) for one in (GOOD, spelling)]
    assert creators[0] != creators[1]
    assert len({members.identify(one).fingerprint for one in creators}) == 1


def test_two_certificates_of_one_person_are_two_identities() -> None:
    key = ec_key()
    one, two = (MEMBERS.validate(leaf(ROOT, key=key)) for _ in range(2))
    assert one.fingerprint != two.fingerprint


def test_an_identity_is_good_from_one_time_to_another() -> None:
    member = MEMBERS.validate(GOOD)
    start = int(NOW.timestamp() * 1000)
    end = start + 365 * 24 * 3600 * 1000
    for now_ms in (start, start + 1, end):
        member.require_unexpired(now_ms)
    for now_ms in (0, start - 1, end + 1):
        with pytest.raises(IdentityRefused, match="expired"):
            member.require_unexpired(now_ms)


# Our own authority


def test_what_our_authority_issues_is_valid_and_what_it_revokes_is_not() -> None:
    own = CertificateAuthority.create("ca.own", "own", NOW)
    enrolment = own.issue("nurse", NodeOU.CLIENT, NOW, {"hc.role": "clinician"})
    config = encode_msp_config(MSP_ID, own.certificate, own.certificate)
    assert MSP.from_config(config).validate(enrolment.certificate).attributes == {"hc.role": "clinician"}
    revoked = encode_msp_config(MSP_ID, own.certificate, own.certificate, [own.revoke([enrolment.certificate], NOW)])
    with pytest.raises(IdentityRefused, match="revoked"):
        MSP.from_config(revoked).validate(enrolment.certificate)
    tls = own.issue_tls("peer0", ["peer0.example", "127.0.0.1", "::1"], NOW)
    with pytest.raises(IdentityRefused, match="exactly one of the OUs"):
        MSP.from_config(config).validate(tls.certificate)
    names = x509.load_pem_x509_certificate(tls.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["peer0.example"]
    assert [str(one) for one in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_the_serialized_identity_is_fabrics_message() -> None:
    parsed = identities_pb2.SerializedIdentity.FromString(serialize_identity(MSP_ID, GOOD))
    assert (parsed.mspid, parsed.id_bytes) == (MSP_ID, GOOD)


def test_a_certificate_does_not_begin_before_its_authority() -> None:
    """Fabric validates a chain as of the leaf's beginning; an authority may be a minute old."""
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    made = CertificateAuthority.create("ca", "org", now - datetime.timedelta(minutes=1) + CLOCK_SKEW)
    issued = (made.issue("patient", NodeOU.CLIENT, now), made.issue_tls("host", ["host"], now))
    pems = [made.certificate, *(one.certificate for one in issued)]
    begins = [x509.load_pem_x509_certificate(one).not_valid_before_utc for one in pems]
    assert begins == [now - datetime.timedelta(minutes=1)] * 3
