"""One HTTP request and its answer: by aiohttp, or straight into an ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp

from moorage.domain.errors import Unavailable
from moorage.kit.mount import Asgi
from moorage.kit.translating import translating

TIMEOUT = 10.0  # seconds, for a whole request


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Transport(Protocol):
    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """One request, within 10 s. Any status is an answer. Raises Unavailable when there was none."""

    def download(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The body of a GET, piece by piece. Raises Unavailable, also for any status but 200."""


class InProcess:
    """Calls an ASGI application without a socket: the same bytes, a tenth of the time."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        parts = urlsplit(url)
        scope = {
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
                (b"content-length", str(len(body)).encode()),
                *((name.lower().encode(), value.encode()) for name, value in headers.items()),
            ],
            "client": ("127.0.0.1", 0),
            "server": (parts.hostname or "", parts.port or 80),
            "state": {},
        }
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
                await self._app(scope, receive, send)
        except TimeoutError:
            raise Unavailable(f"{method} {parts.path} was not answered within {TIMEOUT:g} s") from None
        return Reply(status, answered, b"".join(parts_of_body))

    @asynccontextmanager
    async def download(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        reply = await self.request("GET", url, headers)
        if reply.status != 200:
            raise Unavailable(f"GET {url} was answered with {reply.status}")

        async def whole() -> AsyncIterator[bytes]:
            yield reply.body

        yield whole()


class OverHttp:
    """aiohttp's client. Made inside a running loop; close it."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))

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
