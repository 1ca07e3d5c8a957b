"""The ASGI application of the Compute API: its routes, and who may pass."""

import falcon.asgi

from moorage.compute_api.http.edge import Microversions
from moorage.compute_api.http.events import ExternalEvents
from moorage.compute_api.http.servers import Actions, OneServer, Servers, ServersDetail
from moorage.compute_api.http.versions import OneVersion, Versions
from moorage.compute_api.service import ComputeApiService
from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound, Unauthorized
from moorage.kit import web
from moorage.kit.web import Request, Response
from moorage.seams.tokens import TokenVerifier
from moorage.wire.errors import HttpFault, compute_error

OPEN_PATHS = frozenset({"/", "", "/v2.1"})


def make_app(service: ComputeApiService, verifier: TokenVerifier) -> falcon.asgi.App[Request, Response]:
    """The application, to be mounted at /compute or to stand alone."""

    async def authenticate(token: str) -> Caller:
        if token:
            try:
                return await verifier.verify(token)
            except NotFound as error:
                raise Unauthorized("The request you have made requires authentication.") from error
        raise Unauthorized("The request you have made requires authentication.")

    app = web.make_app(
        authenticate=authenticate,
        render=compute_error,
        is_open=lambda request: request.path in OPEN_PATHS,
        refused=HttpFault,
        also_id=("x-compute-request-id",),
        middleware=(Microversions(),),
    )
    app.add_route("/", Versions())
    app.add_route("/v2.1", OneVersion())
    app.add_route("/v2.1/servers", Servers(service))
    app.add_route("/v2.1/servers/detail", ServersDetail(service))
    app.add_route("/v2.1/servers/{server}", OneServer(service))
    app.add_route("/v2.1/servers/{server}/action", Actions(service))
    app.add_route("/v2.1/os-server-external-events", ExternalEvents(service))
    return app
