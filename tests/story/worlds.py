"""The simulated hosts of a story, and what of it can be stopped and started again."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.story.faults import Faults, faulty
from tests.story.gates import Gate

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import MemoryHypervisor
from moorage.adapters.memory.switch import MemorySwitch
from moorage.agent.vlans import Vlans
from moorage.app.hosts import Equipment
from moorage.compute.manager import Capacity
from moorage.domain.ids import HostName
from moorage.kit.slot import Slot


@dataclass
class Simulated:
    """One host's world: it outlives the services of the host."""

    name: HostName
    switch: MemorySwitch
    dhcp: MemoryDhcp
    hypervisor: MemoryHypervisor
    gate: Gate  # between its services and the rest of the cloud
    vlans: Vlans = field(default_factory=Vlans)


def new_world(number: int) -> Simulated:
    switch = MemorySwitch()
    dhcp = MemoryDhcp()
    return Simulated(HostName(f"host-{number}"), switch, dhcp, MemoryHypervisor(switch, dhcp), Gate())


async def _vlans(world: Simulated) -> Vlans:
    return world.vlans


def equipment(world: Simulated, faults: Faults, images: Path | None) -> Equipment:
    return Equipment(
        name=world.name,
        plugging=faulty(world.switch, faults, who="compute's switch"),
        wiring=lambda: (faulty(world.switch, faults, who="the agent's switch"), ()),
        hypervisor=faulty(world.hypervisor, faults, who="the hypervisor"),
        dhcp=lambda: faulty(world.dhcp, faults, who="DHCP"),
        capacity=Capacity(vcpus=64, memory_mib=1 << 20, disk_gib=1 << 16, hypervisor_type="simulated"),
        vlans=partial(_vlans, world),
        images=images,
    )


@dataclass(frozen=True)
class Restartable:
    """A service of the control plane. While it is stopped its API does not answer; its tables stay."""

    slot: Slot
    gate: Gate = field(default_factory=Gate)

    async def stop(self) -> None:
        self.gate.is_cut = True
        await self.slot.stop()

    def start(self) -> None:
        self.gate.is_cut = False
        self.slot.start()
