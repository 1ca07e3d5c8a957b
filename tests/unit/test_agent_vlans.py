"""Which VLAN is a network's: kept while anybody has it, and given back."""

from collections.abc import Iterable

import pytest

from moorage.agent.vlans import Vlans
from moorage.domain.errors import Exhausted
from moorage.domain.ids import NetworkId, PortId
from moorage.seams.switch import DEAD_VLAN, Interface

A, B = NetworkId("a"), NetworkId("b")


def ports(*on: tuple[NetworkId | None, int | None]) -> list[Interface]:
    return [
        Interface(PortId(f"p{number}"), f"tap{number}", "fa:16:3e:00:00:01", number, vlan, network=network)
        for number, (network, vlan) in enumerate(on, 1)
    ]


def seen(*on: tuple[NetworkId | None, int | None], who: str = "h1") -> Vlans:
    vlans = Vlans()
    vlans.seen(who, ports(*on))
    return vlans


def wrong(vlans: Vlans, *on: tuple[NetworkId | None, int | None]) -> Iterable[int]:
    """The ofports of those that are not where they belong."""
    return [port.ofport for port in ports(*on) if port.ofport is not None and not vlans.is_right(port)]


def test_networks_keep_the_numbers_that_the_bridge_shows() -> None:
    vlans = seen((A, 5), (None, DEAD_VLAN), (None, None), (B, 6), (A, 5))
    assert vlans.numbers == {A: 5, B: 6}
    assert vlans.of("h1", A) == 5
    assert vlans.of("h1", NetworkId("new")) == 1


def test_a_host_without_a_free_number_says_so() -> None:
    vlans = Vlans()
    assert {vlans.of("h1", NetworkId(str(number))) for number in range(1, DEAD_VLAN)} == set(range(1, DEAD_VLAN))
    with pytest.raises(Exhausted):
        vlans.of("h1", NetworkId("new"))


def test_more_networks_than_there_are_numbers_can_come_one_after_another() -> None:
    vlans = Vlans()
    given = []
    for number in range(3 * DEAD_VLAN):
        given.append(vlans.of("h1", NetworkId(str(number))))
        vlans.keep("h1", [NetworkId(str(number))])
    assert given[: DEAD_VLAN - 1] == [*range(1, DEAD_VLAN)], "what was given back last is given out last"
    assert len(vlans.numbers) == 1


def test_a_number_is_a_networks_until_nobody_has_it() -> None:
    vlans = seen((A, 5), who="h1")
    vlans.of("h2", A)
    vlans.keep("h1", [])
    assert vlans.numbers == {A: 5}
    with vlans.held("DHCP of h1", A) as vlan:
        vlans.keep("h2", [])
        assert vlans.numbers == {A: vlan}
    vlans.keep("h2", [])
    assert vlans.numbers == {}


def test_of_two_vlans_of_a_network_that_of_most_ports_is_right() -> None:
    on = (A, 5), (A, 9), (A, 9), (A, DEAD_VLAN), (A, None)
    vlans = seen(*on)
    assert vlans.numbers == {A: 9}
    assert wrong(vlans, *on) == [1]
    vlans.seen("h1", ports((A, 5), (A, 5)))
    assert vlans.numbers == {A: 9}, "once known, it stays"


def test_of_two_networks_on_a_vlan_one_gets_another() -> None:
    on = (A, 5), (B, 5), (B, 5)
    vlans = seen(*on)
    assert vlans.numbers == {B: 5, A: 1}
    assert wrong(vlans, *on) == [1]
