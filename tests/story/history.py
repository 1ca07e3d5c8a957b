"""What was written and told while a story went on, and what must be true of it: no news lost, no address twice."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

from moorage.domain.events import STATUS_EVENTS, EventName, ExternalEvent, Judgement, Verdict
from moorage.domain.ids import PortId
from moorage.domain.news import news
from moorage.domain.port import Port
from moorage.seams.external_events import Answer
from moorage.seams.network_store import Changed

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """An event at a virtual time: when it became true, was delivered, or was given up."""

    at: float
    event: ExternalEvent
    reason: str = ""


@dataclass
class History:
    """Give `watch` to a story as `listening`."""

    news: list[Said] = field(default_factory=list)
    delivered: list[Said] = field(default_factory=list)
    dead: list[Said] = field(default_factory=list)
    holders: dict[tuple[str, str], PortId] = field(default_factory=dict)  # of addresses, by subnet
    doubles: list[str] = field(default_factory=list)

    def watch(self, name: str, seam: T, /) -> T:
        """The seam, whose doings are noted when they are done."""
        if name == "the network store":
            return cast(T, _Noting(seam, self._of_store()))
        if name == "external events":
            return cast(T, _Noting(seam, {"post": self._posted}))
        return seam

    def complaints(self) -> list[str]:
        """News that was neither delivered nor given up for a reason, nor overtaken; addresses that two ports had."""
        told = enumerate(self.news, start=1)
        lost = [said for number, said in told if not self._is_accounted_for(said, self.news[number:])]
        return [f"lost: {said.event.name} of port {said.event.tag} at {said.at:.3f}" for said in lost] + self.doubles

    # What is noted

    def changed(self, before: Port | None, after: Port | None) -> None:
        """A port was written."""
        if before is after:
            return
        self.news += [Said(_now(), event) for event in news(before, after)]
        if before is not None:
            self._free(before)
        if after is not None:
            self._hold(after)

    def _free(self, port: Port) -> None:
        for ip in port.fixed_ips:
            if self.holders.get((ip.subnet_id, ip.ip_address)) == port.id:
                del self.holders[ip.subnet_id, ip.ip_address]

    def _hold(self, port: Port) -> None:
        for ip in port.fixed_ips:
            holder = self.holders.setdefault((ip.subnet_id, ip.ip_address), port.id)
            if holder != port.id:
                self.doubles.append(f"{ip.ip_address} was given to port {port.id}, and port {holder} has it")

    def told(self, events: Sequence[ExternalEvent], answer: Answer) -> None:
        """Compute answered."""
        codes = answer.codes or ([200] * len(events) if answer.status == 200 else [])
        self.delivered += [Said(_now(), event) for event, code in zip(events, codes, strict=False) if code == 200]

    def settled(self, judgements: Sequence[Judgement]) -> None:
        self.dead += [
            Said(_now(), judgement.item.event, judgement.reason)
            for judgement in judgements
            if judgement.verdict is Verdict.DEAD
        ]

    def _of_store(self) -> dict[str, Callable[..., None]]:
        def made(ports: Sequence[Port], *_: Any) -> None:
            for port in ports:
                self.changed(None, port)

        def changed(outcomes: Iterable[object], *_: Any) -> None:
            for outcome in outcomes:
                if isinstance(outcome, Changed):
                    self.changed(outcome.before, outcome.after)

        def gone(ports: Sequence[Port], *_: Any) -> None:
            for port in ports:
                self.changed(port, None)

        return {
            "create_ports": made,
            "update": lambda done, *_: changed([done]),
            "update_each": lambda done, *_: changed(done.values()),
            "update_bound": lambda done, *_: changed(done.values()),
            "update_subnet": lambda done, *_: changed(done.ports),
            "delete_port": lambda port, *_: gone([port]),
            "delete_network": gone,
            "settle": lambda _, judgements, *__: self.settled(judgements),
        }

    def _posted(self, answer: Answer, events: Sequence[ExternalEvent]) -> None:
        self.told(events, answer)

    # What must be true

    def _is_accounted_for(self, said: Said, later: Sequence[Said]) -> bool:
        def is_end(end: Said) -> bool:
            return end.event == said.event and end.at >= said.at

        if any(map(is_end, self.delivered)) or any(is_end(end) and end.reason for end in self.dead):
            return True
        return any(newer.event.tag == said.event.tag and _outdates(newer.event, said.event) for newer in later)


def _outdates(newer: ExternalEvent, older: ExternalEvent) -> bool:
    if newer.name is EventName.VIF_DELETED:
        return True
    return (newer.name in STATUS_EVENTS) == (older.name in STATUS_EVENTS)


class _Noting:
    def __init__(self, seam: object, notes: dict[str, Callable[..., Any]]) -> None:
        self._seam = seam
        self._notes = notes

    def __getattr__(self, name: str) -> Any:
        method, note = getattr(self._seam, name), self._notes.get(name)
        if note is None:
            return method

        @wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            done = await method(*args, **kwargs)
            note(done, *args)
            return done

        return call


def _now() -> float:
    return asyncio.get_running_loop().time()
