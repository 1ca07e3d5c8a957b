"""What one life of an agent asks and tells the network, every message after the one before (hops seen, wired)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from moorage.domain.errors import Unavailable
from moorage.domain.ids import HostName, PortId
from moorage.seams.bus import Bus
from moorage.seams.switch import Interface
from moorage.wire import messages as wire

log = structlog.get_logger(__name__)

QUEUE = "network"
AGAIN_AFTER = 0.5  # seconds, when the network does not answer


@dataclass
class Reporting:
    """`epoch` orders a life's reports after those of earlier ones. All raise Unavailable, but `begin`."""

    host: HostName
    bus: Bus
    epoch: int = 0
    sequence: int = 0

    async def begin(self) -> None:
        """Begin a life, by the network's clock: our own may be set back between two lives, and then the reports of the
        later one would be taken for older. The epoch is in ns since 1970."""
        while True:
            try:
                began = await self.look_begins()
            except Unavailable as error:
                log.warning("the network does not answer; trying again", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
            else:
                self.epoch = int(began.timestamp() * 1_000_000_000)
                return

    async def look_begins(self) -> datetime:
        began = await self.bus.call(QUEUE, wire.LookBegins(host=self.host))
        if not isinstance(began, wire.LookBegan):
            raise Unavailable(f"network answered {type(began).__name__}, not LookBegan")
        return began.at

    async def details(self, interfaces: Sequence[Interface]) -> Mapping[str, wire.PortDetails]:
        """What the network knows of these ports."""
        self.sequence += 1
        ports = tuple(map(mark, interfaces))
        wanted = wire.DetailsWanted(host=self.host, epoch=self.epoch, sequence=self.sequence, ports=ports)
        answer = await self.bus.call(QUEUE, wanted)
        if not isinstance(answer, wire.Details):
            raise Unavailable(f"network answered {type(answer).__name__}, not Details")
        return {found.port: found for found in answer.ports}

    async def report(self, *, up: Sequence[wire.PortMark] = (), down: Sequence[wire.PortMark] = ()) -> None:
        """These ports are up, or down; nothing is said of any other."""
        if up or down:
            await self._report(up, down, look_began=None)

    async def report_look(self, up: Sequence[wire.PortMark], look_began: datetime) -> frozenset[PortId]:
        """These ports are up, and no others; returns those whose details are not what they were wired by."""
        answer = await self._report(up, (), look_began)
        return frozenset(map(PortId, answer.changed)) if isinstance(answer, wire.Looked) else frozenset()

    async def _report(
        self, up: Sequence[wire.PortMark], down: Sequence[wire.PortMark], look_began: datetime | None
    ) -> wire.Message:
        self.sequence += 1
        reports = wire.Reports(
            host=self.host,
            epoch=self.epoch,
            sequence=self.sequence,
            up=tuple(up),
            down=tuple(down),
            complete=look_began is not None,
            look_began=look_began,
        )
        return await self.bus.call(QUEUE, reports)


def mark(interface: Interface, details: str | None = None) -> wire.PortMark:
    """A port as it is told of."""
    return wire.PortMark(port=interface.port, generation=interface.generation, details=details)
