"""What runs the guests of a host: QEMU, or network namespaces; and how much of the machine they may have."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from moorage.adapters.qemu.command_line import Accelerator
from moorage.app.config import HostKind
from moorage.app.places import state_of
from moorage.app.serving.part import Runner
from moorage.compute.manager import Capacity
from moorage.domain.errors import Invalid, Unavailable
from moorage.domain.ids import HostName
from moorage.seams.hypervisor import Hypervisor
from moorage.seams.world import World

if TYPE_CHECKING:
    from moorage.seams.hypervisor import GuestImage

Builder = Callable[[Path, Callable[[str], None]], Awaitable["GuestImage"]]
KVM = Path("/dev/kvm")

log = structlog.get_logger(__name__)


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
    guests = state_of(state, name) / "guests"
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


async def find_accelerator(
    kind: HostKind, cache: Path, progress: Callable[[str], None], *, device: Path = KVM, image: Builder | None = None
) -> Accelerator:
    """What runs QEMU guests here: KVM where it boots one, which is tried once for each boot of the machine.

    Where there is no guest to try it with, TCG, which runs everywhere; the log says why.
    """
    if kind is not HostKind.QEMU or not await asyncio.to_thread(device.exists):
        return Accelerator.TCG
    from moorage.adapters.guest_image.build import guest_image
    from moorage.adapters.qemu.accel import kvm_works

    try:
        tried = await (image or guest_image)(cache, progress)
    except (Invalid, Unavailable) as error:
        log.warning("KVM is not tried: guests run without it, which is slow", reason=error.message)
        return Accelerator.TCG
    works = await kvm_works(tried, cache / "kvm", progress)
    return Accelerator.KVM if works else Accelerator.TCG


def capacity_of(kind: HostKind, hosts: int) -> Capacity:
    """What each of so many hosts has of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    is_qemu = kind is HostKind.QEMU
    return Capacity(
        vcpus=os.cpu_count() or 1 if is_qemu else 64,
        memory_mib=memory * 3 // 4 // hosts if is_qemu else 1 << 20,  # a namespace takes next to nothing
        disk_gib=1 << 16,
        hypervisor_type="QEMU" if is_qemu else "netns",
    )
