"""The ten words for the hops of a boot, and the facts that a timeline is made of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from moorage.domain.ids import Generation, HostName, PortId, ServerId


class Hop(StrEnum):
    """The ten hops in their order; each has one sender and one receiver (DESIGN: ten words)."""

    ASKED = "asked"
    BOUND = "bound"
    PLUGGED = "plugged"
    SEEN = "seen"
    WIRED = "wired"
    READY = "ready"
    TOLD = "told"
    HEARD = "heard"
    WOKEN = "woken"
    RUNNING = "running"


class SubFact(StrEnum):
    """Facts between the hops: worth a line in the timeline, no hop of their own."""

    PLACED = "placed"
    HELD = "held"
    DHCP_READY = "dhcp_ready"
    REWIRED = "rewired"
    UNPLUGGED = "unplugged"
    POWERED_OFF = "powered_off"
    FAILED = "failed"


HOPS: tuple[Hop, ...] = tuple(Hop)
WORDS: Mapping[str, Hop | SubFact] = {word.value: word for word in (*Hop, *SubFact)}


@dataclass(frozen=True)
class Fact:
    """One thing that happened in a boot, stamped where it happened.

    `port` is None for facts of the whole server, `server` None where the teller knows only the port.
    `wall` is UTC; `monotonic` is seconds of the teller's own clock, for differences within one host.
    """

    what: Hop | SubFact
    wall: datetime
    monotonic: float
    who: str
    server: ServerId | None = None
    port: PortId | None = None
    generation: Generation | None = None
    attempt: int | None = None
    host: HostName | None = None
    detail: str = ""


def boot_of(facts: Iterable[Fact]) -> Mapping[Hop, datetime | None]:
    """When each of the ten hops of the latest boot happened; None for one that did not, or is unknown.

    With several ports a hop is its last port's. Facts of earlier boots (before the latest `asked`) are left out; of a
    hop that was told twice for one port the first counts.
    """
    ordered = sorted(facts, key=lambda fact: fact.wall)
    started = max((fact.wall for fact in ordered if fact.what is Hop.ASKED), default=None)
    first: dict[tuple[Hop, PortId | None], datetime] = {}
    for fact in ordered:
        if isinstance(fact.what, Hop) and (started is None or fact.wall >= started):
            first.setdefault((fact.what, fact.port), fact.wall)
    return {hop: max((at for (what, _), at in first.items() if what is hop), default=None) for hop in HOPS}


def last_hop(facts: Iterable[Fact], port: PortId) -> Hop | None:
    """The furthest hop that `port` has reached in these facts."""
    reached = {fact.what for fact in facts if fact.port == port}
    return max((hop for hop in HOPS if hop in reached), key=HOPS.index, default=None)
