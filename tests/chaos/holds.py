"""A boot held between two of its hops, so that a death falls there for certain: whoever does the next hop is paused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from tests.chaos.audit import Audit
from tests.chaos.cluster import Cluster
from tests.chaos.feed import Feed
from tests.chaos.standing import has_number

from moorage.domain.hops import Hop
from moorage.domain.ids import device_name

COMPUTE_APIS = ("compute-api-1", "compute-api-2")
Ask = Callable[[], Awaitable[str]]


@dataclass
class Holding:
    """Asks for a server, and holds its boot at a hop."""

    cluster: Cluster
    feed: Feed
    audit: Audit

    @asynccontextmanager
    async def at(self, hop: Hop, ask: Ask) -> AsyncIterator[str]:
        """The server, whose boot stands between this hop and the next until the context ends. Raises TimeoutError."""
        async with AsyncExitStack() as stack:
            yield await WAYS[hop](self, stack, ask)

    async def _asked(self, stack: AsyncExitStack, ask: Ask) -> str:
        self._pause(stack, "compute")
        server = await ask()
        await self.feed.until(server, Hop.ASKED)
        return server

    async def _bound(self, stack: AsyncExitStack, ask: Ask) -> str:
        self._pause(stack, "ovsdb-server")
        server = await ask()
        await self.feed.until(server, Hop.BOUND)
        return server

    async def _plugged(self, stack: AsyncExitStack, ask: Ask) -> str:
        self._pause(stack, "agent")
        server = await ask()
        await self.feed.until(server, Hop.PLUGGED)
        return server

    async def _seen(self, stack: AsyncExitStack, ask: Ask) -> str:
        async with AsyncExitStack() as before:
            server = await self._plugged(before, ask)
            plugged = await self.feed.until(server, Hop.PLUGGED)
            assert plugged.port is not None
            async with asyncio.timeout(10):
                while not await has_number(self.cluster, device_name(plugged.port)):
                    await asyncio.sleep(0.01)
            self._pause(stack, "ovs-vswitchd")
        await self.feed.until(server, Hop.SEEN)
        return server

    async def _wired(self, stack: AsyncExitStack, ask: Ask) -> str:
        self._pause(stack, "dhcp")
        server = await ask()
        await self.feed.until(server, Hop.WIRED)
        return server

    async def _ready(self, stack: AsyncExitStack, ask: Ask) -> str:
        await stack.enter_async_context(self.audit.outbox_held())
        server = await ask()
        await self.feed.until(server, Hop.READY)
        return server

    async def _told(self, stack: AsyncExitStack, ask: Ask) -> str:
        async with AsyncExitStack() as before:
            server = await self._wired(before, ask)
            self._pause(stack, *COMPUTE_APIS)
        await self.feed.until(server, Hop.TOLD)
        return server

    async def _heard(self, stack: AsyncExitStack, ask: Ask) -> str:
        async with AsyncExitStack() as before:
            server = await self._wired(before, ask)
            self._pause(stack, "compute")
        await self.feed.until(server, Hop.HEARD)
        return server

    async def _woken(self, stack: AsyncExitStack, ask: Ask) -> str:
        async with AsyncExitStack() as before:
            server = await self._heard(before, ask)
            self._pause(stack, *COMPUTE_APIS)
        await self.feed.until(server, Hop.WOKEN)
        return server

    async def _running(self, stack: AsyncExitStack, ask: Ask) -> str:
        server = await ask()
        await self.feed.until(server, Hop.RUNNING)
        return server

    def _pause(self, stack: AsyncExitStack, *parts: str) -> None:
        for part in parts:
            stack.enter_context(_paused(self.cluster, part))


@contextmanager
def _paused(cluster: Cluster, part: str) -> Iterator[None]:
    cluster.pause(part)
    try:
        yield
    finally:
        cluster.resume(part)


WAYS: Mapping[Hop, Callable[[Holding, AsyncExitStack, Ask], Awaitable[str]]] = {
    Hop.ASKED: Holding._asked,
    Hop.BOUND: Holding._bound,
    Hop.PLUGGED: Holding._plugged,
    Hop.SEEN: Holding._seen,
    Hop.WIRED: Holding._wired,
    Hop.READY: Holding._ready,
    Hop.TOLD: Holding._told,
    Hop.HEARD: Holding._heard,
    Hop.WOKEN: Holding._woken,
    Hop.RUNNING: Holding._running,
}
