"""Which rules mean something."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ports import NOW

from moorage.domain.errors import Invalid
from moorage.domain.ids import ProjectId
from moorage.domain.security_group import SecurityGroupRule, check_rule


def new_rule(**fields: Any) -> SecurityGroupRule:
    given_fields = {"direction": "ingress", "ethertype": "IPv4", **fields}
    return SecurityGroupRule(id="r1", group_id="g1", project_id=ProjectId("d" * 32), created_at=NOW, **given_fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"protocol": "TCP", "port_range_min": 22, "port_range_max": 22},
        {"protocol": "17", "port_range_min": 0, "port_range_max": 65535},
        {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0},
        {"protocol": "icmp", "port_range_min": 8},
        {"protocol": "255"},
        {"protocol": "any"},
        {"remote_ip_prefix": "10.0.0.7/8"},
        {"ethertype": "IPv6", "remote_ip_prefix": "2001:db8::/32"},
        {"remote_group_id": "g1"},
    ],
)
def test_rules_that_mean_something(fields: dict[str, Any]) -> None:
    check_rule(new_rule(**fields))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"direction": "sideways"}, "direction"),
        ({"ethertype": "IPv5"}, "ethertype"),
        ({"protocol": "256"}, "not supported"),
        ({"protocol": "-1"}, "not supported"),
        ({"protocol": ""}, "not supported"),
        ({"port_range_min": 1, "port_range_max": 2}, "Must also specify protocol"),
        ({"protocol": "gre", "port_range_min": 1, "port_range_max": 2}, "Must also specify protocol"),
        ({"protocol": "tcp", "port_range_min": 1}, "port_range_min must be <= port_range_max"),
        ({"protocol": "tcp", "port_range_max": 1}, "port_range_min must be <= port_range_max"),
        ({"protocol": "udp", "port_range_min": -1, "port_range_max": 1}, "Invalid value for port -1"),
        ({"protocol": "icmp", "port_range_min": 256}, "Invalid value for ICMP type"),
        ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 256}, "Invalid value for ICMP code"),
        ({"protocol": "icmp", "port_range_max": 1}, r"ICMP type \(port-range-min\) is missing"),
        ({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "g1"}, "Only remote_ip_prefix or remote_group_id"),
        ({"ethertype": "IPv6", "remote_ip_prefix": "10.0.0.0/8"}, "Conflicting value ethertype"),
    ],
)
def test_rules_that_mean_nothing(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        check_rule(new_rule(**fields))


@given(st.integers(-70000, 70000), st.integers(-70000, 70000))
def test_a_port_range_is_in_order_and_in_bounds(low: int, high: int) -> None:
    rule = new_rule(protocol="tcp", port_range_min=low, port_range_max=high)
    if 0 <= low <= high <= 65535:
        check_rule(rule)
    else:
        with pytest.raises(Invalid):
            check_rule(rule)
