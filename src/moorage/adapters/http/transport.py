"""One HTTP request and its answer: by aiohttp, or straight into an ASGI application."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp

from moorage.domain.errors import Unavailable
from moorage.kit.log_context import kept_log_context
from moorage.kit.mount import Asgi
from moorage.kit.translating import translating

TIMEOUT = 10.0  # seconds, for a whole request, or for one piece of a download
CONNECTIONS = 50  # at a time; they are kept open between requests
AHEAD = 2  # messages that an application may be ahead of who reads a download


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Transport(Protocol):
    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """One request, within 10 s. Any status is an answer. Raises Unavailable when there was none."""

    def download(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The body of a GET, piece by piece, at the reader's pace; it ends whole.

        Raises Unavailable: for any status but 200, after 10 s without a piece, and for a body that was cut.
        """


class InProcess:
    """Calls an ASGI application without a socket: the same bytes, a tenth of the time."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        scope = _scope(method, url, headers, len(body))
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        status, answered, parts_of_body = 0, {}, []

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = {name.decode().lower(): value.decode() for name, value in message.get("headers", ())}
            elif message["type"] == "http.response.body":
                parts_of_body.append(message.get("body", b""))

        try:
            async with asyncio.timeout(TIMEOUT):
                with kept_log_context():  # the application binds its own in what is our task too
                    await self._app(scope, receive, send)
        except TimeoutError:
            raise Unavailable(f"{method} {scope['path']} was not answered within {TIMEOUT:g} s") from None
        return Reply(status, answered, b"".join(parts_of_body))

    @asynccontextmanager
    async def download(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        answer = _Answer(f"GET {urlsplit(url).path}")
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(answer.come(self._app, _scope("GET", url, headers, 0)))
            try:
                expected = await answer.begun()
                async with aclosing(answer.body(expected)) as pieces:
                    yield pieces
            except Exception as error:
                failure = error  # or the group would wrap it
            finally:
                answering.cancel()
        if failure is not None:
            raise failure


class _Answer:
    """An application's answer as it comes: it waits when it is AHEAD of the reader, the reader waits 10 s at most."""

    def __init__(self, act: str) -> None:
        self._act = act
        self._messages: asyncio.Queue[dict[str, Any] | Exception] = asyncio.Queue(AHEAD)

    async def come(self, app: Asgi, scope: dict[str, Any]) -> None:
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not messages:
                await asyncio.get_running_loop().create_future()  # the reader stays until we are cancelled
            return messages.pop()

        try:
            await app(scope, receive, self._messages.put)
        except Exception as error:
            await self._messages.put(error)

    async def begun(self) -> int | None:
        """How long the body will be in bytes, where that is said. Raises Unavailable for any status but 200."""
        message = await self._next()
        if message["status"] != 200:
            raise Unavailable(f"{self._act} was answered with {message['status']}")
        lengths = [int(value) for name, value in message.get("headers", ()) if name.lower() == b"content-length"]
        return lengths[0] if lengths else None

    async def body(self, expected: int | None) -> AsyncGenerator[bytes, None]:
        size, is_whole = 0, False
        while not is_whole:
            message = await self._next()
            is_whole = not message.get("more_body", False)
            if piece := message.get("body", b""):
                size += len(piece)
                yield piece
        if expected is not None and size != expected:
            raise Unavailable(f"{self._act} was cut after {size} of {expected} bytes")

    async def _next(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(TIMEOUT):
                message = await self._messages.get()
        except TimeoutError:
            raise Unavailable(f"{self._act}: nothing came for {TIMEOUT:g} s") from None
        if isinstance(message, Exception):
            raise Unavailable(self._act) from message
        return message


def _scope(method: str, url: str, headers: Mapping[str, str], length: int) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": parts.scheme,
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [
            (b"host", parts.netloc.encode()),
            (b"content-length", str(length).encode()),
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        ],
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname or "", parts.port or 80),
        "state": {},
    }


class OverHttp:
    """aiohttp's client. Made inside a running loop; close it."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, limit: int = CONNECTIONS) -> None:
        """`tls`: which authorities are trusted; None: the system's."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            connector=aiohttp.TCPConnector(limit=limit, ssl=True if tls is None else tls),
        )

    async def close(self) -> None:
        await self._session.close()

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        errors: dict[type[BaseException] | tuple[type[BaseException], ...], type[Exception]] = {
            (aiohttp.ClientError, TimeoutError, OSError): Unavailable
        }
        with translating(errors, f"{method} {urlsplit(url).path}"):
            async with self._session.request(method, url, headers=headers, data=body or None) as response:
                read = await response.read()
                return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, read)

    @asynccontextmanager
    async def download(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        errors: dict[type[BaseException] | tuple[type[BaseException], ...], type[Exception]] = {
            (aiohttp.ClientError, TimeoutError, OSError): Unavailable
        }
        patient = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT)
        with translating(errors, f"GET {urlsplit(url).path}"):
            async with self._session.get(url, headers=headers, timeout=patient) as response:
                if response.status != 200:
                    raise Unavailable(f"GET {url} was answered with {response.status}")
                yield response.content.iter_chunked(1 << 20)
