"""What is written for dnsmasq."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from moorage.adapters.dnsmasq import leases, rendering
from moorage.adapters.dnsmasq.leases import Lease
from moorage.domain.ids import NetworkId, PortId
from moorage.domain.network import Route
from moorage.seams.dhcp import DhcpNetwork, DhcpRange, Reservation

RANGE = DhcpRange("10.0.0.0/24", "10.0.0.2/24", "10.0.0.1", ("9.9.9.9", "8.8.8.8"))
NETWORK = DhcpNetwork(
    NetworkId("5f0c9d3a-0000-4000-8000-000000000000"),
    "tapdhcp",
    "fa:16:3e:00:00:02",
    1450,
    (RANGE,),
    (Reservation(PortId("p1"), "fa:16:3e:00:00:05", "10.0.0.5", "web-1"),),
)
LEASE_FILE = """\
1800000000 fa:16:3e:00:00:05 10.0.0.5 web-1 01:fa:16:3e:00:00:05
1800000000 fa:16:3e:00:00:06 10.0.0.6 * *
duid 00:01
"""


def test_only_reserved_addresses_are_given() -> None:
    lines = rendering.configuration(NETWORK, rendering.Files(Path("/state/n"))).splitlines()
    assert "dhcp-range=set:subnet0,10.0.0.0,static,255.255.255.0,86400s" in lines
    assert "dhcp-authoritative" in lines
    assert "port=0" in lines


def test_what_the_port_is_set_up_with_is_in_the_configuration_so_that_a_change_starts_it_anew() -> None:
    files = rendering.Files(Path("/state/n"))
    first = rendering.configuration(NETWORK, files)
    assert first != rendering.configuration(replace(NETWORK, mtu=1500), files)
    moved = replace(RANGE, server_address="10.0.0.3/24")
    assert first != rendering.configuration(replace(NETWORK, ranges=(moved,)), files)
    assert first == rendering.configuration(replace(NETWORK, reservations=()), files)


def test_a_reservation_is_mac_address_and_name() -> None:
    assert rendering.hosts(NETWORK) == "fa:16:3e:00:00:05,10.0.0.5,web-1\n"


def test_a_name_that_dnsmasq_would_refuse_is_left_out() -> None:
    for bad in ("", "a b", "-x", "x,y", "infinite\nignore", "é"):
        reservation = replace(NETWORK.reservations[0], hostname=bad)
        assert rendering.hosts(replace(NETWORK, reservations=(reservation,))) == "fa:16:3e:00:00:05,10.0.0.5\n"


def test_options_of_a_subnet() -> None:
    assert rendering.options(NETWORK).splitlines() == [
        "26,1450",
        "tag:subnet0,3,10.0.0.1",
        "tag:subnet0,6,9.9.9.9,8.8.8.8",
    ]


def test_absent_options_are_not_left_to_dnsmasqs_defaults() -> None:
    bare = replace(RANGE, gateway=None, dns=())
    assert rendering.options(replace(NETWORK, ranges=(bare,))).splitlines() == [
        "26,1450",
        "tag:subnet0,3",
        "tag:subnet0,6",
    ]


def test_host_routes_repeat_the_default_route() -> None:
    routed = replace(RANGE, routes=(Route("192.168.0.0/16", "10.0.0.9"),))
    assert "tag:subnet0,121,192.168.0.0/16,10.0.0.9,0.0.0.0/0,10.0.0.1" in rendering.options(
        replace(NETWORK, ranges=(routed,))
    )
    without_gateway = replace(routed, gateway=None)
    assert "tag:subnet0,121,192.168.0.0/16,10.0.0.9\n" in rendering.options(replace(NETWORK, ranges=(without_gateway,)))


def test_each_subnet_has_its_own_options() -> None:
    second = DhcpRange("10.1.0.0/16", "10.1.0.2/16", "10.1.0.1")
    two = replace(NETWORK, ranges=(RANGE, second))
    assert "tag:subnet1,3,10.1.0.1\n" in rendering.options(two)
    assert rendering.server_addresses(two) == ("10.0.0.2/24", "10.1.0.2/16")


def test_leases_without_a_reservation_are_stale() -> None:
    found = leases.parsed(LEASE_FILE)
    assert found == (
        Lease("fa:16:3e:00:00:05", "10.0.0.5", bytes.fromhex("01fa163e000005")),
        Lease("fa:16:3e:00:00:06", "10.0.0.6"),
    )
    assert leases.stale(found, {("fa:16:3e:00:00:05", "10.0.0.5")}) == found[1:]
    assert leases.without(LEASE_FILE, found[1:]) == "".join(LEASE_FILE.splitlines(keepends=True)[::2])


def test_a_release_names_client_address_and_server() -> None:
    message = leases.release(leases.parsed(LEASE_FILE)[0], IPv4Address("10.0.0.2"), 7)
    assert len(message) == 240 + 3 + 6 + 9 + 1
    assert message[12:16] == bytes([10, 0, 0, 5])
    assert message[28:34] == bytes.fromhex("fa163e000005")
    assert message[236:243] == bytes([99, 130, 83, 99, 53, 1, 7])
