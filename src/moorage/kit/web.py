"""A small Falcon application: request ids, callers, bounded JSON bodies, errors in one shape."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

import falcon
import falcon.asgi
import msgspec
import structlog

log = structlog.get_logger(__name__)

Render = Callable[[Exception], tuple[int, Mapping[str, Any]]]
Authenticate = Callable[[str], Awaitable[object]]
Request = falcon.asgi.Request
Response = falcon.asgi.Response

_REQUEST_ID = re.compile(r"req-[0-9a-f-]{36}")

MAX_BODY = 114_688  # bytes; OpenStack's own limit
READ_PAST = 4 << 20  # bytes above a limit, read and dropped: who still sends does not get to read why it was refused


class Refused(Exception):
    """Raised inside the kit for what HTTP itself refuses: carries the status and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Edge:
    """The first and last to see a request: gives it an id, finds out who calls, bounds the body."""

    def __init__(
        self,
        authenticate: Authenticate,
        is_open: Callable[[Request], bool],
        also_id: tuple[str, ...],
        works_for: Callable[[object], bool],
    ) -> None:
        self._authenticate = authenticate
        self._is_open = is_open
        self._also_id = also_id
        self._works_for = works_for

    async def process_request(self, request: Request, response: Response) -> None:
        request.context.id = f"req-{uuid4()}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.context.id)
        given = request.get_header("X-OpenStack-Request-ID") or ""
        if not _REQUEST_ID.fullmatch(given):
            given = ""
        if given:
            structlog.contextvars.bind_contextvars(global_request_id=given)
        for name in ("x-openstack-request-id", *self._also_id):
            response.set_header(name, request.context.id)
        if not self._is_open(request):
            request.context.caller = await self._authenticate(request.get_header("X-Auth-Token") or "")
            if given and self._works_for(request.context.caller):
                structlog.contextvars.bind_contextvars(request_id=given, local_request_id=request.context.id)
                structlog.contextvars.unbind_contextvars("global_request_id")


def make_app(
    *,
    authenticate: Authenticate,
    render: Render,
    is_open: Callable[[Request], bool],
    refused: Callable[[int, str], Exception],
    on_error: Callable[[Request, Response, int], None] | None = None,
    also_id: tuple[str, ...] = (),
    middleware: tuple[object, ...] = (),
    works_for: Callable[[object], bool] = lambda caller: False,
) -> falcon.asgi.App[Request, Response]:
    """An application without routes.

    `authenticate` turns a token ("" for none) into whatever `request.context.caller` shall be, or raises. `is_open`
    tells the requests that need none. `refused` makes the service's own error of an HTTP status and a message.
    `works_for` tells the callers, other services, whose log lines and ours shall bear one id: that of the request they
    work for, which they send along. Anybody else's is noted beside our own.
    """
    edges: list[Any] = [_Edge(authenticate, is_open, also_id, works_for), *middleware]
    app: falcon.asgi.App[Request, Response] = falcon.asgi.App(middleware=edges)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    app.req_options.auto_parse_qs_csv = False

    async def answer(request: Request, response: Response, error: Exception, _params: object) -> None:
        if isinstance(error, Refused):
            error = refused(error.status, error.message)
        elif isinstance(error, falcon.HTTPError):
            response.set_headers(error.headers or {})  # Allow, with 405
            told = error.description or error.title or ""
            if isinstance(error, falcon.HTTPMethodNotAllowed):
                told = f"{request.method} is not offered at {request.path}."
            error = refused(error.status_code, told)
        status, body = render(error)
        if status == 503:  # somebody is away, maybe for long: a line each, and no traceback
            log.warning("a request came in vain", path=request.path, method=request.method, error=chain_of(error))
        elif status >= 500:
            log.error("a request failed", path=request.path, method=request.method, exc_info=error)
        response.status = status
        if status == 401:
            response.set_header("WWW-Authenticate", f'Keystone uri="{request.scheme}://{request.netloc}/identity"')
        send(response, body)
        if on_error is not None:
            on_error(request, response, status)

    async def unknown_path(req: Request, resp: Response | None, **kwargs: object) -> None:
        raise Refused(404, "The resource could not be found.")

    app.add_error_handler(Exception, answer)
    app.add_error_handler(falcon.HTTPError, answer)  # or Falcon answers in its own words
    app.add_sink(unknown_path)
    return app


def chain_of(error: BaseException) -> str:
    """The first line of the error, and of what caused it, and so on."""
    told = str(error).partition("\n")[0] or type(error).__name__
    return told if error.__cause__ is None else f"{told}: {chain_of(error.__cause__)}"


async def body_of(request: Request, *, limit: int = MAX_BODY, kinds: tuple[str, ...] = ("application/json",)) -> bytes:
    """The request's body. Raises Refused: 413 when larger than `limit` bytes, 415 for a type that is not in `kinds`.

    A body without a type has the first of `kinds`.
    """
    kind = (request.content_type or kinds[0]).split(";")[0].strip().lower()
    if kind not in kinds:
        raise Refused(415, f"Unsupported Content-Type '{kind}': send {' or '.join(kinds)}.")
    parts, size = [], 0
    if (request.content_length or 0) <= limit + READ_PAST:
        async for part in request.stream:
            size += len(part)
            if size <= limit:
                parts.append(part)
            elif size > limit + READ_PAST:
                break
    if size > limit or (request.content_length or 0) > limit:
        raise Refused(413, f"The request body is larger than {limit} bytes.")
    return b"".join(parts)


def send(response: Response, body: Any, status: int | None = None) -> None:
    """Answer with JSON."""
    if status is not None:
        response.status = status
    response.content_type = "application/json"
    response.data = msgspec.json.encode(body)


def send_nothing(response: Response, status: int = 204) -> None:
    """Answer without a body."""
    response.status = status
    response.content_type = None
    response.set_header("Content-Length", "0")


def root_url(request: Request) -> str:
    """Where this application is, as the caller reached it: scheme, host and mount path, without a closing slash."""
    return f"{request.scheme}://{request.netloc}{request.root_path}"
