"""Hosts of the three kinds: which adapters stand behind the seams of compute and agent."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import MemoryHypervisor
from moorage.adapters.memory.switch import MemorySwitch
from moorage.adapters.qemu.command_line import Accelerator
from moorage.app import underlay
from moorage.app.config import CloudSettings, HostKind
from moorage.app.hosts import Equipment, Runner, no_vlans
from moorage.app.switch_start import kept_switch, start_switch
from moorage.app.underlay import Joining, Underlay
from moorage.app.worlds import Worlds, host_names
from moorage.compute.manager import Capacity
from moorage.domain.errors import Unavailable
from moorage.domain.ids import HostName
from moorage.kit.retry import retry
from moorage.seams.hypervisor import Hypervisor
from moorage.seams.switch import Wiring
from moorage.seams.world import World

if TYPE_CHECKING:
    from moorage.adapters.ovsdb.switch import OvsSwitch

KVM = Path("/dev/kvm")

log = structlog.get_logger(__name__)


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
    dhcp = MemoryDhcp(dhcp=times.dhcp)
    return Equipment(
        name=name,
        plugging=switch,
        wiring=lambda: (switch, ()),
        hypervisor=MemoryHypervisor(switch, dhcp, create=times.create, resume=times.resume),
        dhcp=lambda: dhcp,
        capacity=Capacity(vcpus=64, memory_mib=1 << 20, disk_gib=1 << 16, hypervisor_type="simulated"),
        life=uuid4().hex,  # its guests live in this process
        sent=switch.sent,
    )


async def equip(
    settings: CloudSettings, worlds: Worlds, accelerator: Accelerator
) -> tuple[list[Equipment], Sequence[Runner]]:
    """The adapters of hosts that are real, and what must run for all of them."""
    names = host_names(settings.hosts)
    uid_map = await asyncio.to_thread(Path(f"/proc/{worlds.holder.pid}/uid_map").read_text)
    joined: Underlay | None = None
    shared: Sequence[Runner] = ()
    if len(names) > 1:
        joined, shared = await start_underlay(worlds.world(underlay.HOST), worlds.sockets)
    equipment = []
    for number, name in enumerate(names, start=1):
        joining = None if joined is None else joined.joining(number, name)
        world = worlds.world(name)
        host = await on_open_vswitch(name, settings, world, worlds.sockets, accelerator, uid_map, joining, worlds.id)
        equipment.append(host)
        worlds.guests.append(host.hypervisor)
    return equipment, shared


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
    life: str = "",
) -> Equipment:
    """A host of kind netns or qemu: a switch of its own in its world, guests and DHCP servers around it.

    `uid_map` (/proc/PID/uid_map) is that of the world's user namespace: each guest gets a user of its own where it can.
    With `joining` its networks reach other hosts of this world; `life` names this world among earlier ones.
    """
    from moorage.adapters.dnsmasq.dhcp import Dnsmasq
    from moorage.adapters.ovsdb.switch import OvsSwitch

    state, rundir = _state_of(settings.state_dir, name), runtime / name
    for directory in (state, rundir, state / "images", state / "dhcp", state / "guests", rundir / "qmp"):
        directory.mkdir(parents=True, exist_ok=True)
    await start_switch(world, rundir)

    sent: Counter[str] = Counter()

    def wiring() -> tuple[Wiring, Sequence[Runner]]:
        switch = OvsSwitch(rundir, sent=sent)
        return switch, [("switch, as the agent sees it", switch.run)]

    plugging = OvsSwitch(rundir)
    hypervisor, runners = guests_on(settings.host_kind, name, settings.state_dir, world, runtime, accelerator, uid_map)
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
            *kept_switch(world, rundir),
            *runners,
        ],
        world=world,
        life=life,
        check=partial(_check, plugging, joining),
        vlans=no_vlans if joining is None else joining.underlay.known_vlans,
        sent=sent,
    )


def guests_on(
    kind: HostKind,
    name: HostName,
    state: Path,
    world: World,
    runtime: Path,
    accelerator: Accelerator = Accelerator.TCG,
    uid_map: str = "",
) -> tuple[Hypervisor, Sequence[Runner]]:
    """What runs the guests of a host, and what must run for it. `state` and `runtime` are the cloud's.

    With no `uid_map` it can look at guests and end them, and starts none.
    """
    guests = _state_of(state, name) / "guests"
    if kind is HostKind.NETNS:
        from moorage.adapters.netns.hypervisor import NetnsHypervisor

        netns = NetnsHypervisor(world, guests)
        return netns, [("netns guests", netns.run)]
    from moorage.adapters.qemu.hypervisor import QemuHypervisor
    from moorage.adapters.qemu.users import guest_uids

    uids = guest_uids(guests, uid_map)
    if uids is None and os.geteuid() == 0 and uid_map:
        log.warning("guests run as root: this container has no user ids for them")
    qemu = QemuHypervisor(world, guests, runtime / name / "qmp", accelerator=accelerator, uids=uids)
    return qemu, [("qemu", qemu.run)]


def _state_of(state: Path, host: HostName) -> Path:
    return state / "hosts" / host


async def _bridge(switch: "OvsSwitch", world: World, joining: Joining | None) -> None:
    await switch.ensure_bridge()
    if joining is not None:
        await retry(partial(joining.join, world, switch), on=Unavailable)
    await asyncio.get_running_loop().create_future()


async def _check(switch: "OvsSwitch", joining: Joining | None) -> None:
    await switch.check()
    if joining is not None:
        await joining.check()


async def start_underlay(world: World, runtime: Path) -> tuple[Underlay, Sequence[Runner]]:
    """The switch that joins hosts, in a world of its own, and what must run for it."""
    from moorage.adapters.ovsdb.switch import OvsSwitch

    rundir = runtime / underlay.HOST
    await asyncio.to_thread(partial(rundir.mkdir, parents=True, exist_ok=True))
    await start_switch(world, rundir)
    switch = OvsSwitch(rundir, name=underlay.BRIDGE, fail_mode="standalone")
    return Underlay(switch), [("underlay", switch.run), *kept_switch(world, rundir)]


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
