"""POST os-server-external-events (hop told), to our own compute API or a real Nova's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from moorage.adapters.http.session import Session
from moorage.domain.events import ExternalEvent
from moorage.seams.external_events import Answer

_PATH = "/os-server-external-events"
_VERSION = {"X-OpenStack-Nova-API-Version": "2.1"}


@dataclass(frozen=True)
class HttpExternalEvents:
    session: Session

    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        reply = await self.session.call(
            "POST", _PATH, {"events": [_entry(event) for event in events]}, headers=_VERSION
        )
        if reply.status in (200, 207):
            return Answer(reply.status, _codes(reply.body, len(events)))
        reason = reply.body[:500].decode(errors="replace")
        if reply.status == 404 and b'"itemNotFound"' in reply.body:  # Novas until the mid-2020s, when none is known
            return Answer(404, (404,) * len(events), reason)
        return Answer(reply.status, reason=reason)


def _entry(event: ExternalEvent) -> dict[str, str]:
    entry = {"name": event.name.value, "server_uuid": event.server, "tag": event.tag}
    return entry if event.status is None else {**entry, "status": event.status.value}


def _codes(body: bytes, wanted: int) -> tuple[int, ...]:
    """One code for each event, in their order; none at all when the answer cannot be read."""
    try:
        answered: Any = msgspec.json.decode(body)
        codes = tuple(int(entry.get("code", 200)) for entry in answered["events"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        return ()
    return codes if len(codes) == wanted else ()
