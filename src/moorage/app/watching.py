"""Watching the world until something is seen, and noting when."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


async def seen(look: Callable[[], Awaitable[T | None]], *, limit: float, every: float = 0.005) -> T | None:
    """The first thing that `look` sees, looking each `every` seconds; None when `limit` seconds brought nothing."""
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    while (found := await look()) is None:
        if loop.time() >= until:
            return None
        await asyncio.sleep(every)
    return found


async def when(is_so: Callable[[], Awaitable[bool]], *, limit: float, every: float = 0.005) -> datetime | None:
    """When (UTC) it was first seen to be so; None when it was not within `limit` seconds."""

    async def look() -> datetime | None:
        return datetime.now(UTC) if await is_so() else None

    return await seen(look, limit=limit, every=every)


async def stays(is_so: Callable[[], Awaitable[bool]], *, during: float, every: float = 0.005) -> bool:
    """Whether it is so at each look for `during` seconds."""

    async def is_not() -> bool:
        return not await is_so()

    return await when(is_not, limit=during, every=every) is None
