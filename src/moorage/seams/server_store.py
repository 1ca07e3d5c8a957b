"""Where compute API keeps servers, what was done to them, flavors, keypairs and hosts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from moorage.domain.action import InstanceAction
from moorage.domain.ids import FlavorId, HostName, ProjectId, ServerId, UserId
from moorage.domain.scheduling import HostState
from moorage.domain.server import Flavor, Server

# Rules: a store may call them again, with the row as it then is; only what they return the last time counts.
Change = Callable[[Server], Server]
Placing = Callable[[Server, Sequence[HostState]], Server]
Ending = Callable[[InstanceAction], InstanceAction]
Beginning = Callable[[Server, Server], InstanceAction | None]


@dataclass(frozen=True)
class ServerQuery:
    """Which servers; a field that is None does not narrow."""

    project: ProjectId | None = None
    host: HostName | None = None
    is_deleted: bool | None = False
    is_unfinished: bool = False  # only those with something under way
    changed_since: datetime | None = None
    created_before: tuple[datetime, ServerId] | None = None  # the page after this one, newest first
    limit: int | None = None


@dataclass(frozen=True)
class Usage:
    """What a project has: of servers that are not deleted."""

    instances: int = 0
    vcpus: int = 0
    memory_mib: int = 0


@dataclass(frozen=True)
class Quota:
    """The most that a project may have; -1 is no limit."""

    instances: int = -1
    vcpus: int = -1
    memory_mib: int = -1


@dataclass(frozen=True)
class Keypair:
    id: int
    user: UserId
    name: str
    type: str
    public_key: str
    fingerprint: str
    created: datetime


@dataclass(frozen=True)
class ComputeHost:
    """A host with what it says of itself; `number` and `uuid` are its ids in the API, the old one and the new."""

    number: int
    uuid: str
    state: HostState
    hypervisor_type: str
    started_at: datetime
    servers: int
    disabled_reason: str | None = None


@dataclass(frozen=True)
class Heartbeat:
    host: HostName
    vcpus: int
    memory_mib: int
    disk_gib: int
    hypervisor_type: str
    started_at: datetime


class ServerStore(Protocol):
    """Each method is one transaction. All raise Unavailable."""

    async def add(self, servers: Sequence[Server], actions: Sequence[InstanceAction], quota: Quota) -> None:
        """New servers of one project. Raises Exhausted, and adds none, when `quota` would be passed."""

    async def show(self, server: ServerId, *, project: ProjectId | None, is_deleted: bool | None = False) -> Server:
        """A server of the project (None: of any; likewise `is_deleted`). Raises NotFound."""

    async def list(self, query: ServerQuery) -> Sequence[Server]:
        """Newest first, by time and id."""

    async def update(
        self,
        server: ServerId,
        change: Change,
        *,
        begins: Beginning | None = None,
        ends: Ending | None = None,
    ) -> Server:
        """What `change` makes of the server: the only writer of existing ones, but for `place`.

        A server whose vm_state becomes "deleted" is deleted. What `begins` makes of the server before and after is
        kept as a new action; `ends` changes the action that was under way before the change. What `change` raises
        undoes it all. Raises NotFound.
        """

    async def place(self, server: ServerId, rule: Placing, *, ends: Ending | None = None) -> Server:
        """As `update`, with the hosts and what is claimed on them at this very moment."""

    async def actions(self, server: ServerId) -> Sequence[InstanceAction]:
        """Newest first."""

    async def usage(self, project: ProjectId) -> Usage:
        """What the project has."""

    async def quotas(self, project: ProjectId) -> Mapping[str, int]:
        """The limits that were set for this project, by their names in the API; {} for most."""

    async def set_quotas(self, project: ProjectId, limits: Mapping[str, int]) -> None:
        """Set these, leave the others."""

    async def clear_quotas(self, project: ProjectId) -> None:
        """Forget all that were set. Repeatable."""

    async def heard(self, heartbeat: Heartbeat, *, uuid: str, now: datetime) -> None:
        """A host lives; a new one is given `uuid` and the next number."""

    async def hosts(self) -> Sequence[ComputeHost]:
        """All hosts ever heard of, by number, with their claims."""

    async def set_enabled(self, uuid: str, *, is_enabled: bool, reason: str | None) -> None:
        """Whether the host takes new servers. Raises NotFound."""

    async def flavors(self) -> Sequence[Flavor]:
        """All, in the order of their making."""

    async def flavor(self, flavor: FlavorId) -> Flavor:
        """Raises NotFound."""

    async def add_flavor(self, flavor: Flavor) -> None:
        """Raises Conflict when its id or name is taken."""

    async def update_flavor(self, flavor: FlavorId, change: Callable[[Flavor], Flavor]) -> Flavor:
        """Raises NotFound."""

    async def delete_flavor(self, flavor: FlavorId) -> None:
        """Servers keep their copies. Raises NotFound."""

    async def flavor_access(self, flavor: FlavorId) -> Sequence[ProjectId]:
        """The projects that may use a flavor which is not public."""

    async def grant_flavor(self, flavor: FlavorId, project: ProjectId) -> None:
        """Raises Conflict when it has been granted already."""

    async def revoke_flavor(self, flavor: FlavorId, project: ProjectId) -> None:
        """Raises NotFound when it was not granted."""

    async def keypairs(self, user: UserId) -> Sequence[Keypair]:
        """By name."""

    async def keypair(self, user: UserId, name: str) -> Keypair:
        """Raises NotFound."""

    async def add_keypair(self, keypair: Keypair, *, limit: int) -> Keypair:
        """With its number. Raises Conflict when the user has one of this name, Exhausted over `limit`."""

    async def delete_keypair(self, user: UserId, name: str) -> None:
        """Raises NotFound."""
