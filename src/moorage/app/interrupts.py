"""Running a coroutine until it ends, a signal comes, or the parent dies."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import uvloop

T = TypeVar("T")

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """SIGINT, SIGTERM or SIGHUP came, or the parent died; everything has been closed in order."""


@contextmanager
def heeding(stop: Callable[[], object]) -> Iterator[None]:
    """`stop` is called at each signal that asks us to end. Once one has come they mean nothing more, also afterwards.

    In place of the loop's own handlers, after which a second signal would kill us while we end.
    """
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)
        stop()

    before = {number: signal.getsignal(number) for number in ENDINGS}
    heeded = [number for number in ENDINGS if number is not signal.SIGHUP or before[number] is not signal.SIG_IGN]
    for number in heeded:  # nohup ignores SIGHUP, and is to be obeyed
        signal.signal(number, note)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_IGN if came else before[number])


def run(main: Callable[[], Awaitable[T]], *, dies_with_parent: bool = False) -> T:
    """What `main` returns. A signal cancels it, once; what comes after that is passed over. Raises Interrupted."""
    stops: list[Callable[[], object]] = []
    told: list[bool] = []

    def stop() -> None:
        told.append(True)
        for act in stops:
            act()

    with heeding(stop), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_told(main, told, stops, dies_with_parent))


async def _until_told(
    main: Callable[[], Awaitable[T]], told: list[bool], stops: list[Callable[[], object]], dies_with_parent: bool
) -> T:
    """`told` is filled by a signal's handler, which then calls what is in `stops`."""
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    assert me is not None
    cancelled: list[bool] = []

    def cancel() -> None:
        if not cancelled:
            cancelled.append(True)
            me.cancel()

    stops.append(partial(loop.call_soon_threadsafe, cancel))
    if told:  # before we listened
        cancel()
    parent = _parent() if dies_with_parent else None
    if parent is not None:
        loop.add_reader(parent, cancel)
    try:
        return await main()
    finally:
        stops.clear()
        if parent is not None:
            loop.remove_reader(parent)
            os.close(parent)
        if cancelled:
            raise Interrupted


def _parent() -> int | None:
    """A descriptor that becomes readable when the parent dies; None where there is none to watch."""
    try:
        return os.pidfd_open(os.getppid())
    except OSError:  # pid 0: the parent is outside of our container
        return None
