"""The control socket of a running cloud: hands its owner connections into guests, and their consoles.

Who may connect is who may open the socket's file (0600): the cloud's own user.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Never, Protocol

import msgspec
import structlog

from moorage.app.control_words import BIGGEST, AnyAsk, ErrorName, Given, OpenConsole, OpenPort, Refused, short_path
from moorage.domain.errors import Conflict, Exhausted, Invalid, MoorageError, NotFound, Unavailable
from moorage.domain.ids import ServerId
from moorage.kit.supervise import raise_if_cancelled

log = structlog.get_logger(__name__)

AT_ONCE = 64  # connections to the control socket
MOST_CONSOLES = 32  # of them, who hold a console
ASKED_WITHIN = 2.0  # seconds until a client has said what it wants
OPEN_WITHIN = 8.0  # seconds until it has an answer
PAUSE = 0.1  # seconds, when no connection can be taken

UNAVAILABLE: ErrorName = "Unavailable"
_NAMES: Mapping[type[MoorageError], ErrorName] = {
    Invalid: "Invalid",
    NotFound: "NotFound",
    Conflict: "Conflict",
    Exhausted: "Exhausted",
}
_asks = msgspec.msgpack.Decoder[AnyAsk](AnyAsk)
_encoder = msgspec.msgpack.Encoder()


class Doors(Protocol):
    """Ways to a guest. Both raise NotFound, Invalid where there is nothing to reach, Conflict, Unavailable."""

    async def to_port(self, server: ServerId, port: int) -> socket.socket:
        """A connected TCP socket."""

    async def to_console(self, server: ServerId) -> socket.socket:
        """A connected stream of what the guest says on its serial console, and what it is told there."""


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket that listens on `path`, for its owner alone; the file is gone afterwards. Raises Unavailable."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    path.unlink(missing_ok=True)  # of a cloud that was killed
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        mask = os.umask(0o177)
        try:
            door.bind(short_path(directory))
        finally:
            os.umask(mask)
            os.close(directory)
        door.listen(AT_ONCE)
    except OSError as error:
        door.close()
        raise Unavailable(f"listening on {path}: {os.strerror(error.errno or 0)}") from error
    try:
        yield door
    finally:
        door.close()
        path.unlink(missing_ok=True)


class Control:
    """Answers one question a connection, AT_ONCE of them side by side; the others wait in the socket's queue."""

    def __init__(self, door: socket.socket, doors: Doors) -> None:
        self._door = door
        self._doors = doors
        self._consoles: set[str] = set()

    async def run(self) -> Never:
        loop = asyncio.get_running_loop()
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                await free.acquire()
                try:
                    connection, _ = await loop.sock_accept(self._door)
                except OSError as error:  # no descriptors left, mostly
                    log.warning("no connection could be taken on the control socket", error=str(error))
                    free.release()
                    await asyncio.sleep(PAUSE)
                    continue
                task = group.create_task(self._served(connection))
                task.add_done_callback(lambda _: free.release())
        raise AssertionError("the control socket's loop ended")

    async def _served(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with connection:
            try:
                await self._answered(connection)
            except OSError:
                return  # who asked has gone
            except Exception:
                raise_if_cancelled()
                log.exception("a question on the control socket could not be answered")

    async def _answered(self, connection: socket.socket) -> None:
        try:
            ask = await self._asked(connection)
            if isinstance(ask, OpenConsole):
                await self._lend_console(connection, ask)
                return
            async with asyncio.timeout(OPEN_WITHIN):
                stream = await self._doors.to_port(ServerId(ask.server), ask.port)
        except TimeoutError:
            _refuse(connection, Unavailable(f"there was no answer within {OPEN_WITHIN:g} s"))
        except MoorageError as error:
            _refuse(connection, error)
        else:
            with stream:
                _give(connection, stream)

    async def _asked(self, connection: socket.socket) -> OpenPort | OpenConsole:
        if _user_of(connection) not in (os.geteuid(), 0):
            raise Invalid("this cloud is another user's")
        async with asyncio.timeout(ASKED_WITHIN):
            raw = await asyncio.get_running_loop().sock_recv(connection, BIGGEST)
        try:
            asked: OpenPort | OpenConsole = _asks.decode(raw)
        except ValueError as error:  # msgspec's own, and text that is no UTF-8
            raise Invalid(f"not understood: {error}") from error
        return asked

    async def _lend_console(self, connection: socket.socket, ask: OpenConsole) -> None:
        """Until the asker hangs up: two who type at one console would read each other's halves."""
        if ask.server in self._consoles:
            raise Conflict("somebody is at this console already")
        if len(self._consoles) >= MOST_CONSOLES:
            raise Exhausted(f"{MOST_CONSOLES} consoles are in use")
        self._consoles.add(ask.server)
        try:
            async with asyncio.timeout(OPEN_WITHIN):
                stream = await self._doors.to_console(ServerId(ask.server))
            with stream:
                _give(connection, stream)
            await asyncio.get_running_loop().sock_recv(connection, 1)
        finally:
            self._consoles.discard(ask.server)


def _give(connection: socket.socket, stream: socket.socket) -> None:
    socket.send_fds(connection, [_encoder.encode(Given())], [stream.fileno()])


def _refuse(connection: socket.socket, error: MoorageError) -> None:
    name = next((name for kind, name in _NAMES.items() if isinstance(error, kind)), UNAVAILABLE)
    with suppress(BlockingIOError):  # an empty queue takes one datagram
        connection.send(_encoder.encode(Refused(error=name, message=error.message[:1000])))


def _user_of(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return int(uid)
