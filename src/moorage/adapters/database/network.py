"""The network's store and outbox in a SQL database: each verb one transaction (hops ready, told)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar, cast

from sqlalchemy import Table, bindparam, or_, select, update
from sqlalchemy.orm import Session

from moorage.adapters.database import network_groups as group_work
from moorage.adapters.database import network_outbox as outbox_work
from moorage.adapters.database import network_ports as port_work
from moorage.adapters.database import network_quotas as quota_work
from moorage.adapters.database import network_subnets as subnet_work
from moorage.adapters.database.engine import Database
from moorage.adapters.database.network_ports import Writing
from moorage.adapters.database.network_tables import AgentRow, decoded, encoded
from moorage.domain.agent import Agent
from moorage.domain.errors import MoorageError, NotFound
from moorage.domain.events import DeadEvent, Judgement, OutboxItem
from moorage.domain.ids import HostName, NetworkId, PortId, ProjectId, SubnetId
from moorage.domain.ipam import AddressWanted
from moorage.domain.network import Network, Subnet
from moorage.domain.port import Port, PortStatus
from moorage.domain.security_group import SecurityGroup, SecurityGroupRule
from moorage.seams.clock import Clock
from moorage.seams.network_store import DEAD_KEPT, Backlog, Changed, NewPort, PortRule, SubnetChanged

T = TypeVar("T")
LOOK_EVERY = 1.0  # seconds between looks for what notifiers that are gone have taken


class SqlNetworkStore:
    """Fulfils seams.network_store.NetworkStore and Outbox."""

    def __init__(self, database: Database, clock: Clock, *, dead_kept: int = DEAD_KEPT) -> None:
        self._database = database
        self._clock = clock
        self._dead_kept = dead_kept
        self._bell = database.bell("outbox")
        self._me = 0  # as whom was taken what is in flight
        self._looked_at: float | None = None  # when it was last looked for what those who are gone have taken

    async def _run(self, act: str, work: Callable[[Session], T]) -> T:
        return await self._database.run(act, work)

    async def _write(self, act: str, work: Callable[[Writing], T]) -> T:
        """A transaction that may write ports; rings for the notifiers when it made news."""

        def unit(session: Session) -> T:
            writing = Writing(session, self._clock.now())
            result = work(writing)
            if writing.has_news:
                self._bell.ring(session)
            return result

        return await self._database.run(act, unit)

    # ---- networks and subnets

    async def create_networks(self, networks: Sequence[Network]) -> None:
        await self._run("creating networks", partial(subnet_work.create_networks, networks=networks))

    async def networks(
        self, seen_by: ProjectId | None, *, ids: Collection[NetworkId] | None = None
    ) -> Sequence[Network]:
        return await self._run("reading networks", partial(subnet_work.networks, seen_by=seen_by, ids=ids))

    async def update_network(
        self, network: NetworkId, change: Callable[[Network], Network], *, if_revision: int | None = None
    ) -> Network:
        work = partial(
            subnet_work.change_network,
            now=self._clock.now(),
            network=network,
            change=change,
            if_revision=if_revision,
        )
        return await self._run(f"updating network {network}", work)

    async def delete_network(self, network: NetworkId, *, if_revision: int | None = None) -> Sequence[Port]:
        work = partial(subnet_work.remove_network, network=network, if_revision=if_revision)
        return await self._write(f"deleting network {network}", work)

    async def create_subnets(self, subnets: Sequence[Subnet]) -> None:
        work = partial(subnet_work.create_subnets, now=self._clock.now(), subnets=subnets)
        await self._run("creating subnets", work)

    async def subnets(
        self,
        seen_by: ProjectId | None,
        *,
        ids: Collection[SubnetId] | None = None,
        networks: Collection[NetworkId] | None = None,
    ) -> Sequence[Subnet]:
        work = partial(subnet_work.subnets, seen_by=seen_by, ids=ids, of=networks)
        return await self._run("reading subnets", work)

    async def update_subnet(
        self, subnet: SubnetId, change: Callable[[Subnet], Subnet], *, if_revision: int | None = None
    ) -> SubnetChanged:
        work = partial(subnet_work.change_subnet, subnet=subnet, change=change, if_revision=if_revision)
        return await self._write(f"updating subnet {subnet}", work)

    async def delete_subnet(self, subnet: SubnetId, *, if_revision: int | None = None) -> Sequence[Port]:
        work = partial(subnet_work.remove_subnet, subnet=subnet, if_revision=if_revision)
        return await self._write(f"deleting subnet {subnet}", work)

    # ---- ports

    async def create_ports(self, ports: Sequence[NewPort]) -> Sequence[Port]:
        return await self._write("creating ports", partial(port_work.create_all, ports=ports))

    async def ports(
        self,
        seen_by: ProjectId | None,
        *,
        ids: Collection[PortId] | None = None,
        networks: Collection[NetworkId] | None = None,
        devices: Collection[str] | None = None,
        host: HostName | None = None,
    ) -> Sequence[Port]:
        work = partial(
            port_work.stored,
            is_locked=False,
            project=None if seen_by is None else [seen_by],
            id=ids,
            network=networks,
            device=devices,
            host=None if host is None else [host],
        )
        return [row.port for row in await self._run("reading ports", work)]

    async def update(
        self,
        port: PortId,
        change: PortRule,
        *,
        if_revision: int | None = None,
        addresses: Sequence[AddressWanted] | None = None,
    ) -> Changed:
        def work(writing: Writing) -> Changed:
            if addresses is not None:
                port_work.lock_subnets_of(writing.session, port)
            row = port_work.one(writing.session, port)
            return port_work.write(writing, row, change, if_revision=if_revision, addresses=addresses)

        return await self._write(f"updating port {port}", work)

    async def update_each(self, changes: Mapping[PortId, PortRule]) -> Mapping[PortId, Changed | MoorageError]:
        def work(writing: Writing) -> dict[PortId, Changed | MoorageError]:
            rows = port_work.stored(writing.session, is_locked=True, id=list(changes))
            done = port_work.write_each(writing, rows, lambda port: changes[port])
            for port in changes:
                if port not in done:
                    done[port] = NotFound(f"Port {port} could not be found.", kind="PortNotFound")
            return done

        return await self._write("updating ports", work) if changes else {}

    async def bound_to(self, host: HostName, *, statuses: Collection[PortStatus] | None = None) -> Sequence[PortId]:
        work = partial(port_work.bound_to, host=host, statuses=tuple(PortStatus) if statuses is None else statuses)
        return await self._run("reading the ports of a host", work)

    async def delete_port(self, port: PortId, *, if_revision: int | None = None) -> Port:
        def work(writing: Writing) -> Port:
            return port_work.remove(writing, port_work.one(writing.session, port), if_revision=if_revision)

        return await self._write(f"deleting port {port}", work)

    async def hosts_of(self, network: NetworkId) -> AbstractSet[HostName]:
        return await self._run("reading hosts", partial(port_work.hosts_of, network=network))

    # ---- security groups

    async def create_group(self, group: SecurityGroup) -> SecurityGroup:
        return await self._run("creating a security group", partial(group_work.create, group=group))

    async def groups(self, seen_by: ProjectId | None, *, ids: Collection[str] | None = None) -> Sequence[SecurityGroup]:
        return await self._run("reading security groups", partial(group_work.groups, seen_by=seen_by, ids=ids))

    async def default_group(self, project: ProjectId) -> SecurityGroup | None:
        return await self._run("reading a default group", partial(group_work.default, project=project))

    async def update_group(
        self, group: str, change: Callable[[SecurityGroup], SecurityGroup], *, if_revision: int | None = None
    ) -> SecurityGroup:
        work = partial(group_work.change, now=self._clock.now(), group=group, rule=change, if_revision=if_revision)
        return await self._run(f"updating security group {group}", work)

    async def delete_group(self, group: str, *, if_revision: int | None = None) -> None:
        work = partial(group_work.remove, group=group, if_revision=if_revision)
        await self._run(f"deleting security group {group}", work)

    async def create_rules(self, rules: Sequence[SecurityGroupRule]) -> None:
        work = partial(group_work.create_rules, now=self._clock.now(), rules=rules)
        await self._run("creating security group rules", work)

    async def delete_rule(self, rule: str) -> None:
        work = partial(group_work.remove_rule, now=self._clock.now(), rule=rule)
        await self._run(f"deleting security group rule {rule}", work)

    async def members(self, groups: Collection[str]) -> Mapping[str, Sequence[tuple[NetworkId, str]]]:
        return await self._run("reading the members of groups", partial(group_work.members, groups=groups))

    async def hosts_using(self, groups: Collection[str]) -> AbstractSet[HostName]:
        return await self._run("reading hosts", partial(group_work.hosts_using, groups=groups))

    # ---- quotas

    async def quotas(self) -> Mapping[ProjectId, Mapping[str, int]]:
        found = await self._run("reading quotas", quota_work.quotas)
        return {ProjectId(project): own for project, own in found.items()}

    async def quotas_of(self, project: ProjectId) -> Mapping[str, int]:
        return await self._run(f"reading quotas of {project}", partial(quota_work.quotas_of, project=project))

    async def set_quotas(self, project: ProjectId, limits: Mapping[str, int]) -> None:
        work = partial(quota_work.change, project=project, limits=limits)
        await self._run(f"setting quotas of {project}", work)

    async def clear_quotas(self, project: ProjectId) -> None:
        await self._run(f"clearing quotas of {project}", partial(quota_work.clear, project=project))

    # ---- agents

    async def hear(self, agent: Agent) -> None:
        def work(session: Session) -> None:
            documents = session.scalars(_LOCK_AGENT, {"hosts": [agent.host]}).all()
            if not documents:
                session.add(AgentRow(host=agent.host, id=agent.id, document=encoded(agent)))
                return
            heard = replace(
                decoded(documents[0], Agent),
                started_at=agent.started_at,
                heard_at=agent.heard_at,
                has_dhcp=agent.has_dhcp,
                devices=agent.devices,
                pending=agent.pending,
            )
            session.execute(_HEARD, {"of": agent.host, "document": encoded(heard)})

        await self._run(f"noting a heartbeat of host {agent.host}", work)

    async def agents(self, *, hosts: Collection[HostName] | None = None) -> Sequence[Agent]:
        def work(session: Session) -> list[Agent]:
            query = _AGENTS if hosts is None else _AGENTS_ON
            documents = session.scalars(query, {"hosts": list(hosts or ())})
            return [decoded(document, Agent) for document in documents]

        return await self._run("reading agents", work)

    async def update_agent(self, agent: str, change: Callable[[Agent], Agent]) -> Agent:
        def work(session: Session) -> Agent:
            row = _agent(session, agent)
            after = change(decoded(row.document, Agent))
            row.document = encoded(after)
            return after

        return await self._run(f"updating agent {agent}", work)

    async def delete_agent(self, agent: str) -> None:
        await self._run(f"deleting agent {agent}", lambda session: session.delete(_agent(session, agent)))

    # ---- the outbox

    async def appended(self) -> None:
        await self._bell.heard()

    async def take(self, now: datetime, limit: int) -> Sequence[OutboxItem]:
        self._me = await self._bell.name()
        at = self._clock.monotonic()
        is_to_look = self._looked_at is None or at - self._looked_at >= LOOK_EVERY

        def work(session: Session) -> list[OutboxItem]:
            if is_to_look:
                outbox_work.free(session, self._bell.is_gone(outbox_work.TAKEN_BY))
            return outbox_work.take(session, now, limit, self._me)

        items = await self._run("taking from the outbox", work)
        if is_to_look:
            self._looked_at = at
        return items

    async def settle(self, judgements: Sequence[Judgement], now: datetime) -> None:
        work = partial(outbox_work.settle, judgements=judgements, now=now, dead_kept=self._dead_kept, me=self._me)
        await self._run("settling the outbox", work)

    async def untake(self) -> None:
        whose = or_(outbox_work.TAKEN_BY.in_([self._me]), self._bell.is_gone(outbox_work.TAKEN_BY))
        await self._run("freeing the outbox", partial(outbox_work.free, whose=whose))

    async def next_due(self, now: datetime) -> datetime | None:
        return await self._run("reading the outbox", partial(outbox_work.next_due, now=now))

    async def backlog(self) -> Backlog:
        return await self._run("reading the outbox", outbox_work.backlog)

    async def dead(self, limit: int = DEAD_KEPT) -> Sequence[DeadEvent]:
        return await self._run("reading dead events", partial(outbox_work.dead, limit=limit))


def _agent(session: Session, agent: str) -> AgentRow:
    row = session.scalar(select(AgentRow).where(AgentRow.id == agent).with_for_update())
    if row is None:
        raise NotFound(f"Agent {agent} could not be found.", kind="AgentNotFound")
    return row


_AGENTS = select(AgentRow.document).order_by(AgentRow.host)
_AGENTS_ON = _AGENTS.where(AgentRow.host.in_(bindparam("hosts", expanding=True)))
_LOCK_AGENT = _AGENTS_ON.with_for_update()
_TABLE = cast(Table, AgentRow.__table__)
_HEARD = update(_TABLE).where(_TABLE.c.host == bindparam("of"))
