"""Metrics kept as they come: for stories, and for clouds that nobody asks for numbers."""

from collections import Counter

import msgspec

from moorage.domain.hops import Hop
from moorage.seams.metrics import Levels

KEPT = 1000  # times of each kind; the first are enough


class MemoryMetrics:
    """`times` by what was timed, `counts` by what was counted."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()

    def hop_reached(self, hop: Hop, seconds: float) -> None:
        self._timed(f"hop {hop.value}", seconds)

    def handshake_took(self, seconds: float) -> None:
        self._timed("handshake", seconds)

    def looked(self, who: str, seconds: float) -> None:
        self._timed(f"look {who}", seconds)

    def batch_sent(self, what: str, ports: int) -> None:
        self._timed(f"batch {what}", float(ports))

    def answered(self, service: str, method: str, status: int, seconds: float) -> None:
        self.counts[service, method, str(status)] += 1

    def rendered(self, levels: Levels) -> tuple[bytes, str]:
        return msgspec.json.encode(levels), "application/json"

    def _timed(self, what: str, value: float) -> None:
        values = self.times.setdefault(what, [])
        if len(values) < KEPT:
            values.append(value)
