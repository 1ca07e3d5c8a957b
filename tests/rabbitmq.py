"""A real RabbitMQ for tests: one broker, a vhost for each test, and a wire to it that can be cut."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from moorage.adapters.rabbitmq.broker import USER, PrivateBroker
from moorage.adapters.rabbitmq.bus import RabbitBus
from moorage.adapters.rabbitmq.settings import RabbitSettings


@contextmanager
def a_broker(*terms: str) -> Iterator[PrivateBroker]:
    """A broker that runs, gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    broker = PrivateBroker(place, terms)
    try:
        start(broker)
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(place, ignore_errors=True)


def start(broker: PrivateBroker) -> None:
    broker.launch()
    while not broker.is_up():
        time.sleep(0.02)


def restart(broker: PrivateBroker) -> None:
    """Kill it, unless it is dead already, and start it with what was in its folder; returns when it is up."""
    broker.stop()
    start(broker)


def erlang(broker: PrivateBroker, code: str) -> str:
    """What the broker's own node answers to some Erlang; a hundred times quicker than rabbitmqctl."""
    for _ in range(5):
        done = _erl_call(broker, code)
        if "failed to connect" not in done.stderr:  # now and then the node does not like the tool's name
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("{ok, "), done.stdout
            return done.stdout[5:-1]
    raise AssertionError("erl_call does not reach the broker's node")


def _erl_call(broker: PrivateBroker, code: str) -> "subprocess.CompletedProcess[str]":
    [tool, *_] = Path("/usr/lib/erlang").glob("erts-*/bin/erl_call")
    command = [str(tool), "-r", "-address", f"127.0.0.1:{broker.control_port}", "-e"]
    environment = {"HOME": str(broker.home)}
    return subprocess.run(
        command, input=f"{code}.\n", env=environment, capture_output=True, text=True, timeout=15, check=False
    )


def typed(broker: PrivateBroker, line: str, within: Path, *, password: str = "") -> None:
    """A line of a page that begins with rabbitmqctl, typed in the folder `within`; the password is told who asks.

    Debian's rabbitmqctl is for the machine's own broker: this is what it runs.
    """
    [programs] = Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin")
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(broker.home),
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": "rabbit@localhost",
        "RABBITMQ_CTL_ERL_ARGS": f"-start_epmd false -erl_epmd_port {broker.control_port} -dist_listen false",
    }
    done = subprocess.run(
        ["sh", "-c", line],
        input=f"{password}\n",
        env=environment,
        cwd=within,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def a_vhost(broker: PrivateBroker) -> str:
    """A vhost of its own; its name."""
    name = f"v{uuid4().hex[:8]}"
    everything = ", ".join(['<<".*">>'] * 3)
    erlang(
        broker,
        f'rabbit_vhost:add(<<"{name}">>, <<"{USER}">>), '
        f'rabbit_auth_backend_internal:set_permissions(<<"{USER}">>, <<"{name}">>, {everything}, <<"{USER}">>)',
    )
    return name


def url(broker: PrivateBroker, vhost: str, port: int = 0, *, user: str = USER, password: str = "") -> str:
    return f"amqp://{user}:{password or broker.password}@127.0.0.1:{port or broker.port}/{vhost}"


class Wire:
    """Carries TCP connections to a port. Cut: those that are carried end, and new ones are refused. Silent: they stay
    open and carry nothing."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        self._is_cut = False
        self._flows.set()

    def silence(self) -> None:
        self._flows.clear()

    async def close(self) -> None:
        self.cut()
        self.mend()
        assert self._server is not None
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back))
                group.create_task(self._pump(there, writer))
        finally:
            self._writers -= {writer, back}
            for end in (writer, back):
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, socket.error):
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class WiredBus(RabbitBus):
    """A bus behind a wire of its own."""

    wire: Wire

    async def interrupt(self, away: float = 0.0) -> None:
        """Lose the broker for `away` seconds; returns when it is back."""
        back = self.reconnects()
        self.wire.cut()
        while self.is_connected:
            await asyncio.sleep(0.001)
        await asyncio.sleep(away)
        self.wire.mend()
        await anext(back)


@asynccontextmanager
async def a_wired_bus(
    broker: PrivateBroker, vhost: str, *, size: int = 10_000, at_once: int = 200, settle: float = 0.0
) -> AsyncIterator[WiredBus]:
    wire = Wire(broker.port)
    await wire.open()
    bus = WiredBus(RabbitSettings(url(broker, vhost, wire.port)), size=size, at_once=at_once, settle=settle)
    bus.wire = wire
    async with running(bus):
        yield bus
    await wire.close()


@asynccontextmanager
async def running(bus: RabbitBus) -> AsyncIterator[None]:
    """Connected, for the length of the context."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run())
        try:
            async with asyncio.timeout(15):
                await bus.connected()
            yield
        finally:
            task.cancel()
