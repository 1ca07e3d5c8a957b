"""Security groups as flows: what a policy (the groups that ports have in common) lets in and out.

A rule is held against the first packet of a connection, whichever way the packet at hand goes. So replies pass as long
as a rule allows the connection, and a rule that goes takes its connections with it, and no others.

A rule for members of a group is a flow of the policy (clause 2) and one for each member (clause 1): a new member is one
flow, however many ports there are, in each direction for which there is a rule. They meet by the group's number.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, ip_network
from typing import Any

from moorage.agent.pipeline import RULES_IN, RULES_OUT, TRACKED, allow
from moorage.domain.ids import NetworkId
from moorage.seams.flow import ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP, UDP, Conjunction, Flow, Masked, Match
from moorage.wire.messages import GroupRuleSpec, GroupSpec

PLAIN, OF_MEMBERS = 30, 20  # priorities
PORTS = range(1 << 16)
Asked = frozenset[tuple[int, str, str]]  # a group's number, the direction and the IP version of rules for its members
_TABLES = {"ingress": RULES_IN, "egress": RULES_OUT}
_REMOTE = {"ingress": "ct_nw_src", "egress": "ct_nw_dst"}


def policy_of(groups: Iterable[str]) -> int:
    """The number of the policy of ports that are in these groups; the same on all hosts, always."""
    return int.from_bytes(hashlib.blake2b("".join(sorted(groups)).encode(), digest_size=8).digest(), "big")


def numbers_of(remotes: Collection[str]) -> Mapping[str, int]:
    """A number for each group that is named as remote; the same always, but for the rare two that would have one."""
    found: dict[int, str] = {}
    for group in sorted(remotes):
        number = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=4).digest(), "big")
        while number in found or number == 0:
            number = (number + 1) % (1 << 32)
        found[number] = group
    return {group: number for number, group in found.items()}


def remotes_of(groups: Iterable[GroupSpec]) -> frozenset[str]:
    """The groups that the rules of these name as remote."""
    return frozenset(rule.remote_group for group in groups for rule in group.rules if rule.remote_group is not None)


def asked_of(groups: Iterable[GroupSpec], numbers: Mapping[str, int]) -> Mapping[str, Asked]:
    """Where the rules of these groups ask for members: for each group that they name as remote."""
    found: dict[str, set[tuple[int, str, str]]] = {remote: set() for remote in numbers}
    for rule in (rule for group in groups for rule in group.rules):
        if rule.remote_group is not None:
            found[rule.remote_group].add((numbers[rule.remote_group], rule.direction, rule.ethertype))
    return {remote: frozenset(asked) for remote, asked in found.items()}


def flows_of_policy(policy: int, groups: Iterable[GroupSpec], numbers: Mapping[str, int]) -> list[Flow]:
    """What the groups' rules let ports of this policy do."""
    plain: dict[Flow, None] = {}
    of_members: dict[tuple[int, Match], set[int]] = {}
    for rule in (rule for group in groups for rule in group.rules):
        table = _TABLES[rule.direction]
        for match in _matches(policy, rule):
            if rule.remote_group is None:
                plain[Flow(table, PLAIN, match, (allow,))] = None
            else:
                of_members.setdefault((table, match), set()).add(numbers[rule.remote_group])
    members = [
        Flow(table, OF_MEMBERS, match, tuple([Conjunction(number, 2, 2) for number in sorted(met)]))
        for (table, match), met in of_members.items()
    ]
    return [*plain, *members]


def flows_of_group(number: int) -> list[Flow]:
    """Where both clauses of this group match, the connection is allowed."""
    return [Flow(table, OF_MEMBERS, Match(conj_id=number), (allow,)) for table in _TABLES.values()]


def flows_of_member(vlan: int, address: str, asked: Asked) -> list[Flow]:
    """An address, or a prefix, that is a member of groups: a flow for each direction in which it is asked for."""
    member = ip_network(address)
    dl_type = IPV4 if isinstance(member, IPv4Network) else IPV6
    flows = []
    for direction, table in _TABLES.items():
        numbers = sorted(number for number, of, _ in asked if of == direction)
        if numbers:
            match = Match(reg6=vlan, dl_type=dl_type, ct_state=TRACKED, **{_REMOTE[direction]: member})  # type: ignore[arg-type]
            flows.append(Flow(table, OF_MEMBERS, match, tuple([Conjunction(number, 1, 2) for number in numbers])))
    return flows


def members_of(
    groups: Iterable[GroupSpec], asked: Mapping[str, Asked], vlans: Mapping[NetworkId, Collection[int]]
) -> Mapping[tuple[int, str], Asked]:
    """The members of the remote groups on these networks, with all that asks for each."""
    found: dict[tuple[int, str], Asked] = {}
    for group in groups:
        of = asked.get(group.id, frozenset())
        by_version = [frozenset(one for one in of if one[2] == version) for version in ("IPv4", "IPv6")]
        for network, address in group.members:
            met = by_version[":" in address]
            for vlan in vlans.get(NetworkId(network), ()) if met else ():
                before = found.get((vlan, address))
                found[vlan, address] = met if before is None else before | met  # mostly the same object for thousands
    return found


def masks_of(first: int, last: int) -> Iterator[Masked]:
    """A range of ports as the least number of masked ones: 22 to 25 is 22 and 23 as one, 24 and 25 as another."""
    full = PORTS.stop - 1
    while first <= last:
        size = first & -first or PORTS.stop  # the largest block that begins here
        while size > last - first + 1:
            size //= 2
        yield Masked(first, full & ~(size - 1))
        first += size


def _matches(policy: int, rule: GroupRuleSpec) -> Iterable[Match]:
    """The connections that a rule is for, less those whose remote group is to be looked at."""
    fields: dict[str, Any] = {"xreg0": policy, "dl_type": IPV4 if rule.ethertype == "IPv4" else IPV6}
    if rule.remote_prefix is not None:
        remote = ip_network(rule.remote_prefix)
        if remote.prefixlen:
            fields[_REMOTE[rule.direction]] = remote
    if rule.protocol is not None:
        fields["ct_nw_proto"] = rule.protocol
    if len(fields) > 2:
        fields["ct_state"] = TRACKED  # what a match on a connection depends on
    for more in _ports(rule):
        yield Match(**(fields | more))


def _ports(rule: GroupRuleSpec) -> Sequence[dict[str, Any]]:
    """Ports, or type and code, as fields of a match; none at all for ports that the switch cannot see (DCCP)."""
    if rule.protocol is None or (rule.first is None and rule.last is None):
        return [{}]
    if rule.protocol in (ICMP, ICMPV6):
        given = {"ct_tp_src": rule.first, "ct_tp_dst": rule.last}
        return [{name: value for name, value in given.items() if value is not None}]
    if rule.protocol not in (TCP, UDP, SCTP):
        return []
    first = PORTS.start if rule.first is None else rule.first
    last = PORTS.stop - 1 if rule.last is None else rule.last
    if (first, last) == (PORTS.start, PORTS.stop - 1):
        return [{}]
    return [{"ct_tp_dst": port.value if port.mask == PORTS.stop - 1 else port} for port in masks_of(first, last)]
