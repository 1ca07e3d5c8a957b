"""What an agent tells the timeline of ports: seen, wired, set aside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import Generation, HostName, PortId, ServerId
from moorage.seams.clock import Clock
from moorage.seams.switch import Interface
from moorage.seams.timeline import Timeline
from moorage.wire.messages import PortDetails

log = structlog.get_logger(__name__)


@dataclass
class Telling:
    host: HostName
    clock: Clock
    timeline: Timeline
    _aside: dict[PortId, str] = field(default_factory=dict)  # what was told last of those that are set aside

    def tell(
        self,
        what: Hop | SubFact,
        interface: Interface,
        details: PortDetails,
        at: tuple[datetime, float] | None = None,  # wall, monotonic; None: now
        *,
        detail: str = "",
    ) -> None:
        wall, monotonic = at or self.now()
        self.timeline.tell(
            Fact(
                what=what,
                wall=wall,
                monotonic=monotonic,
                who="agent",
                server=ServerId(details.server) if details.server else None,
                port=interface.port,
                generation=Generation(interface.generation) if interface.generation else None,
                host=self.host,
                detail=detail,
            )
        )

    def now(self) -> tuple[datetime, float]:
        return self.clock.now(), self.clock.monotonic()

    def set_aside(
        self,
        aside: Mapping[PortId, str],
        interfaces: Mapping[PortId, Interface],
        details: Mapping[str, PortDetails],
    ) -> None:
        """Of these `interfaces` those in `aside` cannot be planned; told once, though they are tried at each look."""
        for port, why in aside.items():
            if self._aside.get(port) != why:
                log.error("a port is set aside: what the network tells of it makes no sense", port=port, why=why)
                self.tell(SubFact.SET_ASIDE, interfaces[port], details[port], detail=why)
        self._aside = {port: why for port, why in self._aside.items() if port not in interfaces} | dict(aside)

    def gone(self, port: PortId) -> None:
        self._aside.pop(port, None)
