"""What every hypervisor promises (seams/hypervisor.py)."""

import pytest

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import MemoryHypervisor
from moorage.adapters.memory.switch import MemorySwitch
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.ids import PortId, ServerId, device_name
from moorage.seams.hypervisor import Guest, GuestImage, GuestState, Hypervisor, Nic

SERVER = ServerId("9e9e9e9e-0000-4000-8000-000000000001")


def guest(server: ServerId = SERVER, *, nics: int = 1) -> Guest:
    ports = [PortId(f"{number:08x}-0000-4000-8000-00000000000a") for number in range(1, nics + 1)]
    made = tuple(Nic(port, f"fa:16:3e:00:00:{n:02x}", device_name(port)) for n, port in enumerate(ports, 1))
    return Guest(server, "web", vcpus=1, memory_mib=96, disk_gib=1, image=GuestImage(), nics=made)


@pytest.fixture
def hypervisor() -> Hypervisor:
    return MemoryHypervisor(switch := MemorySwitch(), MemoryDhcp(switch))


async def test_a_guest_is_held_until_it_is_resumed(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    assert await hypervisor.states() == {SERVER: GuestState.HELD}
    await hypervisor.resume(SERVER)
    assert await hypervisor.states() == {SERVER: GuestState.RUNNING}


async def test_creating_and_resuming_may_be_repeated(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.create_stopped(guest())
    await hypervisor.resume(SERVER)
    await hypervisor.resume(SERVER)
    assert await hypervisor.states() == {SERVER: GuestState.RUNNING}


async def test_a_held_guest_with_other_nics_is_made_anew(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.create_stopped(guest(nics=2))
    assert await hypervisor.states() == {SERVER: GuestState.HELD}


async def test_creating_a_running_guest_is_a_conflict(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.resume(SERVER)
    with pytest.raises(Conflict):
        await hypervisor.create_stopped(guest())


async def test_a_guest_that_was_switched_off_can_be_made_again(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.resume(SERVER)
    await hypervisor.power_off(SERVER)
    assert await hypervisor.states() == {SERVER: GuestState.OFF}
    await hypervisor.power_off(SERVER)
    await hypervisor.create_stopped(guest())
    assert await hypervisor.states() == {SERVER: GuestState.HELD}


async def test_a_held_guest_can_be_switched_off(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.power_off(SERVER, patience=1.0)
    assert await hypervisor.states() == {SERVER: GuestState.OFF}


async def test_nothing_is_left_of_a_destroyed_guest(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.resume(SERVER)
    await hypervisor.destroy(SERVER)
    await hypervisor.destroy(SERVER)
    assert await hypervisor.states() == {}
    with pytest.raises(NotFound):
        await hypervisor.console(SERVER)


async def test_what_is_not_there_is_not_found_or_fine(hypervisor: Hypervisor) -> None:
    with pytest.raises(NotFound):
        await hypervisor.resume(SERVER)
    with pytest.raises(NotFound):
        await hypervisor.reboot(SERVER)
    await hypervisor.power_off(SERVER)
    await hypervisor.destroy(SERVER)


async def test_a_guest_that_is_off_cannot_be_rebooted(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.power_off(SERVER)
    with pytest.raises(Conflict):
        await hypervisor.reboot(SERVER)


async def test_a_rebooted_guest_runs(hypervisor: Hypervisor) -> None:
    await hypervisor.create_stopped(guest())
    await hypervisor.resume(SERVER)
    await hypervisor.reboot(SERVER)
    assert await hypervisor.states() == {SERVER: GuestState.RUNNING}
