"""The tables that packets go through on a host's bridge, and the flows that are the same whatever ports there are.

A packet comes in at CLASSIFY. What a guest sends passes SOURCE (only as itself) and OUT (by its groups); DELIVER finds
the ports that it is for, and IN asks their groups. Nothing is switched by learning: each port's addresses are known,
and what is for none of them goes to FABRIC, to other hosts. A group's rules stand once for all ports that have the same
groups: their policy, a number, is in POLICY while they are asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from moorage.seams.flow import (
    ANY_VLAN,
    ARP,
    ICMPV6,
    INVALID,
    IPV4,
    IPV6,
    LATER,
    NEW,
    REPLY,
    UDP,
    Action,
    Flow,
    GoTo,
    Load,
    Masked,
    Match,
    Output,
    OutputTo,
    PopVlan,
    PushVlan,
    Resubmit,
    Track,
    VlanFrom,
    VlanInto,
    state,
)

CLASSIFY = 0  # by which port it came
SOURCE = 10  # what a guest may send as: its MAC addresses, addresses, ARP
OUT = 20  # what a guest may always send; the rest is tracked, in the zone of its port
NEIGHBOUR = 21  # whom a guest may announce itself as
OUT_TRACKED = 22
OUT_ALLOWED = 24
DELIVER = 30  # for whom it is
IN = 40  # what a guest always gets; the rest is tracked, in the zone of its port
IN_TRACKED = 42
IN_ALLOWED = 44
RULES_IN = 50  # sets ALLOWED for connections that a policy lets in
RULES_OUT = 52  # the same, for those that it lets out
FLOOD = 60  # to many, each asked
FLOOD_ALLOWED = 62
FLOOD_ALL = 64  # to all of a network
FLOOD_OPEN = 66  # to those of a network that are not asked: ports without port security, and our own
FABRIC = 70  # to other hosts

FLAGS, ALLOWED, TRUSTED = "reg2", 1, 2  # bits: a rule allows it; it came from a port of our own
FROM, VLAN, TO, POLICY = "reg5", "reg6", "reg7", "xreg0"  # ports by their ofports
FLOOD_ZONE = 0xFFFF  # no port's; nothing is kept in it
OURS = 1  # the mark of connections that a port of our own has begun

MULTICAST = "01:00:00:00:00:00/01:00:00:00:00:00"  # broadcasts too
DHCP_CLIENT, DHCP_SERVER = 68, 67  # UDP ports
DHCP6_CLIENT, DHCP6_SERVER = 546, 547
# ICMPv6 types (RFC 4861, RFC 3810)
MLD_QUERY, MLD_REPORTS = 130, (131, 132, 143)
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT, REDIRECT = range(133, 138)

TRACKED = state(lacks=INVALID)

allow: Action = Load(FLAGS, 1, bits=1)  # ALLOWED
ask_anew: Action = Load(FLAGS, 0, bits=1)


def base(uplinks: Sequence[int]) -> list[Flow]:
    """The flows of a bridge, with or without ports that lead to other hosts."""
    return [*_source(), *_out(), *_deliver(), *_in(), *_fabric(uplinks)]


def dhcp(sport: int, dport: int) -> Match:
    return Match(dl_type=IPV6 if sport > 500 else IPV4, nw_proto=UDP, tp_src=sport, tp_dst=dport)


def icmp6(kind: int) -> Match:
    return Match(dl_type=IPV6, nw_proto=ICMPV6, tp_src=kind)


TO_SERVERS = (dhcp(DHCP_CLIENT, DHCP_SERVER), dhcp(DHCP6_CLIENT, DHCP6_SERVER))
FROM_SERVERS = (dhcp(DHCP_SERVER, DHCP_CLIENT), dhcp(DHCP6_SERVER, DHCP6_CLIENT))
TO_ROUTERS = (*map(icmp6, MLD_REPORTS), icmp6(ROUTER_SOLICITATION))
FROM_ROUTERS = (icmp6(MLD_QUERY), icmp6(ROUTER_ADVERTISEMENT))


def _source() -> Iterable[Flow]:
    for match in (*FROM_SERVERS, icmp6(ROUTER_ADVERTISEMENT), icmp6(REDIRECT)):
        yield Flow(SOURCE, 100, match)


def _out() -> Iterable[Flow]:
    for match in (*TO_SERVERS, *TO_ROUTERS, icmp6(SOLICITATION)):
        yield Flow(OUT, 20, match, (GoTo(DELIVER),))
    yield Flow(OUT, 20, icmp6(ADVERTISEMENT), (GoTo(NEIGHBOUR),))
    for dl_type in (IPV4, IPV6):
        yield Flow(OUT, 10, Match(dl_type=dl_type), (Track(FROM, table=OUT_TRACKED),))
    yield Flow(OUT_TRACKED, 50, Match(ct_state=state(has=INVALID)))
    yield Flow(OUT_TRACKED, 45, Match(ct_state=TRACKED, ct_mark=OURS), (GoTo(DELIVER),))
    yield from _later_fragments(OUT_TRACKED, OUT_ALLOWED)
    yield Flow(OUT_TRACKED, 40, Match(ct_state=state(lacks=REPLY)), (Resubmit(RULES_OUT), GoTo(OUT_ALLOWED)))
    yield Flow(OUT_TRACKED, 40, Match(ct_state=state(has=REPLY)), (Resubmit(RULES_IN), GoTo(OUT_ALLOWED)))
    yield from (Flow(OUT_ALLOWED, 10, new, (_keep(FROM), ask_anew, GoTo(DELIVER))) for new in _new(ALLOWED))
    yield Flow(OUT_ALLOWED, 5, Match(reg2=Masked(ALLOWED, ALLOWED)), (ask_anew, GoTo(DELIVER)))


def _later_fragments(tracked: int, allowed: int) -> Iterable[Flow]:
    """A switch that keeps fragments apart (netdev) cannot ask for their ports. They pass; their first one is asked for,
    and without it nobody can put the packet together."""
    for dl_type in (IPV4, IPV6):
        yield Flow(tracked, 42, Match(dl_type=dl_type, nw_frag=LATER, ct_state=TRACKED), (allow, GoTo(allowed)))


def _new(flag: int) -> Iterable[Match]:
    """The first packets of connections with this flag."""
    return [Match(reg2=Masked(flag, flag), dl_type=dl_type, ct_state=state(has=NEW)) for dl_type in (IPV4, IPV6)]


def _keep(zone: str, mark: int | None = None) -> Track:
    return Track(zone, commit=True, mark=mark)


def _deliver() -> Iterable[Flow]:
    def to_many(priority: int, match: Match, *actions: Action) -> Flow:
        return Flow(DELIVER, priority, replace(match, dl_dst=MULTICAST), actions)

    for match in (Match(dl_type=ARP), *FROM_SERVERS, *FROM_ROUTERS, icmp6(SOLICITATION), icmp6(ADVERTISEMENT)):
        yield to_many(18, match, GoTo(FLOOD_ALL))
    for match in (*TO_SERVERS, *TO_ROUTERS):
        yield to_many(18, match, GoTo(FLOOD_OPEN))
    yield to_many(16, Match(reg2=Masked(TRUSTED, TRUSTED)), GoTo(FLOOD_ALL))
    for dl_type in (IPV4, IPV6):
        yield to_many(14, Match(dl_type=dl_type), Track(FLOOD_ZONE, table=FLOOD))
        yield Flow(FLOOD, 20, Match(dl_type=dl_type, nw_frag=LATER, ct_state=TRACKED), (GoTo(FLOOD_ALL),))
    yield Flow(DELIVER, 1, Match(), (GoTo(FLOOD_OPEN),))


def _in() -> Iterable[Flow]:
    for match in (Match(dl_type=ARP), *FROM_SERVERS, *FROM_ROUTERS, icmp6(SOLICITATION), icmp6(ADVERTISEMENT)):
        yield Flow(IN, 20, match, (OutputTo(TO),))
    for dl_type in (IPV4, IPV6):
        yield Flow(IN, 10, Match(dl_type=dl_type), (Track(TO, table=IN_TRACKED),))
    yield from (Flow(IN_TRACKED, 60, new, (_keep(TO, mark=OURS), OutputTo(TO))) for new in _new(TRUSTED))
    yield Flow(IN_TRACKED, 55, Match(reg2=Masked(TRUSTED, TRUSTED)), (OutputTo(TO),))
    yield Flow(IN_TRACKED, 50, Match(ct_state=state(has=INVALID)))
    yield from _later_fragments(IN_TRACKED, IN_ALLOWED)
    yield Flow(IN_TRACKED, 40, Match(ct_state=state(lacks=REPLY)), (Resubmit(RULES_IN), GoTo(IN_ALLOWED)))
    yield Flow(IN_TRACKED, 40, Match(ct_state=state(has=REPLY)), (Resubmit(RULES_OUT), GoTo(IN_ALLOWED)))
    yield from (Flow(IN_ALLOWED, 10, new, (_keep(TO), OutputTo(TO))) for new in _new(ALLOWED))
    yield Flow(IN_ALLOWED, 5, Match(reg2=Masked(ALLOWED, ALLOWED)), (OutputTo(TO),))


def _fabric(uplinks: Sequence[int]) -> Iterable[Flow]:
    for uplink in uplinks:
        yield Flow(CLASSIFY, 10, Match(in_port=uplink, vlan=ANY_VLAN), (VlanInto(VLAN), PopVlan(), GoTo(DELIVER)))
    if uplinks:
        yield Flow(FABRIC, 1, Match(), (PushVlan(), VlanFrom(VLAN), *map(Output, uplinks)))
