"""What agents say and ask on the bus: heartbeats, details, reports (hop ready)."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

import structlog

from moorage.domain.agent import Agent
from moorage.domain.dhcp import Reserved, dhcp_reported
from moorage.domain.errors import Invalid, MoorageError
from moorage.domain.ids import Generation, HostName, PortId
from moorage.domain.port import (
    Mark,
    Port,
    PortStatus,
    Report,
    absent,
    details_asked,
    is_bound,
    reported_down,
    reported_up,
)
from moorage.network.dhcp import DhcpServers
from moorage.network.facts import facts_of
from moorage.network.group_news import GroupNews
from moorage.seams.clock import Clock
from moorage.seams.network_store import Changed, NetworkStore, PortRule
from moorage.seams.timeline import Timeline
from moorage.wire.messages import (
    AgentHeartbeat,
    Details,
    DetailsWanted,
    DhcpPortMark,
    DhcpReady,
    DhcpWanted,
    Done,
    GroupsWanted,
    LookBegan,
    LookBegins,
    Looked,
    Message,
    PortDetails,
    PortMark,
    Reports,
)

log = structlog.get_logger(__name__)
QUEUE = "network"
AT_ONCE = 32  # ports: 7 ms at most, when each becomes ready
AWAITING = frozenset(PortStatus) - {PortStatus.ACTIVE}  # a server names all its reservations: few are news


@dataclass(frozen=True)
class Agents:
    """The network's side of the bus. A message's ports are changed AT_ONCE in a transaction, so that a host that comes
    back with many stops nobody for longer; one bad port never holds up another."""

    store: NetworkStore
    clock: Clock
    timeline: Timeline
    dhcp: DhcpServers
    group_news: GroupNews
    new_id: Callable[[], str]

    async def handle(self, message: Message) -> Message:
        """Answer one message of the queue "network". Raises Invalid for one that does not belong here."""
        match message:
            case Reports(complete=True):
                return await self._looked(message)
            case Reports():
                await self._reports(message)
            case DetailsWanted():
                return await self._details(message)
            case DhcpReady():
                await self._dhcp_ready(message)
            case DhcpWanted():
                return await self.dhcp.wanted(HostName(message.host), message.networks)
            case GroupsWanted():
                return await self.group_news.wanted(message)
            case LookBegins():
                return LookBegan(at=self.clock.now())
            case AgentHeartbeat():
                await self._heard(message)
            case _:
                raise Invalid(f"{type(message).__name__} is not for the network")
        return Done()  # to one who calls; a cast's answer goes nowhere

    async def _heard(self, message: AgentHeartbeat) -> None:
        now = self.clock.now()
        agent = Agent(
            id=self.new_id(),
            host=HostName(message.host),
            created_at=now,
            started_at=message.started_at,
            heard_at=now,
            has_dhcp=message.has_dhcp,
            devices=message.devices,
            pending=message.pending,
        )
        await self.store.hear(agent)

    async def _details(self, message: DetailsWanted) -> Details:
        host, mark = HostName(message.host), Mark(message.epoch, message.sequence)
        asked = {PortId(one.port): _report(host, mark, one) for one in message.ports}
        rules: dict[PortId, PortRule] = {port: partial(details_asked, report=report) for port, report in asked.items()}
        done = await self._change(rules)
        return Details(ports=tuple(_details(done.get(port), report, port) for port, report in asked.items()))

    async def _reports(self, message: Reports) -> None:
        host, mark = HostName(message.host), Mark(message.epoch, message.sequence)
        up = _each(host, mark, message.up)
        down = _each(host, mark, message.down)

        def change(port: Port) -> Port:
            if port.id in down:
                port = reported_down(port, down[port.id])
            if port.id in up:
                port = reported_up(port, up[port.id])
            return port

        await self._change(dict.fromkeys((*down, *up), change))

    async def _looked(self, message: Reports) -> Looked:
        """What an agent was not told, or missed, it is told now."""
        host, mark = HostName(message.host), Mark(message.epoch, message.sequence)
        up = _each(host, mark, message.up)

        def looked(port: Port) -> Port:
            report = up.get(port.id)
            if report is not None and port.binding.generation in (None, report.generation):
                return reported_up(port, report)
            return port if message.look_began is None else absent(port, host, mark, message.look_began)

        ports = await self._change(dict.fromkeys(await self.store.bound_to(host), looked))
        wired_by = {PortId(one.port): one.details for one in message.up if one.details is not None}
        now = {port: _details(ports.get(port), up[port], port).digest for port in wired_by}
        return Looked(changed=tuple([port for port, digest in wired_by.items() if digest != now[port]]))

    async def _dhcp_ready(self, message: DhcpReady) -> None:
        host = HostName(message.host)
        read = {PortId(mark.port): _reserved(host, mark) for mark in message.marks}

        awaiting = [port for port in await self.store.bound_to(host, statuses=AWAITING) if port in read]
        rules: dict[PortId, PortRule] = {port: partial(dhcp_reported, read=read[port]) for port in awaiting}
        await self._change(rules, is_dhcp=True)

    async def _change(self, rules: Mapping[PortId, PortRule], *, is_dhcp: bool = False) -> Mapping[PortId, Port]:
        """Change these ports, piece by piece; the ports as they are then."""
        changed: dict[PortId, Port] = {}
        for first in range(0, len(rules), AT_ONCE):
            piece = dict(islice(rules.items(), first, first + AT_ONCE))
            changed |= self._told(await self.store.update_each(piece), is_dhcp=is_dhcp)
            await asyncio.sleep(0)  # others have their turn
        return changed

    def _told(self, done: Mapping[PortId, Changed | MoorageError], *, is_dhcp: bool) -> Mapping[PortId, Port]:
        """The ports as they are now; their facts go to the timeline, refusals to the log."""
        ports = {}
        wall, monotonic = self.clock.now(), self.clock.monotonic()
        for port, outcome in done.items():
            if isinstance(outcome, MoorageError):
                log.info("a report did not change a port", port=port, why=outcome.message)
                continue
            ports[port] = outcome.after
            for fact in facts_of(outcome.before, outcome.after, wall=wall, monotonic=monotonic, is_dhcp=is_dhcp):
                self.timeline.tell(fact)
        return ports


def _report(host: HostName, mark: Mark, one: PortMark) -> Report:
    return Report(host=host, generation=None if one.generation is None else Generation(one.generation), mark=mark)


def _each(host: HostName, mark: Mark, ports: Iterable[PortMark]) -> Mapping[PortId, Report]:
    return {PortId(one.port): _report(host, mark, one) for one in ports}


def _reserved(host: HostName, mark: DhcpPortMark) -> Reserved:
    generation = None if mark.generation is None else Generation(mark.generation)
    return Reserved(host=host, generation=generation, mac=mark.mac, addresses=frozenset(mark.addresses))


def _details(port: Port | None, report: Report, asked: PortId) -> PortDetails:
    """What the agent of `report`'s host must know; a device of another generation than the bound one is not ours."""
    if port is None or not is_bound(port) or port.binding.host != report.host:
        return PortDetails(port=asked, is_bound_here=False)
    if port.binding.generation not in (None, report.generation):
        return PortDetails(port=asked, is_bound_here=False, generation=port.binding.generation)
    return PortDetails(
        port=port.id,
        is_bound_here=True,
        network=port.network_id,
        generation=port.binding.generation,
        mac=port.mac_address,
        addresses=tuple(ip.ip_address for ip in port.fixed_ips),
        admin_state_up=port.admin_state_up,
        port_security_enabled=port.port_security_enabled,
        allowed_address_pairs=tuple(dict(pair) for pair in port.allowed_address_pairs),
        security_groups=port.security_groups,
        server=port.device_id,
    )
