"""Clocks for stores that are tried on real databases, where time cannot be virtual."""

from dataclasses import dataclass
from datetime import datetime


@dataclass
class Still:
    """It stands at `at`, and its seconds go when they are told to."""

    at: datetime
    seconds: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds
