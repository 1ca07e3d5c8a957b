"""What compute must be told of a change to a port (hop told). The store asks it at every change."""

from dataclasses import replace
from datetime import UTC, datetime

from moorage.domain.events import EventName, EventStatus, ExternalEvent
from moorage.domain.ids import ServerId
from moorage.domain.port import Port, PortStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEX = frozenset("0123456789abcdef")


def concerns_compute(port: Port) -> bool:
    """Whether the port belongs to a server: its owner is compute and its device looks like a UUID."""
    return port.device_owner.startswith("compute:") and _is_uuid(port.device_id)


def server_of(port: Port) -> ServerId:
    """The server of a port that concerns compute, however its id is spelt there."""
    bare = _bare(port.device_id)
    return ServerId("-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:])))


def news(before: Port | None, after: Port | None) -> list[ExternalEvent]:
    """The events that a change from `before` to `after` makes; None stands for "there is no such port"."""
    if after is None:
        if before is None or not concerns_compute(before):
            return []
        return [_event(before, EventName.VIF_DELETED)]
    if before is None or not concerns_compute(after):
        return []
    if before.status is not after.status:
        if after.status is PortStatus.ACTIVE:
            return [_event(after, EventName.VIF_PLUGGED)]
        if after.status is PortStatus.ERROR and before.status is not PortStatus.ACTIVE:
            return [_event(after, EventName.VIF_PLUGGED, EventStatus.FAILED)]
        if before.status is PortStatus.ACTIVE and after.status is PortStatus.DOWN:
            return [_event(after, EventName.VIF_UNPLUGGED)]
    if _as_shown(before) != _as_shown(after):
        return [_event(after, EventName.CHANGED, None)]
    return []


def still_says(event: ExternalEvent, port: Port | None) -> bool:
    """Whether the port still is what the event says: asked before an undeliverable event is tried again."""
    match event.name:
        case EventName.VIF_PLUGGED:
            wanted = PortStatus.ERROR if event.status is EventStatus.FAILED else PortStatus.ACTIVE
            return port is not None and port.status is wanted and server_of(port) == event.server
        case EventName.VIF_UNPLUGGED:
            return port is not None and port.status is PortStatus.DOWN and server_of(port) == event.server
        case EventName.VIF_DELETED:
            return port is None
        case EventName.CHANGED:
            return port is not None


def _event(port: Port, name: EventName, status: EventStatus | None = EventStatus.COMPLETED) -> ExternalEvent:
    return ExternalEvent(name=name, server=server_of(port), tag=port.id, status=status)


def _as_shown(port: Port) -> Port:
    """The port less what only the network itself sees or stamps."""
    return replace(
        port,
        status=PortStatus.DOWN,
        awaiting=frozenset(),
        last_mark=None,
        updated_at=_EPOCH,
        revision_number=0,
        binding=replace(port.binding, bound_at=None),
    )


def _bare(text: str) -> str:
    return text.strip("{}").replace("-", "").lower()


def _is_uuid(text: str) -> bool:
    bare = _bare(text)
    return len(bare) == 32 and set(bare) <= _HEX
