"""What was told of a boot is in its timeline, whoever was away meanwhile."""

import asyncio
from typing import TypeVar

import pytest
from tests.story.clouds import Story, story, until
from tests.story.faults import Fault, Faults
from tests.story.gates import Gate, gated

from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.hops import HOPS, Fact, Hop, boot_of
from moorage.domain.ids import ServerId

T = TypeVar("T")
pytestmark = pytest.mark.usefixtures("errors")


async def missing(cloud: Story, server: ServerId) -> list[Hop]:
    told = boot_of(await cloud.seams["the fact store"].of(server))
    return [hop for hop in HOPS if told[hop] is None]


async def all_is_kept(cloud: Story, server: ServerId) -> None:
    async def is_kept() -> bool:
        return not await missing(cloud, server)

    try:
        await until(is_kept, within=7.0)
    except AssertionError:
        raise AssertionError(f"missing: {await missing(cloud, server)}") from None


async def test_facts_told_while_their_store_is_away_are_kept_when_it_is_back() -> None:
    gate = Gate()

    def behind(name: str, seam: T, /) -> T:
        return gated(seam, gate) if name == "the fact store" else seam

    async with story(listening=behind) as cloud:
        gate.cut()
        server = await cloud.create()
        assert await cloud.settled(server, within=1) == "ACTIVE"
        await asyncio.sleep(5)
        assert await missing(cloud, server) == list(HOPS)
        gate.is_cut = False
        await all_is_kept(cloud, server)


async def test_facts_told_while_the_bus_is_away_are_kept_when_it_is_back() -> None:
    async with story() as cloud:
        bus = cloud.plane.parts.bus
        assert isinstance(bus, MemoryBus)
        server = await cloud.create()
        await asyncio.sleep(0.01)
        await bus.interrupt(5)
        assert await cloud.settled(server, within=5) == "ACTIVE"
        await all_is_kept(cloud, server)


@pytest.mark.parametrize(
    ("hop", "call"),
    [
        (Hop.ASKED, "the server store.place"),
        (Hop.READY, "the network store.settle"),
        (Hop.WOKEN, "the server store.update"),
    ],
)
async def test_what_was_written_is_told_also_when_the_answer_was_lost(hop: Hop, call: str) -> None:
    faults = Faults()
    async with story(faults=faults) as cloud:

        def hear(fact: Fact) -> None:
            if fact.what is hop and not faults.struck:
                faults.arm(Fault.LOST, call)

        cloud.plane.observed.listeners.append(hear)
        server = await cloud.create()
        assert await cloud.settled(server, within=15) == "ACTIVE"
        assert faults.struck == [call]
        await all_is_kept(cloud, server)
