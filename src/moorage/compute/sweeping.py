"""Ports that nothing needs: of servers that are gone, and a NIC's second one. What is found so twice goes.

They come of requests that a network carried out though nobody heard its answer (sub-fact of hop bound).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Never

import structlog

from moorage.compute.nics import Nics, is_ours
from moorage.compute.records import Records
from moorage.domain.errors import Unavailable
from moorage.domain.ids import PortId, ServerId
from moorage.domain.port import NIC_KEY
from moorage.seams.network_api import NetworkPort

log = structlog.get_logger(__name__)

SWEEP_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class Sweeper:
    """Sweeps the ports that are bound to one host; those of servers with a job under way are left alone."""

    nics: Nics
    records: Records
    is_busy: Callable[[ServerId], bool]

    async def run(self) -> Never:
        suspects: frozenset[PortId] = frozenset()
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            try:
                suspects = await self._sweep(suspects)
            except Unavailable as error:
                log.warning("could not look for ports that nothing needs", error=str(error))

    async def _sweep(self, suspects: frozenset[PortId]) -> frozenset[PortId]:
        bound = await self.nics.bound_here()
        unfinished, present = await self.records.unfinished()  # read after: a server is recorded before its ports
        needless: list[NetworkPort] = []
        for server, ports in bound.items():
            if server not in present:
                needless += [] if self.is_busy(server) else ports
            elif server not in unfinished:
                needless += await self._seconds(server, ports)
        again = [port for port in needless if port.id in suspects]
        for port in again:
            log.info("a port that nothing needs is removed", port=port.id, server=port.device_id)
        await self.nics.sweep(again)
        return frozenset(port.id for port in needless)

    async def _seconds(self, server: ServerId, ports: Sequence[NetworkPort]) -> Sequence[NetworkPort]:
        """Ports that were made for a NIC which has another by the server's record."""
        made = [port for port in ports if is_ours(port)]
        of = Counter(port.profile[NIC_KEY] for port in made)
        if len(of) == len(made):
            return ()
        record = await self.records.of(server)
        known = {nic.port for nic in record.nics} if record is not None else set()
        served = {port.profile[NIC_KEY] for port in made if port.id in known}
        return [port for port in made if port.id not in known and port.profile[NIC_KEY] in served]
