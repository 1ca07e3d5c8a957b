"""A cluster put together out of its parts, started in the order in which its processes need them least."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from moorage.adapters.database.server import PrivatePostgresql
from moorage.adapters.rabbitmq import permissions
from moorage.adapters.rabbitmq.broker import PrivateBroker
from moorage.adapters.world.client import HeldWorld, HolderProcess, python_path
from moorage.adapters.world.living import find_living
from moorage.app.cluster.layout import APIS, DATABASE, HOST, ON_HOST, Layout, write_settings
from moorage.app.cluster.parts import BrokerPart, DatabasePart, HeldPart, Part, ServedPart
from moorage.app.config import HostKind
from moorage.app.guests import find_accelerator
from moorage.app.switch_start import (
    DATABASE_SERVER,
    VSWITCHD,
    start_database,
    start_switch,
    start_vswitchd,
    until_listening,
)
from moorage.app.upgrading import upgraded
from moorage.domain.errors import Invalid, Unavailable

MACHINE = "machine"  # the network that stands for the host's machine
HOLDER = "holder"
EACH = 2  # of each API
READY_WITHIN = 120.0  # seconds; five on an idle machine
LOOK_EVERY = 0.02  # seconds

log = structlog.get_logger(__name__)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cluster:
    """`machine` is the host's own network, as its root has it; nothing of it touches the real machine's."""

    layout: Layout
    parts: Mapping[str, Part]
    machine: HeldWorld

    async def start(self, *names: str) -> None:
        """Returns when they are ready. Raises Unavailable, with the last words of one that has ended.

        With the holder compute and agent end by themselves, and are to be started too.
        """
        for name in names:
            await self.parts[name].start()
        await self.ready(names)

    async def kill(self, *names: str) -> None:
        for name in names:
            await self.parts[name].kill()

    async def ready(self, names: Iterable[str]) -> None:
        await until_ready([self.parts[name] for name in names])


async def until_ready(parts: Iterable[Part]) -> None:
    waited = list(parts)
    try:
        async with asyncio.timeout(READY_WITHIN):
            while waited := [part for part in waited if not await part.is_ready()]:  # noqa: ASYNC110 - outside
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        names = ", ".join(part.name for part in waited)
        raise Unavailable(f"{names} not ready after {READY_WITHIN:g} s") from None


@asynccontextmanager
async def built(layout: Layout, say: Say) -> AsyncIterator[Cluster]:
    """All of it runs and is ready, and ends with the context. Raises Unavailable, Invalid."""
    if layout.kind is HostKind.SIMULATED:
        raise Invalid("simulated hosts live in one process: --host-kind netns, or qemu")
    if os.geteuid() != 0:
        raise Unavailable("a cluster's host has a holder, which is root's: run it as root")
    accelerator = await find_accelerator(layout.kind, layout.cache, say)
    async with AsyncExitStack() as stack:
        say("starting PostgreSQL, RabbitMQ and Open vSwitch")
        outer = await stack.enter_async_context(HolderProcess())
        machine = outer.world(MACHINE)
        broker = PrivateBroker(layout.folder("rabbitmq"), definitions=_host_user(layout))
        server = PrivatePostgresql(layout.folder("postgresql"))
        parts: dict[str, Part] = {part.name: part for part in _below(layout, machine, outer.pid, server, broker)}
        services = {part.name: part for part in _services(layout)}
        parts |= services
        cluster = Cluster(layout, parts, machine)
        stack.push_async_callback(_end, list(parts.values()))
        await parts["rabbitmq"].start()  # which takes longest
        await start_switch(machine, layout.folder("switch"))
        below = [parts[name] for name in (DATABASE_SERVER, VSWITCHD, HOLDER, "postgresql")]
        for part in below:
            await part.start()
        await until_ready(below)
        database = await asyncio.to_thread(server.make_database, DATABASE)
        async for _ in upgraded(database):
            pass
        write_settings(
            layout,
            database=database,
            bus=f"127.0.0.1:{broker.port}/%2F",
            bus_password=broker.password,
            host_user=permissions.user_of(HOST),
            accelerator=accelerator,
        )
        await cluster.ready(["rabbitmq"])
        say(f"starting {len(APIS)} APIs, {EACH} processes each, compute and agent")
        await cluster.start(*services)
        yield cluster


async def _end(parts: Sequence[Part]) -> None:
    """What serves in order, side by side; then what it stands on. The host's machine ends with its holder."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            if isinstance(part, ServedPart):
                group.create_task(_end_in_order(part))
    for other in parts:
        if isinstance(other, BrokerPart | DatabasePart):
            await other.stop()


async def _end_in_order(part: Part) -> None:
    try:
        await part.stop()
    except Unavailable as error:
        log.warning("a process does not end, and is killed", part=part.name, error=error.message)
        await part.kill()


def _below(
    layout: Layout, machine: HeldWorld, outer: int, server: PrivatePostgresql, broker: PrivateBroker
) -> Sequence[Part]:
    """What the services stand on."""
    switch = layout.folder("switch")
    held = partial(HeldPart, world=machine, outer=outer)
    return [
        BrokerPart(broker),
        DatabasePart(server),
        held(
            name=DATABASE_SERVER,
            starting=partial(start_database, machine, switch),
            checking=partial(_listens, switch / "db.sock"),
        ),
        held(name=VSWITCHD, starting=partial(start_vswitchd, machine, switch), checking=_at_once),
        held(name=HOLDER, starting=partial(_start_holder, layout, machine), checking=partial(_answers, layout)),
    ]


def _services(layout: Layout) -> Sequence[ServedPart]:
    names = {f"{api}-{number}": api for api in APIS for number in range(1, EACH + 1)}
    return [
        ServedPart(name, service, layout.file_of(service), layout.log(name), layout.folder("ready") / name)
        for name, service in {**names, **dict(zip(ON_HOST, ON_HOST, strict=True))}.items()
    ]


def _host_user(layout: Layout) -> Mapping[str, object]:
    return permissions.definitions(HOST, "/", layout.passwords["bus"])


async def _start_holder(layout: Layout, machine: HeldWorld) -> None:
    """The host's own, as `moorage serve holder` runs it; its socket is for root, and root's group."""
    words = [sys.executable, "-m", "moorage.adapters.world.holder"]
    words += ["--machine", f"--socket={layout.holder}", f"--group={os.getegid()}"]
    environment = {"PYTHONPATH": python_path(os.environ), "PATH": os.environ["PATH"]}
    await machine.start("holder", words, log=layout.log("holder"), environment=environment)


async def _listens(path: Path) -> bool:
    await until_listening(path)
    return True


async def _at_once() -> bool:
    return True


async def _answers(layout: Layout) -> bool:
    holder = await find_living(layout.holder)
    if holder is not None:
        holder.let_go()
    return holder is not None
