"""Telling never fails and never slows a boot: facts go into a bounded buffer, and over the bus in batches."""

import asyncio
from collections import deque
from typing import Never

import structlog

from moorage.domain.errors import Unavailable
from moorage.domain.hops import Fact
from moorage.seams.bus import Bus
from moorage.wire.facts import to_wire
from moorage.wire.messages import Facts

log = structlog.get_logger(__name__)

QUEUE = "timeline"
GATHER = 0.05  # seconds that facts are gathered, so that a boot under way is not interrupted by their keeping
BATCH = 500  # facts in one message


class BufferedTimeline:
    """`tell` appends; `run` sends. When more than `size` facts wait, the oldest are dropped and counted."""

    def __init__(self, bus: Bus, *, size: int = 20_000) -> None:
        self._bus = bus
        self._facts: deque[Fact] = deque(maxlen=size)
        self._is_filled = asyncio.Event()
        self.dropped = 0

    def tell(self, fact: Fact) -> None:
        if len(self._facts) == self._facts.maxlen:
            self.dropped += 1
        self._facts.append(fact)
        self._is_filled.set()

    async def run(self) -> Never:
        while True:
            await self._is_filled.wait()
            await asyncio.sleep(GATHER)
            self._is_filled.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send what waits; what cannot be sent goes on waiting."""
        while self._facts:
            batch = [self._facts.popleft() for _ in range(min(BATCH, len(self._facts)))]
            try:
                await self._bus.cast(QUEUE, Facts(facts=tuple(map(to_wire, batch))))
            except Unavailable as error:
                log.warning("facts could not be sent; they wait", error=str(error), facts=len(batch))
                self._facts.extendleft(reversed(batch))
                self._is_filled.set()
                return
