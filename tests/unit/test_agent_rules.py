"""Security groups as flows: what a policy's rules are, and that nothing is multiplied."""

from typing import Any

import pytest

from moorage.agent.pipeline import RULES_IN, RULES_OUT
from moorage.agent.rules import (
    asked_of,
    flows_of_member,
    flows_of_policy,
    masks_of,
    members_of,
    numbers_of,
    policy_of,
    remotes_of,
)
from moorage.domain.ids import NetworkId
from moorage.seams.flow import ICMP, ICMPV6, TCP, UDP, Conjunction, Flow, Masked
from moorage.wire.messages import GroupRuleSpec, GroupSpec

DCCP = 33


def rule(direction: str = "ingress", ethertype: str = "IPv4", **fields: Any) -> GroupRuleSpec:
    return GroupRuleSpec(direction=direction, ethertype=ethertype, **fields)


def group(name: str, *rules: GroupRuleSpec, members: tuple[tuple[str, str], ...] = ()) -> GroupSpec:
    return GroupSpec(id=name, digest=name, rules=rules, members=members)


def flows(*rules: GroupRuleSpec) -> list[Flow]:
    return flows_of_policy(9, [group("g", *rules)], numbers_of(remotes_of([group("g", *rules)])))


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [(0, 65535, 1), (80, 80, 1), (22, 25, 2), (1, 65535, 16), (1, 65534, 30), (65535, 65535, 1), (1000, 1999, 7)],
)
def test_a_range_of_ports_is_few_masked_ones_and_exactly_these(first: int, last: int, count: int) -> None:
    masks = list(masks_of(first, last))
    assert len(masks) == count
    for port in {0, 1, first, last, max(first - 1, 0), min(last + 1, 65535), (first + last) // 2, 65535}:
        matching = [mask for mask in masks if port & mask.mask == mask.value]
        assert len(matching) == (first <= port <= last), port


def test_a_rule_without_conditions_is_for_all_packets_of_its_ip_version_and_direction() -> None:
    [into, out] = flows(rule(), rule("egress", "IPv6"))
    assert (into.table, into.match.xreg0, into.match.dl_type) == (RULES_IN, 9, 0x800)
    assert (out.table, out.match.xreg0, out.match.dl_type) == (RULES_OUT, 9, 0x86DD)
    assert into.match.ct_state is None


def test_a_prefix_is_where_a_connection_comes_from_or_goes_to() -> None:
    [into, out] = flows(rule(remote_prefix="10.0.0.0/8"), rule("egress", remote_prefix="10.0.0.0/8"))
    assert (str(into.match.ct_nw_src), into.match.ct_nw_dst) == ("10.0.0.0/8", None)
    assert (out.match.ct_nw_src, str(out.match.ct_nw_dst)) == (None, "10.0.0.0/8")
    assert flows(rule(remote_prefix="0.0.0.0/0")) == flows(rule())


def test_ports_types_and_codes() -> None:
    [http] = flows(rule(protocol=TCP, first=80, last=80))
    assert (http.match.ct_nw_proto, http.match.ct_tp_dst) == (TCP, 80)
    assert [flow.match.ct_tp_dst for flow in flows(rule(protocol=UDP, first=22, last=25))] == [
        Masked(22, 0xFFFE),
        Masked(24, 0xFFFE),
    ]
    assert flows(rule(protocol=UDP, first=0, last=65535)) == flows(rule(protocol=UDP))
    [echo] = flows(rule(protocol=ICMP, first=8, last=0))
    assert (echo.match.ct_tp_src, echo.match.ct_tp_dst) == (8, 0)
    [errors] = flows(rule(ethertype="IPv6", protocol=ICMPV6, first=1))
    assert (errors.match.ct_tp_src, errors.match.ct_tp_dst) == (1, None)


def test_ports_that_the_switch_cannot_see_let_nothing_in() -> None:
    assert flows(rule(protocol=DCCP, first=5, last=5)) == []
    assert len(flows(rule(protocol=DCCP))) == 1


def test_rules_that_say_the_same_are_one_flow() -> None:
    assert len(flows(rule(), rule(), rule(remote_prefix="0.0.0.0/0"))) == 1


def test_one_match_for_members_of_two_groups_is_one_flow_with_two_clauses() -> None:
    [flow] = flows(rule(protocol=TCP, remote_group="a"), rule(protocol=TCP, remote_group="b"))
    numbers = numbers_of({"a", "b"})
    assert set(flow.actions) == {Conjunction(numbers["a"], 2, 2), Conjunction(numbers["b"], 2, 2)}


def test_a_member_is_one_flow_in_each_direction_that_is_asked_for_whatever_groups_it_is_in() -> None:
    groups = [
        group("a", rule(remote_group="a"), members=(("n1", "10.0.0.5"), ("n2", "10.0.0.5"))),
        group("b", rule(remote_group="b"), rule("egress", "IPv6", remote_group="b"), rule("egress", remote_group="a")),
        group("b", members=(("n1", "10.0.0.5"), ("n1", "fe80::5"))),
        group("c", members=(("n1", "10.0.0.9"),)),
    ]
    numbers = numbers_of({"a", "b"})
    asked = asked_of(groups, numbers)
    members = members_of(groups, asked, {NetworkId("n1"): [7]})
    assert members.keys() == {(7, "10.0.0.5"), (7, "fe80::5")}
    into, out = flows_of_member(7, "10.0.0.5", members[7, "10.0.0.5"])
    assert (into.match.reg6, str(into.match.ct_nw_src)) == (7, "10.0.0.5/32")
    assert set(into.actions) == {Conjunction(numbers["a"], 1, 2), Conjunction(numbers["b"], 1, 2)}
    assert (out.match.reg6, str(out.match.ct_nw_dst)) == (7, "10.0.0.5/32")
    assert out.actions == (Conjunction(numbers["a"], 1, 2),)
    [sixth] = flows_of_member(7, "fe80::5", members[7, "fe80::5"])
    assert (str(sixth.match.ct_nw_dst), sixth.actions) == ("fe80::5/128", (Conjunction(numbers["b"], 1, 2),))


def test_numbers_are_the_same_always() -> None:
    assert policy_of(["a", "b"]) == policy_of(["b", "a"]) != policy_of(["a"])
    few, more = numbers_of({"a", "b"}), numbers_of({"c", "b", "a"})
    assert few == {name: more[name] for name in few}
    assert len(set(more.values())) == 3
