"""A host of kind qemu as the all-in-one equips it: each guest's QEMU is a user of its own, in a sandbox."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.real.guests import moorage_guest, said

from moorage.adapters.qemu.hypervisor import QemuHypervisor
from moorage.adapters.qemu.users import COUNT, FIRST
from moorage.adapters.world.client import HolderProcess
from moorage.app.config import CloudSettings, HostKind
from moorage.app.equipping import on_open_vswitch
from moorage.app.hosts import Equipment
from moorage.domain.ids import HostName, PortId, ServerId, device_name
from moorage.seams.hypervisor import Guest, GuestState, Nic

INIT_IS_UP = b"moorage-guest: init is up"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Equipment]:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)  # no guest's user may enter it
    with tempfile.TemporaryDirectory(prefix="mq") as runtime:  # pytest's own are too long for sockets
        async with HolderProcess() as holder, asyncio.TaskGroup() as group:
            uid_map = Path(f"/proc/{holder.pid}/uid_map").read_text()
            settings = CloudSettings(state, HostKind.QEMU)
            host = await on_open_vswitch(
                HostName("host-1"), settings, holder.world("host-1"), Path(runtime), uid_map=uid_map
            )
            runs = [group.create_task(_run(run)) for _, run in host.runners]
            assert isinstance(host.hypervisor, QemuHypervisor)
            yield host
            await host.hypervisor.close()
            for run in runs:
                run.cancel()


async def _run(run: object) -> None:
    assert callable(run)
    await run()


async def guest(number: int) -> Guest:
    port = PortId(f"{number}0000000-0000-4000-8000-000000000001")
    return Guest(
        ServerId(f"5e00000{number}-0000-4000-8000-000000000001"),
        "web",
        vcpus=1,
        memory_mib=96,
        disk_gib=0,
        image=await moorage_guest(),
        nics=(Nic(port, f"fa:16:3e:00:00:0{number}", device_name(port), mtu=1450),),
    )


def ids(server: ServerId) -> list[tuple[str, ...]]:
    """Uid, gid, groups and seccomp mode of the guest's QEMU."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if server.encode() in (path / "cmdline").read_bytes():
                lines = (line.partition(":") for line in (path / "status").read_text().splitlines())
                status = {name: value.split() for name, _, value in lines}
                found.append(tuple(" ".join(sorted({*status[key]})) for key in ("Uid", "Gid", "Groups", "Seccomp")))
        except OSError:
            continue  # it has ended
    return found


async def test_each_guest_is_a_user_of_its_own_through_its_whole_life(host: Equipment) -> None:
    users = []
    first, second = await guest(1), await guest(2)
    for one in (first, second):
        await host.hypervisor.create_stopped(one)
        await host.hypervisor.resume(one.server)
        await said(host.hypervisor, one.server, INIT_IS_UP)
        [(uid, gid, groups, seccomp)] = ids(one.server)
        assert FIRST <= int(uid) < FIRST + COUNT
        assert (gid, groups, seccomp) == (uid, uid, "2")
        users.append(uid)
    assert users[0] != users[1]
    await host.hypervisor.power_off(second.server)
    await host.hypervisor.create_stopped(second)
    assert ids(second.server)[0][0] == users[1]
    await host.hypervisor.destroy(second.server)
    assert ids(second.server) == []


async def test_a_disk_that_only_root_may_read_boots_and_is_kept(host: Equipment, tmp_path: Path) -> None:
    convert = await asyncio.create_subprocess_exec("qemu-img", "create", "-qf", "qcow2", tmp_path / "image", "16M")
    assert await convert.wait() == 0
    (tmp_path / "image").chmod(0o600)
    one = await guest(1)
    one = replace(one, image=replace(one.image, disk=tmp_path / "image", disk_format="qcow2"))
    for _ in range(2):
        await host.hypervisor.create_stopped(one)
        await host.hypervisor.resume(one.server)
        await said(host.hypervisor, one.server, INIT_IS_UP)
        await host.hypervisor.reboot(one.server, patience=0.0)
        assert await host.hypervisor.state(one.server) is GuestState.RUNNING
        await host.hypervisor.power_off(one.server)
        assert await host.hypervisor.state(one.server) is GuestState.OFF
