"""A hop whose owner is dead costs seconds, not the deadline: the boot moves, and who comes back takes nothing."""

import asyncio

import pytest
from tests.story.clouds import Story, story, until
from tests.story.scenes import sound
from tests.story.worlds import Simulated

from moorage.domain.hops import Hop
from moorage.domain.ids import HostName, PortId, ServerId
from moorage.seams.hypervisor import GuestState

SOON = 16.0  # seconds: dead after 10, found so twice, and a boot


def _world(cloud: Story, host: str) -> Simulated:
    [world] = [world for world in cloud.worlds if world.name == host]
    return world


async def _reaches(cloud: Story, server: ServerId, hop: Hop) -> None:
    async def is_reached() -> bool:
        return hop in cloud.hops(server)

    await until(is_reached, within=5.0, every=0.0002)


async def _host_of(cloud: Story, server: ServerId) -> str:
    return str((await cloud.port(server))["binding:host_id"])


async def _dies_agent(cloud: Story, host: str) -> None:
    [agent] = [one.agent for one in cloud.hosts if one.equipment.name == host]
    await agent.stop()


async def test_an_agent_that_dies_in_mid_boot_costs_seconds_where_another_host_has_a_live_one() -> None:
    async with story(hosts=2, timeout=300) as cloud:
        server = await cloud.create()
        await _reaches(cloud, server, Hop.BOUND)
        first = await _host_of(cloud, server)
        await _dies_agent(cloud, first)
        assert await cloud.settled(server, within=SOON) == "ACTIVE"
        assert await _host_of(cloud, server) != first
        await sound(cloud, within=1)
        assert await _world(cloud, first).hypervisor.states() == {}


async def test_a_boot_waits_for_its_own_agent_where_no_other_host_has_a_live_one() -> None:
    async with story(hosts=2, timeout=300) as cloud:
        server = await cloud.create()
        await _reaches(cloud, server, Hop.BOUND)
        first = await _host_of(cloud, server)
        for host in cloud.hosts:
            await host.agent.stop()
        await asyncio.sleep(60)
        assert await cloud.status(server) == "…"
        [own] = [host for host in cloud.hosts if host.equipment.name == first]
        own.agent.start()
        assert await cloud.settled(server, within=2) == "ACTIVE"
        assert await _host_of(cloud, server) == first


async def test_a_boot_waits_for_its_only_agent_before_its_ports_are_bound_too() -> None:
    async with story(timeout=300) as cloud:
        [host] = cloud.hosts
        await host.agent.stop()
        await asyncio.sleep(20)  # known to be dead: no port is bound to its host
        server = await cloud.create()
        await asyncio.sleep(30)
        assert await cloud.status(server) == "BUILD"
        host.agent.start()
        assert await cloud.settled(server, within=4) == "ACTIVE"


async def test_a_boot_whose_ports_no_agent_takes_goes_within_seconds_where_one_lives() -> None:
    async with story(hosts=2, timeout=300) as cloud:
        first, second = [host.equipment.name for host in cloud.hosts]
        await _dies_agent(cloud, first)
        await asyncio.sleep(20)
        servers = [await cloud.create() for _ in range(3)]
        for server in servers:
            assert await cloud.settled(server, within=SOON) == "ACTIVE"
            assert await _host_of(cloud, server) == second


async def test_a_server_that_was_let_run_is_never_moved() -> None:
    async with story(hosts=2, timeout=300) as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1) == "ACTIVE"
        first = await _host_of(cloud, server)
        await cloud.act(server, {"os-stop": None})
        assert await cloud.settled(server, within=10) == "SHUTOFF"
        await _dies_agent(cloud, first)
        await cloud.act(server, {"os-start": None})  # its disk is there and nowhere else
        await asyncio.sleep(60)
        assert await _host_of(cloud, server) == first


async def test_a_host_that_dies_in_mid_boot_costs_seconds_and_is_cleared_when_it_comes_back() -> None:
    async with story(hosts=2, timeout=300) as cloud:
        server = await cloud.create()
        await _reaches(cloud, server, Hop.PLUGGED)
        first = await _host_of(cloud, server)
        [host] = [one for one in cloud.hosts if one.equipment.name == first]
        await host.slot.stop()
        await host.agent.stop()
        assert await cloud.settled(server, within=SOON) == "ACTIVE"
        assert await _host_of(cloud, server) != first
        assert await _world(cloud, first).hypervisor.states() == {server: GuestState.HELD}
        host.slot.start()
        host.agent.start()
        await sound(cloud, within=2)


@pytest.mark.timeout(60)
async def test_a_host_that_was_only_cut_off_takes_nothing_from_the_one_that_has_the_server_now() -> None:
    """It goes on with its own attempt when it is back; whatever it does then is refused."""
    for hop in (Hop.BOUND, Hop.WIRED):
        async with story(hosts=2, timeout=60) as cloud:
            server = await cloud.create()
            await _reaches(cloud, server, hop)
            first = str(await _row_host(cloud, server))
            gate = _world(cloud, first).gate
            gate.is_cut = True
            assert await cloud.settled(server, within=SOON) == "ACTIVE", hop
            port = await cloud.port(server)
            assert port["binding:host_id"] != first, hop
            gate.is_cut = False
            await sound(cloud, within=10)
            await asyncio.sleep(70)
            assert await cloud.port(server) == port, hop
            await sound(cloud, within=0)


async def _row_host(cloud: Story, server: ServerId) -> HostName | None:
    async def placed() -> HostName | None:
        found = await cloud.seams["the server store"].show(server, project=None)
        return found.host  # type: ignore[no-any-return]

    return await until(placed, within=1.0, every=0.0002)


async def test_a_port_of_a_user_moves_with_its_server() -> None:
    async with story(hosts=2, timeout=300) as cloud:
        port = (await cloud.network.json("POST", "/v2.0/ports", {"port": {"network_id": cloud.network_id}}))["port"]
        server = await cloud.create(networks=[{"port": port["id"]}])
        await _reaches(cloud, server, Hop.BOUND)
        first = await _host_of(cloud, server)
        await _dies_agent(cloud, first)
        assert await cloud.settled(server, within=SOON) == "ACTIVE"
        after = await cloud.port(server)
        assert PortId(after["id"]) == port["id"]
        assert after["binding:host_id"] != first
        assert after["fixed_ips"] == port["fixed_ips"]
