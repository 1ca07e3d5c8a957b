"""What becomes of ports that are looked at."""

import pytest
from tests.unit.test_agent_plan import interface

from moorage.agent.sorting import sort
from moorage.domain.errors import Exhausted
from moorage.domain.ids import NetworkId
from moorage.seams.switch import Interface, WirePlan
from moorage.wire.messages import PortDetails


@pytest.mark.parametrize("wrong", [ValueError("nonsense"), KeyError("ip_address"), TypeError("None"), AssertionError()])
def test_whatever_is_wrong_with_one_port_is_no_others(wrong: Exception) -> None:
    def plan(details: PortDetails, seen: Interface) -> WirePlan:
        if seen.port == "bad":
            raise wrong
        if seen.port == "late":
            raise Exhausted("no VLAN is left")
        return WirePlan(seen.port, 7, 5, NetworkId("n"), seen.generation, ())

    names = ("bad", "good", "late", "off", "elsewhere", "unknown")
    details = {
        name: PortDetails(port=name, is_bound_here=name != "elsewhere", admin_state_up=name != "off")
        for name in names[:-1]
    }
    found = sort(map(interface, names), details, plan)
    assert [plan.port for plan in found.plans] == ["good"]
    assert [seen.port for seen in found.refused] == ["off", "elsewhere", "unknown"]
    assert found.late == {"late": "no VLAN is left"}
    assert found.aside.keys() == {"bad"}
    assert type(wrong).__name__ in next(iter(found.aside.values()))
