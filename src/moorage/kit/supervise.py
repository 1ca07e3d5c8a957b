"""Eternal tasks with an owner: they end together, and one that ends by itself is said so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Never

import structlog

log = structlog.get_logger(__name__)


async def supervise(
    tasks: Sequence[tuple[str, Callable[[], Awaitable[object]]]], *, restart_after: float = 1.0
) -> Never:
    """Run every task until cancelled; one that ends is logged and run again after `restart_after` seconds."""
    async with asyncio.TaskGroup() as group:
        for name, run in tasks:
            group.create_task(_for_ever(name, run, restart_after), name=name)
    raise AssertionError("an eternal task ended")


async def _for_ever(name: str, run: Callable[[], Awaitable[object]], restart_after: float) -> Never:
    while True:
        try:
            await run()
            log.warning("a task ended that should not; it is run again", task=name)
        except Exception:
            log.exception("a task failed; it is run again", task=name)
        await asyncio.sleep(restart_after)
