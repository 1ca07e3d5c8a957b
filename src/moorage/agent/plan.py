"""What to wire, as values: which ports are news, and which VLAN is their network's (hops seen, wired)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moorage.domain.errors import Exhausted
from moorage.domain.ids import NetworkId, PortId
from moorage.seams.switch import DEAD_VLAN, Interface


@dataclass(frozen=True)
class Known:
    """What the agent has told of a port in this life of its own."""

    generation: str | None
    ofport: int
    is_up: bool  # False: asked, and not to be wired (not bound here, or switched off)
    details: str | None = None  # the digest of those by which it was wired
    is_stale: bool = False  # the network said since that it is not what it was


def news_of(bridge: Mapping[PortId, Interface], known: Mapping[PortId, Known]) -> tuple[list[Interface], list[PortId]]:
    """The servers' ports that must be looked at, and those that are gone.

    To be looked at: never seen, of a new generation, on another ofport, stale, or no longer wired (vswitchd was
    restarted).
    A port without a valid ofport is not looked at: it would be reported ready before there is a device.
    """
    fresh = []
    for port, interface in bridge.items():
        if interface.is_service or interface.ofport is None:
            continue
        before = known.get(port)
        if (
            before is None
            or before.is_stale
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
