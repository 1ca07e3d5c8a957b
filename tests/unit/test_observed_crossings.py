"""How a hop's word crossed the bus is known by whoever sent it just then, or handles it just now."""

from contextvars import copy_context
from datetime import UTC, datetime

from moorage.adapters.memory.metrics import MemoryMetrics
from moorage.app.observing import ObservedTimeline
from moorage.domain.hops import HOPS, Crossing, Fact, Hop
from moorage.domain.ids import ServerId
from moorage.wire.crossings import note_handled, note_sent

THERE, HERE = Crossing("to", "there", "there"), Crossing("to", "here", "here")


class Kept:
    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def tell(self, fact: Fact) -> None:
        self.facts.append(fact)


def crossings(*, sent: Crossing | None = None, handled: Crossing | None = None) -> dict[Hop, Crossing]:
    """Those of all hops that are told in one piece of work."""
    kept = Kept()

    def work() -> None:
        if sent is not None:
            note_sent(sent)
        if handled is not None:
            note_handled(handled)
        timeline = ObservedTimeline(kept, MemoryMetrics())
        for hop in HOPS:
            timeline.tell(Fact(hop, datetime(2026, 1, 1, tzinfo=UTC), 0.0, "test", server=ServerId("s")))

    copy_context().run(work)
    return {hop: fact.bus for hop, fact in zip(HOPS, kept.facts, strict=True) if fact.bus is not None}


def test_what_was_sent_is_told_by_its_sender_and_what_came_by_its_receiver() -> None:
    told = crossings(sent=THERE, handled=HERE)
    assert told == {Hop.BOUND: HERE, Hop.SEEN: THERE, Hop.READY: HERE, Hop.HEARD: THERE, Hop.WOKEN: HERE}


def test_a_host_that_found_it_by_looking_claims_no_crossing() -> None:
    assert crossings(sent=THERE) == {Hop.SEEN: THERE, Hop.HEARD: THERE}


def test_a_bus_in_memory_has_no_crossings() -> None:
    assert crossings() == {}
