"""Running a coroutine until it ends, a signal comes, or the parent dies."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

T = TypeVar("T")


class Interrupted(Exception):
    """SIGINT, SIGTERM or SIGHUP came, or the parent died; everything has been closed in order."""


def run(main: Callable[[], Awaitable[T]], *, dies_with_parent: bool = False) -> T:
    """What `main` returns. A signal cancels it, once; what comes while it closes is passed over. Raises Interrupted."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_told(main, dies_with_parent))


async def _until_told(main: Callable[[], Awaitable[T]], dies_with_parent: bool) -> T:
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    assert me is not None
    told: list[bool] = []

    def stop() -> None:
        if not told:
            told.append(True)
            me.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    parent = _parent() if dies_with_parent else None
    if parent is not None:
        loop.add_reader(parent, stop)
    try:
        return await main()
    finally:
        if parent is not None:
            loop.remove_reader(parent)
            os.close(parent)
        if told:
            raise Interrupted


def _parent() -> int | None:
    """A descriptor that becomes readable when the parent dies; None where there is none to watch."""
    try:
        return os.pidfd_open(os.getppid())
    except OSError:  # pid 0: the parent is outside of our container
        return None
