"""One server on a network of its own, and a user who asks again for what was not accepted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.story.clouds import Story, until
from tests.story.soundness import complaints

from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.hops import HOPS, Hop
from moorage.domain.ids import NetworkId, ServerId
from moorage.domain.server import Server, VmState, job_of

PATIENCE = 120.0  # virtual seconds: that it takes no longer than it may is asserted elsewhere


@dataclass
class Scene:
    cloud: Story
    name: str
    network: NetworkId
    server: ServerId | None = None
    _facts: int = 0  # that had been told when the scene began

    async def ask(self) -> None:
        """POST /servers. Who had no answer looks whether there is a server, before asking again."""
        wanted = {
            "name": self.name,
            "imageRef": self.cloud.image_id,
            "flavorRef": "1",
            "networks": [{"uuid": self.network}],
        }

        is_unsure = False  # whether there is a server already: then it is looked for

        async def is_there() -> bool:
            nonlocal is_unsure
            try:
                is_unsure = is_unsure and not await self._find()
                if self.server is None:
                    made = await self.cloud.compute.json("POST", "/servers", {"server": wanted})
                    self.server = ServerId(made["server"]["id"])
            except MoorageError:
                is_unsure = True
            return self.server is not None

        await until(is_there, within=PATIENCE, every=0.2)

    async def _find(self) -> bool:
        """True once it is known whether there is a server of this name. Raises Unavailable and others."""
        for found in (await self.cloud.compute.json("GET", f"/servers?name={self.name}"))["servers"]:
            self.server = ServerId(found["id"])
        return True

    async def act(self, body: Mapping[str, Any], *, unless: Callable[[Server], bool]) -> None:
        """POST an action, until it was accepted or had been all the same."""

        async def is_accepted() -> bool:
            status = await self._status_of("POST", f"/servers/{self.server}/action", body)
            return status == 202 or unless(await self.row())

        await until(is_accepted, within=PATIENCE, every=0.2)

    async def delete(self) -> None:
        async def is_accepted() -> bool:
            return await self._status_of("DELETE", f"/servers/{self.server}") in (204, 404)

        await until(is_accepted, within=PATIENCE, every=0.2)

    async def _status_of(self, method: str, path: str, body: object = None) -> int:
        try:
            return (await self.cloud.compute.call(method, path, body)).status
        except Unavailable:
            return 503

    async def row(self) -> Server:
        """The record as it is in the store, also of a server that is gone."""
        store = self.cloud.seams["the server store"]
        return await store.show(self.server, project=None, is_deleted=None)  # type: ignore[no-any-return]

    async def rests(self) -> str:
        """Its vm_state once nothing is under way."""

        async def at_rest() -> str | None:
            row = await self.row()
            is_busy = row.life.vm is not VmState.DELETED and job_of(row.life) is not None
            return None if is_busy else str(row.life.vm)

        return await until(at_rest, within=PATIENCE, every=0.25)

    async def reaches(self, hop: Hop) -> None:
        """Returns when the hop, or a later one, was told of the server; or when that will not be: it is at rest."""
        enough = set(HOPS[HOPS.index(hop) :])
        async with asyncio.timeout(PATIENCE):
            while not any(
                fact.server == self.server and fact.what in enough for fact in self.cloud.facts[self._facts :]
            ):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self.cloud.telling.after(self.cloud.telling.count)
                        continue
                if job_of((await self.row()).life) is None:
                    return

    async def close(self) -> None:
        """The server goes, and then its network."""
        if self.server is not None and (await self.row()).life.vm is not VmState.DELETED:
            await self.delete()
            assert await self.rests() == "deleted"
        session = self.cloud.network

        async def is_gone() -> bool:
            try:
                return (await session.call("DELETE", f"/v2.0/networks/{self.network}")).status in (204, 404)
            except Unavailable:
                return False

        await until(is_gone, within=PATIENCE, every=0.2)


@asynccontextmanager
async def scene(cloud: Story, name: str) -> AsyncIterator[Scene]:
    """A network with a subnet; at the end both server and network go, and the cloud must be sound."""
    session = cloud.network
    made = (await session.json("POST", "/v2.0/networks", {"network": {"name": name}}))["network"]
    subnet = {"network_id": made["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
    await session.json("POST", "/v2.0/subnets", {"subnet": subnet})
    yield Scene(cloud, name, NetworkId(made["id"]), _facts=len(cloud.facts))


async def sound(cloud: Story, *, within: float) -> None:
    """Returns when nothing is to be complained of. Fails after `within` virtual seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while left := await complaints(cloud):
        assert loop.time() - began <= within, "; ".join(left)
        await asyncio.sleep(min(1.0, 0.05 + (loop.time() - began) / 4))  # seldom: to look costs more than to wait
