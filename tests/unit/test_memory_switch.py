"""What the simulated switch does beyond its contract: latencies, and faults as settings."""

import asyncio
from dataclasses import replace

import pytest

from moorage.adapters.memory.switch import MemorySwitch
from moorage.domain.errors import Unavailable
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, device_name
from moorage.seams.switch import DEAD_VLAN, Vif, WirePlan

pytestmark = pytest.mark.looptime

NET = NetworkId("5f2b9c1e-0000-4000-8000-000000000001")
GENERATION = Generation("1" * 32)
PORT = PortId("00000001-0000-4000-8000-00000000000a")
VIF = Vif(PORT, ServerId("s"), "fa:16:3e:00:00:01", device_name(PORT), GENERATION)
SERVICE = PortId("d0d0d0d0-0000-4000-8000-00000000000d")


def plan(ofport: int) -> WirePlan:
    return WirePlan(PORT, ofport, 7, NET, GENERATION, ())


async def wired(switch: MemorySwitch) -> None:
    await switch.plug(VIF)
    await asyncio.sleep(1.0)
    row = switch.interface(PORT)
    assert row is not None
    assert row.ofport is not None
    assert await switch.wire([plan(row.ofport)]) == {}


async def test_each_step_takes_its_latency() -> None:
    switch, loop = MemorySwitch(plug=1.0, ofport=2.0, wire=4.0), asyncio.get_running_loop()
    await switch.plug(VIF)
    assert loop.time() == pytest.approx(1.0)
    async for bridge in switch.watch():
        if bridge[PORT].ofport is not None:
            break
    assert loop.time() == pytest.approx(3.0)
    await switch.wire([plan(1)])
    assert loop.time() == pytest.approx(7.0)


async def test_changes_that_come_together_are_told_once() -> None:
    switch = MemorySwitch()
    told = 0
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            port = PortId(f"{number:08x}-0000-4000-8000-00000000000a")
            group.create_task(switch.plug(Vif(port, ServerId("s"), "m", device_name(port), GENERATION)))
        async for bridge in switch.watch():
            told += 1
            if len(bridge) == 50 and all(row.ofport for row in bridge.values()):
                break
    assert told <= 3


async def test_a_refused_device_has_no_ofport_and_ovs_own_words() -> None:
    switch = MemorySwitch()
    switch.refuse_device.add(PORT)
    await switch.plug(VIF)
    await asyncio.sleep(1.0)
    row = (await switch.look())[PORT]
    assert row.ofport is None
    assert row.error == f"could not open network device {VIF.device} (No such device)"
    switch.refuse_device.clear()
    switch.restart()
    await asyncio.sleep(1.0)
    row = (await switch.look())[PORT]
    assert (row.ofport, row.error) == (1, None)


async def test_a_service_port_that_cannot_be_opened_is_unavailable() -> None:
    switch = MemorySwitch()
    switch.refuse_device.add(SERVICE)
    with pytest.raises(Unavailable, match="No such device"):
        await switch.add_service_port(SERVICE, "tapd", "m", 7, NET)
    switch.refuse_device.clear()
    assert await switch.add_service_port(SERVICE, "tapd", "m", 7, NET) == 1


async def test_a_service_port_that_is_not_opened_in_time_is_unavailable() -> None:
    switch, loop = MemorySwitch(ofport=60.0), asyncio.get_running_loop()
    with pytest.raises(Unavailable, match="no word"):
        await switch.add_service_port(SERVICE, "tapd", "m", 7, NET)
    assert loop.time() < 6.0


async def test_a_port_whose_flows_are_refused_is_isolated() -> None:
    switch = MemorySwitch()
    await wired(switch)
    switch.refuse_flows.add(PORT)
    row = switch.interface(PORT)
    assert row is not None
    assert row.ofport is not None
    assert "refused its flows" in (await switch.wire([plan(row.ofport)]))[PORT]
    row = switch.interface(PORT)
    assert row is not None
    assert (row.vlan, row.wired) == (DEAD_VLAN, None)


async def test_a_port_that_somebody_else_plugged_is_wired_without_a_generation() -> None:
    switch = MemorySwitch()
    switch.plugged_by_another(PORT, "tapnova", "fa:16:3e:00:00:01")
    await asyncio.sleep(1.0)
    assert await switch.plugged() == {}
    assert await switch.wire([replace(plan(1), generation=None)]) == {}
    row = switch.interface(PORT)
    assert row is not None
    assert (row.generation, row.wired) == (None, "-")
    await switch.unplug(PORT)
    assert await switch.look() == {}


async def test_a_restart_leaves_nothing_wired_and_gives_new_ofports() -> None:
    switch = MemorySwitch()
    await switch.add_service_port(SERVICE, "tapd", "m", 7, NET)
    await wired(switch)
    before = switch.interface(PORT)
    switch.restart()
    row = switch.interface(PORT)
    assert row is not None
    assert (row.ofport, row.vlan, row.generation, row.wired) == (None, 7, GENERATION, None)
    assert switch.flows(PORT) == ()
    await asyncio.sleep(1.0)
    after = await switch.look()
    assert before is not None
    assert after[PORT].ofport not in (None, before.ofport)
    assert after[SERVICE].ofport is not None
    assert set(await switch.plugged()) == {PORT}


async def test_while_the_switch_is_down_ports_are_plugged_but_not_opened_nor_wired() -> None:
    switch = MemorySwitch()
    await wired(switch)
    switch.stop_switch()
    other = replace(VIF, port=PortId("other"), device="tapother")
    await switch.plug(other)
    for call in (switch.wire([plan(1)]), switch.unwire([PORT]), switch.add_service_port(SERVICE, "tapd", "m", 7, NET)):
        with pytest.raises(Unavailable):
            await call
    bridge = await switch.look()
    assert (bridge[PORT].ofport, bridge[PORT].wired, bridge[other.port].ofport) == (1, None, None)
    switch.start_switch(is_renumbering=False)
    await asyncio.sleep(1.0)
    bridge = await switch.look()
    assert (bridge[PORT].ofport, bridge[PORT].wired) == (1, None)
    assert bridge[other.port].ofport is not None
    assert bridge[SERVICE].wired == "-"


async def test_while_the_database_is_down_every_call_is_unavailable_and_watchers_hear_nothing() -> None:
    switch = MemorySwitch()
    bridges = switch.watch()
    assert await anext(bridges) == {}
    await wired(switch)
    await anext(bridges)
    switch.database_down = True
    for call in (
        switch.plug(VIF),
        switch.unplug(PORT),
        switch.plugged(),
        switch.look(),
        switch.wire([plan(1)]),
        switch.unwire([PORT]),
        switch.add_service_port(SERVICE, "tapd", "m", 7, NET),
        switch.remove_service_port(SERVICE),
    ):
        with pytest.raises(Unavailable, match="database"):
            await call
    switch.restart()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60.0):
            await anext(bridges)


async def test_a_database_that_is_back_says_the_whole_anew_and_tells_ofports_it_missed() -> None:
    switch = MemorySwitch(ofport=1.0)
    await switch.plug(VIF)
    switch.database_down = True
    await asyncio.sleep(10.0)
    row = switch.interface(PORT)
    assert row is not None
    assert row.ofport is None
    switch.database_down = False
    async with asyncio.timeout(5.0):
        async for bridge in switch.watch():
            if bridge[PORT].ofport is not None:
                break


async def test_a_call_under_way_when_the_database_goes_down_has_done_nothing() -> None:
    switch = MemorySwitch(plug=1.0)
    asyncio.get_running_loop().call_later(0.5, setattr, switch, "database_down", True)
    with pytest.raises(Unavailable):
        await switch.plug(VIF)
    assert switch.interface(PORT) is None


async def test_a_cancelled_plug_has_done_nothing() -> None:
    switch = MemorySwitch(plug=1.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await switch.plug(VIF)
    assert await switch.plugged() == {}


async def test_unplugging_before_the_device_is_open_opens_nothing() -> None:
    switch = MemorySwitch(ofport=1.0)
    await switch.plug(VIF)
    await switch.unplug(PORT)
    await asyncio.sleep(5.0)
    assert await switch.look() == {}
