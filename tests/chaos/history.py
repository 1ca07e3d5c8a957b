"""Whether a run was sound, by its evidence alone: no boot or news lost, no address given twice, nothing leaked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.chaos.evidence import Appended, Asked, Evidence, Removed

from moorage.domain.events import STATUS_EVENTS, EventName, ExternalEvent
from moorage.domain.hops import HOPS, Fact, Hop
from moorage.domain.ids import PortId
from moorage.domain.news import news
from moorage.domain.port import FixedIp
from moorage.domain.server import Server, VmState

STATES = {"ACTIVE": VmState.ACTIVE, "SHUTOFF": VmState.STOPPED, "DELETED": VmState.DELETED}


@dataclass(frozen=True)
class Judged:
    """What is wrong, each in a sentence; all empty when the run was sound."""

    lost_boots: Sequence[str]
    lost_events: Sequence[str]
    doubles: Sequence[str]
    leaks: Sequence[str]

    @property
    def violations(self) -> list[str]:
        return [*self.lost_boots, *self.lost_events, *self.doubles, *self.leaks]


def judged(evidence: Evidence) -> Judged:
    return Judged(
        lost_boots=[what for asked in evidence.asked for what in _wrong_with(asked, evidence)],
        lost_events=[*_never_appended(evidence), *_never_delivered(evidence)],
        doubles=list(_doubles(evidence)),
        leaks=list(_leaks(evidence)),
    )


# Boots


def _wrong_with(asked: Asked, evidence: Evidence) -> Iterator[str]:
    server = evidence.servers.get(asked.server)
    if server is None:
        yield f"server {asked.server} has no record"
        return
    if server.life.vm is VmState.ERROR and not asked.is_single and asked.wanted != "DELETED":
        why = _untrue(server, evidence)
        if why:
            yield f"server {server.id} is in ERROR {why}: {server.fault.message if server.fault else 'without a fault'}"
        return
    if server.life.vm is not STATES[asked.wanted] or server.life.task is not None:
        hop = _reached(evidence.facts.get(server.id, ()), None)
        yield f"server {server.id} is {_shown(server)}, not {asked.wanted}; its last hop: {hop or 'none'}"
    elif asked.wanted == "ACTIVE":
        given = {address for nic in server.nics for address in nic.addresses}
        found = evidence.reached.get(server.id)
        if found is None:
            yield f"server {server.id} is ACTIVE, and answers at none of its addresses"
        elif found.address not in given:
            yield f"server {server.id} answers at {found.address}, which is none of its addresses"


def _untrue(server: Server, evidence: Evidence) -> str:
    """Why an ERROR is not one that may be: its time was not over, or the hop that it names is not the last."""
    fault, deadline = server.fault, evidence.deadlines.get(server.id)
    if fault is None:
        return "and nobody says why"
    if deadline is None or fault.created < deadline:
        return "with time left"
    reached = _reached(evidence.facts.get(server.id, ()), fault.created)
    if reached is not None and f"'{reached.value}'" not in fault.message:
        return f"and names another hop than {reached.value}"
    return ""


def _reached(facts: Sequence[Fact], until: datetime | None) -> Hop | None:
    """The last hop that had been reached then, of the newest generation."""
    before = sorted([fact for fact in facts if until is None or fact.wall <= until], key=lambda fact: fact.wall)
    generation = next((fact.generation for fact in reversed(before) if fact.generation), None)
    hops = {fact.what for fact in before if isinstance(fact.what, Hop) and fact.generation in (None, generation)}
    return max((hop for hop in HOPS if hop in hops), key=HOPS.index, default=None)


def _shown(server: Server) -> str:
    task = "" if server.life.task is None else f" ({server.life.task.value})"
    return f"{server.life.vm.value}{task}{'' if server.fault is None else f': {server.fault.message}'}"


# News


def _never_appended(evidence: Evidence) -> Iterator[str]:
    """What a change to a port should have said, and its transaction did not."""
    told: dict[int, list[ExternalEvent]] = {}
    for one in evidence.appended:
        told.setdefault(one.transaction, []).append(one.item.event)
    for write in evidence.writes:
        there = told.get(write.transaction, [])
        for event in news(write.before, write.after):
            if event in there:
                there.remove(event)
            else:
                yield f"{event.name} of port {event.tag} never came into the outbox"


def _never_delivered(evidence: Evidence) -> Iterator[str]:
    """What was put into the outbox, and neither was accepted, nor died for a reason, nor was overtaken."""
    reasons = {dead.item.id: dead.reason for dead in evidence.dead}
    for number, one in enumerate(evidence.appended, start=1):
        event, of = one.item.event, one.item.id
        words, removed = f"{event.name} of port {event.tag} (number {of})", evidence.removed.get(of)
        if removed is None:
            yield f"{words} still waits"
        elif of in reasons:
            if not reasons[of]:
                yield f"{words} is dead, and nobody says why"
        elif not _is_accepted(one, evidence) and not _is_overtaken(event, removed, evidence.appended[number:]):
            yield f"{words} is lost"


def _is_accepted(one: Appended, evidence: Evidence) -> bool:
    return any(
        _about(found.event) == _about(one.item.event) and found.at >= one.item.made_at for found in evidence.accepted
    )


def _about(event: ExternalEvent) -> tuple[str, str, str]:
    """An event as compute says that it heard it."""
    return (event.name, event.server, event.tag)


def _is_overtaken(event: ExternalEvent, removed: Removed, later: Sequence[Appended]) -> bool:
    """Whether it made room for a newer word of its kind, or of the port's end, that was there by then."""
    return any(
        newer.item.event.tag == event.tag
        and (newer.transaction == removed.transaction or newer.order < removed.order)
        and (
            newer.item.event.name is EventName.VIF_DELETED
            or (newer.item.event.name in STATUS_EVENTS) is (event.name in STATUS_EVENTS)
        )
        for newer in later
    )


# Addresses


def _doubles(evidence: Evidence) -> Iterator[str]:
    holders: dict[FixedIp, PortId] = {}
    for write in evidence.writes:
        for port in (write.before,) if write.before is not None else ():
            for ip in port.fixed_ips:
                if holders.get(ip) == port.id:
                    del holders[ip]
        for port in (write.after,) if write.after is not None else ():
            for ip in port.fixed_ips:
                holder = holders.setdefault(ip, port.id)
                if holder != port.id:
                    yield f"{ip.ip_address} was given to port {port.id}, and port {holder} has it"
    there = sorted(evidence.reached.items(), key=lambda found: found[1].at)
    for number, (server, one) in enumerate(there):
        for other, earlier in there[:number]:
            if earlier.address == one.address and one.at < earlier.until:
                yield f"servers {other} and {server} both answered at {one.address}"


# What is left


def _leaks(evidence: Evidence) -> Iterator[str]:
    for kind, things in evidence.after.things.items():
        for thing in sorted(things - evidence.before.things.get(kind, frozenset())):
            yield f"{kind} left: {thing}"
    for kind, things in evidence.before.things.items():
        for thing in sorted(things - evidence.after.things.get(kind, frozenset())):
            yield f"{kind} lost: {thing}"
