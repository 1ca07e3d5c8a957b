"""One connection to an ovsdb-server (RFC 7047): requests and their replies, notifications, echo."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec
import structlog

from moorage.adapters.ovsdb.framing import Framing

MOST_REQUESTS = 10_000  # under way at once
MOST_UNSENT = 64 * 1024 * 1024  # bytes that the server has not taken yet

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Refused(Exception):
    """The server's `error` to a request as a whole: an unknown method or database."""


class _Message(msgspec.Struct):
    """A request, a reply or a notification."""

    id: int | str | list[Any] | None = None
    method: str | None = None
    params: list[Any] | None = None
    result: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Message)
_encoder = msgspec.json.Encoder()


class Session(asyncio.Protocol):
    """Requests fail with ConnectionError, all at once, when the connection is lost; it is never made again.

    `notified(method, params)` is called for each notification, in the order of the stream; it raises ValueError to end
    the connection.
    """

    def __init__(self, notified: Callable[[str, list[Any]], None]) -> None:
        self.ended = asyncio.Event()
        self._notified = notified
        self._framing = Framing()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, tuple[asyncio.Future[Any], Callable[[Any], Any]]] = {}
        self._last_id = 0

    def request(self, method: str, params: list[Any], read: Callable[[Any], T]) -> asyncio.Future[T]:
        """Send now; the future holds `read(result)`.

        `read` is called in the order of the stream, before any later notification is. Raises ConnectionError.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("not connected")
        if len(self._waiting) >= MOST_REQUESTS or self._transport.get_write_buffer_size() > MOST_UNSENT:
            raise ConnectionError("too much is under way")
        self._last_id += 1
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[self._last_id] = (reply, read)
        self._transport.write(_encoder.encode({"id": self._last_id, "method": method, "params": params}))
        return reply

    def close(self) -> None:
        """End it without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        waiting, self._waiting = self._waiting, {}
        for reply, _ in waiting.values():
            if not reply.done():
                reply.set_exception(ConnectionError(f"the connection was lost{f': {exc}' if exc else ''}"))
                reply.exception()  # whether or not anybody waits for it
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        try:
            for raw in self._framing.feed(data):
                self._heard(_decoder.decode(raw))
        except (ValueError, msgspec.MsgspecError):
            log.exception("the switch's database sent what we cannot read; connecting again")
            self.close()

    def _heard(self, message: _Message) -> None:
        if message.method is None:
            self._replied(message)
        elif message.method != "echo":
            self._notified(message.method, message.params or [])
        elif self._transport is not None:
            self._transport.write(_encoder.encode({"id": message.id, "result": message.params, "error": None}))

    def _replied(self, message: _Message) -> None:
        if not isinstance(message.id, int):
            return
        reply, read = self._waiting.pop(message.id, (None, None))
        if reply is None or read is None or reply.done():  # nobody waits any more
            return
        if message.error is not None:
            reply.set_exception(Refused(str(message.error)))
            return
        try:
            reply.set_result(read(message.result))
        except Exception as error:
            reply.set_exception(error)
