"""Guests that ended by themselves: their OS switched them off, or their process died (after hop running)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial

from moorage.domain.errors import NotFound, Unavailable
from moorage.domain.ids import ServerId
from moorage.kit.per_key import PerKey
from moorage.kit.retry import retry
from moorage.seams.world import World


def process_name(server: ServerId) -> str:
    """What the guest's QEMU is called in the host's world."""
    return f"qemu-{server}"


class Endings:
    """Watches processes while `run` runs; an end that nobody has asked for is kept until it is told."""

    def __init__(self, world: World, is_gone: Callable[[ServerId], Awaitable[bool]]) -> None:
        """`is_gone` is asked when a process has ended: False when the guest has a new one already."""
        self._world = world
        self._is_gone = is_gone
        self._watchers: PerKey[tuple[ServerId, int]] = PerKey()
        self._expected: set[tuple[ServerId, int]] = set()
        self._ended: dict[ServerId, None] = {}
        self._something_ended = asyncio.Event()

    async def run(self) -> None:
        await self._watchers.run()

    def watch(self, server: ServerId, pid: int) -> bool:
        """False when it is watched already, or nothing is."""
        return self._watchers.start((server, pid), "watch", partial(self._until_ended, server, pid))

    def expect(self, server: ServerId, pid: int) -> None:
        """We are about to end it: that is no news."""
        if self._watchers.busy((server, pid)):
            self._expected.add((server, pid))

    def forget(self, server: ServerId) -> None:
        """It was made anew, or destroyed: an end that was not told yet does not count."""
        self._ended.pop(server, None)

    async def ended(self) -> AsyncIterator[ServerId]:
        while True:
            while not self._ended:
                self._something_ended.clear()
                await self._something_ended.wait()
            server = next(iter(self._ended))
            del self._ended[server]
            yield server

    async def _until_ended(self, server: ServerId, pid: int) -> None:
        with suppress(NotFound):  # it ended before we looked
            await retry(partial(self._world.wait, process_name(server)), on=Unavailable, timeout=None)
        if (server, pid) in self._expected:
            self._expected.discard((server, pid))
        elif await self._is_gone(server):
            self._ended[server] = None
            self._something_ended.set()
