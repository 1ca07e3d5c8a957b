"""Facts as they travel: over the bus, and in the timeline's own API."""

from collections.abc import Iterable

from moorage.domain.hops import WORDS, Crossing, Fact
from moorage.domain.ids import Generation, HostName, PortId, ServerId
from moorage.wire.messages import FactSpec


def to_wire(fact: Fact) -> FactSpec:
    return FactSpec(
        what=fact.what.value,
        wall=fact.wall,
        monotonic=fact.monotonic,
        who=fact.who,
        server=fact.server,
        port=fact.port,
        generation=fact.generation,
        attempt=fact.attempt,
        host=fact.host,
        detail=fact.detail,
        bus=None if fact.bus is None else (fact.bus.exchange, fact.bus.routing_key, fact.bus.queue),
    )


def from_wire(specs: Iterable[FactSpec]) -> list[Fact]:
    """The facts, but those in a word that we do not know (a newer teller's)."""
    return [
        Fact(
            what=WORDS[spec.what],
            wall=spec.wall,
            monotonic=spec.monotonic,
            who=spec.who,
            server=ServerId(spec.server) if spec.server else None,
            port=PortId(spec.port) if spec.port else None,
            generation=Generation(spec.generation) if spec.generation else None,
            attempt=spec.attempt,
            host=HostName(spec.host) if spec.host else None,
            detail=spec.detail,
            bus=None if spec.bus is None else Crossing(*spec.bus),
        )
        for spec in specs
        if spec.what in WORDS
    ]
