"""The records of servers as hosts see them, over the bus: what is unfinished, and what has become of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Never

import structlog

from moorage.compute_api.facts import fact_of
from moorage.compute_api.placing import Placer
from moorage.domain.action import ActionEvent, InstanceAction, finished
from moorage.domain.attempt import done, given_up, plugging, released, started_again, with_nics
from moorage.domain.errors import Conflict, NotFound
from moorage.domain.hops import Hop
from moorage.domain.ids import Generation, HostName, ServerId
from moorage.domain.server import Fault, Server, ServerEvent, job_of
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.server_store import Beginning, Ending, Heartbeat, ServerQuery, ServerStore
from moorage.seams.timeline import Timeline
from moorage.wire.messages import (
    Done,
    HostHeartbeat,
    JobDone,
    JobFailed,
    Leave,
    LeaveWanted,
    Message,
    NicsKnown,
    PlugBegan,
    Record,
    RecordWanted,
    Unfinished,
    UnfinishedWanted,
)

log = structlog.get_logger(__name__)

QUEUE = "compute-api"


@dataclass(frozen=True)
class Records:
    """Answers hosts. A host that speaks of an attempt which is not, or no longer, its own is refused."""

    store: ServerStore
    bus: Bus
    clock: Clock
    timeline: Timeline
    placer: Placer
    new_id: Callable[[], str]

    async def run(self) -> Never:
        await self.bus.serve(QUEUE, self.handle)

    async def handle(self, message: Message) -> Message | None:
        """The answer to a host's message; None for one that is not for us."""
        now = self.clock.now()
        match message:
            case HostHeartbeat():
                return await self._heard(message, now)
            case UnfinishedWanted():
                return await self._unfinished(HostName(message.host))
            case RecordWanted():
                return await self._record(message)
            case PlugBegan():
                rule = partial(plugging, host=message.host, attempt=message.attempt, deadline=message.deadline, now=now)
                return Record(server=await self._written(message.server, rule))
            case NicsKnown():
                rule = partial(with_nics, host=message.host, attempt=message.attempt, nics=message.nics, now=now)
                return Done(granted=await self._written(message.server, rule) is not None)
            case LeaveWanted():
                rule = partial(released, host=message.host, attempt=message.attempt, world=message.world)
                return Leave(granted=await self._written(message.server, rule) is not None)
            case JobDone():
                return await self._done(message, now)
            case JobFailed():
                return await self._failed(message, now)
            case _:
                return None

    async def _heard(self, message: HostHeartbeat, now: datetime) -> Message:
        heartbeat = Heartbeat(
            host=HostName(message.host),
            vcpus=message.vcpus,
            memory_mib=message.memory_mib,
            disk_gib=message.disk_gib,
            hypervisor_type=message.hypervisor_type,
            started_at=message.started_at,
        )
        await self.store.heard(heartbeat, uuid=self.new_id(), now=now)
        return Done()

    async def _unfinished(self, host: HostName) -> Message:
        servers = await self.store.list(ServerQuery(host=host))
        return Unfinished(
            unfinished=tuple(server.id for server in servers if job_of(server.life) is not None),
            present=tuple(server.id for server in servers),
        )

    async def _record(self, message: RecordWanted) -> Message:
        try:
            server = await self.store.show(ServerId(message.server), project=None)
        except NotFound:
            return Record(server=None)
        return Record(server=server if server.host == message.host else None)

    async def _done(self, message: JobDone, now: datetime) -> Message:
        event = ServerEvent(message.event)
        if event is ServerEvent.HOST_CAME_BACK:
            return Done(granted=await self._started_again(message, now))
        rule = partial(done, host=message.host, attempt=message.attempt, event=event, now=now)
        # a guest that ends by itself ends no request
        ends = None if event is ServerEvent.GUEST_ENDED else partial(finished, now=now)
        if await self._written(message.server, rule, ends) is not None:
            return Done()
        return Done(granted=event is ServerEvent.DELETED and await self._is_gone(message.server))

    async def _started_again(self, message: JobDone, now: datetime) -> bool:
        generation, request_id = Generation(self.new_id().replace("-", "")), f"req-{self.new_id()}"
        rule = partial(
            started_again,
            host=message.host,
            attempt=message.attempt,
            generation=generation,
            request_id=request_id,
            now=now,
        )
        server = await self._written(message.server, rule, begins=_start_of)
        if server is not None:
            asked = fact_of(server, Hop.ASKED, wall=now, monotonic=self.clock.monotonic(), detail="its host came back")
            self.timeline.tell(asked)
            await self.placer.tell(server, HostName(message.host))
        return server is not None

    async def _failed(self, message: JobFailed, now: datetime) -> Message:
        fault = Fault(500, message.message, now, message.details)
        if message.is_elsewhere_possible:
            return Done(
                granted=await self.placer.move_after_failure(
                    ServerId(message.server), message.host, message.attempt, fault
                )
            )
        rule = partial(given_up, host=message.host, attempt=message.attempt, fault=fault, now=now)
        ends = partial(finished, now=now, error=message.message)
        return Done(granted=await self._written(message.server, rule, ends) is not None)

    async def _written(
        self,
        server: str,
        rule: Callable[[Server], Server],
        ends: Ending | None = None,
        begins: Beginning | None = None,
    ) -> Server | None:
        """The server after `rule`; None when the rule refused it, or the server is gone."""
        try:
            return await self.store.update(ServerId(server), rule, ends=ends, begins=begins)
        except (Conflict, NotFound) as error:
            log.info("a host's word was refused", server=server, reason=str(error))
            return None

    async def _is_gone(self, server: str) -> bool:
        try:
            await self.store.show(ServerId(server), project=None)
        except NotFound:
            return True  # told twice: the first answer was lost
        return False


def _start_of(before: Server, after: Server) -> InstanceAction:
    """What the server's owner reads of a start that nobody has asked for."""
    return InstanceAction(
        server=after.id,
        request_id=after.request_id,
        action="start",
        user=after.user,
        project=after.project,
        started=after.updated,
        updated=after.updated,
        events=(ActionEvent("compute_start_instance", after.updated, host=after.host),),
    )
