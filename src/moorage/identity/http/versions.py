"""Which versions there are; open to everybody."""

from dataclasses import dataclass

import falcon.asgi

from moorage.identity.catalog import Places
from moorage.identity.http.callers import base_url
from moorage.identity.views import version
from moorage.kit.web import Request, Response, send


def add_versions(app: falcon.asgi.App[Request, Response], places: Places) -> None:
    app.add_route("/", _Versions(places))
    app.add_route("/v3", _Version(places))


@dataclass(frozen=True)
class _Versions:
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"versions": {"values": [version(base_url(request, self.places))]}}, 300)


@dataclass(frozen=True)
class _Version:
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"version": version(base_url(request, self.places))})
