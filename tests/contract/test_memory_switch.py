"""What every switch promises (seams/switch.py)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Protocol, cast

import pytest

from moorage.adapters.memory.switch import MemorySwitch
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, device_name
from moorage.seams.switch import DEAD_VLAN, Flow, Interface, Match, Normal, Plugging, Vif, WirePlan, Wiring

NET = NetworkId("5f2b9c1e-0000-4000-8000-000000000001")
SERVER = ServerId("9e9e9e9e-0000-4000-8000-000000000001")
FIRST, SECOND = Generation("1" * 32), Generation("2" * 32)
Bridge = Mapping[PortId, Interface]


class Switch(Plugging, Wiring, Protocol):
    """Both sides."""


@pytest.fixture
def switch() -> Switch:
    return MemorySwitch()


def vif(number: int = 1, generation: Generation = FIRST) -> Vif:
    port = PortId(f"{number:08x}-0000-4000-8000-00000000000a")
    return Vif(port, SERVER, f"fa:16:3e:00:00:{number:02x}", device_name(port), generation)


def plan(interface: Interface, vlan: int = 7) -> WirePlan:
    assert interface.ofport is not None
    flow = Flow(table=0, priority=100, match=Match(in_port=interface.ofport), actions=(Normal(),))
    return WirePlan(interface.port, interface.ofport, vlan, NET, interface.generation, (flow,))


def watched(switch: Switch) -> AbstractAsyncContextManager[AsyncIterator[Bridge]]:
    """What a watch says, closed at the end: it is a generator in every adapter."""
    return aclosing(cast(AsyncGenerator[Bridge, None], switch.watch()))


async def until(bridges: AsyncIterator[Bridge], is_so: Callable[[Bridge], bool], *, within: float = 5.0) -> Bridge:
    """The first state seen in which `is_so`."""
    async with asyncio.timeout(within):
        async for bridge in bridges:
            if is_so(bridge):
                return bridge
    raise AssertionError("a watch ended")


def is_open(*ports: PortId) -> Callable[[Bridge], bool]:
    return lambda bridge: all(port in bridge and bridge[port].ofport is not None for port in ports)


async def opened(switch: Switch, *vifs: Vif) -> Bridge:
    """The bridge once these are plugged and have their ofports."""
    for each in vifs:
        await switch.plug(each)
    async with watched(switch) as bridges:
        return await until(bridges, is_open(*(each.port for each in vifs)))


async def test_a_plugged_port_is_seen_on_the_dead_vlan_not_wired(switch: Switch) -> None:
    seen = (await opened(switch, vif()))[vif().port]
    assert seen.ofport is not None
    assert 1 <= seen.ofport <= 65279
    assert (seen.device, seen.mac, seen.vlan) == (vif().device, vif().mac, DEAD_VLAN)
    assert (seen.generation, seen.wired, seen.error, seen.is_service) == (FIRST, None, None, False)
    assert await switch.plugged() == {vif().port: vif()}


async def test_a_wired_port_has_its_vlan_and_the_mark_of_its_generation(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    assert await switch.wire([plan(bridge[vif().port])]) == {}
    seen = (await switch.look())[vif().port]
    assert (seen.vlan, seen.wired) == (7, FIRST)


async def test_a_watch_says_that_a_port_is_wired(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    async with watched(switch) as bridges:
        await until(bridges, is_open(vif().port))
        await switch.wire([plan(bridge[vif().port])])
        await until(bridges, lambda bridge: bridge[vif().port].wired == FIRST)


async def test_plugging_again_changes_nothing_in_one_generation(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    await switch.wire([plan(bridge[vif().port])])
    before = await switch.look()
    await switch.plug(vif())
    assert await switch.look() == before


async def test_plugging_in_a_new_generation_isolates_the_port_again(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    await switch.wire([plan(bridge[vif().port])])
    await switch.plug(vif(generation=SECOND))
    seen = (await switch.look())[vif().port]
    assert (seen.vlan, seen.generation, seen.wired, seen.network) == (DEAD_VLAN, SECOND, None, None)
    assert await switch.plugged() == {vif().port: vif(generation=SECOND)}


async def test_an_unplugged_port_is_gone_and_unplugging_it_again_is_fine(switch: Switch) -> None:
    await opened(switch, vif(1), vif(2))
    await switch.unplug(vif(1).port)
    await switch.unplug(vif(1).port)
    assert set(await switch.plugged()) == {vif(2).port}
    assert set(await switch.look()) == {vif(2).port}


async def test_one_bad_plan_holds_up_no_other(switch: Switch) -> None:
    bridge = await opened(switch, vif(1), vif(2))
    await switch.unplug(vif(1).port)
    failed = await switch.wire([plan(bridge[vif(1).port]), plan(bridge[vif(2).port])])
    assert set(failed) == {vif(1).port}
    assert failed[vif(1).port], "no reason is given"
    assert (await switch.look())[vif(2).port].wired == FIRST


async def test_a_plan_for_an_older_generation_wires_nothing(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    old = plan(bridge[vif().port])
    await switch.plug(vif(generation=SECOND))
    assert set(await switch.wire([old])) == {vif().port}
    assert (await switch.look())[vif().port].wired is None


async def test_wiring_is_repeatable(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    wanted = plan(bridge[vif().port])
    assert await switch.wire([wanted, wanted]) == {}
    assert await switch.wire([wanted]) == {}
    assert await switch.wire([replace(wanted, vlan=8)]) == {}
    assert (await switch.look())[vif().port].vlan == 8


async def test_unwiring_ports_that_are_gone_is_fine(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    await switch.wire([plan(bridge[vif().port])])
    await switch.unplug(vif().port)
    await switch.unwire([vif().port])
    await switch.unwire([vif().port, vif(2).port])
    assert await switch.look() == {}


async def test_an_unwired_port_is_isolated_again(switch: Switch) -> None:
    bridge = await opened(switch, vif())
    await switch.wire([plan(bridge[vif().port])])
    await switch.unwire([vif().port])
    seen = (await switch.look())[vif().port]
    assert (seen.vlan, seen.wired) == (DEAD_VLAN, None)


async def test_a_service_port_works_at_once_and_is_no_servers(switch: Switch) -> None:
    port = PortId("d0d0d0d0-0000-4000-8000-00000000000d")
    ofport = await switch.add_service_port(port, device_name(port), "fa:16:3e:dd:dd:dd", 9, NET)
    seen = (await switch.look())[port]
    assert (seen.ofport, seen.vlan, seen.network, seen.is_service) == (ofport, 9, NET, True)
    assert await switch.add_service_port(port, device_name(port), "fa:16:3e:dd:dd:dd", 9, NET) == ofport
    assert await switch.plugged() == {}
    await switch.remove_service_port(port)
    await switch.remove_service_port(port)
    assert await switch.look() == {}


async def test_each_watcher_sees_the_whole_bridge(switch: Switch) -> None:
    await opened(switch, vif(1))
    async with watched(switch) as first, watched(switch) as second:
        assert set(await anext(first)) == {vif(1).port}
        assert set(await anext(second)) == {vif(1).port}
        await switch.plug(vif(2))
        both = {vif(1).port, vif(2).port}
        assert set(await until(first, is_open(*both))) == both
        assert set(await until(second, is_open(*both))) == both


async def test_a_slow_watcher_sees_the_latest_state_first(switch: Switch) -> None:
    async with watched(switch) as bridges:
        assert await anext(bridges) == {}
        await opened(switch, *(vif(number) for number in range(1, 6)))
        async with asyncio.timeout(5.0):
            while len(await anext(bridges)) < 5:
                pass
        await switch.unplug(vif(1).port)
        await until(bridges, lambda bridge: len(bridge) == 4)
