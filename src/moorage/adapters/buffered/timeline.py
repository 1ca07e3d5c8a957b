"""Telling never fails and never slows a boot: facts go into a bounded buffer, and over the bus in batches."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
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
AGAIN = 1.0  # seconds until facts that could not be sent are sent again
CLOSING_AGAIN = 0.1  # seconds, likewise, when time is short
BATCH = 500  # facts in one message


class BufferedTimeline:
    """`tell` appends; `run` sends. When more than `size` facts wait, the oldest are dropped and counted."""

    def __init__(self, bus: Bus, *, size: int = 20_000) -> None:
        self._bus = bus
        self._size = size
        self._facts: deque[Fact] = deque()
        self._is_filled = asyncio.Event()
        self._sending = asyncio.Lock()
        self._is_sending_well = True
        self._logged = 0  # of those dropped
        self.dropped = 0

    def tell(self, fact: Fact) -> None:
        self._facts.append(fact)
        self._make_room()
        self._is_filled.set()

    async def run(self) -> Never:
        while True:
            await self._is_filled.wait()
            await asyncio.sleep(GATHER if self._is_sending_well else AGAIN)
            self._is_filled.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send what waits; what cannot be sent goes on waiting."""
        await self._send(self._cast)

    async def close(self, *, within: float = 2.0) -> None:
        """Send what waits, and return when it is kept, or after `within` seconds: what cannot be sent then is lost."""
        try:
            async with asyncio.timeout(within):
                await self._send(self._call)
                while self._facts:
                    await asyncio.sleep(CLOSING_AGAIN)
                    await self._send(self._call)
        except TimeoutError:
            log.warning("the last facts have not been kept in time", waiting=len(self._facts))
        self._say_what_was_dropped()

    async def _send(self, send: Callable[[Facts], Awaitable[None]]) -> None:
        """Facts go when they were taken, and not before: whoever sends may be cancelled meanwhile."""
        self._say_what_was_dropped()
        async with self._sending:
            while self._facts:
                batch, dropped = list(islice(self._facts, BATCH)), self.dropped
                try:
                    await send(Facts(facts=tuple(map(to_wire, batch))))
                except Unavailable as error:
                    if self._is_sending_well:
                        log.warning("facts cannot be sent; they wait", error=str(error), facts=len(batch))
                    self._is_sending_well = False
                    self._is_filled.set()
                    return
                self._is_sending_well = True
                for _ in range(len(batch) - (self.dropped - dropped)):  # the others went to make room meanwhile
                    self._facts.popleft()

    async def _cast(self, message: Facts) -> None:
        await self._bus.cast(QUEUE, message)

    async def _call(self, message: Facts) -> None:
        await self._bus.call(QUEUE, message)

    def _make_room(self) -> None:
        while len(self._facts) > self._size:
            self._facts.popleft()
            self.dropped += 1

    def _say_what_was_dropped(self) -> None:
        if self.dropped > self._logged:
            log.warning("facts were dropped: too many waited", dropped=self.dropped - self._logged, ever=self.dropped)
            self._logged = self.dropped
