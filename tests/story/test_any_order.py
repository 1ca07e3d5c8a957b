"""Several processes serve the queues of compute API and the network: messages are handled at once, late, twice, and in
any order. Each carries what orders it."""

import asyncio
import random
from typing import Never

import pytest
from tests.story.clouds import Story, a_port, story, until

from moorage.adapters.memory.bus import MemoryBus
from moorage.domain.ids import ServerId
from moorage.kit.supervise import supervise
from moorage.seams.bus import Handler
from moorage.wire.messages import Message

SHARED = ("network", "compute-api")
SERVERS = 3  # processes of each
LATEST = 0.3  # seconds that a message may lie before it is handled, and its answer after that
TWICE = 0.2  # share of the messages that come once more, to another server


class Disorder(MemoryBus):
    """Each message lies about for a while, and so does its answer: later ones overtake earlier ones."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self.overtaken = 0
        self._last_of: dict[str, int] = {}

    async def serve(self, queue: str, handler: Handler) -> Never:
        if queue not in SHARED:
            await super().serve(queue, handler)
            raise AssertionError("a queue's loop ended")

        async def disordered(message: Message) -> Message | None:
            if self._random.random() < TWICE:
                async with asyncio.TaskGroup() as group:
                    again = group.create_task(self._late(handler, message))
                    first = await self._late(handler, message)
                return first or again.result()
            return await self._late(handler, message)

        one = MemoryBus.serve
        await supervise([(f"server {n} of {queue}", lambda: one(self, queue, disordered)) for n in range(SERVERS)])
        raise AssertionError("a queue's servers ended")

    async def _late(self, handler: Handler, message: Message) -> Message | None:
        await asyncio.sleep(self._random.random() * LATEST)
        self._note(message)
        answer = await handler(message)
        await asyncio.sleep(self._random.random() * LATEST)
        return answer

    def _note(self, message: Message) -> None:
        host, sequence = getattr(message, "host", ""), getattr(message, "sequence", 0)
        self.overtaken += sequence < self._last_of.get(host, 0)
        self._last_of[host] = max(sequence, self._last_of.get(host, 0))


@pytest.mark.parametrize("seed", range(3))
async def test_servers_live_as_they_should_whichever_process_handles_what_when(seed: int) -> None:
    bus = Disorder(seed)
    async with story(hosts=2, real=bus) as cloud:
        servers = [await cloud.create(f"s{number}") for number in range(12)]
        await asyncio.sleep(1.0)
        doomed, stopped = servers[:4], servers[4:8]
        for server in doomed:  # some in the middle of their boot
            await cloud.delete(server)
        for server in stopped:
            assert await cloud.settled(server, within=60) == "ACTIVE"
            await cloud.act(server, {"os-stop": None})
        for server in stopped:
            await becomes(cloud, server, "SHUTOFF")
        for server in stopped[:2]:
            await cloud.act(server, {"os-start": None})
        for server in (*stopped[:2], *servers[8:]):
            await becomes(cloud, server, "ACTIVE")
            await until(lambda server=server: is_wired(cloud, server), within=30)  # type: ignore[misc]
        for server in doomed:
            await until(lambda server=server: is_gone(cloud, server), within=60)  # type: ignore[misc]
        assert bus.overtaken > 0  # or this has shown nothing


async def becomes(cloud: Story, server: ServerId, status: str) -> None:
    async def is_so() -> bool:
        assert await cloud.status(server) != "ERROR"
        return await cloud.status(server) == status

    await until(is_so, within=60)


async def is_wired(cloud: Story, server: ServerId) -> bool:
    """ACTIVE for the network, and as good as its word on some switch."""
    port = await cloud.port(server)
    on_switches = [await world.switch.look() for world in cloud.worlds]
    return port["status"] == "ACTIVE" and any(a_port(port) in bridge for bridge in on_switches)


async def is_gone(cloud: Story, server: ServerId) -> bool:
    return await cloud.show(server) is None and await cloud.no_trace(server) == ""
