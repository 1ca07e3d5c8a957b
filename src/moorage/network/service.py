"""The network service put together: its verbs, its side of the bus, its notifier."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Never, Protocol

from moorage.domain.agent import Agent
from moorage.kit.supervise import supervise
from moorage.network.agents import QUEUE, Agents
from moorage.network.dhcp import DhcpServers
from moorage.network.group_news import GroupNews
from moorage.network.neighbours import Neighbours
from moorage.network.networks import Networks
from moorage.network.notifier import Notifier
from moorage.network.ports import Ports
from moorage.network.security_groups import SecurityGroups
from moorage.network.subnets import Subnets
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.external_events import ExternalEvents
from moorage.seams.network_store import NetworkStore, Outbox
from moorage.seams.timeline import Timeline


class Store(NetworkStore, Outbox, Protocol):
    """Both in one database: news is written in the transaction that makes it true."""


@dataclass(frozen=True)
class NetworkService:
    """`new_id` makes dashed UUIDs, `new_mac` addresses of the prefix fa:16:3e."""

    store: Store
    bus: Bus
    clock: Clock
    timeline: Timeline
    external_events: ExternalEvents
    new_id: Callable[[], str]
    new_mac: Callable[[], str]

    async def run(self) -> Never:
        """Serve agents and tell compute, until cancelled. (HTTP is served by whoever has the application.)"""
        await supervise(
            [
                ("the network's side of the bus", partial(self.bus.serve, QUEUE, self.agents.handle)),
                ("notifier", self.notifier().run),
            ]
        )

    async def edit_agent(self, agent: str, fields: Mapping[str, Any]) -> Agent:
        """Change what admins may of an agent."""
        return await self.store.update_agent(agent, lambda before: replace(before, **fields))

    def notifier(self) -> Notifier:
        return Notifier(self.store, self.store, self.external_events, self.clock, self.timeline)

    @property
    def neighbours(self) -> Neighbours:
        return Neighbours(self.bus)

    @property
    def group_news(self) -> GroupNews:
        return GroupNews(self.store, self.bus)

    @property
    def networks(self) -> Networks:
        return Networks(self.store, self.clock, self.neighbours, self.new_id)

    @property
    def subnets(self) -> Subnets:
        return Subnets(self.store, self.clock, self.neighbours, self.timeline, self.networks, self.new_id)

    @property
    def groups(self) -> SecurityGroups:
        return SecurityGroups(self.store, self.group_news, self.clock, self.new_id)

    @property
    def ports(self) -> Ports:
        return Ports(
            store=self.store,
            clock=self.clock,
            timeline=self.timeline,
            neighbours=self.neighbours,
            group_news=self.group_news,
            networks=self.networks,
            groups=self.groups,
            dhcp=self.dhcp,
            new_id=self.new_id,
            new_mac=self.new_mac,
        )

    @property
    def agents(self) -> Agents:
        return Agents(self.store, self.clock, self.timeline, self.dhcp, self.group_news, self.new_id)

    @property
    def dhcp(self) -> DhcpServers:
        return DhcpServers(self.store, self.clock, self.new_mac)
