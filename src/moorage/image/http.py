"""The image service's front door, in Glance's words (v2)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

import falcon.asgi

from moorage.domain.caller import Caller
from moorage.domain.errors import Invalid, NotFound, TooLarge, Unauthorized, Unavailable
from moorage.domain.image import ImageEvent, MemberStatus, Viewer
from moorage.image.fields import view
from moorage.image.listing import next_query, wanted
from moorage.image.patch import V20, V21, read_patch
from moorage.image.schemas import SCHEMAS
from moorage.image.service import ImageService
from moorage.image.sharing import ChangedMember, NewMember, Sharing, member_view
from moorage.kit.mount import Asgi, Receive, Scope, Send
from moorage.kit.web import Refused, Request, Response, body_of, root_url, send, send_nothing
from moorage.kit.web import make_app as make_web_app
from moorage.seams.tokens import TokenVerifier
from moorage.wire.errors import HttpFault, image_error
from moorage.wire.json import read

OCTETS = "application/octet-stream"
CUT = "moorage.cut"  # in a request's scope: the client went away before its body had ended
VERSIONS = ("v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")


def make_app(
    service: ImageService,
    tokens: TokenVerifier,
    *,
    public_url: str | None = None,
    upload_patience: float = 60.0,  # seconds without a byte
) -> Asgi:
    """The application, to be mounted under /image.

    `public_url` is where it is mounted, as clients reach it; None: what the request's Host header says.
    """
    app = make_web_app(
        authenticate=_Authenticate(tokens),
        render=image_error,
        is_open=lambda request: request.path in ("/", "/versions", "/v2"),
        refused=HttpFault,
        middleware=(_NoBlankIds(),),
    )
    app.add_route("/", _Versions(public_url, 300))
    app.add_route("/versions", _Versions(public_url, 200))
    app.add_route("/v2", _Versions(public_url, 200))
    app.add_route("/v2/images", _Images(service))
    app.add_route("/v2/images/{id}", _Image(service))
    app.add_route("/v2/images/{id}/file", _File(service, upload_patience))
    sharing = Sharing(service.store, service.clock)
    app.add_route("/v2/images/{id}/members", _Members(sharing))
    app.add_route("/v2/images/{id}/members/{project}", _Member(sharing))
    app.add_route("/v2/images/{id}/tags/{tag}", _Tag(service))
    app.add_route("/v2/images/{id}/actions/deactivate", _Action(service, ImageEvent.DEACTIVATED))
    app.add_route("/v2/images/{id}/actions/reactivate", _Action(service, ImageEvent.REACTIVATED))
    app.add_route("/v2/schemas/{name}", _Schema())
    return _Listening(app)


class _Listening:
    """Notes when the client goes away while its body is read: Falcon takes that for the body's end."""

    def __init__(self, app: falcon.asgi.App[Request, Response]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = dict(scope)

        async def heard() -> Any:
            event = await receive()
            if event["type"] == "http.disconnect":
                own[CUT] = True
            return event

        await self.app(own, heard, send)


@dataclass(frozen=True)
class _Authenticate:
    tokens: TokenVerifier

    async def __call__(self, token: str) -> Caller:
        """Raises Unauthorized."""
        try:
            return await self.tokens.verify(token)
        except NotFound:
            raise Unauthorized("The request you have made requires authentication.") from None


class _NoBlankIds:
    """An image whose id is blank is an image that is not there, not the list of all."""

    async def process_request(self, request: Request, _response: Response) -> None:
        if request.scope["path"].endswith("/v2/images/") and request.method != "POST":
            raise Refused(404, "No image found with ID ''")


def _viewer(request: Request) -> Viewer:
    caller = request.context.caller
    assert isinstance(caller, Caller), "the edge has let nobody in without a token"
    return Viewer(caller.project, is_admin=caller.is_admin, is_service=caller.is_service)


@dataclass(frozen=True)
class _Versions:
    public_url: str | None
    status: int

    async def on_get(self, request: Request, response: Response) -> None:
        href = f"{(self.public_url or root_url(request)).rstrip('/')}/v2/"
        versions = [
            {
                "id": version,
                "status": "CURRENT" if version == VERSIONS[0] else "SUPPORTED",
                "links": [{"rel": "self", "href": href}],
            }
            for version in VERSIONS
        ]
        send(response, {"versions": versions}, self.status)


@dataclass(frozen=True)
class _Images:
    service: ImageService

    async def on_get(self, request: Request, response: Response) -> None:
        query = {name: values if isinstance(values, list) else [values] for name, values in request.params.items()}
        images, is_cut = await self.service.list(_viewer(request), wanted(query))
        body: dict[str, Any] = {
            "images": [view(image) for image in images],
            "first": "/v2/images"
            + _query([(name, value) for name in query for value in query[name] if name != "marker"]),
            "schema": "/v2/schemas/images",
        }
        if is_cut and images:
            body["next"] = "/v2/images" + _query(next_query(query, images))
        send(response, body)

    async def on_post(self, request: Request, response: Response) -> None:
        body = read(await body_of(request), dict[str, Any])
        image = await self.service.create(_viewer(request), body)
        response.set_header("Location", f"{root_url(request)}/v2/images/{image.id}")
        send(response, view(image), 201)


@dataclass(frozen=True)
class _Image:
    service: ImageService

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        send(response, view(await self.service.show(_viewer(request), id)))

    async def on_patch(self, request: Request, response: Response, id: str) -> None:
        raw = await body_of(request, kinds=(V21, V20))
        dialect = (request.content_type or V21).split(";")[0].strip().lower()
        send(response, view(await self.service.change(_viewer(request), id, read_patch(raw, dialect))))

    async def on_delete(self, request: Request, response: Response, id: str) -> None:
        await self.service.delete(_viewer(request), id)
        send_nothing(response)


@dataclass(frozen=True)
class _File:
    service: ImageService
    patience: float  # seconds without a byte

    async def on_put(self, request: Request, response: Response, id: str) -> None:
        kind = (request.content_type or OCTETS).split(";")[0].strip().lower()
        if kind != OCTETS:
            raise Refused(415, f"Unsupported Content-Type '{kind}': send {OCTETS}.")
        if (request.content_length or 0) > self.service.max_size:
            raise Refused(413, f"The image is larger than the {self.service.max_size} bytes that are allowed.")
        parts = self._parts(request)
        try:
            await self.service.upload(_viewer(request), id, parts)
        except (TooLarge, Unavailable) as error:
            await _drop(parts)
            # Clients repeat what got a 503, and by now have read their file to its end: the image would be empty.
            raise HttpFault(500, error.message) if isinstance(error, Unavailable) else error from error
        send_nothing(response)

    async def _parts(self, request: Request) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Invalid when it ends too early."""
        size = 0
        stream = aiter(request.stream)
        while True:
            try:
                async with asyncio.timeout(self.patience):
                    part = await anext(stream, None)
            except TimeoutError:
                raise Invalid(f"The upload stood still for {self.patience:g} s.") from None
            if part is None:
                break
            size += len(part)
            yield part
        if request.scope.get(CUT) or size < (request.content_length or 0):
            raise Invalid(f"The upload was interrupted after {size} bytes.")

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        image, data = await self.service.download(_viewer(request), id)
        if data is None:
            send_nothing(response)
            return
        first = await anext(data)  # an error here still has a status
        response.status = 200
        response.content_type = OCTETS
        response.content_length = image.size
        response.set_header("Content-MD5", image.checksum or "")
        response.stream = _Data(first, data)


async def _drop(parts: AsyncIterator[bytes]) -> None:
    """Read an upload to its end for nothing: who still sends does not get to read why it was refused."""
    try:
        async for _ in parts:
            continue
    except Invalid:
        return  # it was cut short, or stood still


class _Data:
    """An image's data with the first piece read already. Falcon closes it, also when the client goes away."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._rest)

    async def close(self) -> None:
        await self._rest.aclose()


@dataclass(frozen=True)
class _Members:
    sharing: Sharing

    async def on_get(self, request: Request, response: Response, id: str) -> None:
        views = [member_view(id, member) for member in await self.sharing.members(_viewer(request), id)]
        send(response, {"members": views, "schema": "/v2/schemas/members"})

    async def on_post(self, request: Request, response: Response, id: str) -> None:
        body = read(await body_of(request), NewMember)
        send(response, member_view(id, await self.sharing.share(_viewer(request), id, body.member)))


@dataclass(frozen=True)
class _Member:
    sharing: Sharing

    async def on_get(self, request: Request, response: Response, id: str, project: str) -> None:
        send(response, member_view(id, await self.sharing.member(_viewer(request), id, project)))

    async def on_put(self, request: Request, response: Response, id: str, project: str) -> None:
        status = MemberStatus(read(await body_of(request), ChangedMember).status)
        send(response, member_view(id, await self.sharing.answer(_viewer(request), id, project, status)))

    async def on_delete(self, request: Request, response: Response, id: str, project: str) -> None:
        await self.sharing.unshare(_viewer(request), id, project)
        send_nothing(response)


@dataclass(frozen=True)
class _Tag:
    service: ImageService

    async def on_put(self, request: Request, response: Response, id: str, tag: str) -> None:
        await self.service.tag(_viewer(request), id, tag)
        send_nothing(response)

    async def on_delete(self, request: Request, response: Response, id: str, tag: str) -> None:
        await self.service.untag(_viewer(request), id, tag)
        send_nothing(response)


@dataclass(frozen=True)
class _Action:
    service: ImageService
    event: ImageEvent

    async def on_post(self, request: Request, response: Response, id: str) -> None:
        await self.service.move(_viewer(request), id, self.event)
        send_nothing(response)


class _Schema:
    async def on_get(self, _request: Request, response: Response, name: str) -> None:
        if name not in SCHEMAS:
            raise NotFound(f"There is no schema '{name}'.")
        send(response, SCHEMAS[name])


def _query(pairs: list[tuple[str, Any]]) -> str:
    return f"?{urlencode(pairs)}" if pairs else ""
