"""A host comes back: very many ports at once, and those that somebody waits for go ahead of the rest."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
import structlog
from tests.story.clouds import Story, story, until
from tests.story.faults import Faults

from moorage.agent.batches import BATCH
from moorage.domain.hops import Hop, SubFact
from moorage.domain.ids import Generation, NetworkId, PortId, ServerId, device_name
from moorage.domain.port import PortStatus
from moorage.seams.switch import FLOW_BATCH, TRANSACTION, Vif

GENERATION = Generation("9" * 32)
pytestmark = pytest.mark.timeout(120)  # seconds; a second or two where nothing else runs


@pytest.fixture(autouse=True)
def quiet() -> Iterator[list[Any]]:
    """Thousands of log lines, printed, take longer than what they tell of."""
    with structlog.testing.capture_logs() as logs:
        yield logs


async def bound(cloud: Story, count: int) -> Sequence[Vif]:
    """So many ports of a large network, bound to the host; compute is stopped there, which knows none of them."""
    await cloud.host.slot.stop()
    session = cloud.plane.session("network")
    network = (await session.json("POST", "/v2.0/networks", {"network": {"name": "large"}}))["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.64.0.0/16"}
    await session.json("POST", "/v2.0/subnets", {"subnet": subnet})
    wanted = [
        {
            "network_id": network,
            "device_id": str(UUID(int=number)),
            "device_owner": "compute:nova",
            "binding:host_id": "host-1",
            "binding:profile": {"plug_generation": GENERATION},
        }
        for number in range(count)
    ]
    vifs = []
    for first in range(0, count, 50):
        made = (await session.json("POST", "/v2.0/ports", {"ports": wanted[first : first + 50]}))["ports"]
        ids = [PortId(port["id"]) for port in made]
        vifs += [
            Vif(id, ServerId(port["device_id"]), port["mac_address"], device_name(id), GENERATION)
            for id, port in zip(ids, made, strict=True)
        ]
    await asyncio.sleep(1)  # for DHCP
    return vifs


async def plug(cloud: Story, vifs: Sequence[Vif]) -> None:
    await asyncio.gather(*(cloud.world.switch.plug(vif) for vif in vifs))


async def all_active(cloud: Story) -> bool | None:
    ports = await cloud.plane.network.store.bound_to(cloud.world.name, statuses=frozenset(PortStatus))
    active = await cloud.plane.network.store.bound_to(cloud.world.name, statuses=[PortStatus.ACTIVE])
    return ports == active or None


async def test_a_thousand_ports_at_once_are_all_active_and_nobody_waits_long(quiet: list[Any]) -> None:
    async with story() as cloud:
        loop = asyncio.get_running_loop()
        vifs = await bound(cloud, 1000)
        sent = cloud.world.switch.sent.copy()
        began, began_really = loop.time(), time.monotonic()
        quiet.clear()
        await plug(cloud, vifs)
        await until(lambda: all_active(cloud), within=2.0, every=0.05)
        assert time.monotonic() - began_really < 30.0  # about 1 s where nothing else runs
        ready = {fact.port: fact.monotonic - began for fact in cloud.facts if fact.what is Hop.READY}
        assert len(ready.keys() & {vif.port for vif in vifs}) == 1000
        assert max(ready.values()) < 1.0
        batches = -(-1000 // BATCH)
        assert batches <= cloud.world.switch.sent[FLOW_BATCH] - sent[FLOW_BATCH] <= 2 * batches
        assert cloud.world.switch.sent[TRANSACTION] - sent[TRANSACTION] <= 4 * batches
        told = [line for line in quiet if line["event"].startswith("catching up: ")]
        assert told[-1]["event"] == f"catching up: {told[-1]['of']} of {told[-1]['of']} ports are wired"
        assert 1 < len(told) <= 2 * batches
        assert all(line["per_second"] >= 0 for line in told)


async def test_a_boot_goes_ahead_of_ports_that_are_only_looked_at_again() -> None:
    async with story() as cloud:
        vifs = await bound(cloud, 6 * BATCH)
        await plug(cloud, vifs)
        await until(lambda: all_active(cloud), within=2.0, every=0.05)
        cloud.world.switch.restart()  # every port has to be wired again
        await cloud.host.agent.stop()
        cloud.host.slot.start()
        server = await cloud.create()

        async def is_plugged() -> bool:
            return any(vif.server == server for vif in (await cloud.world.switch.plugged()).values())

        await until(is_plugged, within=2.0)
        await asyncio.sleep(0.1)
        cloud.facts.clear()
        cloud.host.agent.start()
        assert await cloud.settled(server, within=2.0) == "ACTIVE"
        await until(lambda: all_active(cloud), within=2.0, every=0.05)
        order = [fact.what for fact in cloud.facts if fact.what in (Hop.WIRED, SubFact.REWIRED)]
        assert order.index(Hop.WIRED) < BATCH  # in the first batch


async def test_ports_that_cannot_be_wired_hold_up_nobody() -> None:
    async with story() as cloud:
        vifs = await bound(cloud, 3 * BATCH)
        bad = {vif.port for vif in vifs[: 2 * BATCH]}
        cloud.world.switch.refuse_flows |= bad
        await plug(cloud, vifs)

        async def the_others_are_active() -> bool:
            active = await cloud.plane.network.store.bound_to(cloud.world.name, statuses=[PortStatus.ACTIVE])
            return {vif.port for vif in vifs} - bad <= set(active)

        await until(the_others_are_active, within=1.0, every=0.05)
        cloud.world.switch.refuse_flows.clear()
        await until(lambda: all_active(cloud), within=2.0, every=0.05)


async def test_an_agent_that_comes_back_to_many_ports_takes_none_down() -> None:
    async with story() as cloud:
        vifs = await bound(cloud, 3 * BATCH)
        await plug(cloud, vifs)
        await until(lambda: all_active(cloud), within=2.0, every=0.05)
        cloud.facts.clear()
        await cloud.host.agent.stop()
        cloud.host.agent.start()
        await asyncio.sleep(12)  # past a full look
        assert await all_active(cloud)
        assert [fact for fact in cloud.facts if fact.what is Hop.READY] == []  # none was ever anything else


async def test_how_far_an_agent_is_can_be_read() -> None:
    async with story() as cloud:
        vifs = await bound(cloud, 3 * BATCH)
        session = cloud.plane.session("network", "admin", "admin")

        async def read() -> tuple[int, int]:
            [agent] = (await session.json("GET", "/v2.0/agents"))["agents"]
            told = agent["configurations"]
            return told["devices"], told["devices_pending"]

        await asyncio.sleep(4)
        assert await read() == (0, 0)
        await plug(cloud, vifs)
        await asyncio.sleep(4)
        assert await read() == (3 * BATCH, 0)


async def test_reservations_that_come_together_are_read_together() -> None:
    faults = Faults()
    async with story(faults=faults) as cloud:
        faults.calls.clear()
        vifs = await bound(cloud, 200)
        assert 1 <= faults.calls.count("DHCP.serve") < 20  # one for each is what must not be
        assert all(cloud.world.dhcp.reservation(network, vif.mac) for network in await served(cloud) for vif in vifs)


async def served(cloud: Story) -> set[NetworkId]:
    return set(await cloud.world.dhcp.serving())
