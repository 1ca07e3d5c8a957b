"""What compute asks of the network, through the public Network API: the same words a real Nova would use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ProjectId, ServerId


@dataclass(frozen=True)
class NetworkPort:
    """A port as the Network API shows it."""

    id: PortId
    network: NetworkId
    project: ProjectId
    mac: str
    status: str
    admin_state_up: bool
    addresses: tuple[str, ...]
    device_id: str
    device_owner: str
    host: str
    vif_type: str
    profile: Mapping[str, Any]
    security_groups: tuple[str, ...]
    revision: int

    def is_ready(self, generation: Generation) -> bool:
        """Whether it is ACTIVE in this generation, or switched off, which never blocks.

        A network that knows no generations (a real Neutron) is trusted by its status alone.
        """
        own = self.profile.get("plug_generation")
        return not self.admin_state_up or (self.status == "ACTIVE" and own in (None, generation))


@dataclass(frozen=True)
class NetworkInfo:
    id: NetworkId
    name: str
    mtu: int
    project: ProjectId
    shared: bool
    subnets: tuple[str, ...]


@dataclass(frozen=True)
class GroupInfo:
    id: str
    name: str


class NetworkApi(Protocol):
    """Every call ends within 10 s. All raise Unavailable; 4xx come as Invalid, NotFound, Conflict, Exhausted."""

    async def networks(
        self, *, ids: Sequence[NetworkId] | None = None, project: ProjectId | None = None
    ) -> Sequence[NetworkInfo]:
        """The networks with these ids, or those a project may use (its own, then shared ones)."""

    async def ports(
        self,
        *,
        ids: Sequence[PortId] | None = None,
        device: ServerId | None = None,
        host: HostName | None = None,
    ) -> Sequence[NetworkPort]:
        """The ports with these ids that exist, or a server's, or all that are bound to a host; one request for all."""

    async def security_groups(self, project: ProjectId, names: Sequence[str]) -> Sequence[GroupInfo]:
        """A project's groups in this order, each given by id or name. Raises NotFound for one it has not."""

    async def live_agents(self) -> frozenset[HostName]:
        """The hosts with an L2 agent that the network has heard of late."""

    async def create_port(
        self,
        *,
        network: NetworkId,
        project: ProjectId,
        device: ServerId,
        owner: str,
        host: HostName,
        profile: Mapping[str, Any],
        fixed_ip: str | None = None,
        security_groups: Sequence[str] | None = None,
    ) -> NetworkPort:
        """Make a port and bind it, in one request."""

    async def bind_port(
        self, port: NetworkPort, *, device: ServerId, owner: str, host: HostName, profile: Mapping[str, Any]
    ) -> NetworkPort:
        """Bind an existing port as it was last read. `profile` is merged into the port's own. Raises Stale."""

    async def set_groups(self, port: NetworkPort, groups: Sequence[str]) -> None:
        """Give a port, as it was last read, these security groups and no others. Raises Stale, NotFound."""

    async def unbind_port(self, port: NetworkPort) -> None:
        """Take device, owner, host and our profile keys off a port as it was last read. Raises Stale, NotFound."""

    async def delete_port(self, port: NetworkPort) -> None:
        """Delete a port as it was last read. Raises Stale, NotFound."""
