"""Who listens to the timeline: each fact is a log line, and each hop a measurement, on its way to be kept."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from moorage.app.hop_memory import HopMemory
from moorage.domain.hops import HOPS, Fact, Hop, SubFact
from moorage.seams.metrics import Metrics
from moorage.seams.timeline import Timeline
from moorage.wire.crossings import being_handled, last_sent

log = structlog.get_logger("moorage.hops")


class ObservedTimeline:
    """Passes every fact on to `kept`. One for each process: who tells in one process shares what it remembers."""

    def __init__(self, kept: Timeline, metrics: Metrics) -> None:
        self._kept = kept
        self._metrics = metrics
        self._memory = HopMemory()
        self.listeners: list[Callable[[Fact], None]] = []
        """Called with each fact; they return at once and raise nothing."""

    def tell(self, fact: Fact) -> None:
        fact = _with_crossing(fact)
        context = structlog.contextvars.get_contextvars()
        told = self._memory.note(fact, str(context.get("request_id", "")))
        if isinstance(fact.what, Hop):
            if told.since_hop_before is not None:
                self._metrics.hop_reached(fact.what, told.since_hop_before)
            if told.handshake is not None:
                self._metrics.handshake_took(told.handshake)
        for listener in self.listeners:
            listener(fact)
        self._kept.tell(fact)
        _say(fact, told.request_id)


# told just after the message was sent that the hop is about; told in the course of handling that message
_SENT: frozenset[Hop | SubFact] = frozenset({Hop.SEEN, Hop.HEARD})
_HANDLED: frozenset[Hop | SubFact] = frozenset({Hop.BOUND, SubFact.HELD, Hop.READY, Hop.WOKEN})


def _with_crossing(fact: Fact) -> Fact:
    """How its word went, where the hop is one that crosses the bus and the bus is one that can say."""
    crossing = last_sent() if fact.what in _SENT else being_handled() if fact.what in _HANDLED else None
    return fact if crossing is None or fact.bus is not None else replace(fact, bus=crossing)


def _say(fact: Fact, request_id: str) -> None:
    """One line, at the hop's own time; a fact between two hops has the word in the place of a hop."""
    number = HOPS.index(fact.what) + 1 if isinstance(fact.what, Hop) else None
    words = {
        "request_id": request_id,
        "server": fact.server,
        "port": fact.port,
        "host": fact.host,
        "hop": fact.what.value,
        "hop_number": number,
        "who": fact.who,
        "generation": fact.generation,
        "attempt": fact.attempt,
        "at": fact.wall.isoformat(),
        "detail": fact.detail,
        "exchange": fact.bus and fact.bus.exchange,
        "routing_key": fact.bus and fact.bus.routing_key,
        "queue": fact.bus and fact.bus.queue,
    }
    log.info(
        f"hop {number} of {len(HOPS)}: {fact.what.value}" if number else f"between hops: {fact.what.value}",
        **{name: value for name, value in words.items() if value not in (None, "")},
    )
