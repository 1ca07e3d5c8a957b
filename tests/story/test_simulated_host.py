"""The simulated host by itself: its steps may be repeated, whatever call fails, and time costs nothing."""

import asyncio
import os
import time
from functools import partial

from tests.story.faults import Fault, faulty, one_fault_at_a_time

from moorage.adapters.memory.clock import LoopClock
from moorage.adapters.memory.dhcp import MemoryDhcp
from moorage.adapters.memory.hypervisor import MemoryHypervisor
from moorage.adapters.memory.switch import MemorySwitch
from moorage.domain.errors import Unavailable
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, device_name
from moorage.kit.retry import retry
from moorage.seams.dhcp import Dhcp, DhcpNetwork, DhcpRange, Reservation
from moorage.seams.hypervisor import Guest, GuestImage, GuestState, Hypervisor, Nic
from moorage.seams.switch import Vif, WirePlan

NET = NetworkId("5f2b9c1e-0000-4000-8000-000000000001")
SERVER = ServerId("9e9e9e9e-0000-4000-8000-000000000001")
PORT = PortId("00000001-0000-4000-8000-00000000000a")
SERVICE = PortId("d0d0d0d0-0000-4000-8000-00000000000d")
MAC = "fa:16:3e:00:00:01"


async def boot(switch: MemorySwitch, dhcp: Dhcp, hypervisor: Hypervisor) -> None:
    """The host's half of a boot, both sides of it, in the order of its hops."""
    device = device_name(PORT)
    if (await hypervisor.states()).get(SERVER) is not GuestState.RUNNING:  # else the answer to our resume was lost
        await hypervisor.create_stopped(Guest(SERVER, "web", 1, 96, 1, GuestImage(), (Nic(PORT, MAC, device),)))
    await switch.plug(Vif(PORT, SERVER, MAC, device, Generation("1" * 32)))
    await switch.add_service_port(SERVICE, "tapdhcp", "fa:16:3e:dd:dd:dd", 7, NET)
    served = DhcpRange("10.0.0.0/24", "10.0.0.2/24", "10.0.0.1")
    reservations = (Reservation(PORT, MAC, "10.0.0.9", "web"),)
    await dhcp.serve(DhcpNetwork(NET, "tapdhcp", "fa:16:3e:dd:dd:dd", 1450, (served,), reservations))
    row = (await switch.look())[PORT]
    assert row.ofport is not None
    assert await switch.wire([WirePlan(PORT, row.ofport, 7, NET, row.generation, ())]) == {}
    await hypervisor.resume(SERVER)


async def tear_down(switch: MemorySwitch, dhcp: Dhcp, hypervisor: Hypervisor) -> None:
    await hypervisor.destroy(SERVER)
    await switch.unplug(PORT)
    await switch.unwire([PORT])
    await dhcp.stop(NET)
    await switch.remove_service_port(SERVICE)


async def test_a_boot_that_is_run_again_succeeds_and_leaves_no_trace_whatever_call_failed() -> None:
    kinds = (Fault.UNAVAILABLE, Fault.LATE, Fault.LOST, Fault.TWICE)
    runs = 0
    async for faults in one_fault_at_a_time(*kinds):
        switch = MemorySwitch()
        dhcp = MemoryDhcp()
        hypervisor = MemoryHypervisor(switch, dhcp)
        host = (faulty(switch, faults), faulty(dhcp, faults), faulty(hypervisor, faults))
        await retry(partial(boot, *host), on=Unavailable)
        assert await hypervisor.states() == {SERVER: GuestState.RUNNING}, faults
        assert hypervisor.address_of(SERVER) == "10.0.0.9", faults
        await retry(partial(tear_down, *host), on=Unavailable)
        left = (await switch.look(), await dhcp.serving(), await hypervisor.states())
        assert not any(left), faults
        assert faults.kind is None or faults.struck, f"{faults}: no such call"
        runs += 1
    assert runs == 1 + 13 * len(kinds)


async def test_a_day_of_waiting_takes_no_time() -> None:
    clock, began = LoopClock(), time.perf_counter()
    morning = clock.now()
    await asyncio.sleep(86400.0)
    assert (clock.now() - morning).total_seconds() == 86400.0
    assert clock.monotonic() == 86400.0
    assert time.perf_counter() - began < 1.0


async def test_stories_run_in_debug_mode_where_ci_is_set() -> None:
    assert asyncio.get_running_loop().get_debug() or not os.environ.get("CI")
