"""A connection to a holder: calls in, answers out, many at a time."""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Self

import msgspec

from moorage.adapters.world import protocol
from moorage.adapters.world.protocol import Operation, Reply, Request, Value
from moorage.domain.errors import Conflict, Invalid, MoorageError, NotFound, Unavailable
from moorage.kit.translating import translating

CALL_TIMEOUT = 10.0  # seconds
_PEER = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
_ERRORS: Mapping[protocol.ErrorName, type[MoorageError]] = {
    "Invalid": Invalid,
    "NotFound": NotFound,
    "Conflict": Conflict,
    "Unavailable": Unavailable,
}
_Answer = tuple[Value, socket.socket | None]

_encoder = msgspec.msgpack.Encoder()
_replies = msgspec.msgpack.Decoder(Reply)


class Connection:
    """Calls to a holder, many at a time, each known by its number. Needs a running loop."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._calls: dict[int, asyncio.Future[_Answer]] = {}
        self._unsent: deque[bytes] = deque()
        self._is_closed = False
        self._end = asyncio.Event()
        self._loop.add_reader(connection, self._read)

    @classmethod
    def to(cls, path: Path) -> Self:
        """A connection to a holder that lives on its own, and is our own user's or root's. Raises Unavailable."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(path))  # a unix socket's: it does not wait
        except OSError as error:
            connection.close()
            raise Unavailable(f"no holder is reached at {path}: {error.strerror}") from error
        if _peer(connection)[1] not in (os.geteuid(), 0):
            connection.close()
            raise Unavailable(f"the holder at {path} is somebody else's")
        return cls(connection)

    @property
    def pid(self) -> int:
        """Of whoever listens there, as it was when it began to."""
        return _peer(self._socket)[0]

    @property
    def is_closed(self) -> bool:
        """Whether the holder is gone, or we have given up."""
        return self._is_closed

    async def closed(self) -> None:
        """Returns when it is."""
        await self._end.wait()

    def close(self) -> None:
        """Give up: calls under way fail with Unavailable. A holder that was started with us ends."""
        if self._is_closed:
            return
        self._is_closed = True
        self._end.set()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._unsent.clear()
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(Unavailable("the holder is gone"))

    async def call(self, host: str, operation: Operation, *, timeout: float | None = CALL_TIMEOUT) -> _Answer:
        """What the holder answers. Raises what it raised, or Unavailable when it does not answer in time."""
        if self._is_closed:
            raise Unavailable("the holder is gone")
        if len(self._calls) >= protocol.MOST_CALLS:
            raise Unavailable(f"{protocol.MOST_CALLS} calls to the holder are under way")
        number = next(self._numbers)
        answer = self._calls[number] = self._loop.create_future()
        try:
            self._send(number, host, operation)
            async with asyncio.timeout(timeout):
                result: _Answer = await answer
                return result
        except TimeoutError as error:
            raise Unavailable(f"the holder did not answer {type(operation).__name__} in {timeout} s") from error
        finally:
            del self._calls[number]
            if answer.cancelled() or not answer.done():
                self._send(number, host, protocol.Forget(number))

    def _send(self, number: int, host: str, operation: Operation) -> None:
        with translating({UnicodeEncodeError: Invalid}, f"asking for {type(operation).__name__}"):
            message = _encoder.encode(Request(number, host, msgspec.Raw(_encoder.encode(operation))))
        if len(message) > protocol.BIGGEST:
            raise Invalid(f"{type(operation).__name__} takes {len(message)} bytes, more than {protocol.BIGGEST}")
        if self._is_closed:
            return
        self._unsent.append(message)
        if len(self._unsent) == 1:
            self._write()

    def _write(self) -> None:
        while self._unsent:
            try:
                self._socket.send(self._unsent[0])
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._write)
                return
            except OSError:
                self.close()
                return
            self._unsent.popleft()
        self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        while not self._is_closed:
            try:
                message, given, _, _ = socket.recv_fds(self._socket, protocol.BIGGEST, 1)
            except BlockingIOError:
                return
            except OSError:
                message, given = b"", []
            sockets = [socket.socket(fileno=descriptor) for descriptor in given]
            if not message:
                self.close()
                return
            reply = _replies.decode(message)
            answer = self._calls.get(reply.call)
            if answer is None or answer.done():  # its caller has left
                for unwanted in sockets:
                    unwanted.close()
            elif reply.error is not None:
                answer.set_exception(_ERRORS[reply.error](reply.message))
            else:
                answer.set_result((reply.value, sockets[0] if sockets else None))


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Its pid and user."""
    pid, user, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, user
