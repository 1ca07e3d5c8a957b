"""The network's own tables: networks, subnets, ports, groups, agents, and the outbox of news (hops ready, told)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from moorage.domain.agent import Agent
from moorage.domain.errors import MoorageError
from moorage.domain.events import DeadEvent, Judgement, OutboxItem
from moorage.domain.ids import HostName, NetworkId, PortId, ProjectId, SubnetId
from moorage.domain.ipam import AddressWanted
from moorage.domain.network import Network, Subnet
from moorage.domain.port import Port, PortStatus
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule

PortRule = Callable[[Port], Port]  # pure: it may be called again
DEAD_KEPT = 10_000  # events


def as_it_is(port: Port) -> Port:
    return port


@dataclass(frozen=True)
class NewPort:
    """A port to be made. `addresses` None asks for one of any subnet of its network; `port.fixed_ips` is not read.

    `then` is applied once the addresses are known, before the port is stored.
    """

    port: Port
    addresses: tuple[AddressWanted, ...] | None = None
    then: PortRule = as_it_is


@dataclass(frozen=True)
class Changed:
    """A port before and after an update; the same object when nothing was changed."""

    before: Port
    after: Port


@dataclass(frozen=True)
class SubnetChanged:
    """A subnet after an update, and the ports that it has changed: those that await DHCP no more."""

    after: Subnet
    ports: Sequence[Changed]


class NetworkStore(Protocol):
    """Each method is one transaction. All raise Unavailable, and NotFound for an id that is not there.

    `seen_by` is the project whose things are asked for (and what is shared with it); None sees all. `if_revision`
    raises Stale unless it is the thing's revision. Whatever changes a thing that is shown raises its revision by one
    and stamps `updated_at` with the store's clock; a change without effect writes nothing.
    """

    # ---- networks and subnets

    async def create_networks(self, networks: Sequence[Network]) -> None: ...

    async def networks(
        self, seen_by: ProjectId | None, *, ids: Collection[NetworkId] | None = None
    ) -> Sequence[Network]:
        """The networks a project owns and those shared by others, oldest first."""

    async def update_network(
        self, network: NetworkId, change: Callable[[Network], Network], *, if_revision: int | None = None
    ) -> Network: ...

    async def delete_network(self, network: NetworkId, *, if_revision: int | None = None) -> Sequence[Port]:
        """Delete a network with its subnets and the ports of its DHCP servers, which are returned.

        Raises Conflict (NetworkInUse) while it has other ports.
        """

    async def create_subnets(self, subnets: Sequence[Subnet]) -> None:
        """Raises Invalid when one overlaps another of its network."""

    async def subnets(
        self,
        seen_by: ProjectId | None,
        *,
        ids: Collection[SubnetId] | None = None,
        networks: Collection[NetworkId] | None = None,
    ) -> Sequence[Subnet]:
        """The subnets of the networks a project may see, oldest first."""

    async def update_subnet(
        self, subnet: SubnetId, change: Callable[[Subnet], Subnet], *, if_revision: int | None = None
    ) -> SubnetChanged:
        """Ports that have DHCP to await no more (`domain.dhcp.dhcp_unneeded`) change in the same transaction."""

    async def delete_subnet(self, subnet: SubnetId, *, if_revision: int | None = None) -> Sequence[Port]:
        """Delete a subnet; DHCP servers' ports give up their addresses there (those as they were are returned).

        Raises Conflict (SubnetInUse) while other ports have addresses of it.
        """

    # ---- ports

    async def create_ports(self, ports: Sequence[NewPort]) -> Sequence[Port]:
        """Make ports with their addresses, all or none.

        Raises Conflict (MacAddressInUse, IpAddressAlreadyAllocated; PortExists for an id that is there already),
        Invalid, Exhausted; NotFound for an unknown network or group.
        """

    async def ports(
        self,
        seen_by: ProjectId | None,
        *,
        ids: Collection[PortId] | None = None,
        networks: Collection[NetworkId] | None = None,
        devices: Collection[str] | None = None,
        host: HostName | None = None,
    ) -> Sequence[Port]:
        """Ports, oldest first; each condition narrows."""

    async def update(
        self,
        port: PortId,
        change: PortRule,
        *,
        if_revision: int | None = None,
        addresses: Sequence[AddressWanted] | None = None,
    ) -> Changed:
        """The only writer of ports that exist; its batches are `update_each` and `update_subnet`.

        `addresses` replaces the port's addresses before `change` is applied; those that it has already stay its own.
        `news(before, after)` goes to the outbox in the same transaction.
        """

    async def update_each(self, changes: Mapping[PortId, PortRule]) -> Mapping[PortId, Changed | MoorageError]:
        """Many updates in one transaction. A port that is not there, or whose rule refuses, holds up no other."""

    async def bound_to(self, host: HostName, *, statuses: Collection[PortStatus] | None = None) -> Sequence[PortId]:
        """The ports bound to a host (None: whatever their status), oldest first."""

    async def delete_port(self, port: PortId, *, if_revision: int | None = None) -> Port:
        """Delete a port and free its addresses; the port as it was."""

    async def hosts_of(self, network: NetworkId) -> AbstractSet[HostName]:
        """The hosts that ports of a network are bound to."""

    # ---- security groups

    async def create_group(self, group: SecurityGroup) -> SecurityGroup:
        """Make a group with its rules. Raises Conflict (SecurityGroupDefaultAlreadyExists) for a second `default`."""

    async def groups(
        self, seen_by: ProjectId | None, *, ids: Collection[str] | None = None
    ) -> Sequence[SecurityGroup]: ...

    async def default_group(self, project: ProjectId) -> SecurityGroup | None: ...

    async def update_group(
        self, group: str, change: Callable[[SecurityGroup], SecurityGroup], *, if_revision: int | None = None
    ) -> SecurityGroup:
        """Change a group's own fields; its rules have verbs of their own."""

    async def delete_group(self, group: str, *, if_revision: int | None = None) -> None:
        """Delete a group, its rules and those that name it as remote. Raises Conflict (SecurityGroupInUse)."""

    async def create_rules(self, rules: Sequence[SecurityGroupRule]) -> None:
        """Add rules to their groups. Raises Conflict (SecurityGroupRuleExists) for one that is there already."""

    async def delete_rule(self, rule: str) -> None: ...

    async def members(self, groups: Collection[str]) -> Mapping[str, Sequence[tuple[NetworkId, str]]]:
        """By group, what its ports may send from, sorted: their addresses and allowed address pairs, and on which
        network."""

    async def hosts_using(self, groups: Collection[str]) -> AbstractSet[HostName]:
        """The hosts of ports that are in one of these groups, or in one of which a rule names one of them as remote."""

    # ---- quotas: whoever makes more than a project may have is told Exhausted (OverQuota), and makes none

    async def quotas(self) -> Mapping[ProjectId, Mapping[str, int]]:
        """The limits that were set, by project."""

    async def quotas_of(self, project: ProjectId) -> Mapping[str, int]:
        """The limits that were set for this project, by their names in the API."""

    async def set_quotas(self, project: ProjectId, limits: Mapping[str, int]) -> None:
        """Set these, leave the others. -1 is no limit."""

    async def clear_quotas(self, project: ProjectId) -> None:
        """Forget all that were set. Repeatable."""

    # ---- agents

    async def hear(self, agent: Agent) -> None:
        """Note a heartbeat. What an admin has set, the id and created_at stay those of the first."""

    async def agents(self, *, hosts: Collection[HostName] | None = None) -> Sequence[Agent]: ...

    async def update_agent(self, agent: str, change: Callable[[Agent], Agent]) -> Agent: ...

    async def delete_agent(self, agent: str) -> None: ...


@dataclass(frozen=True)
class Backlog:
    """What is in the outbox: undelivered events, when the oldest was made, and how many dead ones are kept."""

    waiting: int
    oldest: datetime | None
    dead: int


class Outbox(Protocol):
    """News on its way to compute. Each notifier has one of its own, and several may take from the same table.

    What one took and did not settle is sent again: by itself once it untakes, by others once its process or its
    connection is gone. All raise Unavailable.
    """

    async def appended(self) -> None:
        """Returns once something was appended since this returned last (at once, the first time), and now and then
        without, where others may have left something."""

    async def take(self, now: datetime, limit: int) -> Sequence[OutboxItem]:
        """The oldest items that are due, at most one for each port and only if nothing older of the port waits.

        They are in flight until settled: newer news of their ports does not replace them, and nobody else takes
        anything of these ports.
        """

    async def settle(self, judgements: Sequence[Judgement], now: datetime) -> None:
        """Delivered items go, dead ones are kept apart with the reason, the others wait until they are due.

        One that newer news of its port has overtaken meanwhile goes too.
        """

    async def untake(self) -> None:
        """Nothing is in flight that this one has taken, or one that is gone."""

    async def next_due(self, now: datetime) -> datetime | None:
        """When `take` has something next; None: not before something is appended."""

    async def backlog(self) -> Backlog:
        """How much waits, and since when."""

    async def dead(self, limit: int = DEAD_KEPT) -> Sequence[DeadEvent]:
        """Those that were given up last, the last one first. No more than DEAD_KEPT are kept."""
