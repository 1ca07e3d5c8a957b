"""A process that serves: its services begin, listen, run, and end in order when it is told to stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog

from moorage.adapters.buffered.timeline import BufferedTimeline
from moorage.adapters.metrics.prometheus import PrometheusMetrics
from moorage.adapters.system.clock import SystemClock
from moorage.app.collector import calm_collector
from moorage.app.health import Checked, Health
from moorage.app.http_server import served, server_context
from moorage.app.listening import listening
from moorage.app.observing import ObservedTimeline
from moorage.app.serving.doors import make_doors
from moorage.app.serving.notifying import notify
from moorage.app.serving.outside import Calling, calling
from moorage.app.serving.part import Part, Reasons, Runner
from moorage.app.serving.patience import for_ever
from moorage.app.serving.settings import ApiSettings, ServeSettings
from moorage.app.state import parse_listen
from moorage.domain.errors import Invalid
from moorage.kit.mount import Mount
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.metrics import Metrics

log = structlog.get_logger(__name__)


@dataclass
class Process:
    """What is put together for one process; `stack` closes it, what was made last first.

    Everything that it opens, and that is not there yet, is waited for. What is set wrong raises Invalid.
    """

    settings: ServeSettings
    stack: AsyncExitStack
    clock: SystemClock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=PrometheusMetrics)
    databases: list[Checked] = field(default_factory=list)
    runners: list[Runner] = field(default_factory=list)
    reasons: list[Reasons] = field(default_factory=list)
    waits: list[Callable[[], int]] = field(default_factory=list)
    ends: list[Callable[[], Awaitable[None]]] = field(default_factory=list)  # raise when it makes no sense to go on
    telling: BufferedTimeline | None = None

    async def calling(self, user: str) -> Calling:
        """The way to the other services, as `user`."""
        return await self.stack.enter_async_context(calling(self.settings, user, self.clock))

    async def bus(self) -> tuple[Bus, ObservedTimeline]:
        """The bus, and the timeline that is told over it."""
        if self.settings.bus is None:
            raise Invalid("there is no bus: add a table [bus] with a url")
        from moorage.app.serving.buses import opened as opened_bus  # the all-in-one's is in memory

        opened = await self.stack.enter_async_context(opened_bus(self.settings.bus, self.settings.tls))
        self.telling = BufferedTimeline(opened.bus)
        self.runners += [*opened.runners, ("telling", self.telling.run)]
        self.reasons.append(opened.reasons)
        return opened.bus, ObservedTimeline(self.telling, self.metrics)


@dataclass(frozen=True)
class Listening:
    """Where a process is asked, and how long what is under way may take when it ends."""

    address: str
    reuse_port: bool = False
    grace: float = 1.0  # seconds


@asynccontextmanager
async def serving(
    process: Process, parts: Sequence[Part[object]], listen: ApiSettings | Listening | None
) -> AsyncIterator[None]:
    """Serve until the context ends; inside it is ready. `listen` None: nobody can ask it anything."""
    if isinstance(listen, ApiSettings):
        listen = Listening(listen.listen, listen.reuse_port, listen.grace)
    for part in parts:
        await for_ever(f"what {part.name} begins with", part.begin)
    async with AsyncExitStack() as stack:
        listener = None
        if listen is not None:  # before anything runs: one whose port is taken does nothing
            place = listening(*parse_listen(listen.address), reuse_port=listen.reuse_port)
            listener = stack.enter_context(place)
        runners = [*process.runners, *(runner for part in parts for runner in part.runners)]
        await stack.enter_async_context(_running(runners, process.ends))
        if process.telling is not None:
            stack.push_async_callback(process.telling.close)  # the last facts, while the bus still runs
        if listen is not None and listener is not None:
            tls = process.settings.tls
            shown = server_context(tls.cert_file, tls.key_file) if tls.cert_file and tls.key_file else None
            app = _doors(process, parts)
            await stack.enter_async_context(served(app, listener, grace=listen.grace, tls=shown))
        calm_collector()
        log.info("serving", listen=None if listen is None else listen.address)
        notify("READY=1")
        try:
            yield
        finally:
            log.info("told to stop: what is under way ends first")
            notify("STOPPING=1")


def _doors(process: Process, parts: Sequence[Part[object]]) -> Mount:
    app, telling = Mount(), process.telling
    health = Health(
        databases=process.databases,
        parts=parts,
        facts_dropped=lambda: 0 if telling is None else telling.dropped,
        also=tuple(process.reasons),
        waits=process.waits,
    )
    make_doors(app, parts, health, process.metrics)
    return app


@asynccontextmanager
async def _running(runners: Sequence[Runner], ends: Sequence[Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """The eternal tasks, for the length of the context. What `ends` raise ends it."""
    async with asyncio.TaskGroup() as group:
        owners: list[asyncio.Task[object]] = [group.create_task(supervise(runners))]
        owners += [group.create_task(_until(end)) for end in ends]
        try:
            yield
        finally:
            for owner in owners:
                owner.cancel()


async def _until(end: Callable[[], Awaitable[None]]) -> None:
    await end()
