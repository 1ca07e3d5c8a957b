"""Plans that no switch would carry out: what a simulated switch answers with an error, as Open vSwitch does."""

from moorage.seams.switch import DEAD_VLAN, Flow, GoTo, Match, Output, WirePlan

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP, SCTP, ICMPV6 = 1, 6, 17, 132, 58
LAST_PORT = 0xFF00  # OFPP_MAX: above are the reserved ones

# What a packet must be for a field to be there (OpenFlow 1.3.5, section 7.2.3.6).
NEEDS = {
    "nw_proto": ("dl_type", {ARP, IPV4, IPV6}),
    "nw_src": ("dl_type", {IPV4}),
    "nw_dst": ("dl_type", {IPV4}),
    "arp_spa": ("dl_type", {ARP}),
    "arp_sha": ("dl_type", {ARP}),
    "tp_src": ("nw_proto", {ICMP, TCP, UDP, SCTP, ICMPV6}),
    "tp_dst": ("nw_proto", {ICMP, TCP, UDP, SCTP, ICMPV6}),
}


def nonsense(plan: WirePlan) -> str | None:
    """Why no switch would carry out the plan, None when one would."""
    if not 0 <= plan.vlan <= DEAD_VLAN:
        return f"constraint violation: {plan.vlan} is not in the valid range 0 to {DEAD_VLAN}"
    return next((why for flow in plan.flows if (why := _nonsense(flow)) is not None), None)


def _nonsense(flow: Flow) -> str | None:
    if not all(_is_there(field, flow.match) for field in NEEDS):
        return "the switch refused its flows: OFPBMC_BAD_PREREQ"
    for action in flow.actions:
        match action:
            case GoTo(table=table) if table <= flow.table:
                return "the switch refused its flows: OFPBIC_BAD_TABLE_ID"
            case Output(port=port) if not 0 < port <= LAST_PORT:
                return "the switch refused its flows: OFPBAC_BAD_OUT_PORT"
    return None


def _is_there(field: str, match: Match) -> bool:
    below, kinds = NEEDS[field]
    return getattr(match, field) is None or getattr(match, below) in kinds
