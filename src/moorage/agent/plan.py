"""What to wire, as values: which ports are news (hops seen, wired)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moorage.domain.ids import PortId
from moorage.seams.switch import DEAD_VLAN, Interface


@dataclass(frozen=True)
class Known:
    """What the agent has told of a port in this life of its own."""

    generation: str | None
    ofport: int
    is_up: bool  # False: asked, and not to be wired (not bound here, or switched off)
    details: str | None = None  # the digest of those by which it was wired
    is_stale: bool = False  # the network said since that it is not what it was


def news_of(
    bridge: Mapping[PortId, Interface], known: Mapping[PortId, Known], is_right: Callable[[Interface], bool]
) -> tuple[list[Interface], list[PortId]]:
    """The servers' ports that must be looked at, and those that are gone.

    To be looked at: never seen, of a new generation, on another ofport, stale, no longer wired (vswitchd was
    restarted), or not on its network's VLAN (`is_right`).
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
            or (before.is_up and not (is_wired(interface) and is_right(interface)))
        ):
            fresh.append(interface)
    gone = [port for port in known if port not in bridge or bridge[port].ofport is None]
    return fresh, gone


def is_wired(interface: Interface) -> bool:
    """Whether the bridge carries the proof that this generation was wired."""
    return interface.wired == (interface.generation or "-") and interface.vlan not in (None, DEAD_VLAN)
