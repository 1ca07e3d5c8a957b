"""Keeps the facts that the others tell, and shows those of a boot."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Never

import structlog

from moorage.domain.errors import Unavailable
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.fact_store import FactStore
from moorage.wire.facts import from_wire
from moorage.wire.messages import Done, Facts, Message

log = structlog.get_logger(__name__)

QUEUE = "timeline"
KEEP = 500_000  # facts: about 30,000 boots
FORGET_EVERY = 600.0  # seconds


@dataclass(frozen=True)
class TimelineService:
    store: FactStore
    bus: Bus

    async def run(self) -> Never:
        await supervise([("facts", partial(self.bus.serve, QUEUE, self.handle)), ("forgetting", self._forget)])

    async def handle(self, message: Message) -> Message | None:
        """One message of the queue `timeline`. Facts are cast, but a call is answered too: when they are kept."""
        if isinstance(message, Facts):
            await self.store.add(from_wire(message.facts))
            return Done()
        log.warning("a message that is not for the timeline", message=type(message).__name__)
        return None

    async def _forget(self) -> Never:
        while True:
            await asyncio.sleep(FORGET_EVERY)
            try:
                await self.store.forget(keep=KEEP)
            except Unavailable as error:
                log.warning("old facts could not be dropped", error=str(error))
