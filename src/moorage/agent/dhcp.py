"""A host's DHCP servers kept as the network wants them: reservations first, then the word that they were read."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Never

import structlog

from moorage.agent.vlans import Vlans
from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.ids import HostName, NetworkId, PortId, device_name
from moorage.domain.network import Route
from moorage.kit.per_key import PerKey
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.dhcp import Dhcp, DhcpNetwork, DhcpRange, Reservation
from moorage.seams.switch import Wiring
from moorage.wire import messages as wire

log = structlog.get_logger(__name__)

AGAIN_AFTER = 0.5  # seconds


async def _nothing_to_catch_up() -> None: ...


@dataclass
class DhcpServers:
    """Changes are coalesced: what changes while the network is asked waits for the next question.

    Each network has a job of its own, which brings it to what was last answered: a bad one holds up no other.
    """

    host: HostName
    dhcp: Dhcp
    wiring: Wiring
    bus: Bus
    vlans: Vlans  # the agent's own, shared: a network's VLAN is the same for all its ports
    _dirty: set[NetworkId] = field(default_factory=set)
    _is_all_dirty: bool = True
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _ports: dict[NetworkId, PortId] = field(default_factory=dict)  # our own ports on the bridge
    _wanted: dict[NetworkId, wire.DhcpNetworkSpec | None] = field(default_factory=dict)  # for the jobs; None: stop
    _heard: dict[NetworkId, frozenset[tuple[str, str | None]]] = field(default_factory=dict)  # ports, generations
    _jobs: PerKey[NetworkId] = field(default_factory=PerKey)
    _catch_up: Callable[[], Awaitable[None]] = _nothing_to_catch_up

    def changed(self, networks: Iterable[NetworkId]) -> None:
        """Something about these networks is new."""
        self._dirty.update(networks)
        self._work.set()

    def seen(self, port: wire.PortDetails) -> None:
        """A port is to be wired here; if we have not heard of it yet, the word that its network changed was lost."""
        if (port.port, port.generation) not in self._heard.get(NetworkId(port.network), ()):
            self.changed([NetworkId(port.network)])

    def changed_all(self) -> None:
        """Everything is to be compared again."""
        self._is_all_dirty = True
        self._work.set()

    def misplaced(self, networks: Iterable[NetworkId]) -> None:
        """The servers' ports of these networks are not on their VLANs."""
        for network in networks:
            if self._ports.pop(network, None) is not None:
                log.warning("a DHCP server's port is not on its network's VLAN; it is put right", network=network)
                self.changed([network])

    async def run(self, catch_up: Callable[[], Awaitable[None]]) -> Never:
        """`catch_up` returns when the switch has the flows of all that is on the bridge."""
        self._catch_up = catch_up
        await supervise(
            [
                ("jobs of DHCP", self._jobs.run),
                ("what DHCP shall serve", self._keep_asking),
                ("DHCP servers that end", self._watch_ended),
            ]
        )

    async def _watch_ended(self) -> None:
        async for network in self.dhcp.ended():
            log.warning("a DHCP server has ended; it is started again", network=network)
            self.changed([network])

    async def _keep_asking(self) -> Never:
        self._work.set()
        while True:
            await self._work.wait()
            self._work.clear()
            dirty, is_all, self._dirty, self._is_all_dirty = self._dirty, self._is_all_dirty, set(), False
            asked = not dirty or await self._ask(frozenset(dirty))
            asked_all = not is_all or await self._ask(frozenset())
            if not (asked and asked_all):
                self._dirty |= set() if asked else dirty
                self._is_all_dirty |= not asked_all
                await asyncio.sleep(AGAIN_AFTER)
                self._work.set()

    async def _ask(self, networks: frozenset[NetworkId]) -> bool:
        """Have done what the network wants in these networks (none named: in all). False: it did not answer."""
        try:
            answer = await self.bus.call("network", wire.DhcpWanted(host=self.host, networks=tuple(sorted(networks))))
            if not isinstance(answer, wire.DhcpNetworks):
                raise Unavailable(f"network answered {type(answer).__name__}, not DhcpNetworks")
            specs = {NetworkId(spec.network): spec for spec in answer.networks}
            for network, spec in specs.items():
                self._bring(network, spec)
            failed = frozenset(map(NetworkId, answer.failed))  # those go on as they are
            for network in (networks or await self.dhcp.serving()) - specs.keys() - failed:
                self._bring(network, None)
        except MoorageError as error:
            log.warning("nobody says what DHCP shall serve; asking again", error=str(error))
            return False
        return True

    def _bring(self, network: NetworkId, spec: wire.DhcpNetworkSpec | None) -> None:
        self._heard[network] = frozenset((mark.port, mark.generation) for mark in spec.marks) if spec else frozenset()
        self._wanted[network] = spec
        self._jobs.start(network, "serve", partial(self._job, network))

    async def _job(self, network: NetworkId) -> None:
        """Bring one network to what is wanted of it, until nothing newer is."""
        while network in self._wanted:
            spec = self._wanted.pop(network)
            try:
                await (self._stop(network) if spec is None else self._serve(network, spec))
            except MoorageError as error:
                log.warning("DHCP is not as it should be; trying again", network=network, error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
                self.changed([network])  # by now it may be another that is wanted

    async def _serve(self, network: NetworkId, spec: wire.DhcpNetworkSpec) -> None:
        port = PortId(spec.port)
        await self.dhcp.serve(_network(spec))
        if self._ports.get(network) != port:
            bridge = await self.wiring.look()
            self.vlans.seen(self.host, bridge.values())
            with self.vlans.held(f"DHCP of {self.host}", network) as vlan:
                await self.wiring.add_service_port(port, device_name(port), spec.mac, vlan, network)
                await self._catch_up()
            self._ports[network] = port
        if spec.marks:
            await self.bus.call("network", wire.DhcpReady(host=self.host, marks=spec.marks))

    async def _stop(self, network: NetworkId) -> None:
        port = self._ports.get(network) or await self._port_of(network)
        if port is not None:
            await self.wiring.remove_service_port(port)
            self._ports.pop(network, None)
        await self.dhcp.stop(network)

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
