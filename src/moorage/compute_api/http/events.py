"""/os-server-external-events: for the network, or whoever has the role service or admin."""

from dataclasses import dataclass

from moorage.compute_api.http.edge import caller_of, minor_of, read_body
from moorage.compute_api.service import ComputeApiService
from moorage.kit.web import Request, Response, send
from moorage.wire.compute import EventsWanted


@dataclass(frozen=True)
class ExternalEvents:
    service: ComputeApiService

    async def on_post(self, request: Request, response: Response) -> None:
        caller_of(request).require_service("os_compute_api:os-server-external-events:create")
        body = await read_body(request, EventsWanted)
        status, events = await self.service.hearing.hear(body.events, minor_of(request))
        send(response, {"events": events}, status)
