"""What users do with subnets."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from moorage.domain.caller import Caller
from moorage.domain.errors import Invalid, NotFound
from moorage.domain.ids import NetworkId, SubnetId
from moorage.domain.ipam import check_pools, default_gateway, default_pools, parse_address, parse_cidr
from moorage.domain.network import Pool, Route, Subnet
from moorage.network.access import owner_of_new, require_owner, seen_by
from moorage.network.facts import facts_of
from moorage.network.neighbours import Neighbours
from moorage.network.networks import Networks, require_mtu
from moorage.seams.clock import Clock
from moorage.seams.network_store import NetworkStore
from moorage.seams.timeline import Timeline
from moorage.wire.network import SubnetEdit, SubnetNew, given, project_given


@dataclass(frozen=True)
class Subnets:
    store: NetworkStore
    clock: Clock
    neighbours: Neighbours
    timeline: Timeline
    networks: Networks
    new_id: Callable[[], str]

    async def all(
        self, caller: Caller, ids: Collection[str] | None = None, networks: Collection[str] | None = None
    ) -> Sequence[Subnet]:
        return await self.store.subnets(
            seen_by(caller),
            ids=None if ids is None else [SubnetId(one) for one in ids],
            networks=None if networks is None else [NetworkId(one) for one in networks],
        )

    async def show(self, caller: Caller, subnet: str) -> Subnet:
        found = await self.all(caller, [subnet])
        if not found:
            raise NotFound(f"Subnet {subnet} could not be found.", kind="SubnetNotFound")
        return found[0]

    async def create(self, caller: Caller, bodies: Sequence[SubnetNew]) -> Sequence[Subnet]:
        subnets = [await self._new(caller, body) for body in bodies]
        await self.store.create_subnets(subnets)
        for network in {subnet.network_id for subnet in subnets}:
            await self._tell(network)
        return subnets

    async def _new(self, caller: Caller, body: SubnetNew) -> Subnet:
        network = await self.networks.show(caller, body.network_id)
        require_owner(caller, network.project_id, "create_subnet on a network of another project")
        if body.ip_version != 4:
            raise Invalid("Subnets here are IPv4.", kind="InvalidInput")
        require_mtu(network)
        cidr = parse_cidr(body.cidr)
        if cidr.prefixlen == 0:
            raise Invalid("Invalid input for cidr. Reason: 0 is not allowed as CIDR prefix length.")
        fields = _read(given(body))
        if "gateway_ip" not in fields:
            fields["gateway_ip"] = str(default_gateway(cidr))
        gateway = _gateway(cidr, fields["gateway_ip"])
        fields.setdefault("allocation_pools", default_pools(cidr, gateway))
        check_pools(cidr, gateway, fields["allocation_pools"])
        now = self.clock.now()
        project = owner_of_new(caller, project_given(body) or network.project_id)
        return Subnet(
            id=SubnetId(self.new_id()),
            network_id=network.id,
            project_id=project,
            cidr=str(cidr),
            created_at=now,
            updated_at=now,
            name=fields.pop("name", ""),
            **fields,
        )

    async def update(self, caller: Caller, subnet: str, body: SubnetEdit, if_revision: int | None) -> Subnet:
        found = await self.show(caller, subnet)
        require_owner(caller, found.project_id, f"update_subnet {subnet}")
        fields = _read(given(body))

        def change(before: Subnet) -> Subnet:
            after = replace(before, **fields)
            cidr = IPv4Network(after.cidr)
            check_pools(cidr, _gateway(cidr, after.gateway_ip), after.allocation_pools)
            return after

        changed = await self.store.update_subnet(found.id, change, if_revision=if_revision)
        for port in changed.ports:
            for fact in facts_of(port.before, port.after, wall=self.clock.now(), monotonic=self.clock.monotonic()):
                self.timeline.tell(fact)
        await self._tell(found.network_id)
        return changed.after

    async def delete(self, caller: Caller, subnet: str, if_revision: int | None) -> None:
        found = await self.show(caller, subnet)
        require_owner(caller, found.project_id, f"delete_subnet {subnet}")
        await self.store.delete_subnet(found.id, if_revision=if_revision)
        await self._tell(found.network_id)

    async def _tell(self, network: NetworkId) -> None:
        """The agents that serve DHCP there."""
        await self.neighbours.tell(await self.store.hosts_of(network), networks=[network])


def _read(fields: dict[str, Any]) -> dict[str, Any]:
    """A body's fields as a Subnet's. Raises Invalid for addresses that are none."""
    for known in ("network_id", "cidr", "ip_version", "ipv6_ra_mode", "ipv6_address_mode", "project_id", "tenant_id"):
        fields.pop(known, None)
    if "allocation_pools" in fields:
        fields["allocation_pools"] = tuple(Pool(pool.start, pool.end) for pool in fields["allocation_pools"])
    if "dns_nameservers" in fields:
        fields["dns_nameservers"] = tuple(str(parse_address(one)) for one in fields["dns_nameservers"])
    if "host_routes" in fields:
        fields["host_routes"] = tuple(
            Route(str(parse_cidr(route.destination)), str(parse_address(route.nexthop)))
            for route in fields["host_routes"]
        )
    return fields


def _gateway(cidr: IPv4Network, given_address: str | None) -> IPv4Address | None:
    """Raises Invalid for a gateway outside the subnet."""
    if given_address is None:
        return None
    gateway = parse_address(given_address)
    is_edge = cidr.prefixlen < 31 and gateway in (cidr.network_address, cidr.broadcast_address)
    if gateway not in cidr or is_edge:
        raise Invalid(f"Gateway {gateway} is not valid on subnet {cidr}.", kind="InvalidInput")
    return gateway
