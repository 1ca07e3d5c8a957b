"""GET /moorage/dead-events, beside the OpenStack API: the news that compute was not told, and why. For admins."""

from moorage.domain.events import DeadEvent
from moorage.kit.web import Request, Response, send
from moorage.network.http.listing import limit_of
from moorage.network.http.resource import caller_of, query_of
from moorage.network.http.views import View
from moorage.seams.network_store import Outbox
from moorage.wire.times import exact

SHOWN = 100  # unless `limit` says otherwise


class DeadEvents:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def on_get(self, request: Request, response: Response) -> None:
        """The last that were given up, the last one first; `limit` of them."""
        caller_of(request).require_admin("get_dead_events")
        dead = await self._outbox.dead(limit_of(query_of(request)) or SHOWN)
        send(response, {"dead_events": [dead_event_view(one) for one in dead]})


def dead_event_view(dead: DeadEvent) -> View:
    item, event = dead.item, dead.item.event
    return {
        "name": event.name,
        "status": event.status,
        "server_id": event.server,
        "port_id": event.tag,
        "plug_generation": item.generation,
        "made_at": exact(item.made_at),
        "died_at": exact(dead.died_at),
        "tries": item.tries,
        "reason": dead.reason,
    }
