"""Hosts of the three kinds: which adapters stand behind the seams of compute and agent."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Never

import structlog

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import MemoryHypervisor
from moorage.adapters.memory.metrics import MemoryMetrics
from moorage.adapters.memory.switch import MemorySwitch
from moorage.adapters.qemu.command_line import Accelerator
from moorage.agent.agent import Agent
from moorage.agent.dhcp import DhcpServers
from moorage.app import underlay
from moorage.app.config import CloudSettings, HostKind
from moorage.app.metering import MeteredBus, timed_looks
from moorage.app.switch_start import start_switch
from moorage.app.underlay import Joining, Underlay
from moorage.compute.boot import Boot, PluggingRules
from moorage.compute.expectations import Expectations
from moorage.compute.images import Images
from moorage.compute.manager import Capacity, ComputeHost
from moorage.compute.nics import Nics
from moorage.compute.records import Records
from moorage.domain.errors import Unavailable
from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ServerId
from moorage.kit.retry import retry
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

if TYPE_CHECKING:
    from moorage.adapters.ovsdb.switch import OvsSwitch

KVM = Path("/dev/kvm")

log = structlog.get_logger(__name__)

Runner = tuple[str, Callable[[], Awaitable[object]]]


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
    check: Callable[[], Awaitable[None]] = nothing_to_check  # raises Unavailable while the host's switch is not ready
    vlans: Callable[[], dict[NetworkId, int]] = dict  # those that an agent begins with, and keeps up


@dataclass(frozen=True)
class Host:
    """A host with its two services."""

    equipment: Equipment
    compute: ComputeHost
    agent: Slot
    slot: Slot = field(repr=False)

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
    """The host's services on its adapters. Each life of the agent starts from nothing."""
    compute = _compute(equipment, outside)
    return Host(equipment, compute, Slot(partial(_agent_life, equipment, outside)), Slot(compute.run))


def _compute(equipment: Equipment, outside: Outside) -> ComputeHost:
    boots: list[Boot] = []

    def woken(server: ServerId, port: PortId, generation: Generation, why: str) -> None:
        boots[0].told_woken(server, port, generation, why)

    boot = Boot(
        host=equipment.name,
        rules=outside.rules,
        records=Records(outside.bus, equipment.name),
        nics=Nics(outside.network, equipment.name),
        switch=equipment.plugging,
        hypervisor=equipment.hypervisor,
        images=Images(outside.images, equipment.images),
        expectations=Expectations(timed_looks(outside.network, outside.metrics), outside.clock, woken),
        clock=outside.clock,
        timeline=outside.timeline,
    )
    boots.append(boot)
    return ComputeHost(boot, outside.bus, equipment.capacity)


async def _agent_life(equipment: Equipment, outside: Outside) -> Never:
    wiring, runners = equipment.wiring()
    vlans = equipment.vlans()
    dhcp = DhcpServers(equipment.name, equipment.dhcp(), wiring, outside.bus, vlans)
    agent = Agent(
        host=equipment.name,
        wiring=wiring,
        dhcp=dhcp,
        bus=MeteredBus(outside.bus, outside.metrics),
        clock=outside.clock,
        timeline=outside.timeline,
        vlans=vlans,
    )
    await supervise([*runners, (f"agent on {equipment.name}", agent.run)])


def simulated(name: HostName, settings: CloudSettings) -> Equipment:
    """A host in memory: room for thousands of guests, latencies as set."""
    times = settings.simulated
    switch = MemorySwitch(
        plug=times.plug,
        ofport=times.ofport,
        wire=times.wire,
        refuse_device=times.refuse_device,
        refuse_flows=times.refuse_flows,
    )
    dhcp = MemoryDhcp(switch, dhcp=times.dhcp)
    return Equipment(
        name=name,
        plugging=switch,
        wiring=lambda: (switch, ()),
        hypervisor=MemoryHypervisor(switch, dhcp, create=times.create, resume=times.resume),
        dhcp=lambda: dhcp,
        capacity=Capacity(vcpus=64, memory_mib=1 << 20, disk_gib=1 << 16, hypervisor_type="simulated"),
    )


async def find_accelerator(settings: CloudSettings, progress: Callable[[str], None]) -> Accelerator:
    """What runs QEMU guests here: KVM where it boots one, which is tried once for each boot of the machine."""
    if settings.host_kind is not HostKind.QEMU or not await asyncio.to_thread(KVM.exists):
        return Accelerator.TCG
    from moorage.adapters.guest_image.build import guest_image
    from moorage.adapters.qemu.accel import kvm_works

    cache = settings.cache_dir or settings.state_dir / "cache"
    works = await kvm_works(await guest_image(cache, progress), cache / "kvm", progress)
    return Accelerator.KVM if works else Accelerator.TCG


async def on_open_vswitch(
    name: HostName,
    settings: CloudSettings,
    world: World,
    runtime: Path,
    accelerator: Accelerator = Accelerator.TCG,
    uid_map: str = "",
    joining: Joining | None = None,
) -> Equipment:
    """A host of kind netns or qemu: a switch of its own in its world, guests and DHCP servers around it.

    `uid_map` (/proc/PID/uid_map) is that of the world's user namespace: each guest gets a user of its own where it can.
    With `joining` its networks reach other hosts of this world.
    """
    from moorage.adapters.dnsmasq.dhcp import Dnsmasq
    from moorage.adapters.ovsdb.switch import OvsSwitch

    state = settings.state_dir / "hosts" / name
    rundir = runtime / name
    for directory in (state, rundir, state / "images", state / "dhcp", state / "guests", rundir / "qmp"):
        directory.mkdir(parents=True, exist_ok=True)
    await start_switch(world, rundir)

    def wiring() -> tuple[Wiring, Sequence[Runner]]:
        switch = OvsSwitch(rundir)
        return switch, [("switch, as the agent sees it", switch.run)]

    plugging = OvsSwitch(rundir)
    if settings.host_kind is HostKind.QEMU:
        hypervisor, runners = _qemu(world, state / "guests", rundir / "qmp", accelerator, uid_map)
    else:
        hypervisor, runners = _netns(world, state / "guests")
    return Equipment(
        name=name,
        plugging=plugging,
        wiring=wiring,
        hypervisor=hypervisor,
        dhcp=lambda: Dnsmasq(world, state / "dhcp"),
        capacity=_real_capacity(settings.host_kind, settings.hosts),
        images=state / "images" if settings.host_kind is HostKind.QEMU else None,
        runners=[
            ("switch, as compute sees it", plugging.run),
            ("bridge", partial(_bridge, plugging, world, joining)),
            *runners,
        ],
        world=world,
        check=partial(_check, plugging, joining),
        vlans=dict if joining is None else lambda: joining.underlay.vlans,
    )


def _qemu(
    world: World, state: Path, sockets: Path, accelerator: Accelerator, uid_map: str
) -> tuple[Hypervisor, Sequence[Runner]]:
    from moorage.adapters.qemu.hypervisor import QemuHypervisor
    from moorage.adapters.qemu.users import guest_uids

    uids = guest_uids(state, uid_map)
    if uids is None and os.geteuid() == 0:
        log.warning("guests run as root: this container has no user ids for them")
    qemu = QemuHypervisor(world, state, sockets, accelerator=accelerator, uids=uids)
    return qemu, [("qemu", qemu.run)]


def _netns(world: World, state: Path) -> tuple[Hypervisor, Sequence[Runner]]:
    from moorage.adapters.netns.hypervisor import NetnsHypervisor

    netns = NetnsHypervisor(world, state)
    return netns, [("netns guests", netns.run)]


async def _bridge(switch: "OvsSwitch", world: World, joining: Joining | None) -> None:
    await switch.ensure_bridge()
    if joining is not None:
        await retry(partial(joining.join, world, switch), on=Unavailable)
    await asyncio.get_running_loop().create_future()


async def _check(switch: "OvsSwitch", joining: Joining | None) -> None:
    await switch.check()
    if joining is not None:
        await joining.check()


async def start_underlay(world: World, runtime: Path) -> Underlay:
    """The switch that joins hosts, in a world of its own."""
    from moorage.adapters.ovsdb.switch import OvsSwitch

    rundir = runtime / underlay.HOST
    await asyncio.to_thread(partial(rundir.mkdir, parents=True, exist_ok=True))
    await start_switch(world, rundir)
    return Underlay(OvsSwitch(rundir, name=underlay.BRIDGE))


def _real_capacity(kind: HostKind, hosts: int) -> Capacity:
    """What each of so many hosts has of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    is_qemu = kind is HostKind.QEMU
    return Capacity(
        vcpus=os.cpu_count() or 1 if is_qemu else 64,
        memory_mib=memory * 3 // 4 // hosts if is_qemu else 1 << 20,  # a namespace takes next to nothing
        disk_gib=1 << 16,
        hypervisor_type="QEMU" if is_qemu else "netns",
    )
