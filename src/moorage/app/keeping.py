"""Processes of a world that shall run for ever: one that ends is started again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never

import structlog

from moorage.domain.errors import NotFound
from moorage.seams.world import World

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 30.0  # seconds before one that has ended is started again
LIVES = 2.0  # seconds: one that has lived so long does not die of its start, and the pause is short again

log = structlog.get_logger(__name__)


async def keep_running(world: World, name: str, start: Callable[[], Awaitable[object]]) -> Never:
    """Start process `name` again whenever it ends, soon, and later and later while it keeps ending."""
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    while True:
        began = loop.time()
        code = await _end_of(world, name)
        if loop.time() - began > LIVES:
            pause = FIRST_PAUSE
        log.warning("a process ended that should not; it is started again", process=name, code=code, after=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
        await start()


async def _end_of(world: World, name: str) -> int | None:
    """Its exit code (negative: the signal) once it has ended; None when it has never run."""
    try:
        return await world.wait(name)
    except NotFound:
        return None
