"""Reports that come late, in the wrong order or from the wrong place: the port is what the newest of its own says."""

import asyncio
from typing import Any

from tests.story.clouds import Story, story, until

from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.hops import SubFact
from moorage.domain.ids import PortId, ServerId
from moorage.wire.messages import DhcpPortMark, DhcpReady, PortMark, Reports


async def say(
    cloud: Story,
    port: dict[str, Any],
    what: str,
    ahead: int,
    *,
    host: str = "host-1",
    generation: str | None = None,
) -> None:
    """A report on the bus, `ahead` of the last one that the network has counted of this port."""
    [stored] = await cloud.plane.network.store.ports(None, ids=[PortId(port["id"])])
    epoch, last = (1, 0) if stored.last_mark is None else (stored.last_mark.epoch, stored.last_mark.sequence)
    marks = (PortMark(port=port["id"], generation=generation or stored.binding.generation),)
    up, down = (marks, ()) if what == "up" else ((), marks)
    report = Reports(host=host, epoch=epoch, sequence=last + ahead, up=up, down=down)
    await cloud.plane.parts.bus.call("network", report)


async def status(cloud: Story, server: ServerId) -> str:
    return str((await cloud.port(server))["status"])


async def test_an_older_up_after_a_newer_down_leaves_the_port_down_until_the_agent_looks() -> None:
    async with story() as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        port = await cloud.port(server)
        await say(cloud, port, "down", 2)
        await say(cloud, port, "up", -1)  # one less than that
        assert await status(cloud, server) == "DOWN"

        async def is_up() -> bool:
            return await status(cloud, server) == "ACTIVE"

        await until(is_up, within=35)  # full looks are due each 10 s, and the third is newer than ours
        assert await cloud.status(server) == "ACTIVE"


async def test_an_older_down_after_a_newer_up_changes_nothing() -> None:
    async with story() as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        port = await cloud.port(server)
        await say(cloud, port, "up", 2)
        await say(cloud, port, "down", -1)
        await asyncio.sleep(1)
        assert await status(cloud, server) == "ACTIVE"
        assert (await cloud.port(server))["revision_number"] == port["revision_number"]


async def test_what_is_said_of_another_generation_or_by_another_host_lets_no_guest_run() -> None:
    async with story(hosts=2) as cloud:
        for host in cloud.hosts:
            await host.agent.stop()
        server = await cloud.create()
        await asyncio.sleep(1)
        port = await cloud.port(server)
        here = port["binding:host_id"]
        [other] = {"host-1", "host-2"} - {here}
        await say(cloud, port, "up", 1, host=here, generation="0" * 32)
        await say(cloud, port, "up", 2, host=other)
        await say(cloud, port, "up", 3, host="host-9")
        assert await status(cloud, server) == "DOWN"
        await say(cloud, port, "up", 4, host=here)  # now it is wired, says its own host: DHCP remains
        assert await status(cloud, server) == "DOWN"
        generation, mac = port["binding:profile"]["plug_generation"], port["mac_address"]
        [address] = [ip["ip_address"] for ip in port["fixed_ips"]]
        for mark_host, of, addresses in (
            (here, "0" * 32, (address,)),
            (other, generation, (address,)),
            (here, generation, ("10.0.0.250",)),
        ):
            mark = DhcpPortMark(port=port["id"], generation=of, mac=mac, addresses=addresses)
            await cloud.plane.parts.bus.call("network", DhcpReady(host=mark_host, marks=(mark,)))
            assert await status(cloud, server) == "DOWN"
        assert await cloud.status(server) == "…"
        for host in cloud.hosts:
            host.agent.start()
        assert await cloud.settled(server, within=3) == "ACTIVE"


async def test_a_down_of_another_generation_or_by_another_host_takes_no_port_down() -> None:
    async with story() as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        port = await cloud.port(server)
        await say(cloud, port, "down", 5, generation="0" * 32)
        await say(cloud, port, "down", 6, host="host-9")
        await asyncio.sleep(1)
        assert (await cloud.port(server))["revision_number"] == port["revision_number"]


async def test_a_live_port_that_changed_while_nobody_could_be_told_is_wired_anew_at_the_next_full_look() -> None:
    async with story() as cloud:
        server = await cloud.create()
        assert await cloud.settled(server, within=1.0) == "ACTIVE"
        port = PortId((await cloud.port(server))["id"])
        before = cloud.world.switch.flows(port)
        session = cloud.plane.session("network")
        bus = cloud.plane.parts.bus
        assert isinstance(bus, MemoryBus)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bus.interrupt(away=1.0))
            await asyncio.sleep(0.5)
            pairs = [{"ip_address": "10.9.9.9"}]
            await session.json("PUT", f"/v2.0/ports/{port}", {"port": {"allowed_address_pairs": pairs}})

        async def is_wired_anew() -> bool:
            return cloud.world.switch.flows(port) != before

        await until(is_wired_anew, within=11)  # full looks are due each 10 s
        assert await status(cloud, server) == "ACTIVE"
        rewired = sum(fact.what is SubFact.REWIRED for fact in cloud.facts)
        await asyncio.sleep(25)
        assert sum(fact.what is SubFact.REWIRED for fact in cloud.facts) == rewired, "once is enough"
