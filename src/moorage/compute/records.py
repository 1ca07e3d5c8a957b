"""The server's record, which lives at compute API: read and written over the bus, each write fenced by its attempt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from moorage.domain.errors import Unavailable
from moorage.domain.ids import HostName, ServerId
from moorage.domain.server import NicInfo, Server, ServerEvent
from moorage.seams.bus import Bus
from moorage.wire import messages as wire

T = TypeVar("T")
QUEUE = "compute-api"


class NotOurs(Exception):
    """The attempt is not the server's any more: who has its record decides what becomes of it."""


@dataclass(frozen=True)
class Records:
    """Every method raises Unavailable; those that write answer False when the attempt is not the server's any more."""

    bus: Bus
    host: HostName
    world: str = ""  # which life of the host this is: what ran in an earlier one is off

    async def of(self, server: ServerId) -> Server | None:
        """The record, None when the server is not (or no longer) this host's."""
        answer = await self.bus.call(QUEUE, wire.RecordWanted(server=server, host=self.host))
        return _expect(answer, wire.Record).server

    async def unfinished(self) -> tuple[frozenset[ServerId], frozenset[ServerId]]:
        """The servers with an unfinished job, and all that belong on this host."""
        answer = _expect(await self.bus.call(QUEUE, wire.UnfinishedWanted(host=self.host)), wire.Unfinished)
        return frozenset(map(ServerId, answer.unfinished)), frozenset(map(ServerId, answer.present))

    async def plug_began(self, server: Server, deadline: datetime | None) -> Server | None:
        """The record with the deadline that holds: the first that was stored for this attempt. None: stale."""
        message = wire.PlugBegan(server=server.id, host=self.host, attempt=server.attempt, deadline=deadline)
        return _expect(await self.bus.call(QUEUE, message), wire.Record).server

    async def nics_known(self, server: Server, nics: Sequence[NicInfo]) -> bool:
        message = wire.NicsKnown(server=server.id, host=self.host, attempt=server.attempt, nics=tuple(nics))
        return _expect(await self.bus.call(QUEUE, message), wire.Done).granted

    async def may_run(self, server: Server) -> bool:
        """Leave to let the guest run: compare-and-set on (server, attempt)."""
        message = wire.LeaveWanted(server=server.id, host=self.host, attempt=server.attempt, world=self.world)
        return _expect(await self.bus.call(QUEUE, message), wire.Leave).granted

    async def done(self, server: ServerId, attempt: int, event: ServerEvent) -> bool:
        message = wire.JobDone(server=server, host=self.host, attempt=attempt, event=event)
        return _expect(await self.bus.call(QUEUE, message), wire.Done).granted

    async def failed(self, server: Server, message: str, details: str, *, is_elsewhere_possible: bool) -> bool:
        failed = wire.JobFailed(
            server=server.id,
            host=self.host,
            attempt=server.attempt,
            message=message,
            details=details,
            is_elsewhere_possible=is_elsewhere_possible,
        )
        return _expect(await self.bus.call(QUEUE, failed), wire.Done).granted


def _expect(answer: object, kind: type[T]) -> T:
    if not isinstance(answer, kind):
        raise Unavailable(f"{QUEUE} answered {type(answer).__name__}, not {kind.__name__}")
    return answer
