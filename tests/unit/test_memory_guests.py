"""Simulated guests and DHCP beyond their contracts: addresses, endings, faults as settings."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import CONSOLE_SIZE, MemoryHypervisor
from moorage.adapters.memory.switch import MemorySwitch
from moorage.domain.errors import Conflict, Invalid, NotFound, Unavailable
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, device_name
from moorage.seams.dhcp import DhcpNetwork, DhcpRange, Reservation
from moorage.seams.hypervisor import Guest, GuestImage, GuestState, Nic
from moorage.seams.switch import Vif, WirePlan

pytestmark = pytest.mark.looptime

NET = NetworkId("5f2b9c1e-0000-4000-8000-000000000001")
SERVER = ServerId("9e9e9e9e-0000-4000-8000-000000000001")
FIRST, SECOND = Generation("1" * 32), Generation("2" * 32)
SERVICE = PortId("d0d0d0d0-0000-4000-8000-00000000000d")


def nic(number: int) -> Nic:
    port = PortId(f"{number:08x}-0000-4000-8000-00000000000a")
    return Nic(port, f"fa:16:3e:00:00:{number:02x}", device_name(port))


def guest(nics: int = 1, image: GuestImage | None = None) -> Guest:
    return Guest(SERVER, "web", 1, 96, 1, image or GuestImage(), tuple(nic(n) for n in range(1, nics + 1)))


class Host:
    """A simulated host, and what an agent would do on it."""

    def __init__(self) -> None:
        self.switch = MemorySwitch()
        self.dhcp = MemoryDhcp()
        self.hypervisor = MemoryHypervisor(self.switch, self.dhcp)

    async def boot(self, nics: int = 1) -> None:
        await self.hypervisor.create_stopped(guest(nics))
        for number in range(1, nics + 1):
            await self.plug(number)
        await self.hypervisor.resume(SERVER)

    async def plug(self, number: int, generation: Generation = FIRST) -> None:
        each = nic(number)
        await self.switch.plug(Vif(each.port, SERVER, each.mac, each.device, generation))

    async def wire(self, number: int = 1, vlan: int = 7) -> None:
        await asyncio.sleep(1.0)
        row = (await self.switch.look())[nic(number).port]
        assert row.ofport is not None
        assert await self.switch.wire([WirePlan(row.port, row.ofport, vlan, NET, row.generation, ())]) == {}

    async def serve(self, *numbers: int) -> None:
        await self.switch.add_service_port(SERVICE, "tapdhcp", "fa:16:3e:dd:dd:dd", 7, NET)
        made = tuple(Reservation(nic(n).port, nic(n).mac, f"10.0.0.{n}", f"host-{n}") for n in numbers)
        served = DhcpRange("10.0.0.0/24", "10.0.0.254/24", "10.0.0.253")
        await self.dhcp.serve(DhcpNetwork(NET, "tapdhcp", "fa:16:3e:dd:dd:dd", 1450, (served,), made))

    async def addresses(self) -> list[str]:
        lines = (await self.hypervisor.console(SERVER)).decode().splitlines()
        return [line.removeprefix("moorage-guest: address ") for line in lines if "address" in line]


async def test_a_running_guest_gets_its_address_when_its_port_is_wired() -> None:
    host = Host()
    await host.serve(1)
    await host.boot()
    assert await host.addresses() == []
    assert host.hypervisor.address_of(SERVER) is None
    await host.wire()
    assert await host.addresses() == ["10.0.0.1"]
    assert host.hypervisor.address_of(SERVER) == "10.0.0.1"


async def test_a_held_guest_gets_its_address_when_it_is_resumed() -> None:
    host = Host()
    await host.serve(1)
    await host.hypervisor.create_stopped(guest())
    await host.plug(1)
    await host.wire()
    assert host.hypervisor.address_of(SERVER) is None
    await host.hypervisor.resume(SERVER)
    assert host.hypervisor.address_of(SERVER) == "10.0.0.1"


async def test_a_guest_gets_its_address_when_dhcp_comes_last() -> None:
    host = Host()
    await host.boot()
    await host.wire()
    await host.serve()
    assert host.hypervisor.address_of(SERVER) is None
    await host.serve(1)
    assert host.hypervisor.address_of(SERVER) == "10.0.0.1"


async def test_a_port_on_another_vlan_than_its_dhcp_server_gets_no_address() -> None:
    host = Host()
    await host.serve(1)
    await host.boot()
    await host.wire(vlan=8)
    assert host.hypervisor.address_of(SERVER) is None


async def test_a_port_that_was_plugged_again_gets_no_address_before_it_is_wired_again() -> None:
    host = Host()
    await host.boot()
    await host.wire()
    await host.plug(1, SECOND)
    await host.serve(1)
    assert host.hypervisor.address_of(SERVER) is None
    await host.wire()
    assert host.hypervisor.address_of(SERVER) == "10.0.0.1"


async def test_each_nic_gets_its_own_address_as_it_is_wired() -> None:
    host = Host()
    await host.serve(1, 2)
    await host.boot(nics=2)
    await host.wire(2)
    assert await host.addresses() == ["10.0.0.2"]
    assert host.hypervisor.address_of(SERVER) is None
    await host.wire(1)
    assert await host.addresses() == ["10.0.0.2", "10.0.0.1"]


async def test_a_rebooted_guest_asks_again() -> None:
    host = Host()
    await host.serve(1)
    await host.boot()
    await host.wire()
    await host.hypervisor.reboot(SERVER)
    assert await host.addresses() == ["10.0.0.1", "10.0.0.1"]


async def test_a_guest_that_is_off_has_no_address_but_its_console() -> None:
    host = Host()
    await host.serve(1)
    await host.boot()
    await host.wire()
    await host.hypervisor.power_off(SERVER)
    assert host.hypervisor.address_of(SERVER) is None
    assert await host.addresses() == ["10.0.0.1"]


async def test_creating_and_resuming_take_their_latency() -> None:
    hypervisor = MemoryHypervisor(MemorySwitch(), MemoryDhcp(), create=1.0, resume=2.0)
    await hypervisor.create_stopped(guest())
    assert asyncio.get_running_loop().time() == pytest.approx(1.0)
    await hypervisor.resume(SERVER)
    assert asyncio.get_running_loop().time() == pytest.approx(3.0)


async def test_a_guest_with_a_broken_image_can_never_start() -> None:
    hypervisor = MemoryHypervisor(MemorySwitch(), MemoryDhcp())
    hypervisor.broken_images.add(Path("broken.qcow2"))
    with pytest.raises(Invalid, match=r"Could not open 'broken\.qcow2'"):
        await hypervisor.create_stopped(guest(image=GuestImage(disk=Path("broken.qcow2"))))
    assert await hypervisor.states() == {}
    await hypervisor.create_stopped(guest(image=GuestImage(disk=Path("sound.qcow2"))))


async def test_a_hypervisor_that_is_down_is_unavailable() -> None:
    hypervisor = MemoryHypervisor(MemorySwitch(), MemoryDhcp())
    hypervisor.is_down = True
    for call in (
        hypervisor.create_stopped(guest()),
        hypervisor.resume(SERVER),
        hypervisor.power_off(SERVER),
        hypervisor.reboot(SERVER),
        hypervisor.destroy(SERVER),
        hypervisor.state(SERVER),
        hypervisor.states(),
    ):
        with pytest.raises(Unavailable):
            await call


async def test_endings_are_told_also_those_that_came_while_nobody_listened() -> None:
    host = Host()
    await host.boot()
    host.hypervisor.switches_itself_off(SERVER)
    assert await host.hypervisor.states() == {SERVER: GuestState.OFF}
    endings = host.hypervisor.ended()
    assert await anext(endings) == SERVER
    with pytest.raises(Conflict):
        await host.hypervisor.reboot(SERVER)
    await host.hypervisor.create_stopped(guest())
    await host.hypervisor.resume(SERVER)
    asyncio.get_running_loop().call_later(60.0, host.hypervisor.dies, SERVER)
    assert await anext(endings) == SERVER
    assert asyncio.get_running_loop().time() > 60.0


async def test_switching_a_guest_off_ourselves_is_no_ending() -> None:
    host = Host()
    await host.boot()
    await host.hypervisor.power_off(SERVER)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60.0):
            await anext(host.hypervisor.ended())


async def test_a_deaf_guest_costs_the_whole_patience() -> None:
    host = Host()
    await host.boot()
    host.hypervisor.deaf.add(SERVER)
    began = asyncio.get_running_loop().time()
    await host.hypervisor.power_off(SERVER, patience=60.0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(60.0)


async def test_a_paused_guest_is_not_resumed() -> None:
    host = Host()
    await host.boot()
    await host.hypervisor.pause(SERVER)
    await host.hypervisor.resume(SERVER)
    assert await host.hypervisor.states() == {SERVER: GuestState.PAUSED}
    with pytest.raises(Conflict):
        await host.hypervisor.create_stopped(guest())


async def test_a_guest_that_is_off_is_not_there_to_resume() -> None:
    host = Host()
    await host.boot()
    await host.hypervisor.power_off(SERVER)
    with pytest.raises(NotFound):
        await host.hypervisor.resume(SERVER)


async def test_the_console_keeps_the_last_mebibyte() -> None:
    host = Host()
    await host.boot()
    host.hypervisor.writes(SERVER, "x" * CONSOLE_SIZE)
    host.hypervisor.writes(SERVER, "the end")
    console = await host.hypervisor.console(SERVER)
    assert len(console) == CONSOLE_SIZE
    assert console.endswith(b"x\r\nthe end\r\n")


async def test_a_network_whose_server_does_not_start_is_unavailable() -> None:
    host = Host()
    host.dhcp.refuse.add(NET)
    with pytest.raises(Unavailable):
        await host.serve(1)
    assert await host.dhcp.serving() == set()
    host.dhcp.refuse.clear()
    await host.serve(1)
    host.dhcp.dies(NET)
    assert await host.dhcp.serving() == set()


async def test_an_unchanged_network_costs_nothing() -> None:
    host = Host()
    await host.serve(1)
    served = host.dhcp.network(NET)
    assert served is not None
    began = asyncio.get_running_loop().time()
    await host.dhcp.serve(replace(served))
    assert asyncio.get_running_loop().time() == began
