"""Whether a process is ready, and if not, why: for /readyz, which anybody may ask, so that it names no hosts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from moorage.app.serving.part import Part, Reasons
from moorage.domain.agent import is_alive
from moorage.domain.errors import Unavailable
from moorage.seams.clock import Clock
from moorage.seams.metrics import Levels
from moorage.seams.network_store import NetworkStore
from moorage.seams.server_store import ServerStore


class Checked(Protocol):
    """A database, for all that is asked of it here."""

    async def check(self) -> None:
        """Raises Unavailable when it does not answer."""


@dataclass(frozen=True)
class Health:
    databases: Sequence[Checked]
    parts: Sequence[Part[object]]
    facts_dropped: Callable[[], int]
    also: Sequence[Reasons] = ()
    waits: list[Callable[[], int]] = field(default_factory=list)  # of each host in this process

    async def reasons(self) -> list[str]:
        """Why it is not ready, each with what to do; none when it is."""
        try:
            for database in self.databases:
                await database.check()
        except Unavailable as error:
            return [f"a database does not answer: {error.message}"]
        asked = [*self.also, *(part.reasons for part in self.parts)]
        return [reason for ask in asked for reason in await ask()]

    async def levels(self) -> Levels:
        ours = Levels(waits_open=sum(count() for count in self.waits), facts_dropped=self.facts_dropped())
        for part in self.parts:
            theirs = await part.levels()
            ours = replace(
                ours,
                outbox_waiting=ours.outbox_waiting + theirs.outbox_waiting,
                outbox_oldest=max(ours.outbox_oldest, theirs.outbox_oldest),
                dead_events=ours.dead_events + theirs.dead_events,
            )
        return ours


@dataclass(frozen=True)
class SilentHosts:
    """Why no server can be booted, or not on every host: for who runs hosts and control plane as one."""

    servers: ServerStore
    network: NetworkStore
    clock: Clock

    async def reasons(self) -> Sequence[str]:
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


def _silent(what: str, alive: Sequence[bool], listed: str) -> str:
    return f"the {what} of {alive.count(False)} of {len(alive)} hosts is silent: see `openstack {listed} list`"
