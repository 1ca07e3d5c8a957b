"""What joins the hosts of one world: a switch of its own, to which each host's is cabled; plain L2, every VLAN.

A network has the same VLAN on all hosts that are joined, so their agents share one map. It is read off all bridges
before the first agent begins: hosts may outlive the process that knew it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from moorage.agent.vlans import Vlans
from moorage.domain.errors import Unavailable
from moorage.domain.ids import HostName, PortId
from moorage.seams.switch import Interface
from moorage.seams.world import World

HOST = "underlay"  # of the holder; it is none of the cloud's
BRIDGE = "br-underlay"
UPLINK = "uplink"  # on every host


class Bridge(Protocol):
    """What is asked of a switch here (adapters/ovsdb/switch.py)."""

    async def ensure_bridge(self) -> None: ...

    async def add_uplink(self, device: str) -> None: ...

    async def look(self) -> Mapping[PortId, Interface]: ...


@dataclass(frozen=True)
class Underlay:
    """Give each host a `joining`; `switch` must be kept connected."""

    switch: Bridge
    vlans: Vlans = field(default_factory=Vlans)
    joinings: list["Joining"] = field(default_factory=list)

    def joining(self, number: int, host: HostName) -> "Joining":
        """The way in of another host."""
        self.joinings.append(Joining(self, number, host))
        return self.joinings[-1]

    async def known_vlans(self) -> Vlans:
        """Those of all networks on all hosts, for an agent to begin with, and to keep up."""
        for joining in self.joinings:
            await joining.is_joined.wait()
        return self.vlans

    async def cable(self, number: int, host: World) -> None:
        """Lay one to the host; repeatable."""
        device = f"host{number}"
        await host.connect(UPLINK, HOST, device)
        await self.switch.ensure_bridge()
        await self.switch.add_uplink(device)


@dataclass(frozen=True)
class Joining:
    """One host's way into the underlay."""

    underlay: Underlay
    number: int
    name: HostName
    is_joined: asyncio.Event = field(default_factory=asyncio.Event)

    async def join(self, host: World, switch: Bridge) -> None:
        """Once the host's bridge is there."""
        await self.underlay.cable(self.number, host)
        await switch.add_uplink(UPLINK)
        self.underlay.vlans.seen(self.name, (await switch.look()).values())
        self.is_joined.set()

    async def check(self) -> None:
        """Raises Unavailable before."""
        if not self.is_joined.is_set():
            raise Unavailable(f"host {self.name} has not been joined with the others")
