"""POST os-server-external-events: what the network says about ports, handed on to the hosts (hop heard)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from msgspec import UNSET

from moorage.compute_api.facts import fact_of
from moorage.domain.errors import Invalid, NotFound, Unavailable
from moorage.domain.events import EventName, EventStatus
from moorage.domain.hops import Hop
from moorage.domain.ids import HostName, PortId, ServerId
from moorage.domain.server import Server
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.server_store import ServerStore
from moorage.seams.timeline import Timeline
from moorage.wire.compute import EventWanted
from moorage.wire.messages import HostEvent, HostEvents

log = structlog.get_logger(__name__)

# name -> the first minor version that knows it
NAMES: Mapping[str, int] = {
    **{name.value: 1 for name in EventName},
    "volume-extended": 51,
    "power-update": 76,
    "accelerator-request-bound": 82,
    "volume-reimaged": 93,
}
TAG_NEEDED = frozenset({"volume-extended", "power-update", "accelerator-request-bound"})

PIECE = 32  # events that are looked at in one go: 5 ms

Answered = tuple[int, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Hearing:
    store: ServerStore
    bus: Bus
    clock: Clock
    timeline: Timeline

    async def hear(self, events: Sequence[EventWanted], minor: int) -> Answered:
        """The status of the whole (200, or 207 as soon as one was not accepted) and each event with its code.

        An accepted event was taken by the bus for good. Events of a host whose queue did not take them are answered
        503 each, beside the others' 200, and their sender tries them again; only when nothing at all could be handed
        on is the whole request refused with Unavailable, so that nothing is lost with a sender that reads no codes.
        Raises Invalid for a name that this microversion does not know.
        """
        for event in events:
            require_known(event, minor)
        codes: list[int] = []
        by_host: dict[HostName, list[int]] = {}
        rows: dict[str, Server | None] = {}
        for index, event in enumerate(events):
            if index % PIECE == PIECE - 1:
                await asyncio.sleep(0)  # others have their turn
            if event.name in TAG_NEEDED and not event.tag:
                codes.append(400)
                continue
            if event.server_uuid not in rows:
                rows[event.server_uuid] = await self._server(str(UUID(event.server_uuid)))
            row = rows[event.server_uuid]
            codes.append(404 if row is None else 422 if row.host is None else 200)
            if row is not None and row.host is not None:
                by_host.setdefault(row.host, []).append(index)
        failures: list[Unavailable] = []
        for host, indexes in by_host.items():
            try:
                await self._hand_on(host, [events[index] for index in indexes], rows)
            except Unavailable as error:
                log.warning("events were not taken for a host", host=host, error=str(error))
                failures.append(error)
                for index in indexes:
                    codes[index] = 503
        if failures and len(failures) == len(by_host):
            raise Unavailable("No host's queue takes external events now: send them again.") from failures[0]
        answers = [answered(event, code) for event, code in zip(events, codes, strict=True)]
        return (200 if all(code == 200 for code in codes) else 207), answers

    async def _hand_on(self, host: HostName, events: Sequence[EventWanted], rows: Mapping[str, Server | None]) -> None:
        """One cast for a host; its plugged events are heard when the bus has taken it. Raises Unavailable."""
        # the other names are of volumes, power and accelerators, which no server here has
        known = [event for event in events if event.name in set(EventName)]
        if not known:
            return
        now, monotonic = self.clock.now(), self.clock.monotonic()  # the host may have it before we know that it will
        await self.bus.cast(
            f"compute.{host}",
            HostEvents(
                events=tuple(
                    HostEvent(
                        server=str(UUID(event.server_uuid)),
                        name=EventName(event.name),
                        port=event.tag or "",
                        status=EventStatus(event.status),
                    )
                    for event in known
                )
            ),
        )
        for event in known:
            row = rows[event.server_uuid]
            if event.name == EventName.VIF_PLUGGED and row is not None:
                self.timeline.tell(fact_of(row, Hop.HEARD, wall=now, monotonic=monotonic, port=PortId(event.tag or "")))
            else:
                log.info("heard", event_name=event.name, server=event.server_uuid, port=event.tag, host=host)

    async def _server(self, server: str) -> Server | None:
        try:
            return await self.store.show(ServerId(server), project=None)
        except NotFound:
            return None


def require_known(event: EventWanted, minor: int) -> None:
    """Raises Invalid for a name that this version does not know, and for an id that is no UUID."""
    if minor < NAMES.get(event.name, minor + 1):
        raise Invalid(f"Invalid input for field/attribute name. Value: {event.name}. It is not one of the event names.")
    try:
        UUID(event.server_uuid)
    except ValueError as error:
        raise Invalid(
            f"Invalid input for field/attribute server_uuid. Value: {event.server_uuid}. It is not a UUID."
        ) from error


def answered(event: EventWanted, code: int) -> Mapping[str, Any]:
    """The event as it was sent, with its code; the status becomes the outcome, whatever it was."""
    view: dict[str, Any] = {"name": event.name, "server_uuid": event.server_uuid}
    if event.tag is not UNSET:
        view["tag"] = event.tag
    return {**view, "code": code, "status": "completed" if code == 200 else "failed"}
