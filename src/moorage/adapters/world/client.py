"""The holder's client: starts it, and gives each host its World."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import moorage
from moorage.adapters.world import protocol
from moorage.adapters.world.connection import CALL_TIMEOUT, Connection
from moorage.adapters.world.protocol import OpenSocket, Operation, Value
from moorage.domain.errors import Unavailable
from moorage.seams.world import ROOT, LinkChange

_END_TIMEOUT = 5.0  # seconds until the kernel has cleared the world away


def python_path(environ: Mapping[str, str]) -> str:
    """PYTHONPATH for a Python of our own: ourselves first, then what the user has there."""
    ours = str(Path(moorage.__file__).parents[1])
    return os.pathsep.join(filter(None, [ours, environ.get("PYTHONPATH")]))


async def start_holder(*arguments: str, log: IO[bytes] | None = None) -> tuple[Process, Connection]:
    """A holder with a connection to it, which has not been asked anything. Raises Unavailable."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        connection = Connection(ours)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "moorage.adapters.world.holder",
                f"--fd={theirs.fileno()}",
                *arguments,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for us: we end it when we are done with it
                env={**os.environ, "PYTHONPATH": python_path(os.environ)},
            )
        except OSError as error:
            connection.close()
            raise Unavailable("starting the holder") from error
    return process, connection


async def first_answer(connection: Connection) -> None:
    """Returns when the holder has its world. Raises Unavailable, in its own words, when it could make none."""
    answers = False
    try:
        await connection.call("", protocol.ListHosts())
        answers = True
    finally:
        if not answers:
            connection.close()  # which ends it


class HolderProcess:
    """A holder of our own, for the length of an `async with`: its world ends with it, and leaves nothing behind.

    It also ends with the thread that entered it: enter it in one that lives on, such as the main thread.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        """Raises Unavailable when it does not start."""
        self._process, self._connection = await start_holder(f"--die-with-parent={os.getpid()}")
        await first_answer(self._connection)
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

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            raise Unavailable("the holder has not been started")
        return self._connection

    def world(self, host: str) -> "HeldWorld":
        """A host of this world; it is made when it is first used."""
        return HeldWorld(self.connection, host)

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
        is_guest: bool = False,
    ) -> int:
        path = None if log is None else str(log)  # the holder takes absolute ones only
        start = protocol.Start(name, tuple(argv), namespace, path, dict(environment or {}), is_guest)
        return _number(await self._call(start))

    async def stop(self, name: str, *, patience: float = 2.0) -> None:
        await self._call(protocol.Stop(name, patience), timeout=patience + CALL_TIMEOUT)

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

    async def _call(self, operation: Operation, *, timeout: float | None = CALL_TIMEOUT) -> Value:
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
