"""Which versions there are; open to everybody."""

from dataclasses import dataclass

import falcon.asgi

from moorage.identity.http.callers import base_url
from moorage.identity.views import version
from moorage.kit.web import Request, Response, send


def add_versions(app: falcon.asgi.App[Request, Response], public_url: str | None) -> None:
    app.add_route("/", _Versions(public_url))
    app.add_route("/v3", _Version(public_url))


@dataclass(frozen=True)
class _Versions:
    public_url: str | None

    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"versions": {"values": [version(base_url(request, self.public_url))]}}, 300)


@dataclass(frozen=True)
class _Version:
    public_url: str | None

    async def on_get(self, request: Request, response: Response) -> None:
        send(response, {"version": version(base_url(request, self.public_url))})
