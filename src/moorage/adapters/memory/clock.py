"""A wall clock that goes as the event loop goes, so that virtual time moves dates as well."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class LoopClock:
    """Reads `start` when the loop reads 0. Any two of one start agree, so a service may restart."""

    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
