"""A host's virtual switch, from its two sides: compute plugs VIFs (hop plugged), the agent wires them (seen, wired)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from moorage.domain.ids import Generation, NetworkId, PortId, ServerId
from moorage.seams.flow import Flow

DEAD_VLAN = 4095  # where a port is isolated until it is wired
TRANSACTION, FLOW_BATCH = "transaction", "flow batch"  # what a switch is sent, where it is counted


@dataclass(frozen=True)
class Vif:
    """What compute plugs; the Interface row's external_ids: iface-id, attached-mac, vm-uuid, plug-generation."""

    port: PortId
    server: ServerId
    mac: str
    device: str
    generation: Generation


class Plugging(Protocol):
    """Compute's side."""

    async def plug(self, vif: Vif) -> None:
        """Put the VIF, whose device is there, on the integration bridge, on the dead VLAN; returns when the switch's
        database has committed it.

        Repeatable: a second plug of one generation changes nothing, a new generation puts the port back on the dead
        VLAN with nothing said about it being wired. Raises Unavailable.
        """

    async def unplug(self, port: PortId) -> None:
        """Take the port's VIF away; returns when that is committed. A missing one is fine. Raises Unavailable."""

    async def wired(self, port: PortId) -> Generation | None:
        """The generation that the agent has proven wired, by its mark on the switch; None if it has not.

        Tells "not wired" from "wired, and not reported". Raises Unavailable.
        """

    async def plugged(self) -> Mapping[PortId, Vif]:
        """Every VIF of a server on the bridge. Raises Unavailable."""


@dataclass(frozen=True)
class Interface:
    """A port on the bridge as the agent sees it.

    `ofport` is None until the switch has opened the device for good (then 1 … 65279); `error` says why it could not.
    `vlan` is the port's tag (DEAD_VLAN before it is wired, None if it has none); `wired` the generation that was last
    proven wired here; `generation` None for a VIF that somebody else (a real Nova) plugged.
    """

    port: PortId
    device: str
    mac: str
    ofport: int | None
    vlan: int | None
    generation: Generation | None = None
    wired: str | None = None  # a generation, or "-" for a device that has none
    network: NetworkId | None = None
    error: str | None = None
    is_service: bool = False  # a port of our own (DHCP), not of a server


@dataclass(frozen=True)
class Shared:
    """Flows that are no server port's own, by names. No two names have a flow in common.

    `is_all`: there are no others. If not, those under other names are left as they are.
    """

    flows: Mapping[str, tuple[Flow, ...]]
    is_all: bool = True


@dataclass(frozen=True)
class WirePlan:
    """What makes one port work: its VLAN, and its flows (which replace all flows the port had).

    The connections of `zone`, where one is named, are forgotten when a port gets these that had none of them.
    """

    port: PortId
    ofport: int
    vlan: int
    network: NetworkId
    generation: Generation | None
    flows: tuple[Flow, ...]
    zone: int | None = None

    def misfit(self, generation: Generation | None, ofport: int | None) -> str | None:
        """Why it does not fit its port as that is by now, None when it does: it was made of an earlier look."""
        if generation != self.generation:
            return f"it was plugged anew, in generation {generation}"
        if ofport != self.ofport:
            return f"its ofport is {ofport}, not {self.ofport}"
        return None


class Wiring(Protocol):
    """The agent's side."""

    def watch(self) -> AsyncIterator[Mapping[PortId, Interface]]:
        """The whole bridge, every port on it: now, and soon after each change (changes that come together once).

        Does not end: it survives a restart of the switch's database, and says the whole anew after reconnecting. A slow
        reader misses intermediate states, never the latest.
        """

    async def look(self) -> Mapping[PortId, Interface]:
        """The whole bridge now. Raises Unavailable."""

    async def wire(self, plans: Sequence[WirePlan], shared: Shared | None = None) -> Mapping[PortId, str]:
        """Carry the plans out: VLAN, flows, a barrier, and then the mark `moorage-wired`.

        `shared` takes the place of the shared flows that were there; None leaves them. Of what the switch has already
        nothing is touched, also when it had it before this object was made; what is new comes before what goes, so that
        packets which may pass before and after pass all the time.

        Returns the ports that could not be wired, with the reason; those not named are proven wired. One bad port
        never holds up another; a bad shared flow is left out, and logged. Repeatable. Raises Unavailable when the
        switch did not answer at all.
        """

    async def unwire(self, ports: Sequence[PortId], shared: Shared | None = None) -> None:
        """Remove the flows of ports that are gone (or must not work any more); `shared` as for `wire`. Repeatable.

        Raises Unavailable.
        """

    async def add_service_port(self, port: PortId, device: str, mac: str, vlan: int, network: NetworkId) -> int:
        """Put a port of our own (a DHCP server's, which has made its device) on the bridge; returns its ofport. Its
        flows are shared ones.

        Repeatable. Raises Unavailable, also when the switch could not open it within 5 s.
        """

    async def remove_service_port(self, port: PortId) -> None:
        """Take it away again; one that is not there is fine. Raises Unavailable."""
