"""The hosts file: what is left out has its value, and every fault is named with its place."""

from __future__ import annotations

import re

import msgspec
import pytest

from healthchain.config import DEFAULT, Organisation, Topology
from healthchain.fabric import hosts
from healthchain.fabric.hosts import HostsInvalid, Nodes, local_nodes, read_hosts

OWN = Topology(organisations=(Organisation("one", "hospital", domain_name="one.org"), Organisation("two", "agency")))

FAULTS = {
    "[nobody]": "the topology has no nobody",
    "[one]\ncolour = 1": "unknown field `colour`",
    '[one]\npeer = "one.org"': "[one]: Expected `str` matching",
    '[one]\npeer = "one.org:0"': "[one]: Expected `str` matching",
    '[one]\npeer = "one.org:65536"': "one.peer: there is no port above 65535",
    '[one]\npeer = "one org:7051"': "[one]: Expected `str` matching",
    '[one]\npeer = "::1:7051"': "[one]: Expected `str` matching",
    '[one]\npeer = "1.2.3:7051"': "one.peer: 1.2.3 is neither a name nor an IPv4 address",
    '[one]\norderer = "one.org:7051"': "one.orderer has the port of one.peer",
    '[one]\npeer = "peer0.two.healthchain.example:7051"': "two.peer is where one has a node",
    '[one]\nfolder = "opt"': "[one]: Expected `str` matching",
    '[one]\nfolder = "/opt/../etc"': "[one]: Expected `str` matching",
    '[one]\nfolder = "/opt/our folder"': "[one]: Expected `str` matching",
    "one = 1": "the hosts file",
    "[one": "the hosts file",
}


def test_what_is_left_out_has_the_value_that_the_page_shows() -> None:
    found = read_hosts('[two]\npeer = "192.0.2.7:9051"\n', OWN)
    documented = dict(re.findall(r'^(\w+) = "(.*?)"', hosts.__doc__ or "", re.MULTILINE))
    assert documented.keys() == {one.name for one in msgspec.structs.fields(Nodes)}
    assert msgspec.structs.asdict(found["one"]) == {
        name: value.replace("DOMAIN", "one.org") for name, value in documented.items()
    }
    assert (found["two"].peer, found["two"].orderer) == ("192.0.2.7:9051", "orderer0.two.healthchain.example:7050")


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_named(text: str) -> None:
    with pytest.raises(HostsInvalid) as refused:
        read_hosts(text, OWN)
    assert FAULTS[text] in str(refused.value)


def test_without_a_file_everybody_is_at_home() -> None:
    assert read_hosts("", DEFAULT)["city-clinic"].peer == "peer0.city-clinic.healthchain.example:7051"
    assert local_nodes(7051).folder == ""
