"""What users do with networks."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moorage.domain.caller import Caller
from moorage.domain.errors import Conflict, Invalid, NotFound
from moorage.domain.ids import NetworkId
from moorage.domain.network import Network
from moorage.domain.segments import NetworkType, Segment
from moorage.network.access import owner_of_new, require_owner, seen_by
from moorage.network.neighbours import Neighbours
from moorage.seams.clock import Clock
from moorage.seams.network_store import NetworkStore
from moorage.wire.network import NetworkEdit, NetworkNew, given, project_given

LEAST_MTU = 68  # bytes, for IPv4
ADMIN_ONLY = {  # our name for it -> the API's
    "shared": "shared",
    "is_external": "router:external",
    "network_type": "provider:network_type",
    "physical_network": "provider:physical_network",
    "segmentation_id": "provider:segmentation_id",
}


@dataclass(frozen=True)
class Networks:
    store: NetworkStore
    clock: Clock
    neighbours: Neighbours
    new_id: Callable[[], str]

    async def all(self, caller: Caller, ids: Collection[str] | None = None) -> Sequence[Network]:
        wanted = None if ids is None else [NetworkId(one) for one in ids]
        return await self.store.networks(seen_by(caller), ids=wanted)

    async def show(self, caller: Caller, network: str) -> Network:
        found = await self.all(caller, [network])
        if not found:
            raise NotFound(f"Network {network} could not be found.", kind="NetworkNotFound")
        return found[0]

    async def create(self, caller: Caller, bodies: Sequence[NetworkNew]) -> Sequence[Network]:
        networks = [self._new(caller, body) for body in bodies]
        await self.store.create_networks(networks)
        return networks

    def _new(self, caller: Caller, body: NetworkNew) -> Network:
        fields = _allowed(caller, body)
        if fields.pop("network_type", None) not in (None, NetworkType.LOCAL):
            raise Invalid("Networks here are of type local.", kind="InvalidInput")
        if fields.pop("physical_network", None) is not None or fields.pop("segmentation_id", None) is not None:
            raise Invalid("A network of type local has no physical network and no segment id.", kind="InvalidInput")
        for known in ("availability_zone_hints", "project_id", "tenant_id"):
            fields.pop(known, None)
        now = self.clock.now()
        return Network(
            id=NetworkId(self.new_id()),
            project_id=owner_of_new(caller, project_given(body)),
            segments=(Segment(id=self.new_id()),),
            created_at=now,
            updated_at=now,
            name=fields.pop("name", ""),
            **fields,
        )

    async def update(self, caller: Caller, network: str, body: NetworkEdit, if_revision: int | None) -> Network:
        found = await self.show(caller, network)
        require_owner(caller, found.project_id, f"update_network {network}")
        fields = _allowed(caller, body)

        def change(before: Network) -> Network:
            after = replace(before, **fields)
            if after.subnets:
                require_mtu(after)
            return after

        updated = await self.store.update_network(found.id, change, if_revision=if_revision)
        if updated.mtu != found.mtu:
            await self.neighbours.tell(await self.store.hosts_of(found.id), networks=[found.id])
        return updated

    async def delete(self, caller: Caller, network: str, if_revision: int | None) -> None:
        found = await self.show(caller, network)
        require_owner(caller, found.project_id, f"delete_network {network}")
        for port in await self.store.delete_network(found.id, if_revision=if_revision):
            await self.neighbours.tell_changed(port, None)


def require_mtu(network: Network) -> None:
    """Raises Conflict for a network whose packets are too small for IPv4 (RFC 791)."""
    if network.mtu < LEAST_MTU:
        raise Conflict(
            f"MTU {network.mtu} of network {network.id} is below {LEAST_MTU}, the least for its IPv4 subnets.",
            kind="NetworkMTUSubnetConflict",
        )


def _allowed(caller: Caller, body: NetworkEdit) -> dict[str, Any]:
    """The fields given. Raises Forbidden for those that are for admins, Invalid for what there is not."""
    fields = given(body)
    for name, known_as in ADMIN_ONLY.items():
        if fields.get(name):
            caller.require_admin(f"setting {known_as} of a network")
    if fields.pop("is_external", False):
        raise Invalid("There are no external networks here.", kind="InvalidInput")
    return fields
