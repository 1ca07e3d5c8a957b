"""Who waits for which port (hop woken). An event only wakes a waiter; what ends the wait is the port as it is.

Expect before you cause: the waiter exists before the VIF is plugged, so an event may come early, twice or never.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Never

import structlog

from moorage.domain.errors import Unavailable
from moorage.domain.ids import Generation, PortId, ServerId
from moorage.seams.clock import Clock
from moorage.seams.network_api import NetworkApi

log = structlog.get_logger(__name__)

FIRST_LOOK = 1.0  # seconds between two looks of our own, at first …
LATER_LOOK = 2.0  # … and once somebody has waited for RISE_AFTER
RISE_AFTER = 10.0  # seconds


@dataclass(eq=False)
class Expected:
    """The ports that one server's boot waits for. `missing` tells those that did not become ready."""

    server: ServerId
    generation: Generation
    silent: set[PortId]
    broken: set[PortId] = field(default_factory=set)  # reported as failed: waiting on is no use
    statuses: dict[PortId, str] = field(default_factory=dict)  # as they were last read
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def missing(self, until: datetime, clock: Clock) -> frozenset[PortId]:
        """Wait until every port is ready or one is broken, `until` at the latest; the ports that are not ready."""
        try:
            async with asyncio.timeout(max(0.0, (until - clock.now()).total_seconds())):
                while self.silent and not self.broken:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return frozenset(self.silent)

    def ready(self, port: PortId) -> None:
        self.silent.discard(port)
        self._changed.set()

    def failed(self, port: PortId) -> None:
        self.broken.add(port)
        self._changed.set()


class Expectations:
    """All that is waited for on one host, looked at in one request for all.

    `woken(server, port, generation, why)` is told of each port that was found ready; why is "event" or "look".
    """

    def __init__(
        self, network: NetworkApi, clock: Clock, woken: Callable[[ServerId, PortId, Generation, str], None]
    ) -> None:
        self._network = network
        self._clock = clock
        self._woken = woken
        self._waiting: dict[PortId, Expected] = {}
        self._somebody_waits = asyncio.Event()
        self._since = 0.0  # monotonic: when the newest wait began

    @contextmanager
    def of(self, server: ServerId, ports: Iterable[PortId], generation: Generation) -> Iterator[Expected]:
        """Expect these ports. Nothing is missed between entering and `missing`."""
        expected = Expected(server, generation, set(ports))
        for port in expected.silent:
            self._waiting[port] = expected
        self._since = self._clock.monotonic()
        if expected.silent:
            self._somebody_waits.set()
        mine = tuple(expected.silent)
        try:
            yield expected
        finally:
            for port in mine:
                if self._waiting.get(port) is expected:
                    del self._waiting[port]

    def awaited(self) -> frozenset[PortId]:
        """The ports that somebody waits for now."""
        return frozenset(port for port, expected in self._waiting.items() if port in expected.silent)

    async def heard(self, ports: Set[PortId]) -> frozenset[PortId]:
        """Events for these ports have come: look at those that are awaited. Returns the ports nobody waits for."""
        awaited = ports & self.awaited()
        await self.look(awaited, "event")
        return frozenset(ports - awaited)

    async def look(self, ports: Set[PortId], why: str = "look") -> None:
        """Read these ports, in one request, and end the waits for those that are ready. Raises Unavailable."""
        if not ports:
            return
        for port in await self._network.ports(ids=sorted(ports)):
            expected = self._waiting.get(port.id)
            if expected is None or port.id not in expected.silent:
                continue
            expected.statuses[port.id] = port.status
            if port.device_id == expected.server and port.is_ready(expected.generation):
                self._woken(expected.server, port.id, expected.generation, why)
                expected.ready(port.id)
            elif port.status == "ERROR":
                log.warning("the network has given a port up", server=expected.server, port=port.id)
                expected.failed(port.id)

    async def keep_looking(self) -> Never:
        """Look by ourselves while anybody waits: each 1 s, rising to 2 s. A lost event costs about a second."""
        while True:
            if not self.awaited():
                self._somebody_waits.clear()
                await self._somebody_waits.wait()
            waited = self._clock.monotonic() - self._since
            await asyncio.sleep(FIRST_LOOK if waited < RISE_AFTER else LATER_LOOK)
            await self.look_at_all("look")

    async def look_at_all(self, why: str) -> None:
        """Look at all that is awaited; a network that does not answer is asked again at the next look."""
        try:
            await self.look(self.awaited(), why)
        except Unavailable as error:
            log.warning("the network could not be asked about the ports that are awaited", error=str(error))
