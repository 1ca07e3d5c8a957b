"""Whether the cloud is ready, and if not, why: for /readyz, which anybody may ask, so that it names no hosts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from moorage.adapters.database.engine import Database
from moorage.domain.agent import is_alive
from moorage.domain.errors import Unavailable
from moorage.domain.events import ExternalEvent
from moorage.network.service import Store
from moorage.seams.clock import Clock
from moorage.seams.external_events import Answer, ExternalEvents
from moorage.seams.metrics import Levels
from moorage.seams.server_store import ServerStore


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


@dataclass(frozen=True)
class Health:
    servers: ServerStore
    network: Store
    clock: Clock
    databases: Sequence[Database]
    events: WatchedEvents
    facts_dropped: Callable[[], int]
    waits: list[Callable[[], int]] = field(default_factory=list)  # of each host in this process

    async def reasons(self) -> list[str]:
        """Why it is not ready, each with what to do; none when it is."""
        try:
            for database in self.databases:
                await database.check()
        except Unavailable as error:
            return [f"a database does not answer: {error.message}"]
        return [*await self._silent_hosts(), *(["compute does not take the network's events"] * self.events.is_refused)]

    async def _silent_hosts(self) -> list[str]:
        now = self.clock.now()
        computes = [host.state.is_alive(now) for host in await self.servers.hosts() if host.state.is_enabled]
        agents = [is_alive(agent, now) for agent in await self.network.agents() if agent.admin_state_up]
        if not any(computes):
            return ["no host is heard"] if not computes else [_silent("compute", computes, "compute service")]
        return [
            _silent(what, alive, listed)
            for what, alive, listed in (("compute", computes, "compute service"), ("agent", agents, "network agent"))
            if not all(alive) or not alive
        ]

    async def levels(self) -> Levels:
        backlog = await self.network.backlog()
        return Levels(
            waits_open=sum(count() for count in self.waits),
            outbox_waiting=backlog.waiting,
            outbox_oldest=_age(backlog.oldest, self.clock.now()),
            dead_events=backlog.dead,
            facts_dropped=self.facts_dropped(),
        )


def _silent(what: str, alive: Sequence[bool], listed: str) -> str:
    return f"the {what} of {alive.count(False)} of {len(alive)} hosts is silent: see `openstack {listed} list`"


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
