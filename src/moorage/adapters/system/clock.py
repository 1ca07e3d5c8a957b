"""The machine's own clock, for every run that is not on virtual time."""

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """Wall-clock time may be stepped by NTP; the monotonic side is the running loop's and never is."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
