"""What stands in Open vSwitch afterwards, as its own tools tell it: others (Nova, Neutron, operators) read it too."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import uvloop
from tests.contract.ovs_rig import OvsRig, an_ovs, other_end
from tests.contract.ovs_told import TOLD

from moorage.adapters.ovsdb.flows import prefix_of
from moorage.adapters.ovsdb.switch import OvsSwitch
from moorage.domain.errors import Unavailable
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, device_name
from moorage.seams.flow import Flow, GoTo, Match, Normal, Output
from moorage.seams.switch import Interface, Vif, WirePlan

NET = NetworkId("5f2b9c1e-0000-4000-8000-000000000001")
SERVER = ServerId("9e9e9e9e-0000-4000-8000-000000000001")
DHCP = PortId("d0d0d0d0-0000-4000-8000-00000000000d")
FIRST = Generation("1" * 32)


def vif(number: int) -> Vif:
    port = PortId(f"{number:08x}-0000-4000-8000-00000000000b")
    return Vif(port, SERVER, f"fa:16:3e:00:01:{number:02x}", device_name(port), FIRST)


@pytest.fixture(scope="module")
def world() -> Iterator[OvsRig]:
    with an_ovs("veth") as rig:
        yield rig


@pytest.fixture
async def switch(world: OvsRig) -> AsyncIterator[OvsSwitch]:
    async with world.connected() as switch:
        yield switch
        for port in await switch.look():
            await switch.unplug(port)
            await switch.remove_service_port(port)


async def opened(world: OvsRig, switch: OvsSwitch, vif: Vif) -> Interface:
    world.make_device(vif.port)
    await switch.plug(vif)
    async with asyncio.timeout(5):
        async for bridge in switch.watch():
            if vif.port in bridge and bridge[vif.port].ofport is not None:
                return bridge[vif.port]
    raise AssertionError("the watch ended")


def plan(interface: Interface, *flows: Flow, vlan: int = 7) -> WirePlan:
    assert interface.ofport is not None
    return WirePlan(interface.port, interface.ofport, vlan, NET, interface.generation, flows)


def normal(interface: Interface) -> Flow:
    return Flow(0, 10, Match(in_port=interface.ofport), (Normal(),))


def external_ids(world: OvsRig, table: str, record: str) -> dict[str, str]:
    row = json.loads(world.inside("ovs-vsctl", "--format=json", "--columns=external_ids", "list", table, record))
    return dict(row["data"][0][0][1])


async def test_an_interface_is_told_in_novas_words(world: OvsRig, switch: OvsSwitch) -> None:
    seen = await opened(world, switch, vif(1))
    ids = {
        "iface-id": vif(1).port,
        "iface-status": "active",
        "attached-mac": vif(1).mac,
        "vm-uuid": SERVER,
        "plug-generation": FIRST,
    }
    assert external_ids(world, "Interface", seen.device) == ids
    assert world.inside("ovs-vsctl", "get", "Port", seen.device, "tag").strip() == "4095"
    await switch.wire([plan(seen)])
    assert external_ids(world, "Interface", seen.device) == ids | {"moorage-wired": FIRST}
    assert world.inside("ovs-vsctl", "get", "Port", seen.device, "tag").strip() == "7"
    assert world.inside("ovs-vsctl", "get", "Port", seen.device, "other_config").strip() == f'{{net-uuid="{NET}"}}'


async def test_nothing_passes_a_bridge_without_flows(world: OvsRig, switch: OvsSwitch) -> None:
    assert world.inside("ovs-vsctl", "get-fail-mode", "br-int").strip() == "secure"
    await switch.ensure_bridge()
    await switch.check()
    flows = world.inside("ovs-ofctl", "dump-flows", "br-int")
    assert "cookie=" not in flows


async def test_a_port_that_somebody_else_plugged_is_seen_without_generation(world: OvsRig, switch: OvsSwitch) -> None:
    port = vif(9).port
    settings = ["type=internal", f"external_ids:iface-id={port}", "external_ids:attached-mac=fa:16:3e:00:00:99"]
    world.inside(
        "ovs-vsctl", "--no-wait", "add-port", "br-int", "tapnova", "--", "set", "Interface", "tapnova", *settings
    )
    async with asyncio.timeout(5):
        async for bridge in switch.watch():
            if port in bridge and bridge[port].ofport is not None:
                break
    assert (bridge[port].generation, bridge[port].vlan, bridge[port].mac) == (None, None, "fa:16:3e:00:00:99")
    assert await switch.plugged() == {}
    assert await switch.wire([plan(bridge[port], normal(bridge[port]))]) == {}
    assert (await switch.look())[port].wired == "-"
    assert external_ids(world, "Interface", "tapnova")["moorage-wired"] == "-"


async def test_the_switch_has_the_flows_that_were_sent(world: OvsRig, switch: OvsSwitch) -> None:
    seen = await opened(world, switch, vif(1))
    flows = [Flow(table, 100 + table, match, actions) for table, (match, actions, _) in enumerate(TOLD)]
    assert await switch.wire([plan(seen, *flows)]) == {}
    found = world.flows(vif(1).port)
    for table, (_, _, told) in enumerate(TOLD):
        where = f"table={table}, " if table else ""
        words = told if told.startswith("actions") else f",{told}"
        separator = " " if told.startswith("actions") else ""
        assert f"{where}priority={100 + table}{separator}{words}" in [_canonical(line) for line in found], found


def _canonical(line: str) -> str:
    return re.sub(r"^(table=0, )", "", line)


async def test_a_ports_flows_can_be_told_from_its_id(world: OvsRig, switch: OvsSwitch) -> None:
    seen = await opened(world, switch, vif(1))
    await switch.wire([plan(seen, normal(seen))])
    assert prefix_of(vif(0x10000001).port) == 0x1000_0001_0000_0000
    assert re.search(r"cookie=0x1[0-9a-f]{8},", world.inside("ovs-ofctl", "dump-flows", "br-int"))
    assert prefix_of(PortId("not a UUID")) != prefix_of(PortId("nor this"))


NONSENSE = {
    "has a field without what it depends on": Flow(table=0, priority=1, match=Match(tp_dst=80)),
    "goes back to an earlier table": Flow(table=5, priority=1, match=Match(), actions=(GoTo(0),)),
    "sends to a port that cannot be": Flow(table=0, priority=1, match=Match(), actions=(Output(0xFFFFFF00),)),
}


@pytest.mark.parametrize("flow", NONSENSE.values(), ids=NONSENSE.keys())
async def test_a_port_that_was_wired_is_isolated_when_its_new_flows_are_refused(
    world: OvsRig, switch: OvsSwitch, flow: Flow
) -> None:
    seen = await opened(world, switch, vif(1))
    assert await switch.wire([plan(seen, normal(seen))]) == {}
    assert set(await switch.wire([plan(seen, normal(seen), flow)])) == {vif(1).port}
    after = (await switch.look())[vif(1).port]
    assert (after.vlan, after.wired, world.flows(vif(1).port)) == (4095, None, [])
    assert "moorage-wired" not in external_ids(world, "Interface", seen.device)


async def test_servers_ports_and_our_own_are_not_mixed_up(world: OvsRig, switch: OvsSwitch) -> None:
    seen = await opened(world, switch, vif(1))
    assert await switch.wire([plan(seen, normal(seen))]) == {}
    before = (await switch.look())[vif(1).port]
    world.make_device(DHCP)
    await switch.add_service_port(DHCP, device_name(DHCP), "fa:16:3e:dd:dd:dd", 9, NET)
    await switch.remove_service_port(vif(1).port)
    await switch.unplug(DHCP)
    after = await switch.look()
    assert set(after) == {vif(1).port, DHCP}
    assert after[vif(1).port] == before
    assert len(world.flows(vif(1).port)) == 1


async def test_without_a_switch_nothing_is_wired_nor_unwired(world: OvsRig, switch: OvsSwitch) -> None:
    seen = await opened(world, switch, vif(1))
    world.stop_switch()
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await switch.wire([plan(seen)])
        with pytest.raises(Unavailable):
            await switch.unwire([vif(1).port])
    await switch.remove_service_port(PortId("never there"))  # nothing to be removed from
    world.start_switch()


async def test_a_service_port_that_cannot_be_opened_says_why(world: OvsRig) -> None:
    missing = PortId("0eeeeeee-0000-4000-8000-00000000000a")
    world.spoil_device(missing)
    other = OvsSwitch(world.rundir, open_timeout=0.3)
    running = asyncio.create_task(other.run())
    with pytest.raises(Unavailable, match="could not open network device"):
        await other.add_service_port(missing, device_name(missing), "fa:16:3e:dd:dd:dd", 9, NET)
    await other.remove_service_port(missing)
    running.cancel()
    await asyncio.wait([running])


async def test_a_device_that_was_replaced_while_the_switch_was_busy_is_opened_anew(
    world: OvsRig, switch: OvsSwitch
) -> None:
    """The switch tells devices by their names: it would go on with the one that is gone, and nothing would pass."""
    before = await opened(world, switch, vif(40))
    world.hold_switch()
    try:
        await switch.unplug(vif(40).port)
        world.clear()
        world.make_device(vif(40).port)
        async with asyncio.TaskGroup() as group:
            plugging = group.create_task(switch.plug(vif(40)))
            await asyncio.sleep(0.2)
            assert not plugging.done()
            world.release_switch()
    finally:
        world.release_switch()
    after = await opened(world, switch, vif(40))
    assert after.ofport != before.ofport


async def test_a_dead_switch_does_not_hold_up_plugging_for_ever(world: OvsRig) -> None:
    async with world.connected() as switch:
        await opened(world, switch, vif(41))
    impatient = OvsSwitch(world.rundir, open_timeout=0.2)
    running = asyncio.create_task(impatient.run())
    world.stop_switch()
    try:
        await impatient.unplug(vif(41).port)
        async with asyncio.timeout(5):
            await impatient.plug(vif(41))
        assert vif(41).port in await impatient.plugged()
        await impatient.unplug(vif(41).port)
    finally:
        world.start_switch()
        running.cancel()
        await asyncio.wait([running])


async def test_packets_pass_between_wired_ports_of_one_network_and_no_others(world: OvsRig, switch: OvsSwitch) -> None:
    vifs = [vif(number) for number in (21, 22, 23)]
    seen = [await opened(world, switch, each) for each in vifs]
    names = [f"{world.rundir.name}-{number}" for number in range(3)]
    try:
        for number, (interface, name) in enumerate(zip(seen, names, strict=True), start=1):
            world.inside("ip", "netns", "add", name)
            end = other_end(interface.device)
            world.inside("ip", "link", "set", end, "address", interface.mac, "netns", name)
            world.inside("ip", "-n", name, "address", "add", f"10.9.0.{number}/24", "dev", end)
            world.inside("ip", "-n", name, "link", "set", end, "up")
            for other, neighbour in enumerate(vifs, start=1):  # ARP would try only each second
                known = ["neighbour", "replace", f"10.9.0.{other}", "lladdr", neighbour.mac, "dev", end]
                world.inside("ip", "-n", name, *known)

        assert not await pings(world, names[0], 2)
        assert await switch.wire([plan(seen[0], normal(seen[0])), plan(seen[1], normal(seen[1]))]) == {}
        assert await switch.wire([plan(seen[2], normal(seen[2]), vlan=8)]) == {}
        assert await pings(world, names[0], 2)
        assert not await pings(world, names[0], 3)
        await switch.unwire([vifs[1].port])
        assert not await pings(world, names[0], 2)
    finally:
        for name in names:
            world.inside("ip", "netns", "delete", name)


PING = """
import socket, struct, sys, time
request = struct.pack("!BBHHH", 8, 0, 0xFFFF - 0x0800 - 7 - 1, 7, 1)
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
    until = time.monotonic() + 0.5
    while (left := until - time.monotonic()) > 0:
        raw.sendto(request, (sys.argv[1], 0))
        raw.settimeout(min(left, 0.1))
        try:
            if raw.recv(100)[20:22] == bytes(2):
                sys.exit(print("answered"))
        except TimeoutError:
            pass
"""


async def pings(world: OvsRig, guest: str, number: int) -> bool:
    command = ["ip", "netns", "exec", guest, sys.executable, "-c", PING, f"10.9.0.{number}"]
    return await asyncio.to_thread(world.inside, *command) == "answered\n"


def test_it_works_on_uvloop_too(world: OvsRig) -> None:
    async def handshake() -> None:
        async with world.connected() as switch:
            seen = await opened(world, switch, vif(30))
            assert await switch.wire([plan(seen, normal(seen))]) == {}
            assert (await switch.look())[vif(30).port].wired == FIRST
            await switch.unplug(vif(30).port)

    uvloop.run(handshake())
