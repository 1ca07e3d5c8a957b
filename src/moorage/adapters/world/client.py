"""The holder's client: starts it, and gives each host its World."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

import moorage
from moorage.adapters.world import protocol
from moorage.adapters.world.protocol import OpenSocket, Operation, Reply, Request, Value
from moorage.domain.errors import Conflict, Invalid, MoorageError, NotFound, Unavailable
from moorage.kit.translating import translating
from moorage.seams.world import ROOT, LinkChange

_CALL_TIMEOUT = 10.0  # seconds
_END_TIMEOUT = 5.0  # seconds until the kernel has cleared the world away
_ERRORS: Mapping[protocol.ErrorName, type[MoorageError]] = {
    "Invalid": Invalid,
    "NotFound": NotFound,
    "Conflict": Conflict,
    "Unavailable": Unavailable,
}
_Answer = tuple[Value, socket.socket | None]

_encoder = msgspec.msgpack.Encoder()
_replies = msgspec.msgpack.Decoder(Reply)


def python_path(environ: Mapping[str, str]) -> str:
    """PYTHONPATH for a Python of our own: ourselves first, then what the user has there."""
    ours = str(Path(moorage.__file__).parents[1])
    return os.pathsep.join(filter(None, [ours, environ.get("PYTHONPATH")]))


class HolderProcess:
    """A holder of our own, for the length of an `async with`: its world ends with it, and leaves nothing behind.

    It also ends with the thread that entered it: enter it in one that lives on, such as the main thread.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        """Raises Unavailable when it does not start."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            connection = Connection(ours)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "moorage.adapters.world.holder",
                    f"--fd={theirs.fileno()}",
                    f"--die-with-parent={os.getpid()}",
                    stdin=DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for us: we end it when we are done with it
                    env={**os.environ, "PYTHONPATH": python_path(os.environ)},
                )
            except OSError as error:
                connection.close()
                raise Unavailable("starting the holder") from error
        self._connection = connection
        answers = False
        try:
            await connection.call("", protocol.ListHosts())
            answers = True
        finally:
            if not answers:
                connection.close()  # which ends it
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def pid(self) -> int:
        """Of the outer process, whose end is the world's."""
        if self._process is None:
            raise Unavailable("the holder has not been started")
        return self._process.pid

    def world(self, host: str) -> "HeldWorld":
        """A host of this world; it is made when it is first used."""
        if self._connection is None:
            raise Unavailable("the holder has not been started")
        return HeldWorld(self._connection, host)

    async def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(_END_TIMEOUT):
                    await self._process.wait()
            except TimeoutError:
                self._process.send_signal(signal.SIGKILL)
                await self._process.wait()


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
        self._loop.add_reader(connection, self._read)

    @classmethod
    def to(cls, path: Path) -> Self:
        """A connection to a holder that lives on its own. Raises Unavailable."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(path))  # a unix socket's: it does not wait
        except OSError as error:
            connection.close()
            raise Unavailable(f"connecting to the holder at {path}") from error
        return cls(connection)

    def close(self) -> None:
        """Give up: calls under way fail with Unavailable. A holder that was started with us ends."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._unsent.clear()
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(Unavailable("the holder is gone"))

    async def call(self, host: str, operation: Operation, *, timeout: float | None = _CALL_TIMEOUT) -> _Answer:
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


class HeldWorld:
    """One host's World (seams/world.py), by a holder."""

    def __init__(self, connection: Connection, host: str) -> None:
        self._connection = connection
        self._host = host

    async def make_namespace(self, name: str) -> None:
        await self._call(protocol.MakeNamespace(name))

    async def remove_namespace(self, name: str) -> None:
        await self._call(protocol.RemoveNamespace(name))

    async def namespaces(self) -> frozenset[str]:
        return frozenset(_names(await self._call(protocol.ListNamespaces())))

    async def links(self, namespace: str) -> frozenset[str]:
        return frozenset(_names(await self._call(protocol.ListLinks(namespace))))

    async def make_tap(self, device: str, *, mtu: int = 1500) -> None:
        await self._call(protocol.MakeTap(device, mtu))

    async def remove_link(self, device: str, *, namespace: str = ROOT) -> None:
        await self._call(protocol.RemoveLink(device, namespace))

    async def move_link(self, device: str, source: str, target: str, change: LinkChange) -> None:
        await self._call(
            protocol.MoveLink(device, source, target, change.name, change.mac, change.mtu, change.addresses, change.up)
        )

    async def make_cable(self, device: str, namespace: str, end: str, *, mac: str, mtu: int = 1500) -> None:
        await self._call(protocol.MakeCable(device, namespace, end, mac, mtu))

    async def connect(self, device: str, peer: str, peer_device: str, *, mtu: int = 1500) -> None:
        await self._call(protocol.Connect(device, peer, peer_device, mtu))

    async def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        namespace: str = ROOT,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        path = None if log is None else str(log)  # the holder takes absolute ones only
        return _number(await self._call(protocol.Start(name, tuple(argv), namespace, path, dict(environment or {}))))

    async def stop(self, name: str, *, patience: float = 2.0) -> None:
        await self._call(protocol.Stop(name, patience), timeout=patience + _CALL_TIMEOUT)

    async def signal(self, name: str, number: int) -> None:
        await self._call(protocol.Signal(name, int(number)))

    async def wait(self, name: str) -> int:
        return _number(await self._call(protocol.Wait(name), timeout=None))

    async def processes(self) -> Mapping[str, int]:
        answer = await self._call(protocol.ListProcesses())
        if not isinstance(answer, dict):
            raise TypeError(f"the holder answered {answer!r}")
        return answer

    async def socket(self, family: int, kind: int, protocol: int = 0, *, namespace: str = ROOT) -> socket.socket:
        _, given = await self._connection.call(self._host, OpenSocket(namespace, int(family), int(kind), protocol))
        if given is None:
            raise TypeError("the holder gave no socket")
        given.setblocking(False)  # Python's own mark; the descriptor is so already
        return given

    async def _call(self, operation: Operation, *, timeout: float | None = _CALL_TIMEOUT) -> Value:
        value, _ = await self._connection.call(self._host, operation, timeout=timeout)
        return value


def _names(answer: Value) -> list[str]:
    if not isinstance(answer, list):
        raise TypeError(f"the holder answered {answer!r}")
    return answer


def _number(answer: Value) -> int:
    if not isinstance(answer, int):
        raise TypeError(f"the holder answered {answer!r}")
    return answer
