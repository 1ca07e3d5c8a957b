"""Eternal tasks with an owner: they end together, and one that ends by itself is said so and run again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Never

import structlog

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 30.0  # seconds
QUIET_FOR = 60.0  # seconds without a failure, after which the pause is short again


async def supervise(
    tasks: Sequence[tuple[str, Callable[[], Awaitable[object]]]], *, restart_after: float = 1.0
) -> Never:
    """Run every task until cancelled; one that ends is logged and run again, after a pause that grows from
    `restart_after` seconds while it keeps failing."""
    async with asyncio.TaskGroup() as group:
        for name, run in tasks:
            group.create_task(_for_ever(name, run, restart_after), name=name)
    raise AssertionError("an eternal task ended")


async def _for_ever(name: str, run: Callable[[], Awaitable[object]], restart_after: float) -> Never:
    loop = asyncio.get_running_loop()
    pause = restart_after
    while True:
        began = loop.time()
        try:
            await run()
            log.warning("a task ended that should not; it is run again", task=name)
        except Exception:
            raise_if_cancelled()
            log.exception("a task failed; it is run again", task=name, after=pause)
        if loop.time() - began > QUIET_FOR:
            pause = restart_after
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task is being cancelled: a TaskGroup inside may have put its children's errors in
    the place of it (CPython 3.11 and 3.12)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
