"""One job at a time for each key, keys side by side; a newer job may cancel an older one."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)
K = TypeVar("K", bound=Hashable)


class PerKey(Generic[K]):
    """Jobs under way, by key. Enter it as a context: its tasks end when it does."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[K, tuple[str, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Own the jobs until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def busy(self, key: K) -> str | None:
        """The name of the job under way for `key`, if any."""
        found = self._running.get(key)
        return found[0] if found else None

    def start(self, key: K, name: str, job: Callable[[], Awaitable[None]], *, instead: bool = False) -> bool:
        """Start a job unless one of the same name is under way, or (with `instead`) after cancelling another.

        False when it was not started: the same job is under way, or another one and `instead` is not given.
        """
        if self._group is None:
            return False
        found = self._running.get(key)
        if found is not None and (found[0] == name or not instead):
            return False
        self._running[key] = (name, self._group.create_task(self._one(key, name, job, found[1] if found else None)))
        return True

    async def _one(
        self, key: K, name: str, job: Callable[[], Awaitable[None]], before: asyncio.Task[None] | None
    ) -> None:
        me = asyncio.current_task()
        try:
            if before is not None:
                before.cancel()
                await asyncio.wait([before])
            await job()
        except Exception:
            log.exception("a job failed", job=name, key=str(key))
        finally:
            found = self._running.get(key)
            if found is not None and found[1] is me:
                del self._running[key]
