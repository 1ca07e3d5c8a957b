"""What joins hosts: no agent begins before the VLANs of all their networks are known."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from moorage.app.underlay import UPLINK, Underlay
from moorage.domain.ids import HostName, NetworkId, PortId
from moorage.seams.switch import Interface
from moorage.seams.world import World

BLUE, RED = NetworkId("blue"), NetworkId("red")


class Bridge:
    """A switch with what was plugged in an earlier life."""

    def __init__(self, **vlans: int) -> None:
        self.uplinks: list[str] = []
        self._ports = {
            PortId(network): Interface(PortId(network), "tap", "m", 1, vlan, network=NetworkId(network))
            for network, vlan in vlans.items()
        }

    async def ensure_bridge(self) -> None: ...

    async def add_uplink(self, device: str) -> None:
        self.uplinks.append(device)

    async def look(self) -> Mapping[PortId, Interface]:
        return self._ports


class Cables:
    """A world in which cables are laid, and nothing else."""

    def __init__(self) -> None:
        self.laid: list[tuple[Any, ...]] = []

    async def connect(self, *ends: str) -> None:
        self.laid.append(ends)


async def test_agents_begin_with_the_vlans_of_every_host() -> None:
    underlay, world = Underlay(Bridge()), Cables()
    joinings = [underlay.joining(number, HostName(f"host-{number}")) for number in (1, 2)]
    async with asyncio.TaskGroup() as group:
        known = group.create_task(underlay.known_vlans())
        await joinings[1].join(cast(World, world), Bridge(blue=7))
        await asyncio.sleep(0)
        assert not known.done()  # the other host may have what this one has never heard of
        await joinings[0].join(cast(World, world), Bridge(red=3))
    assert known.result().numbers == {BLUE: 7, RED: 3}
    assert world.laid == [(UPLINK, "underlay", "host2"), (UPLINK, "underlay", "host1")]
