"""A process that serves: its services begin, listen, run, and end in order when it is told to stop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog

from moorage.adapters.buffered.timeline import BufferedTimeline
from moorage.adapters.database.engine import Database
from moorage.adapters.metrics.prometheus import PrometheusMetrics
from moorage.adapters.system.clock import SystemClock
from moorage.app.collector import calm_collector
from moorage.app.deadlines import ON_THE_BUS, limited
from moorage.app.health import Health
from moorage.app.http_server import served, server_context
from moorage.app.listening import listening
from moorage.app.observing import ObservedTimeline
from moorage.app.serving.buses import opened as opened_bus
from moorage.app.serving.databases import opened as opened_database
from moorage.app.serving.doors import make_doors
from moorage.app.serving.notifying import notify
from moorage.app.serving.outside import Calling, calling
from moorage.app.serving.part import Part, Reasons, Runner, Surroundings
from moorage.app.serving.patience import for_ever
from moorage.app.serving.settings import ApiSettings, ServeSettings
from moorage.app.state import parse_listen
from moorage.domain.errors import Invalid
from moorage.identity.trusting import TrustingVerifier
from moorage.kit.mount import Mount
from moorage.kit.supervise import supervise
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
    databases: list[Database] = field(default_factory=list)
    runners: list[Runner] = field(default_factory=list)
    reasons: list[Reasons] = field(default_factory=list)
    telling: BufferedTimeline | None = None

    async def database(self, name: str, api: ApiSettings) -> Database:
        """The tables of the service `name`."""
        settings = api.database or self.settings.database
        if settings is None:
            raise Invalid(f"{name} has no database: add a table [database] with a url")
        database = await self.stack.enter_async_context(opened_database(name, settings))
        self.databases.append(database)
        return database

    async def calling(self, user: str) -> Calling:
        """The way to the other services, as `user`."""
        return await self.stack.enter_async_context(calling(self.settings, user, self.clock))

    async def surroundings(self, ways: Calling) -> Surroundings:
        """What a service with an API finds here: who may be trusted is known, and the bus is there."""
        if self.settings.bus is None:
            raise Invalid("there is no bus: add a table [bus] with a url")
        bus, runners = await self.stack.enter_async_context(opened_bus(self.settings.bus))
        self.telling = BufferedTimeline(bus)
        self.runners += [*runners, ("telling", self.telling.run)]
        return Surroundings(
            bus=limited("the bus", bus, but=ON_THE_BUS),
            clock=self.clock,
            timeline=ObservedTimeline(self.telling, self.metrics),
            verifier=await self.verifier(ways),
            sessions=ways,
        )

    async def verifier(self, ways: Calling) -> TrustingVerifier:
        verifier = ways.verifier(self.clock)
        await for_ever("identity", verifier.begin)
        self.runners.append(("trust", verifier.run))
        self.reasons.append(verifier.reasons)
        return verifier


@asynccontextmanager
async def serving(process: Process, parts: Sequence[Part[object]], api: ApiSettings) -> AsyncIterator[None]:
    """Serve until the context ends; inside it is ready."""
    for part in parts:
        await for_ever(f"what {part.name} begins with", part.begin)
    app, telling = Mount(), process.telling
    health = Health(
        process.databases, parts, lambda: 0 if telling is None else telling.dropped, also=tuple(process.reasons)
    )
    make_doors(app, parts, health, process.metrics)
    tls = process.settings.tls
    shown = server_context(tls.cert_file, tls.key_file) if tls.cert_file and tls.key_file else None
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listening(*parse_listen(api.listen), reuse_port=api.reuse_port))
        runners = [*process.runners, *(runner for part in parts for runner in part.runners)]
        await stack.enter_async_context(_running(runners))
        if telling is not None:
            stack.push_async_callback(telling.close)  # the last facts, while the bus still runs
        await stack.enter_async_context(served(app, listener, grace=api.grace, tls=shown))
        calm_collector()
        log.info("serving", listen=api.listen, services=[part.name for part in parts])
        notify("READY=1")
        try:
            yield
        finally:
            log.info("told to stop: what is under way ends first", seconds=api.grace)
            notify("STOPPING=1")


@asynccontextmanager
async def _running(runners: Sequence[Runner]) -> AsyncIterator[None]:
    """The eternal tasks, for the length of the context."""
    async with asyncio.TaskGroup() as group:
        owner = group.create_task(supervise(runners))
        try:
            yield
        finally:
            owner.cancel()
