"""What `demo` and `experiment` found out, and its JSON; made of facts and observations, by pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from moorage.domain.hops import HOPS, Crossing, Fact, Hop, SubFact, boot_facts, boot_of
from moorage.domain.ids import PortId
from moorage.wire.times import exact

_VERDICTS = frozenset({SubFact.SET_ASIDE, SubFact.REWIRED, Hop.WIRED})  # of an agent, on a port


@dataclass(frozen=True)
class HopTime:
    hop: Hop
    at: datetime | None  # None: did not happen, or is unknown
    ms: float | None  # since asked
    bus: Crossing | None = None  # how the word of it went, where it crossed a bus that can say so


@dataclass(frozen=True)
class Step:
    """One thing that was to be seen. `ok` None: it cannot be tried on this kind of host."""

    what: str
    at: datetime | None
    ok: bool | None


@dataclass(frozen=True)
class Boot:
    """One boot as `--json` tells it."""

    kind: str
    server: str
    port: str | None
    host_kind: str
    hops: tuple[HopTime, ...]
    server_status: str
    port_status: str | None
    address: str | None
    ping: bool | None
    fault: str | None
    steps: tuple[Step, ...] = ()

    @property
    def is_fine(self) -> bool:
        return all(step.ok is not False for step in self.steps)


def hop_times(facts: Iterable[Fact]) -> tuple[HopTime, ...]:
    """The ten hops of the latest boot in the words' order, with their times since `asked`.

    Bound is told by the network, which compute has asked over HTTP: where that is another process, only compute, when
    it holds the guest, can say how the job came that both are of.
    """
    facts = tuple(facts)
    found = boot_facts(facts)
    bound = found[Hop.BOUND]
    if bound is not None and bound.bus is None:
        held = (fact for fact in facts if fact.what is SubFact.HELD and fact.generation == bound.generation)
        found = {**found, Hop.BOUND: replace(bound, bus=next((fact.bus for fact in held), None))}
    asked = found[Hop.ASKED]
    return tuple(_hop_time(hop, found[hop], None if asked is None else asked.wall) for hop in HOPS)


def _hop_time(hop: Hop, fact: Fact | None, asked: datetime | None) -> HopTime:
    return HopTime(hop, None, None) if fact is None else HopTime(hop, fact.wall, between_ms(asked, fact.wall), fact.bus)


def held_ms(facts: Sequence[Fact]) -> float | None:
    """How long the guest stood ready and was held back: from its creation, stopped, to its running.

    None unless both were told.
    """
    found = boot_of(facts)
    return between_ms(told_at(facts, SubFact.HELD), found[Hop.RUNNING])


def set_aside(facts: Sequence[Fact]) -> Mapping[PortId, str]:
    """The ports that their host's agent could not wire in the latest boot or since, and what it said last."""
    asked = boot_of(facts)[Hop.ASKED]
    ordered = sorted(facts, key=lambda fact: fact.wall)
    last = {fact.port: fact for fact in ordered if fact.port is not None and fact.what in _VERDICTS}
    return {port: fact.detail for port, fact in last.items() if fact.what is SubFact.SET_ASIDE and _since(fact, asked)}


def told_at(facts: Iterable[Fact], what: Hop | SubFact) -> datetime | None:
    """When it last happened in the latest boot; None when it did not, or is not told yet."""
    facts = tuple(facts)
    asked = boot_of(facts)[Hop.ASKED]
    return max((fact.wall for fact in facts if fact.what is what and _since(fact, asked)), default=None)


def between_ms(start: datetime | None, end: datetime | None) -> float | None:
    """Milliseconds from one time to another; None unless both are known."""
    return None if start is None or end is None else round((end - start).total_seconds() * 1000, 3)


def plugged_to_running_ms(facts: Iterable[Fact]) -> float | None:
    found = boot_of(facts)
    return between_ms(found[Hop.PLUGGED], found[Hop.RUNNING])


def with_steps(boot: Boot, steps: Iterable[Step]) -> Boot:
    return replace(boot, steps=(*boot.steps, *steps))


def boot_json(boot: Boot) -> Mapping[str, Any]:
    return {
        "kind": boot.kind,
        "server": boot.server,
        "port": boot.port,
        "host_kind": boot.host_kind,
        "hops": hops_json(boot.hops),
        "server_status": boot.server_status,
        "port_status": boot.port_status,
        "address": boot.address,
        "ping": boot.ping,
        "fault": boot.fault,
        "steps": [{"what": step.what, "at": _exact(step.at), "ok": step.ok} for step in boot.steps],
    }


def hops_json(hops: Iterable[HopTime]) -> list[Mapping[str, Any]]:
    return [
        {"hop": time.hop.value, "at": _exact(time.at), "ms": time.ms}
        | ({} if time.bus is None else {"bus": asdict(time.bus)})
        for time in hops
    ]


def _since(fact: Fact, asked: datetime | None) -> bool:
    return asked is None or fact.wall >= asked


def _exact(at: datetime | None) -> str | None:
    return None if at is None else exact(at)
