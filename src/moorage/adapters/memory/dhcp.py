"""Simulated DHCP servers of one host, one for each network."""

import asyncio
from collections.abc import AsyncIterator, Set

from moorage.adapters.memory.changes import Changes
from moorage.domain.errors import Unavailable
from moorage.domain.ids import NetworkId
from moorage.seams.dhcp import DhcpNetwork, Reservation


class MemoryDhcp:
    """Fulfils Dhcp. It is part of the world: it outlives the agent. Faults are settings: `refuse`, `dies()`."""

    def __init__(self, *, dhcp: float = 0.001) -> None:  # seconds until a changed file is read
        self._latency = dhcp
        self._served: dict[NetworkId, DhcpNetwork] = {}
        self._ended: dict[NetworkId, None] = {}
        self.changes = Changes()
        self.refuse: set[NetworkId] = set()
        """Networks whose server cannot be started or does not read its file: Unavailable."""

    def network(self, network: NetworkId) -> DhcpNetwork | None:
        """What is served in a network now."""
        return self._served.get(network)

    def reservation(self, network: NetworkId, mac: str) -> Reservation | None:
        """What a client with this MAC is given there."""
        served = self._served.get(network)
        found = served.reservations if served else ()
        return next((each for each in found if each.mac == mac), None)

    def dies(self, network: NetworkId) -> None:
        """The network's server ends by itself."""
        if self._served.pop(network, None) is not None:
            self._ended[network] = None
            self.changes.tell()

    async def serve(self, wanted: DhcpNetwork) -> None:
        if self._served.get(wanted.network) == wanted:
            return
        await self._reach(wanted.network, "serving")
        self._served[wanted.network] = wanted
        self.changes.tell()

    async def stop(self, network: NetworkId) -> None:
        await self._reach(network, "no longer serving")
        if self._served.pop(network, None) is not None:
            self.changes.tell()

    async def serving(self) -> Set[NetworkId]:
        return frozenset(self._served)

    async def ended(self) -> AsyncIterator[NetworkId]:
        while True:
            seen = self.changes.count
            while self._ended:
                network, _ = self._ended.popitem()
                if network not in self._served:
                    yield network
            await self.changes.after(seen)

    async def _reach(self, network: NetworkId, act: str) -> None:
        await asyncio.sleep(self._latency)
        if network in self.refuse:
            raise Unavailable(f"{act} network {network} by DHCP: dnsmasq did not say that it has read its file")
