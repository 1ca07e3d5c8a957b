"""GET /moorage/trust: by what other processes verify tokens themselves. Beside the Identity API, for services alone."""

from dataclasses import dataclass
from hashlib import sha256

import falcon.asgi
import msgspec

from moorage.identity.http.callers import caller_of
from moorage.identity.service import IdentityService
from moorage.kit.web import Request, Response, send_nothing
from moorage.wire.trust import to_wire


def add_trust(app: falcon.asgi.App[Request, Response], service: IdentityService) -> None:
    app.add_route("/moorage/trust", _Trust(service))


@dataclass(frozen=True)
class _Trust:
    """Asked each second by every process that verifies tokens; mostly answered that nothing is new."""

    service: IdentityService

    async def on_get(self, request: Request, response: Response) -> None:
        caller_of(request).require_service("moorage:trust")
        body = msgspec.json.encode(to_wire(self.service.signer.public_key, self.service.revocations.known()))
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        response.set_header("ETag", tag)
        if request.get_header("If-None-Match") == tag:
            send_nothing(response, 304)
            return
        response.content_type = "application/json"
        response.data = body
