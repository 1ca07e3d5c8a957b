"""What the DHCP servers of a host need: their own ports, and the reservations of the ports bound there."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from uuid import UUID, uuid5

import structlog

from moorage.domain.dhcp import addresses_of
from moorage.domain.errors import Conflict, MoorageError, Unavailable
from moorage.domain.ids import HostName, NetworkId, PortId
from moorage.domain.ipam import AddressWanted
from moorage.domain.network import Network, Subnet
from moorage.domain.port import Port, PortStatus, Provisioner, is_bound, rebound
from moorage.seams.clock import Clock
from moorage.seams.network_store import NetworkStore, NewPort
from moorage.wire.messages import DhcpNetworks, DhcpNetworkSpec, DhcpPortMark, DhcpRangeSpec, DhcpReservationSpec

log = structlog.get_logger(__name__)
OWNER = "network:dhcp"
NAMESPACE = UUID("6d6f6f72-6167-4520-8468-637020706f72")  # any, but always this one
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class DhcpServers:
    store: NetworkStore
    clock: Clock
    new_mac: Callable[[], str]
    _complained: set[tuple[HostName, NetworkId]] = field(default_factory=set, compare=False, repr=False)

    async def wanted(self, host: HostName, networks: Sequence[str]) -> DhcpNetworks:
        """The networks to serve on `host`, out of `networks` (none given: out of all). Makes the servers' ports.

        A network is served where ports with addresses of a subnet with DHCP are bound, and from then on, so that the
        next boot need not wait for a server to start; one that is neither returned nor failed is not served.
        """
        of = [NetworkId(network) for network in networks] or None
        here = [port for port in await self.store.ports(None, host=host, networks=of) if is_bound(port)]
        bound = [port for port in here if not port.device_owner.startswith("network:")]
        has_server = {port.network_id for port in here if port.device_owner == OWNER}
        ids = list(dict.fromkeys((*(port.network_id for port in bound), *has_server)))
        subnets = await self.store.subnets(None, networks=ids) if ids else ()
        specs, failed = [], []
        for network in await self.store.networks(None, ids=ids) if ids else ():
            served = [subnet for subnet in subnets if subnet.network_id == network.id and subnet.enable_dhcp]
            clients = _clients([port for port in bound if port.network_id == network.id], served)
            if not clients and not (served and network.id in has_server):
                continue
            try:
                server = await self.server(host, network, served)
            except Unavailable:  # it is not about this network
                raise
            except MoorageError as error:
                failed.append(network.id)
                self._complain(host, network.id, error)
                continue
            self._complained.discard((host, network.id))
            specs.append(_spec(network, served, server, clients))
        return DhcpNetworks(networks=tuple(specs), failed=tuple(failed))

    def _complain(self, host: HostName, network: NetworkId, error: MoorageError) -> None:
        """Once, until it is well again: agents ask each 10 s."""
        if (host, network) not in self._complained:
            self._complained.add((host, network))
            log.warning("a network cannot be served by DHCP", network=network, host=host, why=error.message)

    async def server(self, host: HostName, network: Network, served: Sequence[Subnet]) -> Port:
        """The DHCP server's own port, with an address in each subnet it serves; made if need be. Raises Exhausted."""
        port = PortId(str(uuid5(NAMESPACE, f"{host}/{network.id}")))
        found = await self.store.ports(None, ids=[port])
        if not found:
            try:
                found = await self.store.create_ports([self._new(port, host, network, served)])
            except Conflict as error:
                if error.kind != "PortExists":
                    raise
                found = await self.store.ports(None, ids=[port])
        [server] = found
        has = {ip.subnet_id for ip in server.fixed_ips}
        if has == {subnet.id for subnet in served}:
            return server
        addresses = [AddressWanted(subnet.id) for subnet in served]  # those it has are kept
        return (await self.store.update(port, lambda before: before, addresses=addresses)).after

    def _new(self, port: PortId, host: HostName, network: Network, served: Sequence[Subnet]) -> NewPort:
        now = self.clock.now()
        new = Port(
            id=port,
            network_id=network.id,
            project_id=network.project_id,
            mac_address=self.new_mac(),
            created_at=now,
            updated_at=now,
            device_owner=OWNER,
            device_id=f"dhcp-{host}-{network.id}",
            port_security_enabled=False,
        )
        bound = rebound(
            new,
            host,
            {},
            vnic_type="normal",
            is_reachable=True,
            segment=network.segments[0],
            needs_dhcp=False,
            now=now,
        )
        ready = replace(bound, status=PortStatus.ACTIVE, awaiting=frozenset())  # nobody provisions or awaits it
        return NewPort(ready, tuple(AddressWanted(subnet.id) for subnet in served))


def _spec(network: Network, served: Sequence[Subnet], server: Port, clients: Sequence[Port]) -> DhcpNetworkSpec:
    own = {ip.subnet_id: ip.ip_address for ip in server.fixed_ips}
    ranges = tuple(
        DhcpRangeSpec(
            cidr=subnet.cidr,
            server_address=f"{own[subnet.id]}/{IPv4Network(subnet.cidr).prefixlen}",
            gateway=subnet.gateway_ip,
            dns=subnet.dns_nameservers,
            routes=tuple((route.destination, route.nexthop) for route in subnet.host_routes),
        )
        for subnet in served
    )
    return DhcpNetworkSpec(
        network=network.id,
        port=server.id,
        mac=server.mac_address,
        mtu=network.mtu,
        ranges=ranges,
        reservations=_reservations(clients, served),
        marks=tuple(_mark(port) for port in clients if Provisioner.DHCP in port.awaiting),
    )


def _clients(ports: Sequence[Port], served: Sequence[Subnet]) -> Sequence[Port]:
    """Those that have an address to be handed out."""
    subnets = {subnet.id for subnet in served}
    return [port for port in ports if any(ip.subnet_id in subnets for ip in port.fixed_ips)]


def _mark(port: Port) -> DhcpPortMark:
    return DhcpPortMark(
        port=port.id,
        generation=port.binding.generation,
        mac=port.mac_address,
        addresses=tuple(sorted(addresses_of(port))),
    )


def _reservations(clients: Sequence[Port], served: Sequence[Subnet]) -> tuple[DhcpReservationSpec, ...]:
    """One for each address; a port's name is its host name where it can be one and nobody else here has it."""
    subnets = {subnet.id for subnet in served}
    names = Counter(port.name.lower() for port in clients)
    found = []
    for port in clients:
        for ip in port.fixed_ips:
            if ip.subnet_id in subnets:
                is_name = names[port.name.lower()] == 1 and LABEL.fullmatch(port.name)
                hostname = port.name if is_name else "host-" + ip.ip_address.replace(".", "-")
                found.append(
                    DhcpReservationSpec(port=port.id, mac=port.mac_address, address=ip.ip_address, hostname=hostname)
                )
    return tuple(found)
