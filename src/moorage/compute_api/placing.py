"""Finds a host for each server, and another one when that one fails or dies (sub-fact placed)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Never

import structlog

from moorage.compute_api.facts import fact_of
from moorage.domain.action import InstanceAction, finished, stepped
from moorage.domain.attempt import elsewhere, first_placed, is_awaiting_network, vanished, waits_for_host
from moorage.domain.errors import Conflict, Exhausted, MoorageError, NotFound, Stale, Unavailable
from moorage.domain.hops import SubFact
from moorage.domain.ids import Generation, HostName, ServerId
from moorage.domain.port import MADE_KEY
from moorage.domain.scheduling import DEAD_AFTER, HostState
from moorage.domain.server import Fault, Job, Server, TaskState, failed, job_of
from moorage.kit.per_key import PerKey
from moorage.kit.retry import retry
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.network_api import NetworkApi
from moorage.seams.server_store import ServerQuery, ServerStore
from moorage.seams.timeline import Timeline
from moorage.wire.messages import DoJob

log = structlog.get_logger(__name__)

BUILD_EVENT = "compute__do_build_and_run_instance"
PLACE_PATIENCE = 5.0  # seconds that a step is tried again; then the next look takes it up
TELL_PATIENCE = 5.0  # seconds; by then the host has looked by itself

Moving = Callable[[Server, Sequence[HostState], Generation, datetime], Server]


@dataclass(frozen=True)
class Placer:
    """Places servers, one job at a time for each; `run` owns the jobs and looks every `look_every` seconds for
    what a crash or a dead host has left."""

    store: ServerStore
    bus: Bus
    clock: Clock
    timeline: Timeline
    network: NetworkApi
    new_id: Callable[[], str]
    look_every: float = 2.0  # seconds
    _jobs: PerKey[ServerId] = field(default_factory=PerKey)
    _deaf: set[HostName | None] = field(default_factory=set)  # hosts without a live agent, at the last look
    _began: list[float] = field(default_factory=list)  # monotonic; when we began to listen to heartbeats

    def ask(self, server: ServerId) -> None:
        """Place a new server soon. One that is not taken now is found by the next look."""
        self._jobs.start(server, "place", partial(self._place_patiently, server))

    async def tell(self, server: Server, host: HostName) -> None:
        """Send a host to the server's record; what the bus does not take at once is tried again meanwhile."""
        try:
            await self._cast(server, host)
        except Unavailable:
            self._jobs.start(server.id, "tell", partial(self._tell_host, server, host))

    def clean_up(self, server: ServerId) -> None:
        """Remove soon a server that is being deleted and has no host, with the ports it may have."""
        self._jobs.start(server, "remove", partial(self.remove, server), instead=True)

    async def run(self) -> Never:
        self._began[:] = [self.clock.monotonic()]
        await supervise([("placing: jobs", self._jobs.run), ("placing: looks", self._look_for_ever)])

    async def _look_for_ever(self) -> Never:
        while True:
            await asyncio.sleep(self.look_every)
            try:
                await self.look()
            except Unavailable as error:
                log.warning("could not look for servers that were left", error=str(error))

    async def look(self) -> None:
        """Take up whatever has no host that works on it."""
        hosts = [host.state for host in await self.store.hosts()]
        now = self.clock.now()
        dead = {host.name for host in hosts if not host.is_alive(now)} if self._has_listened() else set()
        unfinished = await self.store.list(ServerQuery(is_unfinished=True))
        for server in unfinished:
            is_left = server.host is None or server.host in dead
            match job_of(server.life):
                case Job.BOOT if server.host is None:
                    self.ask(server.id)
                case Job.BOOT if is_left:
                    self._jobs.start(server.id, "move", partial(self.move_off_dead, server.id))
                case Job.DELETE if is_left:
                    self.clean_up(server.id)
        await self._look_at_agents([server for server in unfinished if is_awaiting_network(server)])

    async def _look_at_agents(self, waiting: Sequence[Server]) -> None:
        """What waits on a host whose network agent is dead (found so twice) goes to a host with a live one."""
        live = await self.network.live_agents() if waiting else frozenset[HostName]()
        deaf = {server.host for server in waiting if server.host not in live}
        for server in waiting:
            if server.host in deaf & self._deaf:
                self._jobs.start(server.id, "move", partial(self.move_off_deaf, server.id, live))
        self._deaf.clear()
        self._deaf.update(deaf)

    def _has_listened(self) -> bool:
        """Whether we have listened for so long that a live host must have been heard."""
        return bool(self._began) and self.clock.monotonic() - self._began[0] > DEAD_AFTER.total_seconds()

    async def _place_patiently(self, server: ServerId) -> None:
        try:
            await retry(partial(self.place, server), on=Unavailable, timeout=PLACE_PATIENCE)
        except Unavailable as error:
            log.warning("a server could not be placed yet; the next look takes it up", server=server, error=str(error))

    async def place(self, server: ServerId) -> None:
        """Choose a host, claim it, and send it the job; without a host the server is ERROR."""
        if not self._has_listened():
            now = self.clock.now()
            if not any(host.state.is_alive(now) for host in await self.store.hosts()):
                log.info("no host has been heard yet: the server waits", server=server)
                return

        def rule(row: Server, hosts: Sequence[HostState], generation: Generation, now: datetime) -> Server:
            try:
                return first_placed(row, hosts, generation, now)
            except Exhausted:
                if not waits_for_host(row, hosts, now):
                    raise
                log.info("no host that would take the server is heard at the moment: it waits", server=server)
                return row

        await self._move(server, rule)

    async def move_off_dead(self, server: ServerId) -> None:
        """A new attempt on another host, if one takes it; otherwise all stays as it is."""

        def rule(row: Server, hosts: Sequence[HostState], generation: Generation, now: datetime) -> Server:
            is_lost = any(host.name == row.host and not host.is_alive(now) for host in hosts)
            if job_of(row.life) is not Job.BOOT or not is_lost or row.is_released:
                return row  # once released, its guest may run there
            try:
                return elsewhere(row, hosts, generation, now)
            except Exhausted:
                return row  # its own host may come back

        await self._move(server, rule, leaves=True)

    async def move_off_deaf(self, server: ServerId, live: frozenset[HostName]) -> None:
        """A new attempt on one of the hosts with a `live` agent, if one takes it; else its own agent may come back."""

        def rule(row: Server, hosts: Sequence[HostState], generation: Generation, now: datetime) -> Server:
            if not is_awaiting_network(row) or row.host in live:
                return row
            try:
                return elsewhere(row, [host for host in hosts if host.name in live], generation, now)
            except Exhausted:
                return row

        await self._move(server, rule, leaves=True)

    async def move_after_failure(self, server: ServerId, host: str, attempt: int, fault: Fault) -> bool:
        """A new attempt elsewhere after one has failed; ERROR with its fault when no host is left for it.

        False when the failure is stale: that attempt is over already, or the server is being deleted.
        """

        def rule(row: Server, hosts: Sequence[HostState], generation: Generation, now: datetime) -> Server:
            if row.host != host or row.attempt != attempt or row.life.task is TaskState.DELETING:
                raise Stale(f"attempt {attempt} of server {server} on {host} is over")
            if job_of(row.life) is not Job.BOOT:
                return failed(row, fault, now)
            try:
                return elsewhere(row, hosts, generation, now)
            except Exhausted:
                return failed(row, fault, now)

        try:
            await self._move(server, rule)
        except (Conflict, NotFound):
            return False
        return True

    async def _move(self, server: ServerId, rule: Moving, *, leaves: bool = False) -> None:
        """Carry out a rule that may give the server a new attempt: claim, tell, send. `leaves`: the host that it had
        has not cleared itself of it, and is told too."""
        now = self.clock.now()
        generation = Generation(self.new_id().replace("-", ""))
        chosen: list[HostName] = []
        faults: list[Fault] = []

        def change(row: Server, hosts: Sequence[HostState]) -> Server:
            chosen.clear()  # of a try that came to nothing
            faults.clear()
            if row.generation == generation:
                return row  # done before, and the answer was lost
            try:
                after = rule(row, hosts, generation, now)
            except Exhausted as error:
                after = failed(row, Fault(500, error.message, now), now)
            if after.generation == generation and after.host is not None:
                chosen.append(after.host)
            elif after.fault is not None and after.fault is not row.fault:
                faults.append(after.fault)
            return after

        def noted(action: InstanceAction) -> InstanceAction:
            if chosen:
                before = finished(action, now) if action.events else action
                return stepped(before, BUILD_EVENT, chosen[0], now)
            return finished(action, now, error=faults[0].message) if faults else action

        try:
            after = await retry(
                partial(self.store.place, server, change, ends=noted), on=Unavailable, timeout=PLACE_PATIENCE
            )
        except NotFound:
            return  # it was deleted meanwhile
        if after.generation == generation:
            await self._send(after, after.tried[-2:] if leaves else after.tried[-1:])
        elif faults:
            self._tell(after, SubFact.FAILED, faults[0].message)

    async def _send(self, server: Server, hosts: Sequence[HostName]) -> None:
        self._tell(server, SubFact.PLACED, "")
        for host in hosts:
            await self._tell_host(server, host)

    async def _tell_host(self, server: Server, host: HostName) -> None:
        try:
            await retry(partial(self._cast, server, host), on=Unavailable, timeout=TELL_PATIENCE)
        except Unavailable as error:
            log.warning("the host was not told; it looks by itself", server=server.id, error=str(error))

    async def _cast(self, server: Server, host: HostName) -> None:
        await self.bus.cast(f"compute.{host}", DoJob(server=server.id))

    def _tell(self, server: Server, what: SubFact, detail: str) -> None:
        self.timeline.tell(
            fact_of(server, what, wall=self.clock.now(), monotonic=self.clock.monotonic(), detail=detail)
        )

    async def remove(self, server: ServerId) -> None:
        """Delete a server that no host looks after: its ports first, so that its record outlives them."""
        try:
            row = await self.store.show(server, project=None)
            for port in await self.network.ports(device=server) if row.attempt else ():
                is_made = port.profile.get(MADE_KEY)
                await (self.network.delete_port(port) if is_made else self.network.unbind_port(port))
            now = self.clock.now()
            await self.store.update(server, lambda current: vanished(current, now), ends=partial(finished, now=now))
        except NotFound:
            return
        except MoorageError as error:
            log.warning("a server without a host could not be removed yet", server=server, error=str(error))
