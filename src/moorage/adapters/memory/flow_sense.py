"""Plans that no switch would carry out: what a simulated switch answers with an error, as Open vSwitch does."""

from moorage.seams.flow import (
    ARP,
    ICMP,
    ICMPV6,
    INVALID,
    IPV4,
    IPV6,
    SCTP,
    TCP,
    TRACKED,
    UDP,
    Conjunction,
    Flow,
    GoTo,
    Match,
    Output,
    Track,
)
from moorage.seams.switch import DEAD_VLAN, WirePlan

LAST_PORT = 0xFF00  # OFPP_MAX: above are the reserved ones

# What a packet must be for a field to be there (OpenFlow 1.3.5, section 7.2.3.6; ovs-fields(7)).
NEEDS = {
    "nw_proto": ("dl_type", {ARP, IPV4, IPV6}),
    "nw_frag": ("dl_type", {IPV4, IPV6}),
    "nw_src": ("dl_type", {IPV4, IPV6}),
    "nw_dst": ("dl_type", {IPV4, IPV6}),
    "arp_spa": ("dl_type", {ARP}),
    "arp_sha": ("dl_type", {ARP}),
    "tp_src": ("nw_proto", {ICMP, TCP, UDP, SCTP, ICMPV6}),
    "tp_dst": ("nw_proto", {ICMP, TCP, UDP, SCTP, ICMPV6}),
    "nd_target": ("nw_proto", {ICMPV6}),
    "ct_nw_proto": ("dl_type", {IPV4, IPV6}),
    "ct_nw_src": ("dl_type", {IPV4, IPV6}),
    "ct_nw_dst": ("dl_type", {IPV4, IPV6}),
    "ct_tp_src": ("ct_nw_proto", {ICMP, TCP, UDP, SCTP, ICMPV6}),
    "ct_tp_dst": ("ct_nw_proto", {ICMP, TCP, UDP, SCTP, ICMPV6}),
}
OF_CONNECTIONS = ("ct_nw_proto", "ct_nw_src", "ct_nw_dst", "ct_tp_src", "ct_tp_dst")


def nonsense(plan: WirePlan) -> str | None:
    """Why no switch would carry out the plan, None when one would."""
    if not 0 <= plan.vlan <= DEAD_VLAN:
        return f"constraint violation: {plan.vlan} is not in the valid range 0 to {DEAD_VLAN}"
    return next((why for flow in plan.flows if (why := nonsense_of(flow)) is not None), None)


def nonsense_of(flow: Flow) -> str | None:
    """Why no switch would take the flow."""
    if not all(_is_there(field, flow.match) for field in NEEDS) or not _knows_its_connection(flow.match):
        return "the switch refused its flows: OFPBMC_BAD_PREREQ"
    if any(isinstance(action, Conjunction) for action in flow.actions) and not all(
        isinstance(action, Conjunction) for action in flow.actions
    ):
        return "the switch refused its flows: NXBAC_BAD_CONJUNCTION"
    for action in flow.actions:
        match action:
            case GoTo(table=table) if table <= flow.table:
                return "the switch refused its flows: OFPBIC_BAD_TABLE_ID"
            case Output(port=port) if not 0 < port <= LAST_PORT:
                return "the switch refused its flows: OFPBAC_BAD_OUT_PORT"
            case Track() if flow.match.dl_type not in (IPV4, IPV6):
                return "the switch refused its flows: OFPBAC_MATCH_INCONSISTENT"
    return None


def _is_there(field: str, match: Match) -> bool:
    below, kinds = NEEDS[field]
    return getattr(match, field) is None or getattr(match, below) in kinds


def _knows_its_connection(match: Match) -> bool:
    """Of a connection only what is tracked and not invalid knows anything."""
    if all(getattr(match, field) is None for field in OF_CONNECTIONS):
        return True
    state = match.ct_state
    if state is None or not state.value & TRACKED:
        return False
    return bool(state.value & ~(TRACKED | INVALID)) or bool(state.mask & INVALID and not state.value & INVALID)
