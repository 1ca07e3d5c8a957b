"""A holder that outlives whoever started it: started in the background, found again by its path, ended by name."""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moorage.adapters.world.client import HeldWorld, first_answer, start_holder
from moorage.adapters.world.connection import Connection
from moorage.adapters.world.protocol import ListHosts
from moorage.domain.errors import Unavailable
from moorage.kit.locking import is_locked

END_TIMEOUT = 10.0  # seconds until the kernel has cleared the world away


@dataclass(frozen=True)
class LivingHolder:
    connection: Connection
    path: Path
    pid: int  # of the outer process, whose end is the world's

    def world(self, host: str) -> HeldWorld:
        """A host of this world; it is made when it is first used."""
        return HeldWorld(self.connection, host)

    def let_go(self) -> None:
        """It lives on."""
        self.connection.close()

    async def end(self) -> None:
        """End it with all that is in its world; returns when nothing of it is left. Raises Unavailable."""
        if self.pid <= 1:  # it is not among the processes that we see
            raise Unavailable(f"the holder at {self.path} belongs to another container: end it there")
        if not self.connection.is_closed:  # else it is just ending, and its number may be another's soon
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        self.connection.close()
        await ended(self.path)


async def start_living(path: Path, log: Path) -> LivingHolder:
    """A holder in the background, reached at `path`, the only one of that directory; it writes to `log`.

    Raises Unavailable, with what to do about it, when none can be.
    """
    with log.open("ab") as words:
        starter, connection = await start_holder(f"--socket={path}", "--detach", log=words)
        try:
            await first_answer(connection)
            return _living(path)
        finally:
            connection.close()
            await starter.wait()  # only the holder's parent, which ended at once


async def find_living(path: Path) -> LivingHolder | None:
    """The holder that is reached at `path`, None when there is none of ours, or it does not answer."""
    try:
        holder = _living(path)
    except Unavailable:
        return None
    try:
        await holder.connection.call("", ListHosts())
    except Unavailable:
        holder.let_go()
        return None
    return holder


async def reach(path: Path) -> LivingHolder:
    """The holder that is reached at `path`. Raises Unavailable when nobody answers there."""
    holder = _living(path)
    await first_answer(holder.connection)
    return holder


def _living(path: Path) -> LivingHolder:
    connection = Connection.to(path)
    return LivingHolder(connection, path, connection.pid)


async def ended(path: Path) -> None:
    """Returns when no holder has this path, nor anything of one is left. Raises Unavailable after 10 s."""
    try:
        async with asyncio.timeout(END_TIMEOUT):
            while is_locked(path.parent):  # noqa: ASYNC110 - the outside world
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise Unavailable(f"the holder at {path} does not end") from None
