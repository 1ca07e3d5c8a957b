"""GET /v1/servers/{id}: the facts of a server's boots. Not an OpenStack API; a token is needed all the same."""

from collections.abc import Awaitable, Callable
from dataclasses import astuple
from typing import cast

import falcon.asgi

from moorage.domain.caller import Caller
from moorage.domain.errors import Unauthorized
from moorage.domain.hops import Fact
from moorage.domain.ids import ServerId
from moorage.kit.web import Request, Response, make_app, send
from moorage.seams.tokens import TokenVerifier
from moorage.timeline.service import TimelineService
from moorage.wire.errors import HttpFault, compute_error
from moorage.wire.times import exact

IsVisible = Callable[[ServerId, str], Awaitable[None]]


def make_timeline_app(
    service: TimelineService, verifier: TokenVerifier, require_visible: IsVisible
) -> falcon.asgi.App[Request, Response]:
    """The application. `require_visible` raises NotFound unless the bearer of a token may see the server."""

    async def authenticate(token: str) -> Caller:
        if not token:
            raise Unauthorized("The request you have made requires authentication.")
        return await verifier.verify(token)

    app = make_app(authenticate=authenticate, render=compute_error, is_open=lambda request: False, refused=HttpFault)
    app.add_route("/v1/servers/{server_id}", _Servers(service, require_visible))
    return app


class _Servers:
    def __init__(self, service: TimelineService, require_visible: IsVisible) -> None:
        self._service = service
        self._require_visible = require_visible

    async def on_get(self, request: Request, response: Response, server_id: str) -> None:
        caller = cast(Caller, request.context.caller)
        server = ServerId(server_id)
        if not caller.is_admin:
            await self._require_visible(server, request.get_header("X-Auth-Token") or "")
        facts = await self._service.store.of(server)
        send(response, {"facts": [_shown(fact, caller) for fact in facts]})


def _shown(fact: Fact, caller: Caller) -> dict[str, object]:
    """A fact as JSON; hosts' names, and those of their queues, are for admins, as everywhere."""
    return {
        "what": fact.what.value,
        "wall": exact(fact.wall),
        "monotonic": fact.monotonic,
        "who": fact.who,
        "server": fact.server,
        "port": fact.port,
        "generation": fact.generation,
        "attempt": fact.attempt,
        "host": fact.host if caller.is_admin else None,
        "bus": astuple(fact.bus) if fact.bus is not None and caller.is_admin else None,
        "detail": fact.detail,
    }
