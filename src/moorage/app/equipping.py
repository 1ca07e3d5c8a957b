"""Hosts of the three kinds: which adapters stand behind the seams of compute and agent."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import MemoryHypervisor
from moorage.adapters.memory.switch import MemorySwitch
from moorage.adapters.qemu.command_line import Accelerator
from moorage.app import underlay
from moorage.app.config import CloudSettings, HostKind
from moorage.app.guests import capacity_of, guests_on
from moorage.app.hosts import Equipment, no_vlans
from moorage.app.places import state_of
from moorage.app.serving.part import Runner
from moorage.app.switch_start import kept_switch, start_switch
from moorage.app.underlay import Joining, Underlay
from moorage.app.worlds import Worlds, host_names
from moorage.compute.manager import Capacity
from moorage.domain.errors import Unavailable
from moorage.domain.ids import HostName
from moorage.kit.retry import retry
from moorage.seams.switch import Wiring
from moorage.seams.world import World

if TYPE_CHECKING:
    from moorage.adapters.ovsdb.switch import OvsSwitch


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

    state, rundir = state_of(settings.state_dir, name), runtime / name
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
        capacity=capacity_of(settings.host_kind, settings.hosts),
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
