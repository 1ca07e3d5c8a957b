"""A cloud that runs over processes, for tests: its servers come and go, its processes are restarted."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.real.hosting import HOST, Cloud
from tests.real.serving import Served

from moorage.app.client import Client, Json
from moorage.domain.hops import Fact, Hop
from moorage.domain.ids import PortId, device_name
from moorage.seams.world import ROOT

T = TypeVar("T")


@dataclass
class Running:
    """A cloud with all its processes, and what a server is made of."""

    cloud: Cloud
    served: dict[str, Served]
    admin: Client
    image: str
    network: str

    async def until(self, look: Callable[[], Awaitable[T | None]], *, within: float = 120.0) -> T:
        try:
            async with asyncio.timeout(within):
                while not (found := await look()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {within:g} s: {self.cloud.spread.last_words()}") from None
        return found

    async def boot(self, name: str) -> str:
        return await self.admin.create_server(name, image=self.image, flavor="m1.tiny", network=self.network)

    async def ended(self, server: str) -> Json:
        """The server once its boot has ended."""

        async def look() -> Json | None:
            body = await self.admin.server(server)
            return body if body is None or body["status"] != "BUILD" else None

        return await self.until(look)

    async def has_come_to(self, server: str, hop: Hop) -> Sequence[Fact]:
        async def look() -> Sequence[Fact] | None:
            facts = await self.admin.facts(server)
            return facts if any(fact.what is hop for fact in facts) else None

        return await self.until(look)

    async def delete(self, server: str) -> None:
        """And nothing of it is left on the machine."""
        port = await self.admin.port_of(server)
        assert port is not None
        await self.admin.delete_server(server)

        async def is_gone() -> bool:
            return await self.admin.server(server) is None

        await self.until(is_gone)
        assert device_name(PortId(port["id"])) not in await self.cloud.machine.outer.links(ROOT)

    def console(self, server: str) -> str:
        log = self.cloud.machine.place / "c" / "hosts" / HOST / "guests" / server / "console.log"
        return log.read_text() if log.exists() else ""

    async def restart(self, what: str, *, how: signal.Signals = signal.SIGTERM) -> None:
        [code] = await self.cloud.spread.stop([self.served[what]], how=how)
        assert code == (0 if how is signal.SIGTERM else -how)
        self.served[what] = await self.cloud.start(what)
        await self.cloud.spread.ready(what)
