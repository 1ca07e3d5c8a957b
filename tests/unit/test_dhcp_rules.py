"""Whose word about DHCP counts, and when a port awaits it no more, or again."""

from dataclasses import replace

import pytest
from tests.unit.ports import HOST, bind, new_port, report

from moorage.domain.dhcp import Reserved, dhcp_reported, dhcp_unneeded, readdressed
from moorage.domain.ids import Generation, HostName, SubnetId
from moorage.domain.port import FixedIp, Port, PortStatus, Provisioner, reported_up, set_admin_state

S1, S2 = SubnetId("s1"), SubnetId("s2")
L2, DHCP = Provisioner.L2, Provisioner.DHCP
READ = Reserved(HOST, Generation("g1"), new_port().mac_address, frozenset({"10.0.0.3"}))


def waiting(*subnets: SubnetId, generation: str | None = "g1") -> Port:
    """A port that is wired, and waits for DHCP, with one address in each of these subnets."""
    addresses = tuple(FixedIp(subnet, f"10.0.{number}.3") for number, subnet in enumerate(subnets or (S1,)))
    bound = bind(new_port(fixed_ips=addresses), generation=generation, needs_dhcp=True)
    return reported_up(bound, report(generation=generation))


def test_the_server_that_has_read_the_port_as_it_is_makes_it_ready() -> None:
    assert dhcp_reported(waiting(), READ).status is PortStatus.ACTIVE


@pytest.mark.parametrize(
    "stale",
    [
        replace(READ, host=HostName("h2")),
        replace(READ, generation=Generation("g0")),
        replace(READ, generation=None),
        replace(READ, mac="fa:16:3e:00:00:99"),
        replace(READ, addresses=frozenset({"10.0.0.4"})),
        replace(READ, addresses=frozenset({"10.0.0.3", "10.0.0.4"})),
        replace(READ, addresses=frozenset()),
    ],
)
def test_what_was_read_of_another_binding_or_other_addresses_is_no_news(stale: Reserved) -> None:
    port = waiting()
    assert dhcp_reported(port, stale) is port


def test_a_binding_without_a_generation_takes_its_hosts_word() -> None:
    assert dhcp_reported(waiting(generation=None), READ).status is PortStatus.ACTIVE


def test_a_word_that_nobody_awaits_changes_nothing() -> None:
    ready = dhcp_reported(waiting(), READ)
    unbound = new_port()
    assert dhcp_reported(ready, READ) is ready
    assert dhcp_reported(unbound, READ) is unbound


def test_a_port_without_a_subnet_that_has_dhcp_awaits_it_no_more() -> None:
    port = waiting(S1, S2)
    assert dhcp_unneeded(port, {S2}) is port
    assert dhcp_unneeded(port, set()).status is PortStatus.ACTIVE
    not_wired = replace(port, awaiting=frozenset({L2, DHCP}))
    assert dhcp_unneeded(not_wired, set()) == replace(port, awaiting=frozenset({L2}))
    off = set_admin_state(port, up=False)
    assert dhcp_unneeded(off, set()).status is PortStatus.DOWN


def test_other_addresses_are_awaited_as_they_need_it() -> None:
    port = waiting(S1)
    assert readdressed(port, {S2}, has_server=True).status is PortStatus.ACTIVE
    read = replace(port, awaiting=frozenset({L2}))
    assert readdressed(read, {S1}, has_server=True).awaiting == {L2, DHCP}
    assert readdressed(read, {S1}, has_server=False) is read
    ready = dhcp_reported(port, READ)
    assert readdressed(ready, {S1}, has_server=True) is ready
    assert readdressed(new_port(), {S1}, has_server=True) == new_port()
