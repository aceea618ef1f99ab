"""Test vectors. "Go" = computed by a small program calling Fabric's own packages (protoutil, rwsetutil, policydsl,
bccsp/utils, the Go shim) at v3.1.5; "Node" = fabric-shim and @hyperledger/fabric-protos. Hex throughout.
"""

from __future__ import annotations

# 1. Transaction id (Go and Node agree): nonce 00..17, creator pb(SerializedIdentity).
NONCE = bytes(range(24))
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
CREATOR = bytes.fromhex(
    "0a0b486f73706974616c4d5350123b2d2d2d2d2d424547494e2043455254494649434154452d2d2d2d2d0a414141410a"
    "2d2d2d2d2d454e442043455254494649434154452d2d2d2d2d0a"
)
TX_ID = "25e287ba8437f59717f0f6fa7269191b32c1b63a20dd358c2b2a9ec8f2549ca6"

# 2. Proposal (Go): channel health, chaincode ehr, put k1 v1, transient {"secret": "s3"}, 1700000000 s 5 ns.
PROPOSAL_INPUT = bytes.fromhex("0a180802120512036568721a0d0a037075740a026b310a027631")
PROPOSAL_PAYLOAD = bytes.fromhex("0a1a0a180802120512036568721a0d0a037075740a026b310a027631120c0a0673656372657412027333")
CHANNEL_HEADER = bytes.fromhex(
    "08031a080880e2cfaa06100522066865616c74682a403235653238376261383433376635393731376630663666613732"
    "36393139316233326331623633613230646433353863326232613965633866323534396361363a0712051203656872"
)
PROPOSAL_HASH = bytes.fromhex("9c6119e176955c406e1a92c1bd1cf8674c52d67407668c444fba780ca14da61d")
PROPOSAL_BYTES_LENGTH = 248
PROPOSAL_DIGEST = bytes.fromhex("65c12d6bb8bec2b1faea0bc939c955c3e5794c1a90a695a4c32dfd22c6126a2b")

# 3. Read-write set (Go): see test_vectors.READ_WRITE_SET for what is in it.
RESULTS = bytes.fromhex(
    "12340a0a5f6c6966656379636c6512260a240a1e6e616d657370616365732f6669656c64732f6568722f53657175656e"
    "63651202080212eb010a0365687212240a040a026b310a0a0a026b321204080310011a060a026b3010011a080a026b31"
    "1a0276311abd010a04636f6c6c1292010a220a20f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd"
    "7a69f68a12440a20f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a1a200717031b935f"
    "131e7a4974ff41f4511bbd630b61dd1a813d47a214106b9ec14b12260a203946ca64ff78d93ca61090a437cbb6b3d2ca"
    "0d488f5f9ccf3059608368b27693100120011a2086952cac1cee8ffdab03658d4b36bb11fda7f078b2ec01b471c53f43"
    "977321c9"
)
PRIVATE_SET = bytes.fromhex("1a080a0270311a0270761a060a0270321001")
PRIVATE_SET_HASH = bytes.fromhex("86952cac1cee8ffdab03658d4b36bb11fda7f078b2ec01b471c53f43977321c9")

# 4. Endorsement (Go) of 2 and 3 with Response{200, payload "ok"}, event {"created", "x"}, version 1.
RESPONSE_PAYLOAD_LENGTH = 436
RESPONSE_PAYLOAD_HASH = bytes.fromhex("dc7f1bed36503133ccd1353e4046bbbc4c76009cb29f3e0577230aecec0db7d2")
ENDORSEMENT_DIGEST = bytes.fromhex("3b341dae82b49ebc1dea22a86caa31a8af4b1860598310de6ab0dc70caac5ca6")

# 5. Block data and headers (Go; the formula was checked on a live chain): number -> (previous hash, bytes, hash).
BLOCK_DATA = [b"a", b"bc", b""]
DATA_HASH = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
PREVIOUS = "84fd9bac333ad79154348296204fa7f8c537a96e08983e5f73b3f5aca8e8edf7"
HEADERS = {
    0: (
        "",
        "302702010004000420" + DATA_HASH,
        "a7c5d8fa57948c7d5213552ce244fada0ff78da319e07deaf93ff5679f578cdc",
    ),
    5: (
        PREVIOUS,
        "30470201050420" + PREVIOUS + "0420" + DATA_HASH,
        "a0e58cd62543013259dd3ac6c6482c15bec779ff12315499222e276df214c713",
    ),
    128: (
        PREVIOUS,
        "3048020200800420" + PREVIOUS + "0420" + DATA_HASH,
        "aa275a83d0f3f1b719ed0beefbab6b7bb81511f9269129e0e064caec48cf2dce",
    ),
    2**64 - 1: (
        PREVIOUS,
        "304f020900ffffffffffffffff0420" + PREVIOUS + "0420" + DATA_HASH,
        "cd8d0f6ab3bbd523937ed06dea38188d24ea62d280075f46a659421cc9bd08f4",
    ),
}

# 6. Orderer signatures over header 5 (Go).
ORDERER_VALUE = bytes.fromhex("0a0012040a020102")
RAFT_DIGEST = bytes.fromhex("8fb2f21a425673c32c7b4a3506b2a8ea44a0f87f0ecb000c2389bf5e00e74c9c")
IDENTIFIER_HEADER = bytes.fromhex("08031218000102030405060708090a0b0c0d0e0f1011121314151617")
BFT_DIGEST = bytes.fromhex("2881edef57e2bc9e6e38abb509912660cf7eb502c4e64a19420d9cf07a2e7a3b")

# 7. Composite key ("rec", ["p1", "2026"]) and the end of its range (Go and Node).
COMPOSITE_KEY = bytes.fromhex("00726563007031003230323600")
COMPOSITE_END = COMPOSITE_KEY + bytes.fromhex("f48fbfbf")

# 8. Policies (Go): OutOf(2, 'AgencyMSP.peer', 'HospitalMSP.peer', 'InsurerMSP.peer'); the default validation parameter.
OUT_OF_2 = bytes.fromhex(
    "1210120e08021202080012020801120208021a0f120d0a094167656e63794d535010031a11120f0a0b486f7370697461"
    "6c4d535010031a10120e0a0a496e73757265724d53501003"
)
DEFAULT_VALIDATION_PARAMETER = bytes.fromhex("12202f4368616e6e656c2f4170706c69636174696f6e2f456e646f7273656d656e74")

# 9. Low S (Go).
HIGH_S = bytes.fromhex("302702020080022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc63254c")
LOW_S = bytes.fromhex("300702020080020105")
P256_HALF_ORDER = 0x7FFFFFFF800000007FFFFFFFFFFFFFFFDE737D56D38BCF4279DCE5617E3192A8

# 10. Range summaries (Go): keys k000.. with version (1, i), degree 50: results -> hashes of level 1.
RANGE_HASHES = {
    51: ["27b51b959690c8c6fb892ce824b424ce3b5d12436d83b7ab2c90fd3b1506d300"],
    120: [
        "27b51b959690c8c6fb892ce824b424ce3b5d12436d83b7ab2c90fd3b1506d300",
        "4b85a4a3a3a10251d74b497bb77fe56dbec203126fbd951839671cbb047be743",
        "25ff0904db7c833f49c0d48e8eb41ff085b07c839b67fd390bccd461cc9cee79",
    ],
}

# 11. Messages: READY and GET_STATE (Go), CommitStatusRequest and ErrorDetail (Node).
READY_PAYLOAD = bytes.fromhex("080110e807180120e807")
GET_STATE_MESSAGE = bytes.fromhex("08081a040a026b31220274313a066865616c7468")
COMMIT_STATUS_REQUEST = bytes.fromhex("0a02743112066865616c74681a026964")
ERROR_DETAIL = bytes.fromhex("0a0a70656572303a37303531120b486f73706974616c4d53501a04626f6f6d")
