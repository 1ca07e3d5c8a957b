"""The parts of a cluster: each is a process with its children that can be started, ended and killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from moorage.adapters.database.server import PrivatePostgresql
from moorage.adapters.rabbitmq.broker import PrivateBroker
from moorage.adapters.world.client import HeldWorld, python_path
from moorage.app import processes
from moorage.app.watching import seen
from moorage.domain.errors import NotFound, Unavailable

ENDED_WITHIN = 60.0  # seconds
LOOK_EVERY = 0.01  # seconds


class Part(Protocol):
    @property
    def name(self) -> str: ...

    def pids(self) -> Sequence[int]:
        """Its first process and all of that one's children; none when it does not run."""

    async def start(self) -> None:
        """It begins to start, as it was before; fine when it runs."""

    async def is_ready(self) -> bool:
        """Whether it does what it is for. Raises Unavailable, with its last words, when it has ended."""

    async def stop(self) -> None:
        """End it in order; returns when it has ended. Fine when it does not run."""

    async def kill(self) -> None:
        """As a crash would: SIGKILL for all its processes. Fine when it does not run."""


@dataclass
class ServedPart:
    """One `moorage serve`, without a single capability. It says itself when it is ready, as it would to systemd."""

    name: str
    service: str
    file: Path
    log: Path
    ready: Path  # a socket's path, for that word
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _listener: socket.socket | None = field(default=None, repr=False)
    _is_ready: bool = False

    def pids(self) -> Sequence[int]:
        return [] if self._process is None or self._process.poll() is not None else processes.family(self._process.pid)

    async def start(self) -> None:
        if not self.pids():
            self._is_ready = False
            self._listen()
            self._launch()

    def _launch(self) -> None:
        words = [sys.executable, "-m", "moorage.cli.entry", "serve", self.service, "--config", str(self.file)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_without_capabilities(), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": python_path(os.environ), "NOTIFY_SOCKET": str(self.ready)},
                start_new_session=True,  # a terminal's Ctrl-C is for us
            )

    async def is_ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Unavailable(f"{self.name} ended: {self._last_words()}")
        if not self._is_ready and self._listener is not None:
            with suppress(BlockingIOError):
                self._is_ready = self._listener.recv(64).startswith(b"READY=1")
        return self._is_ready

    async def stop(self) -> None:
        self._listen_no_more()
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, ENDED_WITHIN)
            except subprocess.TimeoutExpired:
                raise Unavailable(f"{self.name} does not end: {self._last_words()}") from None

    async def kill(self) -> None:
        self._listen_no_more()
        _signal(self.pids(), signal.SIGKILL)
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    def _listen(self) -> None:
        self._listen_no_more()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(self.ready))

    def _listen_no_more(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self.ready.unlink(missing_ok=True)

    def _last_words(self) -> str:
        return " ".join(self.log.read_text(errors="replace").split())[-500:] or "it said nothing"


@dataclass
class BrokerPart:
    broker: PrivateBroker
    name: str = "rabbitmq"

    def pids(self) -> Sequence[int]:
        return processes.family(self.broker.pid) if self.broker.is_running else []

    async def start(self) -> None:
        if not self.broker.is_running:
            await asyncio.to_thread(self.broker.launch)

    async def is_ready(self) -> bool:
        return self.broker.is_up()

    async def stop(self) -> None:
        await asyncio.to_thread(self.broker.stop)

    async def kill(self) -> None:
        await asyncio.to_thread(self.broker.stop)


@dataclass
class DatabasePart:
    server: PrivatePostgresql
    name: str = "postgresql"

    def pids(self) -> Sequence[int]:
        return self.server.processes() if self.server.is_running else []

    async def start(self) -> None:
        if not self.server.is_running:
            await asyncio.to_thread(self.server.prepare)
            self.server.launch()  # in this thread: it ends with it

    async def is_ready(self) -> bool:
        return await asyncio.to_thread(self.server.is_up)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def kill(self) -> None:
        await asyncio.to_thread(self.server.kill)


@dataclass
class HeldPart:
    """A process of the host's machine, which is a network of its own: Open vSwitch's two, and the host's own holder."""

    name: str
    world: HeldWorld
    outer: int  # the pid of the holder of that machine
    starting: Callable[[], Awaitable[object]]
    checking: Callable[[], Awaitable[bool]]

    def pids(self) -> Sequence[int]:
        """Those that it starts are in namespaces of their own, with numbers that may be the same."""
        of_machine = [pid for holder in processes.children(self.outer) for pid in processes.children(holder)]
        first = next((pid for pid in of_machine if processes.innermost(pid) == self._inside), None)
        return [] if self._inside is None or first is None else processes.family(first)

    async def start(self) -> None:
        self._inside = None
        await self.starting()
        self._inside = (await self.world.processes()).get(self.name)

    async def is_ready(self) -> bool:
        if self.name not in await self.world.processes():
            raise Unavailable(f"{self.name} ended")
        return await self.checking()

    async def stop(self) -> None:
        await self.world.stop(self.name, patience=ENDED_WITHIN)

    async def kill(self) -> None:
        pids, self._inside = self.pids(), None
        _signal(pids, signal.SIGKILL)
        with suppress(NotFound):
            await self.world.wait(self.name)
        await seen(lambda: _are_gone(pids), limit=ENDED_WITHIN, every=LOOK_EVERY)  # the kernel clears namespaces away

    _inside: int | None = None  # its pid as the world numbers them


async def _are_gone(pids: Sequence[int]) -> bool | None:
    return None if any(processes.started(pid) for pid in pids) else True


def _without_capabilities() -> Sequence[str]:
    """It ends with us; and where we are root, root's privileges are not its own."""
    nothing = ["--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "TERM", "--no-new-privs", *nothing, "--"]


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
