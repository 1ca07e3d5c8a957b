"""POST /servers: everything that can be said at once, then the rows, committed (hop asked)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UnsetType

from moorage.compute_api.facts import fact_of
from moorage.compute_api.limits import Limits
from moorage.compute_api.wanted import (
    checked_user_data,
    checked_v4,
    checked_v6,
    counted,
    hostname_of,
    image_of,
    is_true,
    may_use,
    placed_where,
    requested,
    require_fitting,
    require_subnet,
    require_version,
)
from moorage.domain.action import InstanceAction
from moorage.domain.caller import Caller
from moorage.domain.errors import Conflict, Invalid, NotFound
from moorage.domain.hops import Hop
from moorage.domain.ids import FlavorId, ImageId, ProjectId, ServerId
from moorage.domain.server import Flavor, RequestedNic, Server
from moorage.seams.clock import Clock
from moorage.seams.image_api import ImageApi, ImageInfo
from moorage.seams.network_api import GroupInfo, NetworkApi
from moorage.seams.server_store import ServerStore
from moorage.seams.timeline import Timeline
from moorage.wire.compute import CreateServer, ServerWanted


@dataclass(frozen=True)
class Asking:
    """Turns a request into rows. `asked` is called for each server when the rows are committed."""

    store: ServerStore
    network: NetworkApi
    images: ImageApi
    clock: Clock
    timeline: Timeline
    new_id: Callable[[], str]
    limits: Limits
    asked: Callable[[ServerId], None]

    async def ask(self, body: CreateServer, caller: Caller, minor: int, request_id: str) -> Sequence[Server]:
        """The new servers, BUILD. Raises Invalid, Forbidden, Conflict, Exhausted, Unavailable; then there is none."""
        wanted, project = body.server, caller.require_project()
        require_version(wanted, minor)
        count = counted(wanted)
        zone, host = placed_where(wanted, caller)
        flavor = await self._flavor(wanted, caller, project)
        image = await shown_image(self.images, image_of(wanted), project)
        require_fitting(flavor, image)
        limits = self.limits.with_own(await self.store.quotas(project))
        limits.require_metadata(wanted.metadata)
        key = await public_key(self.store, wanted.key_name, caller)
        groups = await self._groups(wanted, project)
        nics = await self._nics(wanted, caller, project, count)
        now = self.clock.now()
        extra: dict[str, Any] = {"groups": [group.name for group in groups]} if groups else {}
        if wanted.availability_zone:
            extra["pinned_zone"] = zone
        if host is not None:
            extra["wanted_host"] = host
        if isinstance(wanted.networks, list) and any(entry.tag for entry in wanted.networks):
            extra["nic_tags"] = [entry.tag or None for entry in wanted.networks]
        reservation = "r-" + self.new_id().replace("-", "")[:8]
        servers = [
            Server(
                id=ServerId(self.new_id()),
                project=project,
                user=caller.user,
                name=wanted.name if count == 1 else f"{wanted.name}-{index + 1}",
                created=now,
                updated=now,
                flavor=flavor,
                image=image.id,
                nics_wanted=nics,
                request_id=request_id,
                metadata=dict(wanted.metadata),
                security_groups=tuple(group.id for group in groups),
                key_name=wanted.key_name,
                key_data=key,
                user_data=checked_user_data(wanted.user_data),
                availability_zone=zone,
                description=wanted.description if isinstance(wanted.description, str) else None,
                tags=tuple(dict.fromkeys(wanted.tags)) if not isinstance(wanted.tags, UnsetType) else (),
                access_ip_v4=checked_v4(wanted.access_ip_v4),
                access_ip_v6=checked_v6(wanted.access_ip_v6),
                disk_config=wanted.disk_config if not isinstance(wanted.disk_config, UnsetType) else "MANUAL",
                config_drive="True" if is_true(wanted.config_drive or False) else "",
                reservation_id=reservation,
                launch_index=index,
                hostname=hostname_of(wanted, index, count),
                extra=extra,
            )
            for index in range(count)
        ]
        actions = [
            InstanceAction(server.id, request_id, "create", caller.user, project, started=now, updated=now)
            for server in servers
        ]
        await self.store.add(servers, actions, limits.quota)
        committed = self.clock.now()
        for server in servers:
            self.timeline.tell(fact_of(server, Hop.ASKED, wall=committed, monotonic=self.clock.monotonic()))
            self.asked(server.id)
        return servers

    async def _flavor(self, wanted: ServerWanted, caller: Caller, project: ProjectId) -> Flavor:
        flavor_id = FlavorId(str(wanted.flavor_ref).rstrip("/").rsplit("/", 1)[-1])
        try:
            flavor = await self.store.flavor(flavor_id)
        except NotFound as error:
            raise Invalid(f"Flavor {flavor_id} could not be found.") from error
        is_open = flavor.is_public or caller.is_admin
        if not is_open and project not in await self.store.flavor_access(flavor_id):
            raise Invalid(f"Flavor {flavor_id} could not be found.")
        return flavor

    async def _groups(self, wanted: ServerWanted, project: ProjectId) -> Sequence[GroupInfo]:
        names = [group.name for group in wanted.security_groups]
        if not names or names == ["default"]:
            return ()  # the network gives each port its project's default group
        try:
            return await self.network.security_groups(project, names)
        except NotFound as error:
            raise Invalid(error.message) from error

    async def _nics(
        self, wanted: ServerWanted, caller: Caller, project: ProjectId, count: int
    ) -> tuple[RequestedNic, ...]:
        match wanted.networks:
            case "none":
                return ()
            case list() as entries if entries:
                nics = tuple(requested(entry) for entry in entries)
                await self._check_ports(nics, project, count)
                await self._check_networks(nics, caller, project, count)
                return nics
            case _:
                return await self._single_network(project, is_auto=wanted.networks == "auto")

    async def _check_ports(self, nics: Sequence[RequestedNic], project: ProjectId, count: int) -> None:
        ids = [nic.port for nic in nics if nic.port is not None]
        if not ids:
            return
        if count > 1:
            raise Invalid("Unable to launch multiple instances with a single configured port ID.")
        if len(set(ids)) != len(ids):
            raise Invalid("The same port is asked for more than once.")
        found = {port.id: port for port in await self.network.ports(ids=ids)}
        for port_id in ids:
            port = found.get(port_id)
            if port is None:
                raise Invalid(f"Port {port_id} could not be found.")
            if port.project != project:
                raise Invalid(f"Port {port_id} not usable for instance.")
            if port.device_id:
                raise Conflict(f"Port {port_id} is still in use.")

    async def _check_networks(
        self, nics: Sequence[RequestedNic], caller: Caller, project: ProjectId, count: int
    ) -> None:
        ids = list(dict.fromkeys(nic.network for nic in nics if nic.network is not None))
        if not ids:
            return
        if count > 1 and any(nic.fixed_ip for nic in nics):
            raise Invalid("Invalid fixed IP: multiple instances cannot have one address.")
        found = {network.id: network for network in await self.network.networks(ids=ids)}
        for network_id in ids:
            network = found.get(network_id)
            if network is None or not may_use(network, caller, project):
                raise Invalid(f"Network {network_id} could not be found.")
            require_subnet(network)

    async def _single_network(self, project: ProjectId, *, is_auto: bool) -> tuple[RequestedNic, ...]:
        found = await self.network.networks(project=project)
        if len(found) > 1:
            raise Conflict("Multiple possible networks found, use a Network ID to be more specific.")
        if not found:
            if is_auto:
                raise Invalid(f"Unable to automatically allocate a network for project {project}")
            return ()
        require_subnet(found[0])
        return (RequestedNic(network=found[0].id),)


async def shown_image(images: ImageApi, image: str, project: ProjectId) -> ImageInfo:
    """An image that the project may boot from. Raises Invalid."""
    try:
        found = await images.show(ImageId(image), project)
    except (NotFound, Invalid) as error:
        raise Invalid(f"Image {image} could not be found.") from error
    if found.status != "active":
        raise Invalid(f"Image {image} is not active.")
    return found


async def public_key(store: ServerStore, name: str | None, caller: Caller) -> str | None:
    """Of one of the caller's keypairs; None when none is named. Raises Invalid."""
    if name is None:
        return None
    try:
        return (await store.keypair(caller.user, name)).public_key
    except NotFound as error:
        raise Invalid("Invalid key_name provided.") from error
