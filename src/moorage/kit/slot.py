"""One service that can be stopped and started again while the rest goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never


class Slot:
    """Runs `make()` over and over: a fresh life each time it is started, cut off as a crash would cut it off."""

    def __init__(self, make: Callable[[], Awaitable[object]], *, is_started: bool = True) -> None:
        self._make = make
        self._is_wanted = is_started
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._life: asyncio.Task[object] | None = None

    async def run(self) -> Never:
        """Own the lives until cancelled. A life that ends by itself or fails is the supervisor's to see."""
        while True:
            self._changed.clear()
            if not self._is_wanted:
                await self._changed.wait()
                continue
            try:
                async with asyncio.TaskGroup() as group:
                    self._idle.clear()
                    self._life = group.create_task(self._one_life())
            finally:
                self._life = None
                self._idle.set()

    async def _one_life(self) -> object:
        return await self._make()

    def start(self) -> None:
        """Let a life begin, if none is under way."""
        self._is_wanted = True
        self._changed.set()

    def restart(self) -> None:
        """Cut off the life that is under way, as a crash would; another one begins at once."""
        if self._life is not None:
            self._life.cancel()

    async def stop(self) -> None:
        """End the life that is under way; returns when it has ended."""
        self._is_wanted = False
        if self._life is not None:
            self._life.cancel()
        await self._idle.wait()
