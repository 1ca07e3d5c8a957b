"""The network service put together (hops ready, told): its API, its side of the bus, its notifier."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from moorage.adapters.database.engine import Database
from moorage.adapters.database.network import SqlNetworkStore
from moorage.adapters.http.external_events_client import HttpExternalEvents
from moorage.app.serving.apis import database, surroundings
from moorage.app.serving.part import Part, Surroundings
from moorage.app.serving.process import Process, serving
from moorage.app.serving.settings import ServeSettings
from moorage.domain.errors import Unavailable
from moorage.domain.events import ExternalEvent
from moorage.network.http.app import make_app
from moorage.network.service import NetworkService
from moorage.seams.external_events import Answer, ExternalEvents
from moorage.seams.metrics import Levels

USER = "neutron"


@dataclass
class WatchedEvents:
    """The notifier's way to compute; remembers whether compute reads what it is told."""

    events: ExternalEvents
    is_refused: bool = False

    async def post(self, events: Sequence[ExternalEvent]) -> Answer:
        try:
            answer = await self.events.post(events)
        except Unavailable:
            self.is_refused = True
            raise
        # 400 and 413 are about what was sent: the notifier sends it in other pieces
        self.is_refused = not answer.codes and answer.status not in (400, 413)
        return answer


def make_network(database: Database, around: Surroundings) -> Part[NetworkService]:
    told_by = HttpExternalEvents(around.sessions("compute/v2.1", USER))
    events = WatchedEvents(around.seam("external events", told_by))
    service = NetworkService(
        store=around.store("the network store", SqlNetworkStore(database, around.clock)),
        bus=around.bus,
        clock=around.clock,
        timeline=around.timeline,
        external_events=events,
        new_id=lambda: str(uuid4()),
        new_mac=_new_mac,
    )

    async def reasons() -> Sequence[str]:
        return ["compute does not take the network's events"] * events.is_refused

    async def levels() -> Levels:
        backlog = await service.store.backlog()
        return Levels(
            outbox_waiting=backlog.waiting,
            outbox_oldest=_age(backlog.oldest, around.clock.now()),
            dead_events=backlog.dead,
        )

    return Part(
        "network",
        service,
        make_app(service, around.verifier),
        runners=[("network", service.run)],
        reasons=reasons,
        levels=levels,
    )


@asynccontextmanager
async def serve(settings: ServeSettings) -> AsyncIterator[None]:
    api = settings.network
    assert api is not None
    async with AsyncExitStack() as stack:
        process = Process(settings, stack)
        tables = await database(process, "network", api)
        around = await surroundings(process, await process.calling(USER))
        await stack.enter_async_context(serving(process, [make_network(tables, around)], api))
        yield


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _new_mac() -> str:
    return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
