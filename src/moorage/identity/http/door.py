"""Identity as an ASGI application."""

from dataclasses import dataclass

import falcon.asgi

from moorage.domain.caller import Caller
from moorage.domain.errors import NotFound, Unauthorized
from moorage.identity.catalog import NOWHERE_ELSE, Places
from moorage.identity.http.directory import add_directory
from moorage.identity.http.grants import add_grants
from moorage.identity.http.groups import add_groups
from moorage.identity.http.inventory import add_inventory
from moorage.identity.http.project_tags import add_project_tags
from moorage.identity.http.tokens import add_tokens
from moorage.identity.http.trust import add_trust
from moorage.identity.http.versions import add_versions
from moorage.identity.scoping import REFUSED
from moorage.identity.service import IdentityService
from moorage.kit.web import Request, Response
from moorage.kit.web import make_app as make_web_app
from moorage.wire.errors import HttpFault, identity_error


@dataclass(frozen=True)
class _Authenticate:
    service: IdentityService

    async def __call__(self, token: str) -> Caller:
        """Raises Unauthorized."""
        try:
            return await self.service.verifier.verify(token)
        except NotFound:
            raise Unauthorized(REFUSED) from None


def make_app(service: IdentityService, *, places: Places = NOWHERE_ELSE) -> falcon.asgi.App[Request, Response]:
    """The application, to be mounted under /identity.

    `places` is where clients reach the services; without it all are where the request's Host header says.
    """
    app = make_web_app(authenticate=_Authenticate(service), render=identity_error, is_open=_is_open, refused=HttpFault)
    add_versions(app, places)
    add_tokens(app, service, places)
    add_directory(app, service, places)
    add_grants(app, service, places)
    add_groups(app, service, places)
    add_project_tags(app, service, places)
    add_inventory(app, places)
    add_trust(app, service)
    return app


def _is_open(request: Request) -> bool:
    """Version documents, and asking for a token."""
    return request.path in ("/", "/v3") or (request.method == "POST" and request.path == "/v3/auth/tokens")
