"""The ten words for the hops of a boot, and the facts that a timeline is made of."""

from collections.abc import Iterable, Mapping, Sequence
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
    SET_ASIDE = "set_aside"  # by its agent, which cannot wire what the network tells of it
    UNPLUGGED = "unplugged"
    POWERED_OFF = "powered_off"
    FAILED = "failed"


HOPS: tuple[Hop, ...] = tuple(Hop)
WORDS: Mapping[str, Hop | SubFact] = {word.value: word for word in (*Hop, *SubFact)}


@dataclass(frozen=True)
class Crossing:
    """The way of a message over a bus that has exchanges."""

    exchange: str
    routing_key: str
    queue: str


@dataclass(frozen=True)
class Fact:
    """One thing that happened in a boot, stamped where it happened.

    `port` is None for facts of the whole server, `server` None where the teller knows only the port.
    `wall` is UTC; `monotonic` is seconds of the teller's own clock, for differences within one host.
    `bus` is how the word of it went, where it crossed a bus that can say so.
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
    bus: Crossing | None = None


def boot_of(facts: Iterable[Fact]) -> Mapping[Hop, datetime | None]:
    """When each of the ten hops of the latest boot happened; None for one that did not, or is unknown."""
    return {hop: None if fact is None else fact.wall for hop, fact in boot_facts(facts).items()}


def boot_facts(facts: Iterable[Fact]) -> Mapping[Hop, Fact | None]:
    """The fact that stands for each of the ten hops of the latest boot.

    The latest boot is that of the newest generation: a start, a hard reboot and an attempt on another host each have
    their own. It was asked by the last `asked` before its first fact. With several ports a hop is its last port's; of a
    hop that was told twice for one port the first counts.
    """
    ordered = sorted(facts, key=lambda fact: fact.wall)
    since = _began(ordered)
    asked = [fact for fact in ordered if fact.what is Hop.ASKED]
    before = [fact for fact in asked if since is None or fact.wall <= since[0]] or asked[:1]
    first: dict[tuple[Hop, PortId | None], Fact] = {(Hop.ASKED, None): before[-1]} if before else {}
    for fact in ordered:
        is_of_boot = since is None or fact.generation == since[1] or (fact.generation is None and fact.wall >= since[0])
        if isinstance(fact.what, Hop) and fact.what is not Hop.ASKED and is_of_boot:
            first.setdefault((fact.what, fact.port), fact)
    of_hop = {hop: [fact for (what, _), fact in first.items() if what is hop] for hop in HOPS}
    return {hop: max(told, key=lambda fact: fact.wall, default=None) for hop, told in of_hop.items()}


def _began(ordered: Sequence[Fact]) -> tuple[datetime, Generation] | None:
    """When the newest generation was first heard of, and which it is; facts of taking down are not a boot's."""
    firsts: dict[Generation, datetime] = {}
    for fact in ordered:
        if fact.generation is not None and fact.what not in (SubFact.UNPLUGGED, SubFact.POWERED_OFF):
            firsts.setdefault(fact.generation, fact.wall)
    newest = max(firsts, key=lambda generation: firsts[generation], default=None)
    return None if newest is None else (firsts[newest], newest)


def last_hop(facts: Iterable[Fact], port: PortId) -> Hop | None:
    """The furthest hop that `port` has reached in these facts."""
    reached = {fact.what for fact in facts if fact.port == port}
    return max((hop for hop in HOPS if hop in reached), key=HOPS.index, default=None)
