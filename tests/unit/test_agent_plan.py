"""What the agent decides to wire, and how."""

from typing import Any

import pytest

from moorage.agent.plan import Known, news_of
from moorage.domain.ids import Generation, NetworkId, PortId
from moorage.seams.switch import DEAD_VLAN, Interface

MAC = "fa:16:3e:00:00:01"


def interface(port: str = "p", **changes: Any) -> Interface:
    given: dict[str, Any] = {
        "port": PortId(port),
        "device": "tap" + port,
        "mac": MAC,
        "ofport": 7,
        "vlan": DEAD_VLAN,
        "generation": Generation("g1"),
        **changes,
    }
    return Interface(**given)


def bridge(*interfaces: Interface) -> dict[PortId, Interface]:
    return {found.port: found for found in interfaces}


def is_right(interface: Interface) -> bool:
    return interface.vlan != 6


def up(generation: str = "g1", ofport: int = 7) -> Known:
    return Known(generation, ofport, is_up=True)


WIRED: dict[str, Any] = {"vlan": 5, "wired": "g1", "network": NetworkId("n")}


def test_a_port_never_seen_is_news() -> None:
    fresh, gone = news_of(bridge(interface()), {}, is_right)
    assert ([found.port for found in fresh], gone) == (["p"], [])


def test_a_port_without_an_ofport_is_not_looked_at() -> None:
    assert news_of(bridge(interface(ofport=None, error="could not open device")), {}, is_right) == ([], [])


def test_a_port_of_our_own_is_not_looked_at() -> None:
    assert news_of(bridge(interface(is_service=True)), {}, is_right) == ([], [])


def test_a_wired_port_that_is_known_is_no_news() -> None:
    assert news_of(bridge(interface(**WIRED)), {PortId("p"): up()}, is_right) == ([], [])


@pytest.mark.parametrize(
    "changed",
    [
        {**WIRED, "generation": Generation("g2")},
        {**WIRED, "ofport": 8},
        {**WIRED, "wired": None},
        {**WIRED, "vlan": DEAD_VLAN},
        {**WIRED, "vlan": 6},
        {**WIRED, "vlan": None},
    ],
)
def test_a_known_port_that_is_not_what_it_was_is_news(changed: dict[str, Any]) -> None:
    fresh, _ = news_of(bridge(interface(**changed)), {PortId("p"): up()}, is_right)
    assert [found.port for found in fresh] == ["p"]


def test_a_port_that_the_network_has_changed_is_news_and_gone_like_any_other() -> None:
    stale = {PortId("p"): Known("g1", 7, is_up=True, is_stale=True)}
    fresh, _ = news_of(bridge(interface(**WIRED)), stale, is_right)
    assert [found.port for found in fresh] == ["p"]
    assert news_of({}, stale, is_right) == ([], ["p"])


def test_a_port_that_was_refused_is_asked_about_once() -> None:
    assert news_of(bridge(interface()), {PortId("p"): Known("g1", 7, is_up=False)}, is_right) == ([], [])


@pytest.mark.parametrize("left", [{}, bridge(interface(ofport=None))])
def test_a_known_port_that_is_not_there_any_more_is_gone(left: dict[PortId, Interface]) -> None:
    assert news_of(left, {PortId("p"): up()}, is_right) == ([], ["p"])
