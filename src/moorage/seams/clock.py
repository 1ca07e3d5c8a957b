"""What time it is. Virtual in the story tests."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """UTC, with microseconds."""

    def monotonic(self) -> float:
        """Seconds that never go back; the event loop's clock."""
