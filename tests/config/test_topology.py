"""The topology file: what is written is read back, and every fault is named with its key and what to do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.config import DEFAULT, Blocks, Organisation, Topology, TopologyInvalid, read_topology, write_topology
from healthchain.errors import BadInput

ONE = '[[organisations]]\nname = "a"\nkind = "hospital"\n'
AGENCY = '[[organisations]]\nname = "z"\nkind = "agency"\n'
NEEDED = (Organisation("the-hospital-needed", "hospital"), Organisation("the-agency-needed", "agency"))

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True).filter(
    lambda name: len(Organisation(name, "hospital").msp_id) != 22
)
USERS = st.lists(st.sampled_from(["administrator", "clinician", "claims-agent", "health-officer"]), max_size=3)
ORGANISATIONS = st.builds(
    Organisation,
    name=NAMES,
    kind=st.sampled_from(["hospital", "insurer", "agency"]),
    title=st.text(max_size=40).map(lambda text: text or "x"),
    users=USERS.map(tuple),
    domain_name=st.just("") | st.from_regex(r"[a-z0-9]{1,9}(-[a-z0-9]{1,9})?\.[a-z]{2,9}", fullmatch=True),
    hosts=st.lists(st.sampled_from(["10.0.0.7", "fe80::1", "ledger.hospital.org", "ledger"]), max_size=3).map(tuple),
)
BLOCKS = st.builds(
    Blocks,
    transactions_max=st.integers(1, 10_000),
    bytes_preferred=st.integers(1024, 1 << 20),
    bytes_max=st.integers(1 << 20, 90 << 20),
    timeout_ms=st.integers(1, 60_000),
)
TOPOLOGIES = st.builds(
    Topology,
    organisations=st.lists(
        ORGANISATIONS,
        min_size=1,
        max_size=5,
        unique_by=(lambda one: one.name, lambda one: one.msp_id, lambda one: one.domain),
    ).map(lambda some: (*some, *NEEDED)),
    channel=st.from_regex(r"[a-z][a-z0-9.-]{0,59}", fullmatch=True),
    blocks=BLOCKS,
)

FAULTS = {
    "": "required field `organisations`",
    "organisations = []": "$.organisations",
    "[[organisations]]": "required field `name`",
    '[[organisations]]\nname = "a"': "required field `kind` - at `$.organisations[0]`",
    '[[organisations]]\nname = "a"\nkind = "bank"': "$.organisations[0].kind",
    '[[organisations]]\nname = "A B"\nkind = "hospital"': "$.organisations[0].name",
    '[[organisations]]\nname = "a/../b"\nkind = "hospital"': "$.organisations[0].name",
    '[[organisations]]\nname = 7\nkind = "hospital"': "$.organisations[0].name",
    ONE + "colour = 1": "unknown field `colour`",
    ONE + 'title = ""': "$.organisations[0].title",
    ONE + 'users = ["surgeon"]': "users of a: choose from administrator, claims-agent, clinician, health-officer",
    ONE + 'users = ["patient"]': "users of a: choose from",
    ONE + 'domain_name = "a/../b"': "$.organisations[0].domain_name",
    ONE + 'domain_name = "local"': "$.organisations[0].domain_name",
    ONE + 'hosts = ["a b"]': "$.organisations[0].hosts",
    ONE + 'hosts = ["https://a.org"]': "$.organisations[0].hosts",
    ONE + 'hosts = [""]': "$.organisations[0].hosts",
    ONE + 'hosts = ["1:2"]': "hosts of a: 1:2 is no IP address",
    ONE + f'domain_name = "{"a" * 47}.de"': "a: its domain has more than 49 letters",
    f'[[organisations]]\nname = "{"a" * 30}"\nkind = "hospital"': "its domain has more than 49 letters",
    ONE + 'domain_name = "a.de"\n' + AGENCY + 'domain_name = "a.de"': "two organisations have one domain_name",
    ONE + ONE: "two organisations have one name; rename one of them",
    '[[organisations]]\nname = "university-hospitals"\nkind = "hospital"': "university-hospitals makes an MSP id of 22",
    'channel = "Health"\n' + ONE: "$.channel",
    ONE + "[blocks]\ntransactions_max = 0": "$.blocks.transactions_max",
    ONE + "[blocks]\nbytes_max = 1024": "$.blocks.bytes_max",
    ONE + "[blocks]\nbytes_preferred = 50000000\nbytes_max = 2000000": "blocks.bytes_preferred is more than",
    ONE + "[blocks]\ntimeout_ms = 1.5": "$.blocks.timeout_ms",
    ONE + "[blocks]\nsize = 1": "unknown field `size` - at `$.blocks`",
    ONE: "a consortium needs a hospital, and an agency",
    AGENCY: "a consortium needs a hospital, and an agency",
    "name = ": "at end of document",
    "a = 1\na = 2\nb = 3": "at line 2",
    "a = " + "9" * 5000: "the topology file",
    "a = " + "[" * 5000 + "]" * 5000: "the topology file",
    "\0": "line 1",
}


@given(TOPOLOGIES)
@settings(max_examples=60)
def test_what_is_written_is_read_back(topology: Topology) -> None:
    assert read_topology(write_topology(topology)) == topology


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_named(text: str) -> None:
    with pytest.raises(TopologyInvalid) as refused:
        read_topology(text)
    assert str(refused.value).startswith("the topology file: ")
    assert FAULTS[text] in str(refused.value)


@given(st.one_of(st.text(max_size=60), st.text(alphabet='[]{}="\n.ab1,#', max_size=60).map(ONE.__add__)))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_topology(text)
    except TopologyInvalid as refused:
        assert str(refused)  # noqa: PT017 (either outcome will do)


def test_the_default_is_the_design_s_consortium() -> None:
    assert [one.msp_id for one in DEFAULT.organisations] == [
        "GeneralHospitalMSP",
        "CityClinicMSP",
        "MutualInsuranceMSP",
        "HealthAgencyMSP",
    ]
    assert DEFAULT.organisation("city-clinic").domain == "city-clinic.healthchain.example"
    assert set(DEFAULT.organisation("mutual-insurance").roles) == {"administrator", "claims-agent"}
    assert read_topology(write_topology(DEFAULT)) == DEFAULT


def test_an_unknown_organisation_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="choose one of general-hospital, city-clinic, mutual-insurance, health-agency"):
        DEFAULT.organisation("general")


def test_a_long_name_with_a_short_domain_is_taken() -> None:
    text = f'[[organisations]]\nname = "{"a" * 40}"\nkind = "hospital"\ndomain_name = "a.de"\n{AGENCY}'
    assert read_topology(text).organisations[0].domain == "a.de"


@pytest.mark.parametrize("length", range(1, 41))
def test_a_name_of_any_length_is_taken_or_refused_in_words(length: int) -> None:
    text = f'[[organisations]]\nname = "{"a" * length}"\nkind = "hospital"\n{AGENCY}'
    if length + len("MSP") == 22:
        with pytest.raises(TopologyInvalid, match="choose a longer or shorter one"):
            read_topology(text)
    elif length + len(".healthchain.example") > 49:
        with pytest.raises(TopologyInvalid, match="give a shorter domain_name"):
            read_topology(text)
    else:
        assert len(read_topology(text).organisations[0].msp_id) == length + len("MSP")
