"""One job at a time for each key, keys side by side; a newer job may cancel an older one."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from moorage.kit.supervise import raise_if_cancelled

log = structlog.get_logger(__name__)
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class _Running:
    name: str
    task: asyncio.Task[None]
    before: tuple[asyncio.Task[None], ...]  # cancelled for it, and maybe still unwinding


class PerKey(Generic[K]):
    """Jobs under way, by key. They belong to whoever runs `run`, and end with it."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[K, _Running] = {}

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
        return found.name if found else None

    async def idle(self, key: K) -> None:
        """Returns when no job is under way for `key`."""
        while (found := self._running.get(key)) is not None and not found.task.done():
            await asyncio.wait([found.task])

    def start(self, key: K, name: str, job: Callable[[], Awaitable[None]], *, instead: bool = False) -> bool:
        """Start a job unless one of the same name is under way, or (with `instead`) after cancelling another.

        False when it was not started: the same job is under way, or another one and `instead` is not given.
        """
        if self._group is None:
            return False
        found = self._running.get(key)
        if found is not None and found.task.done():  # its callback comes a moment later
            found = None
        if found is not None and (found.name == name or not instead):
            return False
        before = () if found is None else tuple(task for task in (*found.before, found.task) if not task.done())
        if found is not None:
            found.task.cancel()
        task = self._group.create_task(self._one(key, name, job, before))
        self._running[key] = _Running(name, task, before)
        task.add_done_callback(lambda ended: self._ended(key, ended))
        return True

    async def _one(
        self, key: K, name: str, job: Callable[[], Awaitable[None]], before: tuple[asyncio.Task[None], ...]
    ) -> None:
        try:
            if before:
                await asyncio.wait(before)
            await job()
        except Exception:
            raise_if_cancelled()
            log.exception("a job failed", job=name, key=str(key))

    def _ended(self, key: K, task: asyncio.Task[None]) -> None:
        found = self._running.get(key)
        if found is not None and found.task is task:
            del self._running[key]
