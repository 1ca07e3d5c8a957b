"""Asking a running cloud, on its control socket, for a way into a guest."""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moorage.app.client import logged_in
from moorage.app.clouds_yaml import find_account
from moorage.app.control_words import (
    BIGGEST,
    AnyAnswer,
    AnyAsk,
    ErrorName,
    OpenPort,
    Refused,
    control_socket,
    short_path,
)
from moorage.app.state import StateDir, default_state_dir
from moorage.domain.errors import Conflict, Exhausted, Invalid, MoorageError, NotFound, Unavailable
from moorage.kit.translating import translating

ANSWERED_WITHIN = 15.0  # seconds: more than the cloud takes itself
FULL_PAUSE = 0.02  # seconds, when the cloud's queue of questions is full

_ERRORS: Mapping[ErrorName, type[MoorageError]] = {
    "Invalid": Invalid,
    "NotFound": NotFound,
    "Conflict": Conflict,
    "Exhausted": Exhausted,
    "Unavailable": Unavailable,
}
_encoder = msgspec.msgpack.Encoder()
_answers = msgspec.msgpack.Decoder[AnyAnswer](AnyAnswer)


class Way:
    """A connected stream into a guest. What was lent with it (a console) is given back when it is closed."""

    def __init__(self, stream: socket.socket, lease: socket.socket) -> None:
        self.stream = stream
        self._lease = lease

    def close(self) -> None:
        self.stream.close()
        self._lease.close()


async def ask(door: Path, question: AnyAsk) -> Way:
    """What the cloud whose control socket is `door` gives. Raises the five errors, its own by their class."""
    try:
        with translating({OSError: Unavailable}, f"speaking with the cloud at {door}"), ExitStack() as unless_given:
            async with asyncio.timeout(ANSWERED_WITHIN):
                lease = unless_given.enter_context(await _connected(door))
                await asyncio.get_running_loop().sock_sendall(lease, _encoder.encode(question))
                raw, stream = await _received(lease)
            if stream is not None:
                unless_given.enter_context(stream)
            with translating({ValueError: Unavailable}, f"reading the answer of the cloud at {door}"):
                answer = _answers.decode(raw)
            if isinstance(answer, Refused):
                raise _ERRORS[answer.error](answer.message)
            if stream is None:
                raise Unavailable(f"the cloud at {door} gave nothing")
            unless_given.pop_all()
            return Way(stream, lease)
    except TimeoutError:
        raise Unavailable(f"the cloud at {door} did not answer within {ANSWERED_WITHIN:g} s") from None


async def _connected(door: Path) -> socket.socket:
    try:
        directory = os.open(door.parent, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        raise NotFound(f"no cloud runs in {door.parent}: `moorage up` starts one") from None
    with ExitStack() as unless_connected:
        closing = ExitStack()
        closing.callback(os.close, directory)
        connection = unless_connected.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        connection.setblocking(False)
        with closing:
            while True:
                try:
                    connection.connect(short_path(directory))  # a unix socket's: it does not wait
                except BlockingIOError:
                    await asyncio.sleep(FULL_PAUSE)
                except (FileNotFoundError, ConnectionRefusedError):
                    raise NotFound(f"no cloud runs in {door.parent}: `moorage up` starts one") from None
                else:
                    break
        unless_connected.pop_all()
        return connection


async def _received(connection: socket.socket) -> tuple[bytes, socket.socket | None]:
    """A message, and the socket that came with it. Raises Unavailable when the cloud has hung up."""
    loop = asyncio.get_running_loop()
    is_readable = asyncio.Event()
    loop.add_reader(connection, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(connection)
    raw, given, _, _ = socket.recv_fds(connection, BIGGEST, 1)
    stream = socket.socket(fileno=given[0]) if given else None
    if not raw:
        raise Unavailable("the cloud hung up without an answer")
    return raw, stream


@dataclass(frozen=True)
class Found:
    """A server, and the control socket of the cloud that it runs in."""

    server: str
    name: str
    door: Path


async def find_in(os_cloud: str | None, state_dir: Path | None, name_or_id: str) -> Found:
    """The server of that name that the caller may see. Raises NotFound, Conflict, Unauthorized, Unavailable."""
    state = StateDir((state_dir or default_state_dir()).absolute())
    async with logged_in(find_account(os_cloud, state.clouds_yaml)) as client:
        body = await client.find_server(name_or_id)
    return Found(body["id"], body["name"], control_socket(state.cloud))


async def try_port(found: Found, port: int) -> str:
    """What is in the way of it, "" for nothing. Raises what will not pass: a simulated host, no such guest."""
    try:
        (await ask(found.door, OpenPort(server=found.server, port=port))).close()
    except Unavailable as error:
        return error.message
    return ""
