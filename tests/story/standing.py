"""A cloud that stands between calls, for tests that are no coroutines: it goes on while one of theirs runs."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import looptime
from tests.story.clouds import Story, story

from moorage.app.control_plane import ControlPlane
from moorage.domain.errors import MoorageError

T = TypeVar("T")


@dataclass
class Standing:
    loop: asyncio.AbstractEventLoop
    story: Story

    @property
    def plane(self) -> ControlPlane:
        return self.story.plane

    def run(self, work: Coroutine[Any, Any, T], *, within: float = 120.0) -> T:
        """What `work` returns. Raises TimeoutError after so many virtual seconds."""
        return self.loop.run_until_complete(asyncio.wait_for(work, within))

    def token(self, user: str, project: str) -> str:
        return self.run(self.plane.identity.issue_for(user, project))

    def stock(self) -> list[str]:
        """A few things of each kind, made by the user demo; their ids."""
        return self.run(_stock(self.story))


async def _stock(cloud: Story) -> list[str]:
    made: list[str] = []

    async def make(service: str, path: str, word: str, user: str = "demo", **fields: Any) -> str:
        """Its id; "" when what was sent before does not let it be made."""
        session = cloud.plane.session(service, user, user)
        try:
            answer = await session.json("POST", path, {word: fields} if word else fields)
        except MoorageError:
            return ""
        made.append(str((answer[word] if word else answer).get("id") or fields["name"]))
        return made[-1]

    mark = uuid4().hex
    for word in ("domain", "project", "user", "group", "role"):
        await make("identity", f"/v3/{word}s", word, "admin", name=f"{word}-{mark}")
    network = await make("network", "/v2.0/networks", "network", name="some")
    await make("network", "/v2.0/subnets", "subnet", network_id=network, ip_version=4, cidr="10.1.0.0/24")
    await make("network", "/v2.0/ports", "port", network_id=network)
    await make("network", "/v2.0/security-groups", "security_group", name="some")
    await make("compute/v2.1", "/os-keypairs", "keypair", name=f"key-{mark}")
    await make("compute/v2.1", "/flavors", "flavor", "admin", name=f"flavor-{mark}", ram=1, vcpus=1, disk=1)
    await make("image/v2", "/images", "", name="disk", disk_format="raw", container_format="bare")
    for _ in range(3):
        asked: dict[str, Any] = {"imageRef": cloud.image_id, "flavorRef": "1", "networks": [{"uuid": network}]}
        await make("compute/v2.1", "/servers", "server", name="vm", **asked)
    await asyncio.sleep(5)
    return made


@contextmanager
def standing() -> Iterator[Standing]:
    loop = looptime.new_event_loop(noop_cycles=1)
    ready: asyncio.Future[Story] = loop.create_future()
    end = asyncio.Event()

    async def keep() -> None:
        async with story() as cloud:
            ready.set_result(cloud)
            await end.wait()

    def ended(keeper: asyncio.Task[None]) -> None:
        if not ready.done():
            ready.set_exception(keeper.exception() or EOFError("the cloud ended before it was there"))

    try:
        keeper = loop.create_task(keep())
        keeper.add_done_callback(ended)
        loop.run_until_complete(ready)
        try:
            yield Standing(loop, ready.result())
        finally:
            end.set()
            loop.run_until_complete(keeper)
    finally:
        loop.close()
