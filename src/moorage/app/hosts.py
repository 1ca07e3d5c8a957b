"""A host's two services, compute and agent, on whatever adapters it is equipped with."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Never

import structlog

from moorage.adapters.memory.metrics import MemoryMetrics
from moorage.agent.vlans import Vlans
from moorage.app.serving.agent import make_agent
from moorage.app.serving.compute import make_compute
from moorage.app.serving.part import Runner
from moorage.compute.boot import PluggingRules
from moorage.compute.manager import Capacity, ComputeHost
from moorage.domain.ids import HostName
from moorage.kit.slot import Slot
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.dhcp import Dhcp
from moorage.seams.hypervisor import Hypervisor
from moorage.seams.image_api import ImageApi
from moorage.seams.metrics import Metrics
from moorage.seams.network_api import NetworkApi
from moorage.seams.switch import Plugging, Wiring
from moorage.seams.timeline import Timeline
from moorage.seams.world import World


@dataclass(frozen=True)
class Outside:
    """What a host needs of the rest of the cloud."""

    bus: Bus
    network: NetworkApi
    images: ImageApi
    clock: Clock
    timeline: Timeline
    rules: PluggingRules
    metrics: Metrics = field(default_factory=MemoryMetrics)


async def nothing_to_check() -> None:
    """A host that is ready from the start."""


async def no_vlans() -> Vlans:
    """An agent that reads its VLANs off its own bridge."""
    return Vlans()


@dataclass(frozen=True)
class Equipment:
    """One host's adapters. `wiring` makes an agent's own view of the switch, with what must run for it."""

    name: HostName
    plugging: Plugging
    wiring: Callable[[], tuple[Wiring, Sequence[Runner]]]
    hypervisor: Hypervisor
    dhcp: Callable[[], Dhcp]
    capacity: Capacity
    images: Path | None = None
    runners: Sequence[Runner] = ()
    world: World | None = None
    life: str = ""  # of its world: guests that ran in an earlier one are off
    check: Callable[[], Awaitable[None]] = nothing_to_check  # raises Unavailable while the host's switch is not ready
    vlans: Callable[[], Awaitable[Vlans]] = no_vlans  # those that an agent begins with, and keeps up
    sent: Counter[str] = field(default_factory=Counter)  # what the host's agents have sent to the switch


@dataclass(frozen=True)
class Host:
    """A host with its two services."""

    equipment: Equipment
    agent: Slot
    slot: Slot = field(repr=False)  # of compute
    lives: list[ComputeHost]  # of compute: the present one

    @property
    def compute(self) -> ComputeHost:
        return self.lives[0]

    async def run(self) -> Never:
        with structlog.contextvars.bound_contextvars(host=self.equipment.name):  # on each line of its tasks
            await supervise(
                [
                    *self.equipment.runners,
                    (f"compute on {self.equipment.name}", self.slot.run),
                    ("agent", self.agent.run),
                ]
            )
        raise AssertionError("a host ended")


def make_host(equipment: Equipment, outside: Outside) -> Host:
    """The host's services on its adapters. Each life of theirs starts from nothing."""
    lives = [_compute(equipment, outside)]
    agent, compute = partial(_agent_life, equipment, outside), partial(_compute_life, equipment, outside, lives)
    return Host(equipment, Slot(agent), Slot(compute), lives)


async def _compute_life(equipment: Equipment, outside: Outside, lives: list[ComputeHost]) -> Never:
    lives[:] = [_compute(equipment, outside)]
    await lives[0].run()


def _compute(equipment: Equipment, outside: Outside) -> ComputeHost:
    return make_compute(
        equipment.name,
        bus=outside.bus,
        network=outside.network,
        images=outside.images,
        clock=outside.clock,
        timeline=outside.timeline,
        rules=outside.rules,
        metrics=outside.metrics,
        life=equipment.life,
        plugging=equipment.plugging,
        hypervisor=equipment.hypervisor,
        image_directory=equipment.images,
        capacity=equipment.capacity,
    )


async def _agent_life(equipment: Equipment, outside: Outside) -> Never:
    wiring, runners = equipment.wiring()
    agent = make_agent(
        equipment.name,
        wiring=wiring,
        dhcp=equipment.dhcp(),
        bus=outside.bus,
        clock=outside.clock,
        timeline=outside.timeline,
        metrics=outside.metrics,
        vlans=await equipment.vlans(),
    )
    await supervise([*runners, (f"agent on {equipment.name}", agent.run)])
