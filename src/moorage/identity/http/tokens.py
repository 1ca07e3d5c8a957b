"""Tokens over HTTP: asked for, looked at, taken back; the catalog and what a user may scope to."""

from dataclasses import dataclass

import falcon.asgi

from moorage.domain.errors import Forbidden
from moorage.identity.catalog import Places, catalog
from moorage.identity.http.callers import base_url, caller_of, is_asked
from moorage.identity.requests import AuthBody
from moorage.identity.service import IdentityService
from moorage.identity.tokens import Token
from moorage.identity.views import domain_view, listed, project_view, token_view
from moorage.kit.web import Request, Response, body_of, send, send_nothing
from moorage.wire.json import read


def add_tokens(app: falcon.asgi.App[Request, Response], service: IdentityService, places: Places) -> None:
    app.add_route("/v3/auth/tokens", _Tokens(service, places))
    app.add_route("/v3/auth/catalog", _Catalog(service, places))
    app.add_route("/v3/auth/projects", _Projects(service, places))
    app.add_route("/v3/auth/domains", _Domains(service, places))
    app.add_route("/v3/auth/system", _System(service, places))


@dataclass(frozen=True)
class _Tokens:
    service: IdentityService
    places: Places

    async def on_post(self, request: Request, response: Response) -> None:
        body = read(await body_of(request), AuthBody)
        body.check()
        text, token = await self.service.authenticate(body.auth)
        self._show(request, response, text, token, 201)

    async def on_get(self, request: Request, response: Response) -> None:
        text, token = self._subject(request)
        self._show(request, response, text, token, 200)

    async def on_head(self, request: Request, response: Response) -> None:
        text, _ = self._subject(request)
        response.set_header("X-Subject-Token", text)
        send_nothing(response, 200)

    async def on_delete(self, request: Request, response: Response) -> None:
        text, _ = self._subject(request)
        await self.service.take_back(text)
        send_nothing(response)

    def _subject(self, request: Request) -> tuple[str, Token]:
        """The token that the request is about. Raises NotFound, Forbidden for another user's."""
        text = request.get_header("X-Subject-Token") or ""
        token = self.service.look_at(text, allow_expired=is_asked(request, "allow_expired"))
        caller = caller_of(request)
        if token.user.id != caller.user and not (caller.is_service or (caller.is_system and "reader" in caller.roles)):
            raise Forbidden("You are not authorized to perform the requested action: identity:validate_token.")
        return text, token

    def _show(self, request: Request, response: Response, text: str, token: Token, status: int) -> None:
        response.set_header("X-Subject-Token", text)
        response.set_header("Vary", "X-Auth-Token")
        is_wanted = not is_asked(request, "nocatalog")
        services = catalog(base_url(request, self.places), self.places) if is_wanted else None
        send(response, {"token": token_view(token, services)}, status)


@dataclass(frozen=True)
class _Catalog:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        token = self.service.look_at(request.get_header("X-Auth-Token") or "")
        if token.scope is None:
            raise Forbidden("You are not authorized to perform the requested action: a scoped token is needed.")
        base = base_url(request, self.places)
        send(response, listed("catalog", catalog(base, self.places), base, "/auth/catalog"))


@dataclass(frozen=True)
class _Projects:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        base = base_url(request, self.places)
        found = await self.service.projects_of(caller_of(request).user)
        send(response, listed("projects", [project_view(project, base) for project in found], base, "/auth/projects"))


@dataclass(frozen=True)
class _Domains:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        base = base_url(request, self.places)
        found = await self.service.domains_of(caller_of(request).user)
        send(response, listed("domains", [domain_view(domain, base) for domain in found], base, "/auth/domains"))


@dataclass(frozen=True)
class _System:
    service: IdentityService
    places: Places

    async def on_get(self, request: Request, response: Response) -> None:
        base = base_url(request, self.places)
        is_on_system = await self.service.is_on_system(caller_of(request).user)
        send(response, listed("system", [{"all": True}] if is_on_system else [], base, "/auth/system"))
