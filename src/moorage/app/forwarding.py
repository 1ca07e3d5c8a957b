"""`moorage forward`: TCP connections from here carried into a guest."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from moorage.app.control_words import OpenPort
from moorage.app.reaching import Way, ask
from moorage.domain.errors import Conflict, MoorageError

AT_ONCE = 256  # connections that are carried side by side
PIECE = 1 << 16  # bytes read at once
BACKLOG = 128
LAST_WORDS = 30.0  # seconds that a side may take to read what was said last

Say = Callable[[str], None]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def forwarding(
    door: Path, server: str, port: int, listen: tuple[str, int], complain: Say
) -> AsyncIterator[tuple[str, int]]:
    """Carry connections to `listen` into `server`, for the length of the context; gives the address that listens.

    `complain` is told of each connection that could not be carried. Raises Conflict when `listen` is in use.
    """
    carrier = _Carrier(door, OpenPort(server=server, port=port), complain)
    own = _listening(*listen)
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        listener = await asyncio.start_server(
            lambda reader, writer: carrier.take(group, (reader, writer)), sock=own, backlog=BACKLOG
        )
        try:
            address, bound, *_ = own.getsockname()
            yield address, bound
        except Exception as error:
            failure = error  # or the group would wrap it
        finally:
            listener.close()
            carrier.cancel()
    if failure is not None:
        raise failure


def _listening(address: str, port: int) -> socket.socket:
    """Raises Conflict."""
    try:
        return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise Conflict(f"cannot listen on {address}:{port}: {reason}: choose another with --listen") from error


class _Carrier:
    def __init__(self, door: Path, question: OpenPort, complain: Say) -> None:
        self._door = door
        self._question = question
        self._complain = complain
        self._carried: set[asyncio.Task[None]] = set()

    def take(self, group: asyncio.TaskGroup, here: Stream) -> None:
        if len(self._carried) >= AT_ONCE:
            self._complain(f"{AT_ONCE} connections are carried already: one more was closed")
            _break_off(here[1])
            return
        task = group.create_task(self._carry(here))
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)

    def cancel(self) -> None:
        for task in self._carried:
            task.cancel()

    async def _carry(self, here: Stream) -> None:
        try:
            way = await ask(self._door, self._question)
        except MoorageError as error:
            self._complain(error.message)
            _break_off(here[1])
            return
        try:
            await _carry(here, way)
        finally:
            way.close()


async def _carry(here: Stream, way: Way) -> None:
    """Both ways, until both sides have said their last word or one has broken off."""
    there = await asyncio.open_connection(sock=_own(way.stream))
    try:
        with suppress(OSError, ExceptionGroup, TimeoutError):  # one side broke off
            async with asyncio.TaskGroup() as group:
                group.create_task(_pour(here[0], there[1]))
                group.create_task(_pour(there[0], here[1]))
            async with asyncio.timeout(LAST_WORDS):
                for _, writer in (here, there):
                    writer.close()
                    await writer.wait_closed()
    finally:
        for _, writer in (here, there):
            writer.transport.abort()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE):
        target.write(piece)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


def _break_off(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: an end in order would be taken for an empty answer."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _own(stream: socket.socket) -> socket.socket:
    """A descriptor that the event loop may close by itself."""
    own = stream.dup()
    own.setblocking(False)
    return own
