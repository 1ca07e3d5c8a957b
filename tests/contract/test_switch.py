"""What every switch promises (seams/switch.py): a real Open vSwitch, with each kind of device that a VIF may have."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from typing import Protocol, cast

import pytest
from tests.contract.ovs_rig import an_ovs

from moorage.adapters.memory.switch import MemorySwitch
from moorage.domain.errors import Unavailable
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, device_name
from moorage.seams.flow import Flow, GoTo, Match, Normal, Output
from moorage.seams.switch import DEAD_VLAN, Interface, Plugging, Shared, Vif, WirePlan, Wiring

NET = NetworkId("5f2b9c1e-0000-4000-8000-000000000001")
SERVER = ServerId("9e9e9e9e-0000-4000-8000-000000000001")
DHCP = PortId("d0d0d0d0-0000-4000-8000-00000000000d")
FIRST, SECOND = Generation("1" * 32), Generation("2" * 32)
Bridge = Mapping[PortId, Interface]


class Switch(Plugging, Wiring, Protocol):
    """Both sides."""


class Rig(Protocol):
    """A switch in a world that a test may break."""

    def connected(self) -> AbstractAsyncContextManager[Switch]:
        """The switch as one process has it; at each call as another one has it."""

    def make_device(self, port: PortId) -> None:
        """What the hypervisor makes before the port is plugged."""

    def spoil_device(self, port: PortId) -> None:
        """See that the switch will not be able to open the port's device."""

    def flows(self, port: PortId) -> list[str]:
        """The flows that the port really has."""

    def shared(self) -> list[str]:
        """The flows that are no server port's own, as the switch really has them."""

    def age(self, port: PortId) -> float:
        """For how many seconds the port has had the youngest of its flows."""

    def stop_database(self) -> None: ...

    def start_database(self) -> None: ...

    def stop_switch(self) -> None: ...

    def start_switch(self) -> None: ...

    def clear(self) -> None:
        """Take the devices away."""


class MemoryRig:
    """The twin in memory: one object is the world and every process's switch."""

    def __init__(self) -> None:
        self._switch = MemorySwitch()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Switch]:
        yield self._switch

    def make_device(self, port: PortId) -> None: ...

    def spoil_device(self, port: PortId) -> None:
        self._switch.refuse_device.add(port)

    def flows(self, port: PortId) -> list[str]:
        return [str(flow) for flow in self._switch.flows(port)]

    def shared(self) -> list[str]:
        return [str(flow) for flows in self._switch.shared_flows().values() for flow in flows]

    def age(self, port: PortId) -> float:
        return asyncio.get_running_loop().time() - self._switch.wired_at(port)

    def stop_database(self) -> None:
        self._switch.database_down = True

    def start_database(self) -> None:
        self._switch.database_down = False

    def stop_switch(self) -> None:
        self._switch.stop_switch()

    def start_switch(self) -> None:
        self._switch.start_switch(is_renumbering=False)

    def clear(self) -> None:
        self._switch = MemorySwitch()


@contextmanager
def memory() -> Iterator[Rig]:
    yield MemoryRig()


@contextmanager
def veth() -> Iterator[Rig]:
    with an_ovs("veth") as rig:
        yield rig


@contextmanager
def tap() -> Iterator[Rig]:
    with an_ovs("tap") as rig:
        yield rig


@pytest.fixture(scope="module", params=[memory, veth, tap], ids=lambda make: str(make.__name__))
def world(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with request.param() as rig:
        yield rig


@pytest.fixture
async def switch(world: Rig) -> AsyncIterator[Switch]:
    async with world.connected() as switch:
        yield switch
        ports = set(await switch.look())
        for port in ports:
            await switch.unplug(port)
            await switch.remove_service_port(port)
        await switch.unwire(sorted(ports))
        await switch.wire([], Shared({}))
        assert await switch.look() == {}
    world.clear()


def vif(number: int = 1, generation: Generation = FIRST) -> Vif:
    port = PortId(f"{number:08x}-0000-4000-8000-00000000000a")
    return Vif(port, SERVER, f"fa:16:3e:00:00:{number:02x}", device_name(port), generation)


PORT, OTHER = vif(1).port, vif(2).port


def plan(interface: Interface, *flows: Flow, vlan: int = 7) -> WirePlan:
    assert interface.ofport is not None
    usual = Flow(table=0, priority=100, match=Match(in_port=interface.ofport), actions=(Normal(),))
    return WirePlan(interface.port, interface.ofport, vlan, NET, interface.generation, flows or (usual,))


def watched(switch: Switch) -> AbstractAsyncContextManager[AsyncIterator[Bridge]]:
    """What a watch says, closed at the end: it is a generator in every adapter."""
    return aclosing(cast(AsyncGenerator[Bridge, None], switch.watch()))


async def until(bridges: AsyncIterator[Bridge], is_so: Callable[[Bridge], bool], *, within: float = 5.0) -> Bridge:
    """The first state seen in which `is_so`."""
    last: Bridge = {}
    try:
        async with asyncio.timeout(within):
            async for bridge in bridges:
                last = bridge
                if is_so(bridge):
                    return bridge
    except TimeoutError as error:
        raise AssertionError(f"the last that was seen: {last}") from error
    raise AssertionError("a watch ended")


def is_open(*ports: PortId) -> Callable[[Bridge], bool]:
    return lambda bridge: all(port in bridge and bridge[port].ofport is not None for port in ports)


async def opened(world: Rig, switch: Switch, *vifs: Vif) -> Bridge:
    """The bridge once these are plugged and have their ofports."""
    for each in vifs:
        world.make_device(each.port)
        await switch.plug(each)
    async with watched(switch) as bridges:
        return await until(bridges, is_open(*(each.port for each in vifs)))


async def wired(world: Rig, switch: Switch, *vifs: Vif) -> Bridge:
    bridge = await opened(world, switch, *vifs)
    assert await switch.wire([plan(bridge[each.port]) for each in vifs]) == {}
    return await switch.look()


async def test_a_plugged_port_is_seen_on_the_dead_vlan_not_wired(world: Rig, switch: Switch) -> None:
    seen = (await opened(world, switch, vif()))[PORT]
    assert seen.ofport is not None
    assert 1 <= seen.ofport <= 65279
    assert (seen.device, seen.mac, seen.vlan) == (vif().device, vif().mac, DEAD_VLAN)
    assert (seen.generation, seen.wired, seen.error, seen.is_service) == (FIRST, None, None, False)
    assert await switch.plugged() == {PORT: vif()}
    assert world.flows(PORT) == []


async def test_plugging_again_changes_nothing_in_one_generation(world: Rig, switch: Switch) -> None:
    before = await wired(world, switch, vif())
    await switch.plug(vif())
    assert await switch.look() == before
    assert before[PORT].wired == FIRST


async def test_plugging_side_by_side_is_plugging_once(world: Rig, switch: Switch) -> None:
    world.make_device(PORT)
    await asyncio.gather(*[switch.plug(vif()) for _ in range(5)])
    assert await switch.plugged() == {PORT: vif()}


async def test_plugging_in_a_new_generation_isolates_the_port_again(world: Rig, switch: Switch) -> None:
    before = await wired(world, switch, vif())
    await switch.plug(vif(generation=SECOND))
    seen = (await switch.look())[PORT]
    assert (seen.vlan, seen.generation, seen.wired) == (DEAD_VLAN, SECOND, None)
    assert seen.ofport == before[PORT].ofport
    assert (await wired(world, switch, vif(generation=SECOND)))[PORT].wired == SECOND


async def test_a_port_that_is_plugged_with_another_device_has_only_that_one(world: Rig, switch: Switch) -> None:
    await wired(world, switch, vif())
    other = replace(vif(2), port=PORT, generation=SECOND)
    world.make_device(OTHER)
    await switch.plug(other)
    assert await switch.plugged() == {PORT: other}
    async with watched(switch) as bridges:
        seen = (await until(bridges, is_open(PORT)))[PORT]
    assert (seen.device, seen.vlan, seen.wired) == (device_name(OTHER), DEAD_VLAN, None)


async def test_an_unplugged_port_is_gone_and_unplugging_it_again_is_fine(world: Rig, switch: Switch) -> None:
    await opened(world, switch, vif(1), vif(2))
    await switch.unplug(PORT)
    await switch.unplug(PORT)
    assert set(await switch.plugged()) == {OTHER}
    assert set(await switch.look()) == {OTHER}


async def test_what_one_process_has_committed_another_sees_when_it_looks(world: Rig, switch: Switch) -> None:
    async with world.connected() as compute:
        for number in range(1, 30):
            world.make_device(vif(number).port)
            await compute.plug(vif(number))
            assert vif(number).port in await switch.look()
            await compute.unplug(vif(number).port)
            assert await switch.look() == {}


async def test_a_wired_port_has_its_vlan_its_flows_and_the_mark_of_its_generation(world: Rig, switch: Switch) -> None:
    seen = (await wired(world, switch, vif()))[PORT]
    assert (seen.vlan, seen.network, seen.wired) == (7, NET, FIRST)
    assert len(world.flows(PORT)) == 1


async def test_a_watch_says_that_a_port_is_wired(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif())
    async with watched(switch) as bridges:
        await switch.wire([plan(bridge[PORT])])
        await until(bridges, lambda bridge: bridge[PORT].wired == FIRST)


async def test_wiring_is_repeatable_and_the_last_flows_count(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif())
    wanted = plan(bridge[PORT])
    assert await switch.wire([wanted, wanted]) == {}
    assert await switch.wire([wanted]) == {}
    drops = [Flow(table=5, priority=number, match=Match(in_port=wanted.ofport)) for number in range(1, 4)]
    assert await switch.wire([plan(bridge[PORT], *drops, vlan=8)]) == {}
    assert (await switch.look())[PORT].vlan == 8
    assert len(world.flows(PORT)) == 3


async def test_what_the_switch_has_is_not_sent_again_not_even_by_an_agent_that_was_restarted(
    world: Rig, switch: Switch
) -> None:
    bridge = await wired(world, switch, vif(1))
    kept, other = (Flow(5, 1, Match(in_port=bridge[PORT].ofport, dl_type=kind)) for kind in (0x800, 0x86DD))
    assert await switch.wire([plan(bridge[PORT], kept, other)]) == {}
    async with asyncio.timeout(5):
        while world.age(PORT) < 0.05:
            await asyncio.sleep(0.01)
    async with world.connected() as restarted:
        assert await restarted.wire([plan(bridge[PORT], other, kept)]) == {}
        assert (await restarted.look())[PORT].wired == FIRST
        assert world.age(PORT) >= 0.05
        assert await restarted.wire([plan(bridge[PORT], kept)]) == {}
        assert world.age(PORT) >= 0.05, "only the other one was touched"
        assert len(world.flows(PORT)) == 1


async def test_flows_that_were_left_by_an_agent_that_died_are_replaced(world: Rig, switch: Switch) -> None:
    bridge = await wired(world, switch, vif(1), vif(2))
    await switch.unplug(PORT)  # and then nobody lives to unwire it
    new = Flow(5, 1, Match(in_port=bridge[OTHER].ofport))
    async with world.connected() as restarted:
        assert await restarted.wire([plan(bridge[OTHER], new)]) == {}
    assert world.flows(PORT) == []
    assert len(world.flows(OTHER)) == 1


BASE, RULES, MORE = (Flow(table, 1, Match(), (GoTo(table + 1),)) for table in (10, 20, 30))


async def test_flows_that_ports_share_come_and_go_with_what_needs_them(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif(1))
    assert await switch.wire([plan(bridge[PORT])], Shared({"base": (BASE,), "rules": (RULES,)})) == {}
    assert (len(world.shared()), len(world.flows(PORT))) == (2, 1)
    assert await switch.wire([plan(bridge[PORT])]) == {}
    assert len(world.shared()) == 2, "nothing was said of them"
    assert await switch.wire([], Shared({"base": (BASE,), "more": (MORE,)})) == {}
    assert (len(world.shared()), len(world.flows(PORT))) == (2, 1)
    assert await switch.wire([], Shared({"rules": (RULES,)}, is_all=False)) == {}
    assert len(world.shared()) == 3, "the others are left as they are"
    await switch.unwire([PORT], Shared({"base": (BASE,)}))
    assert (len(world.shared()), world.flows(PORT)) == (1, [])
    await switch.wire([], Shared({}))
    assert world.shared() == []


async def test_an_agent_that_was_restarted_finds_what_ports_share(world: Rig, switch: Switch) -> None:
    await switch.wire([], Shared({"base": (BASE,), "rules": (RULES,)}))
    async with world.connected() as restarted:
        base = (BASE,)
        await restarted.wire([], Shared({"base": base}, is_all=False))
        assert len(world.shared()) == 2, "it does not know all yet"
        await restarted.wire([], Shared({"base": base, "more": (MORE,)}))
        assert len(world.shared()) == 2
        told = world.shared()
        await restarted.wire([], Shared({"base": base, "more": (MORE,)}))
        assert world.shared() == told
        await restarted.wire([], Shared({}))
    assert world.shared() == []


async def test_a_shared_flow_that_makes_no_sense_is_left_out(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif(1))
    back = Flow(5, 1, Match(), (GoTo(0),))
    assert await switch.wire([plan(bridge[PORT])], Shared({"base": (BASE,), "bad": (back,)})) == {}
    assert (len(world.shared()), len(world.flows(PORT))) == (1, 1)
    await switch.wire([], Shared({}))


async def test_wiring_nothing_is_fine(switch: Switch) -> None:
    assert await switch.wire([]) == {}
    await switch.unwire([])


async def test_a_port_that_vanished_holds_up_no_other(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif(1), vif(2))
    await switch.unplug(PORT)
    failed = await switch.wire([plan(bridge[PORT]), plan(bridge[OTHER])])
    assert set(failed) == {PORT}
    assert failed[PORT], "no reason is given"
    assert (await switch.look())[OTHER].wired == FIRST


async def test_a_port_that_cannot_be_opened_says_why_and_holds_up_no_other(world: Rig, switch: Switch) -> None:
    world.spoil_device(PORT)
    await switch.plug(vif(1))
    bridge = await wired(world, switch, vif(2))
    assert bridge[OTHER].wired == FIRST
    async with watched(switch) as bridges:
        seen = (await until(bridges, lambda bridge: bridge[PORT].error is not None))[PORT]
    assert seen.ofport is None
    assert seen.device in (seen.error or "")


async def test_a_plan_for_an_older_generation_wires_nothing(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif())
    await switch.plug(vif(generation=SECOND))
    assert set(await switch.wire([plan(bridge[PORT])])) == {PORT}
    seen = (await switch.look())[PORT]
    assert (seen.wired, seen.vlan) == (None, DEAD_VLAN)
    assert world.flows(PORT) == []


async def test_a_plan_for_another_ofport_wires_nothing(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif())
    assert set(await switch.wire([replace(plan(bridge[PORT]), ofport=60000)])) == {PORT}
    assert (await switch.look())[PORT].wired is None


async def test_an_unwired_port_is_isolated(world: Rig, switch: Switch) -> None:
    await wired(world, switch, vif(1), vif(2))
    await switch.unwire([PORT])
    seen = await switch.look()
    assert (seen[PORT].wired, seen[PORT].vlan) == (None, DEAD_VLAN)
    assert seen[OTHER].wired == FIRST
    assert world.flows(PORT) == []
    assert len(world.flows(OTHER)) == 1


async def test_unwiring_ports_that_are_gone_is_fine(world: Rig, switch: Switch) -> None:
    await wired(world, switch, vif())
    await switch.unplug(PORT)
    await switch.unwire([PORT])
    await switch.unwire([PORT, OTHER])
    assert await switch.look() == {}
    assert world.flows(PORT) == []


async def test_a_service_port_is_open_at_once_and_is_no_servers(world: Rig, switch: Switch) -> None:
    world.make_device(DHCP)
    ofport = await switch.add_service_port(DHCP, device_name(DHCP), "fa:16:3e:dd:dd:dd", 9, NET)
    seen = (await switch.look())[DHCP]
    assert (seen.ofport, seen.vlan, seen.network, seen.is_service) == (ofport, 9, NET, True)
    assert (seen.mac, seen.wired) == ("fa:16:3e:dd:dd:dd", "-")
    assert await switch.add_service_port(DHCP, device_name(DHCP), "fa:16:3e:dd:dd:dd", 9, NET) == ofport
    assert await switch.plugged() == {}
    await switch.remove_service_port(DHCP)
    await switch.remove_service_port(DHCP)
    assert await switch.look() == {}


async def test_a_service_port_moves_to_another_vlan(world: Rig, switch: Switch) -> None:
    world.make_device(DHCP)
    before = await switch.add_service_port(DHCP, device_name(DHCP), "fa:16:3e:dd:dd:dd", 9, NET)
    assert await switch.add_service_port(DHCP, device_name(DHCP), "fa:16:3e:dd:dd:dd", 10, NET) == before
    assert (await switch.look())[DHCP].vlan == 10


async def test_each_watcher_sees_the_whole_bridge(world: Rig, switch: Switch) -> None:
    await opened(world, switch, vif(1))
    async with watched(switch) as first, watched(switch) as second:
        assert set(await anext(first)) == {PORT}
        assert set(await anext(second)) == {PORT}
        world.make_device(OTHER)
        await switch.plug(vif(2))
        assert set(await until(first, is_open(PORT, OTHER))) == {PORT, OTHER}
        assert set(await until(second, is_open(PORT, OTHER))) == {PORT, OTHER}
        await switch.unplug(PORT)
        await until(first, lambda bridge: set(bridge) == {OTHER})
        await until(second, lambda bridge: set(bridge) == {OTHER})


async def test_a_slow_watcher_sees_the_latest_state_first(world: Rig, switch: Switch) -> None:
    async with watched(switch) as bridges:
        assert await anext(bridges) == {}
        await wired(world, switch, *[vif(number) for number in range(1, 6)])
        async with asyncio.timeout(5):
            latest = await anext(bridges)
        assert latest == await switch.look()
        assert {interface.wired for interface in latest.values()} == {FIRST}


async def test_changes_that_come_together_are_told_together(world: Rig, switch: Switch) -> None:
    vifs = [vif(number) for number in range(1, 21)]
    for each in vifs:
        world.make_device(each.port)
    told: list[Bridge] = []
    async with watched(switch) as bridges:
        assert await anext(bridges) == {}
        await asyncio.gather(*[switch.plug(each) for each in vifs])

        def noted(bridge: Bridge) -> bool:
            told.append(bridge)
            return is_open(*[each.port for each in vifs])(bridge)

        await until(bridges, noted)
    assert len(told) <= 2 * len(vifs)  # 40 changes, each port's plug and ofport; usually three or four snapshots
    assert all(before != after for before, after in pairwise(told))


async def rewired(switch: Switch, port: PortId) -> Interface:
    """What an agent does when its port is no longer wired: again at each change, until it is."""
    async with asyncio.timeout(10), watched(switch) as bridges:
        async for bridge in bridges:
            if bridge[port].wired is not None:
                return bridge[port]
            if bridge[port].ofport is not None:
                with suppress(Unavailable):
                    await switch.wire([plan(bridge[port])])
    raise AssertionError("the watch ended")


async def test_a_restart_of_the_database_is_survived(world: Rig, switch: Switch) -> None:
    before = await wired(world, switch, vif(1))
    world.make_device(OTHER)
    async with watched(switch) as bridges:
        assert await anext(bridges) == before
        world.stop_database()
        async with asyncio.timeout(3):
            for call in (switch.plug(vif(2)), switch.unplug(PORT), switch.look(), switch.wire([plan(before[PORT])])):
                with pytest.raises(Unavailable):
                    await call
        world.start_database()
        assert await until(bridges, lambda _: True) == before  # still wired: the switch itself went on
        await switch.plug(vif(2))
        await until(bridges, is_open(PORT, OTHER))
    assert (await switch.look())[PORT].wired == FIRST


async def test_after_a_restart_of_the_switch_nothing_is_wired_until_it_is_wired_again(
    world: Rig, switch: Switch
) -> None:
    await wired(world, switch, vif())
    world.make_device(DHCP)
    ofport = await switch.add_service_port(DHCP, device_name(DHCP), "fa:16:3e:dd:dd:dd", 9, NET)
    async with watched(switch) as bridges:
        world.stop_switch()
        await until(bridges, lambda bridge: bridge[PORT].wired is None)
        with pytest.raises(Unavailable):
            await switch.wire([plan((await switch.look())[PORT])])
        world.start_switch()
        assert (await rewired(switch, PORT)).wired == FIRST
        await until(bridges, lambda bridge: bridge[DHCP].wired == "-" and bridge[DHCP].ofport == ofport)
    assert len(world.flows(PORT)) == 1


NONSENSE = {
    "has a field without what it depends on": Flow(table=0, priority=1, match=Match(tp_dst=80)),
    "goes back to an earlier table": Flow(table=5, priority=1, match=Match(), actions=(GoTo(0),)),
    "sends to a port that cannot be": Flow(table=0, priority=1, match=Match(), actions=(Output(0xFFFFFF00),)),
}


@pytest.mark.parametrize("flow", NONSENSE.values(), ids=NONSENSE.keys())
async def test_a_flow_that_makes_no_sense_holds_up_no_other_port(world: Rig, switch: Switch, flow: Flow) -> None:
    bridge = await opened(world, switch, vif(1), vif(2))
    good = Flow(table=0, priority=1, match=Match(in_port=bridge[PORT].ofport), actions=(Normal(),))
    failed = await switch.wire([plan(bridge[PORT], good, flow, good), plan(bridge[OTHER])])
    assert set(failed) == {PORT}
    assert failed[PORT], "no reason is given"
    seen = await switch.look()
    assert (seen[PORT].wired, seen[PORT].vlan, world.flows(PORT)) == (None, DEAD_VLAN, [])
    assert (seen[OTHER].wired, seen[OTHER].vlan, len(world.flows(OTHER))) == (FIRST, 7, 1)


async def test_a_vlan_that_cannot_be_holds_up_no_other_port(world: Rig, switch: Switch) -> None:
    bridge = await opened(world, switch, vif(1), vif(2))
    failed = await switch.wire([plan(bridge[PORT], vlan=5000), plan(bridge[OTHER])])
    assert set(failed) == {PORT}
    assert "5000" in failed[PORT]
    seen = await switch.look()
    assert (seen[PORT].wired, seen[PORT].vlan, world.flows(PORT)) == (None, DEAD_VLAN, [])
    assert seen[OTHER].wired == FIRST
