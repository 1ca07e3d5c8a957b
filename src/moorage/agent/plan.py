"""What to wire, as values: which VLAN, which flows, which ports are news (hops seen, wired)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from moorage.domain.errors import Exhausted
from moorage.domain.ids import NetworkId, PortId
from moorage.seams.switch import DEAD_VLAN, Flow, Interface, Match, Normal, WirePlan
from moorage.wire.messages import PortDetails

ETH_ARP = 0x0806
ETH_IPV4 = 0x0800
UDP = 17


@dataclass(frozen=True)
class Known:
    """What the agent has told of a port in this life of its own."""

    generation: str | None
    ofport: int
    is_up: bool  # False: asked, and not to be wired (not bound here, or switched off)


def news_of(bridge: Mapping[PortId, Interface], known: Mapping[PortId, Known]) -> tuple[list[Interface], list[PortId]]:
    """The servers' ports that must be looked at, and those that are gone.

    To be looked at: never seen, of a new generation, on another ofport, or no longer wired (vswitchd was restarted).
    A port without a valid ofport is not looked at: it would be reported ready before there is a device.
    """
    fresh = []
    for port, interface in bridge.items():
        if interface.is_service or interface.ofport is None:
            continue
        before = known.get(port)
        if (
            before is None
            or before.generation != interface.generation
            or before.ofport != interface.ofport
            or (before.is_up and not is_wired(interface))
        ):
            fresh.append(interface)
    gone = [port for port in known if port not in bridge or bridge[port].ofport is None]
    return fresh, gone


def is_wired(interface: Interface) -> bool:
    """Whether the bridge carries the proof that this generation was wired."""
    return interface.wired == (interface.generation or "-") and interface.vlan not in (None, DEAD_VLAN)


def vlans_of(bridge: Iterable[Interface]) -> dict[NetworkId, int]:
    """The VLANs that networks already have on this host, read off the bridge: an agent's restart changes none."""
    return {
        interface.network: interface.vlan
        for interface in bridge
        if interface.network is not None and interface.vlan is not None and interface.vlan != DEAD_VLAN
    }


def vlan_for(network: NetworkId, vlans: Mapping[NetworkId, int]) -> int:
    """The network's VLAN on this host, else the lowest free one. Raises Exhausted when all 4094 are in use."""
    if network in vlans:
        return vlans[network]
    used = set(vlans.values())
    for vlan in range(1, DEAD_VLAN):
        if vlan not in used:
            return vlan
    raise Exhausted("all 4094 VLANs of this host are in use")


def plan_for(details: PortDetails, interface: Interface, vlan: int) -> WirePlan:
    """How this port is made to work."""
    if interface.ofport is None:
        raise AssertionError(f"port {interface.port} has no ofport")
    return WirePlan(
        port=interface.port,
        ofport=interface.ofport,
        vlan=vlan,
        network=NetworkId(details.network),
        generation=interface.generation,
        flows=tuple(flows_for(details, interface.ofport)),
    )


def flows_for(details: PortDetails, ofport: int) -> list[Flow]:
    """What the port may send. Without port security: all. With it: only as itself (no false MAC, address or ARP).

    Security groups are not enforced yet (`port_filter` is false).
    """
    if not details.port_security_enabled:
        return [Flow(0, 10, Match(in_port=ofport), (Normal(),))]
    pairs = [(details.mac, address) for address in details.addresses]
    pairs += [(pair.get("mac_address") or details.mac, pair["ip_address"]) for pair in details.allowed_address_pairs]
    flows = [
        Flow(0, 1, Match(in_port=ofport)),  # all else: dropped
        # asking for an address: from nowhere yet, to the DHCP port only
        Flow(
            0,
            20,
            Match(in_port=ofport, dl_src=details.mac, dl_type=ETH_IPV4, nw_proto=UDP, tp_src=68, tp_dst=67),
            (Normal(),),
        ),
        # may answer no DHCP requests
        Flow(0, 30, Match(in_port=ofport, dl_type=ETH_IPV4, nw_proto=UDP, tp_src=67, tp_dst=68)),
    ]
    for mac, address in dict.fromkeys(pairs):
        if ":" in address:
            continue  # IPv6 comes with the firewall
        source = IPv4Network(address, strict=False)
        flows.append(
            Flow(0, 20, Match(in_port=ofport, dl_src=mac, dl_type=ETH_ARP, arp_sha=mac, arp_spa=source), (Normal(),))
        )
        flows.append(Flow(0, 10, Match(in_port=ofport, dl_src=mac, dl_type=ETH_IPV4, nw_src=source), (Normal(),)))
    # an address probe (RFC 5227) comes from 0.0.0.0
    probe = Match(
        in_port=ofport, dl_src=details.mac, dl_type=ETH_ARP, arp_sha=details.mac, arp_spa=IPv4Network("0.0.0.0/32")
    )
    flows.append(Flow(0, 20, probe, (Normal(),)))
    return flows
