"""Compute API's store in a SQL database: each verb one transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from moorage.adapters.database import compute_flavors as flavor_work
from moorage.adapters.database import compute_hosts as host_work
from moorage.adapters.database import compute_keypairs as keypair_work
from moorage.adapters.database import compute_quotas as quota_work
from moorage.adapters.database import compute_servers as server_work
from moorage.adapters.database.engine import Database
from moorage.domain.action import InstanceAction
from moorage.domain.ids import FlavorId, ProjectId, ServerId, UserId
from moorage.domain.server import Flavor, Server
from moorage.seams.server_store import (
    Beginning,
    Change,
    ComputeHost,
    Ending,
    Heartbeat,
    Keypair,
    Placing,
    Quota,
    ServerQuery,
    Usage,
)


class ComputeDatabase:
    """Fulfils seams.server_store.ServerStore."""

    def __init__(self, database: Database) -> None:
        self._run = database.run

    # ---- servers

    async def add(self, servers: Sequence[Server], actions: Sequence[InstanceAction], quota: Quota) -> None:
        await self._run("adding servers", partial(server_work.add, servers=servers, actions=actions, quota=quota))

    async def show(self, server: ServerId, *, project: ProjectId | None, is_deleted: bool | None = False) -> Server:
        work = partial(server_work.show, server=server, project=project, is_deleted=is_deleted)
        return await self._run(f"reading server {server}", work)

    async def list(self, query: ServerQuery) -> Sequence[Server]:
        return await self._run("listing servers", partial(server_work.listed, query=query))

    async def update(
        self,
        server: ServerId,
        change: Change,
        *,
        begins: Beginning | None = None,
        ends: Ending | None = None,
    ) -> Server:
        work = partial(server_work.change, server=server, rule=change, begins=begins, ends=ends)
        return await self._run(f"updating server {server}", work)

    async def place(self, server: ServerId, rule: Placing, *, ends: Ending | None = None) -> Server:
        return await self._run(
            f"placing server {server}", partial(server_work.place, server=server, rule=rule, ends=ends)
        )

    async def actions(self, server: ServerId) -> Sequence[InstanceAction]:
        return await self._run(f"reading the actions of server {server}", partial(server_work.actions, server=server))

    async def usage(self, project: ProjectId) -> Usage:
        return await self._run(f"reading the usage of project {project}", partial(server_work.usage, project=project))

    # ---- hosts

    async def heard(self, heartbeat: Heartbeat, *, uuid: str, now: datetime) -> None:
        work = partial(host_work.heard, heartbeat=heartbeat, uuid=uuid, now=now)
        await self._run(f"noting host {heartbeat.host}", work)

    async def hosts(self) -> Sequence[ComputeHost]:
        return await self._run("listing hosts", host_work.hosts)

    async def set_enabled(self, uuid: str, *, is_enabled: bool, reason: str | None) -> None:
        work = partial(host_work.set_enabled, uuid=uuid, is_enabled=is_enabled, reason=reason)
        await self._run(f"switching host {uuid}", work)

    # ---- flavors

    async def flavors(self) -> Sequence[Flavor]:
        return await self._run("listing flavors", flavor_work.flavors)

    async def flavor(self, flavor: FlavorId) -> Flavor:
        return await self._run(f"reading flavor {flavor}", partial(flavor_work.flavor, flavor=flavor))

    async def add_flavor(self, flavor: Flavor) -> None:
        await self._run(f"adding flavor {flavor.id}", partial(flavor_work.add, flavor=flavor))

    async def update_flavor(self, flavor: FlavorId, change: Callable[[Flavor], Flavor]) -> Flavor:
        return await self._run(f"updating flavor {flavor}", partial(flavor_work.change, of=flavor, rule=change))

    async def delete_flavor(self, flavor: FlavorId) -> None:
        await self._run(f"deleting flavor {flavor}", partial(flavor_work.remove, flavor=flavor))

    async def flavor_access(self, flavor: FlavorId) -> Sequence[ProjectId]:
        return await self._run(f"reading who may use flavor {flavor}", partial(flavor_work.access, flavor=flavor))

    async def grant_flavor(self, flavor: FlavorId, project: ProjectId) -> None:
        await self._run(f"granting flavor {flavor}", partial(flavor_work.grant, flavor=flavor, project=project))

    async def revoke_flavor(self, flavor: FlavorId, project: ProjectId) -> None:
        await self._run(f"revoking flavor {flavor}", partial(flavor_work.revoke, flavor=flavor, project=project))

    # ---- quotas

    async def quotas(self, project: ProjectId) -> Mapping[str, int]:
        return await self._run(f"reading quotas of {project}", partial(quota_work.quotas, project=project))

    async def set_quotas(self, project: ProjectId, limits: Mapping[str, int]) -> None:
        work = partial(quota_work.change, project=project, limits=limits)
        await self._run(f"setting quotas of {project}", work)

    async def clear_quotas(self, project: ProjectId) -> None:
        await self._run(f"clearing quotas of {project}", partial(quota_work.clear, project=project))

    # ---- keypairs

    async def keypairs(self, user: UserId) -> Sequence[Keypair]:
        return await self._run(f"listing keypairs of {user}", partial(keypair_work.keypairs, user=user))

    async def keypair(self, user: UserId, name: str) -> Keypair:
        return await self._run(f"reading keypair {name}", partial(keypair_work.keypair, user=user, name=name))

    async def add_keypair(self, keypair: Keypair, *, limit: int) -> Keypair:
        work = partial(keypair_work.add, keypair=keypair, limit=limit)
        return await self._run(f"adding keypair {keypair.name}", work)

    async def delete_keypair(self, user: UserId, name: str) -> None:
        await self._run(f"deleting keypair {name}", partial(keypair_work.remove, user=user, name=name))
