"""Who wants to hear that a piece of the simulated world has changed."""

import asyncio
from collections.abc import Callable


class Changes:
    """Counts changes. Nobody has to leave: a waiter that is gone costs nothing, listeners live as long as the world."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each change, in the order of their coming; it returns at once and causes none itself."""
        self._listeners.append(listener)

    def tell(self) -> None:
        """Something has changed."""
        self.count += 1
        told, self._next = self._next, asyncio.Event()
        told.set()
        for listener in self._listeners:
            listener()

    async def after(self, seen: int) -> None:
        """Returns when there have been more than `seen` changes; those of one turn of the loop wake a waiter once."""
        while self.count <= seen:
            await self._next.wait()
