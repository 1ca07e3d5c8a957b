"""Security groups and their rules, as objects (what they mean on the wire is the agent's firewall)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from moorage.domain.errors import Invalid
from moorage.domain.ids import ProjectId

DEFAULT = "default"
# By name, as clients may call them (IANA's numbers).
PROTOCOLS: Mapping[str, int] = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "ipv6-encap": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ospf": 89,
    "vrrp": 112,
    "pgm": 113,
    "sctp": 132,
    "udplite": 136,
}
OF_IPV6 = frozenset(name for name in PROTOCOLS if "v6" in name)
ICMP = frozenset({"icmp", "1", "icmpv6", "ipv6-icmp", "58"})
WITH_PORTS = frozenset({"tcp", "6", "udp", "17", "sctp", "132", "dccp", "33", "udplite", "136"})
NAMED = PROTOCOLS.keys() | {"1", "6", "17", "33", "58", "132", "136", "any"}


@dataclass(frozen=True)
class SecurityGroupRule:
    """`protocol` as given, numbers as text; for ICMP the two port fields are type and code."""

    id: str
    group_id: str
    project_id: ProjectId
    direction: str  # ingress, egress
    ethertype: str  # IPv4, IPv6
    created_at: datetime
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    description: str = ""
    revision_number: int = 0


@dataclass(frozen=True)
class SecurityGroup:
    id: str
    project_id: ProjectId
    name: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    rules: tuple[SecurityGroupRule, ...] = ()
    tags: tuple[str, ...] = ()
    revision_number: int = 1


def check_stateful(stateful: bool) -> None:
    """Raises Invalid for a group that is to be enforced without connection tracking: none is."""
    if not stateful:
        raise Invalid(
            "Stateless security groups are not supported: every group is stateful, so replies need no rule. Leave "
            "stateful out, or set it to true.",
            kind="InvalidInput",
        )


def protocol_number(protocol: str | None, ethertype: str) -> int | None:
    """Which packets a rule is for, None for all; of IPv6 "icmp" is ICMPv6. `protocol` must have passed check_rule."""
    if protocol is None or protocol.lower() in ("any", "0"):
        return None
    if ethertype == "IPv6" and protocol.lower() in ICMP:
        return PROTOCOLS["icmpv6"]
    number = PROTOCOLS.get(protocol.lower())
    return int(protocol) if number is None else number


def check_rule(rule: SecurityGroupRule) -> None:
    """Raises Invalid for a rule that means nothing; the messages are those that clients know."""
    if rule.direction not in ("ingress", "egress"):
        raise Invalid(f"Invalid input for direction. Reason: '{rule.direction}' is not in ['ingress', 'egress'].")
    if rule.ethertype not in ("IPv4", "IPv6"):
        raise Invalid(f"'{rule.ethertype}' is not an ethertype: use IPv4 or IPv6.")
    if rule.remote_ip_prefix is not None and rule.remote_group_id is not None:
        raise Invalid(
            "Only remote_ip_prefix or remote_group_id may be provided.",
            kind="SecurityGroupRemoteGroupAndRemoteIpPrefix",
        )
    _check_protocol(rule)
    _check_prefix(rule)
    _check_ports(rule)


def _check_protocol(rule: SecurityGroupRule) -> None:
    protocol = rule.protocol
    if protocol is None:
        return
    of_ipv6 = OF_IPV6 | {str(PROTOCOLS[name]) for name in OF_IPV6}
    if rule.ethertype == "IPv4" and protocol.lower() in of_ipv6:
        raise Invalid(
            f"Invalid ethertype IPv4 for protocol {protocol}.", kind="SecurityGroupEthertypeConflictWithProtocol"
        )
    if protocol.lower() in NAMED:
        return
    if not (protocol.isdecimal() and int(protocol) <= 255):
        raise Invalid(
            f"Security group rule protocol {protocol} not supported. Only protocol values {sorted(NAMED)} and integer "
            f"representations [0 to 255] are supported.",
            kind="SecurityGroupRuleInvalidProtocol",
        )


def _check_prefix(rule: SecurityGroupRule) -> None:
    if rule.remote_ip_prefix is None:
        return
    try:
        prefix = ip_network(rule.remote_ip_prefix, strict=False)
    except ValueError:
        raise Invalid(f"Invalid CIDR {rule.remote_ip_prefix} given as IP prefix.") from None
    if f"IPv{prefix.version}" != rule.ethertype:
        raise Invalid(
            f"Conflicting value ethertype {rule.ethertype} for CIDR {rule.remote_ip_prefix}",
            kind="SecurityGroupRuleParameterConflict",
        )


def _check_ports(rule: SecurityGroupRule) -> None:
    low, high = rule.port_range_min, rule.port_range_max
    if low is None and high is None:
        return
    protocol = (rule.protocol or "").lower()
    if protocol in ICMP:
        for name, value in (("type", low), ("code", high)):
            if value is not None and not 0 <= value <= 255:
                raise Invalid(
                    f"Invalid value for ICMP {name} (port-range-{'min' if name == 'type' else 'max'}) {value}. "
                    f"It must be 0 to 255.",
                    kind="SecurityGroupInvalidIcmpValue",
                )
        if low is None:
            raise Invalid(
                f"ICMP code (port-range-max) {high} is provided but ICMP type (port-range-min) is missing.",
                kind="SecurityGroupMissingIcmpType",
            )
        return
    if protocol not in WITH_PORTS:
        raise Invalid(
            "Must also specify protocol if port range is given.", kind="SecurityGroupProtocolRequiredWithPorts"
        )
    for value in (low, high):
        if value is not None and not 0 <= value <= 65535:
            raise Invalid(
                f"Invalid value for port {value}. It must be 0 to 65535.", kind="SecurityGroupInvalidPortValue"
            )
    if low is None or high is None or low > high:
        raise Invalid(
            "For TCP/UDP protocols, port_range_min must be <= port_range_max", kind="SecurityGroupInvalidPortRange"
        )
