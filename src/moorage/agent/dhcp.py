"""A host's DHCP servers kept as the network wants them: reservations first, then the word that they were read."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Never

import structlog

from moorage.agent.plan import vlan_for, vlans_of
from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.ids import HostName, NetworkId, PortId, device_name
from moorage.domain.network import Route
from moorage.seams.bus import Bus
from moorage.seams.dhcp import Dhcp, DhcpNetwork, DhcpRange, Reservation
from moorage.seams.switch import Wiring
from moorage.wire import messages as wire

log = structlog.get_logger(__name__)

AGAIN_AFTER = 0.5  # seconds


@dataclass
class DhcpServers:
    """Changes are coalesced: while one round is under way, all that changes meanwhile waits for the next."""

    host: HostName
    dhcp: Dhcp
    wiring: Wiring
    bus: Bus
    vlans: dict[NetworkId, int]  # the agent's own, shared: a network's VLAN is the same for all its ports
    _dirty: set[NetworkId] = field(default_factory=set)
    _is_all_dirty: bool = True
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _ports: dict[NetworkId, PortId] = field(default_factory=dict)  # our own ports on the bridge

    def changed(self, networks: Iterable[NetworkId]) -> None:
        """Something about these networks is new."""
        self._dirty.update(networks)
        self._work.set()

    def changed_all(self) -> None:
        """Everything is to be compared again."""
        self._is_all_dirty = True
        self._work.set()

    async def run(self) -> Never:
        self._work.set()
        while True:
            await self._work.wait()
            self._work.clear()
            dirty, is_all, self._dirty, self._is_all_dirty = self._dirty, self._is_all_dirty, set(), False
            if not (dirty or is_all):
                continue
            try:
                await self._round(frozenset() if is_all else frozenset(dirty))
            except MoorageError as error:
                log.warning("DHCP is not as it should be; trying again", error=str(error))
                self._dirty |= dirty
                self._is_all_dirty |= is_all
                await asyncio.sleep(AGAIN_AFTER)
                self._work.set()

    async def _round(self, networks: frozenset[NetworkId]) -> None:
        """Serve what the network wants in these networks (none named: in all)."""
        wanted = wire.DhcpWanted(host=self.host, networks=tuple(sorted(networks)))
        answer = await self.bus.call("network", wanted)
        if not isinstance(answer, wire.DhcpNetworks):
            raise Unavailable(f"network answered {type(answer).__name__}, not DhcpNetworks")
        specs = {NetworkId(spec.network): spec for spec in answer.networks}
        bad: list[str] = []
        for network, spec in specs.items():
            try:
                await self._serve(network, spec)
            except MoorageError as error:  # one bad network never holds up another
                bad.append(f"{network}: {error.message}")
        for network in (networks or await self.dhcp.serving()) - specs.keys():
            await self._stop(network)
        if bad:
            raise Unavailable("; ".join(bad))

    async def _serve(self, network: NetworkId, spec: wire.DhcpNetworkSpec) -> None:
        port = PortId(spec.port)
        if self._ports.get(network) != port:
            bridge = await self.wiring.look()
            self.vlans.update(vlans_of(bridge.values()))
            self.vlans[network] = vlan_for(network, self.vlans)
            await self.wiring.add_service_port(port, device_name(port), spec.mac, self.vlans[network], network)
            self._ports[network] = port
        await self.dhcp.serve(_network(spec))
        if spec.reservations:
            ports = tuple(dict.fromkeys(reserved.port for reserved in spec.reservations))
            await self.bus.call("network", wire.DhcpReady(host=self.host, ports=ports))

    async def _stop(self, network: NetworkId) -> None:
        await self.dhcp.stop(network)
        port = self._ports.pop(network, None) or await self._port_of(network)
        if port is not None:
            await self.wiring.remove_service_port(port)

    async def _port_of(self, network: NetworkId) -> PortId | None:
        bridge = await self.wiring.look()
        return next((port for port, seen in bridge.items() if seen.is_service and seen.network == network), None)


def _network(spec: wire.DhcpNetworkSpec) -> DhcpNetwork:
    return DhcpNetwork(
        network=NetworkId(spec.network),
        device=device_name(PortId(spec.port)),
        mac=spec.mac,
        mtu=spec.mtu,
        ranges=tuple(_range(found) for found in spec.ranges),
        reservations=tuple(
            Reservation(port=PortId(found.port), mac=found.mac, address=found.address, hostname=found.hostname)
            for found in spec.reservations
        ),
    )


def _range(spec: wire.DhcpRangeSpec) -> DhcpRange:
    return DhcpRange(
        cidr=spec.cidr,
        server_address=spec.server_address,
        gateway=spec.gateway,
        dns=spec.dns,
        routes=tuple(Route(destination, nexthop) for destination, nexthop in spec.routes),
    )
