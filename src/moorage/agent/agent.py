"""The agent of one host: sees ports, asks for their details, wires them, proves it and says so (hops seen, wired)."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Never

import structlog

from moorage.agent.batches import Progress, Queue, progress
from moorage.agent.dhcp import DhcpServers
from moorage.agent.firewall import Firewall
from moorage.agent.plan import Known, is_wired, news_of
from moorage.agent.reporting import Reporting, mark
from moorage.agent.sorting import sort
from moorage.agent.telling import Telling
from moorage.agent.vlans import Vlans
from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.hops import Hop, SubFact
from moorage.domain.ids import HostName, NetworkId, PortId
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.switch import Interface, WirePlan, Wiring
from moorage.seams.timeline import Timeline
from moorage.wire import messages as wire

log = structlog.get_logger(__name__)

HEARTBEAT_EVERY = 3.0  # seconds; dead after 10
SOON = 1.0  # seconds between heartbeats of an agent that catches up: they tell how far it is
LOOK_EVERY = 10.0  # seconds between full looks
AGAIN_AFTER = 0.5  # seconds, when the network or the switch did not answer


@dataclass
class Agent:
    """One life of the agent."""

    host: HostName
    wiring: Wiring
    dhcp: DhcpServers
    firewall: Firewall
    bus: Bus
    clock: Clock
    timeline: Timeline
    known: dict[PortId, Known] = field(default_factory=dict)
    vlans: Vlans = field(default_factory=Vlans)
    progress: Progress | None = None  # while there is more to be wired than one batch
    _queue: Queue = field(default_factory=Queue)
    _not_before: dict[PortId, float] = field(default_factory=dict)  # monotonic: when what failed is tried again
    _dirty: set[PortId] = field(default_factory=set)  # to be asked about again
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # reports leave in their order

    def __post_init__(self) -> None:
        self._network = Reporting(self.host, self.bus)
        self._telling = Telling(self.host, self.clock, self.timeline)

    async def run(self) -> Never:
        """Serve the host until cancelled. The switch and the guests go on without us."""
        await self._network.begin()
        await supervise(
            [
                ("bridge", self._watch),
                ("wiring", self._keep_wiring),
                ("full look", self._keep_looking),
                ("DHCP", partial(self.dhcp.run, self._catch_up)),
                ("groups", partial(self.firewall.run, self._work.set)),
                ("messages", partial(self.bus.serve, f"agent.{self.host}", self.handle)),
                ("heartbeat", self._beat),
            ]
        )

    async def handle(self, message: wire.Message) -> None:
        """One message of the queue agent.<host>."""
        match message:
            case wire.PortsChanged(ports=ports, networks=networks):
                self._dirty.update(map(PortId, ports))
                self.dhcp.changed(map(NetworkId, networks))
                self._work.set()
            case wire.GroupsChanged(groups=groups):
                self.firewall.changed(groups)
            case _:
                log.warning("a message that is not for an agent", message=type(message).__name__)

    async def _watch(self) -> None:
        async for _ in self.wiring.watch():  # only a hint: what counts is the bridge as it is when we come to it
            self._work.set()

    async def _keep_wiring(self) -> Never:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                async with self._turn:
                    if await self._take(await self.wiring.look()):
                        self._work.set()
            except MoorageError as error:
                log.warning("could not wire; trying again", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
                self._work.set()

    async def _take(self, bridge: Mapping[PortId, Interface]) -> int:
        """Bring this bridge up to date by one batch, and tell the network what became of its ports.

        Returns how many ports are left for later batches.
        """
        for port in self._dirty & self.known.keys():
            self.known[port] = replace(self.known[port], is_stale=True)
        self._dirty.clear()
        try:
            self._look_at_vlans(bridge)
            due, gone = self._due(bridge)
            if gone:
                await self._let_go(gone, bridge)
            batch, began = self._queue.next(due), self.clock.monotonic()
            if batch:
                await self._wire(batch, bridge)
            else:
                await self._carry_out((), bridge)
        except Exception:
            self._work.set()
            raise
        left = len(due) - len(batch)
        self.progress = progress(self.progress, len(batch), left, began)
        self._say_progress()
        return left

    def _due(self, bridge: Mapping[PortId, Interface]) -> tuple[list[Interface], list[PortId]]:
        """What is to be looked at now, and what is gone; what has just failed has to wait."""
        fresh, gone = news_of(bridge, self.known, self.vlans.is_right)
        now = self.clock.monotonic()
        self._not_before = {port: at for port, at in self._not_before.items() if at > now and port in bridge}
        return [interface for interface in fresh if interface.port not in self._not_before], gone

    def _say_progress(self) -> None:
        made = self.progress
        if made is None:
            return
        rate = round(made.per_second(self.clock.monotonic()))
        log.info(
            f"catching up: {made.wired} of {made.of} ports are wired", wired=made.wired, of=made.of, per_second=rate
        )
        if made.wired == made.of:
            self.progress = None

    async def _let_go(self, gone: list[PortId], bridge: Mapping[PortId, Interface]) -> None:
        self.firewall.forget(gone)
        await self.wiring.unwire(gone, await self.firewall.shared(bridge))
        down = tuple(wire.PortMark(port=port, generation=self.known[port].generation) for port in gone)
        await self._network.report(down=down)
        for port in gone:
            del self.known[port]
            self._telling.gone(port)

    async def _wire(self, fresh: list[Interface], bridge: Mapping[PortId, Interface]) -> None:
        seen_at = self._telling.now()
        details = await self._network.details(fresh)
        for interface in fresh:
            found = details.get(interface.port)
            if found is not None and found.is_bound_here:
                self._telling.tell(Hop.SEEN, interface, found, seen_at)
                self.dhcp.seen(found)
        await self._wire_known(fresh, details, bridge)

    async def _wire_known(
        self, fresh: list[Interface], details: Mapping[str, wire.PortDetails], bridge: Mapping[PortId, Interface]
    ) -> None:
        await self.firewall.learn(group for found in details.values() for group in found.security_groups)
        was_wired = {interface.port for interface in fresh if is_wired(interface)}
        by_port = {interface.port: interface for interface in fresh}
        found = sort(fresh, details, self._plan)
        self._telling.set_aside(found.aside, by_port, details)
        off = [*found.refused, *(by_port[port] for port in found.aside)]
        leaving = [interface.port for interface in off]
        self.firewall.forget(leaving)
        failed = await self._carry_out(found.plans, bridge, leaving=leaving)
        self.firewall.forget(failed)
        done = [plan for plan in found.plans if plan.port not in failed]
        for plan in done:
            interface = by_port[plan.port]
            what = SubFact.REWIRED if plan.port in was_wired else Hop.WIRED
            self._telling.tell(what, interface, details[plan.port])
        for port, reason in (found.late | dict(failed)).items():
            log.warning("a port could not be wired; it is tried again", port=port, reason=reason)
        self._put_off(found.late.keys() | failed.keys())
        if off:
            await self.wiring.unwire(leaving, await self.firewall.shared(bridge, leaving=leaving))
        down = [one for one in off if one.port in details and (one.port not in found.aside or one.port in was_wired)]
        await self._network.report(up=tuple(mark(by_port[plan.port]) for plan in done), down=tuple(map(mark, down)))
        for plan in done:
            self.known[plan.port] = Known(plan.generation, plan.ofport, is_up=True, details=details[plan.port].digest)
        for interface in off:
            assert interface.ofport is not None  # news_of names no other
            self.known[interface.port] = Known(interface.generation, interface.ofport, is_up=False)

    def _plan(self, details: wire.PortDetails, interface: Interface) -> WirePlan:
        return self.firewall.plan(details, interface, self.vlans.of(self.host, NetworkId(details.network)))

    def _look_at_vlans(self, bridge: Mapping[PortId, Interface]) -> None:
        """Somebody else may have changed them: ports of our own are put right by whom they serve, others are news."""
        try:
            self.vlans.seen(self.host, bridge.values())
        except MoorageError as error:
            log.error("networks share a VLAN of this host", error=str(error))
        self.dhcp.misplaced(
            {
                interface.network
                for interface in bridge.values()
                if interface.is_service and interface.network is not None and not self.vlans.is_right(interface)
            }
        )

    async def _carry_out(
        self, plans: Sequence[WirePlan], bridge: Mapping[PortId, Interface], *, leaving: Collection[PortId] = ()
    ) -> Mapping[PortId, str]:
        """Have the switch do what is planned; VLANs that nothing on it bears any more are given back."""
        self.firewall.forget(self.firewall.ports.keys() - bridge.keys())  # some that were never wired
        shared = await self.firewall.shared(bridge, leaving=leaving)
        failed = await self.wiring.wire(plans, shared)
        if shared.is_all:
            shown = {seen.network for seen in bridge.values() if seen.network is not None}
            self.vlans.keep(self.host, shown | {place.network for place, _ in self.firewall.ports.values()})
        return failed

    async def _keep_looking(self) -> Never:
        """A full look at start and periodically: what was missed is found, what was lost is told again."""
        while True:
            try:
                await self._look()
            except MoorageError as error:
                log.warning("a full look failed; trying again", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
                continue
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self) -> None:
        began = await self._network.look_begins()
        for port in [port for port, known in self.known.items() if not known.is_up]:
            del self.known[port]  # ask again: it may be bound here by now
        first: set[PortId] | None = None
        while True:
            async with self._turn:  # given up between batches
                bridge = await self.wiring.look()
                if first is None:
                    first = {interface.port for interface in self._due(bridge)[0]}
                await self._take(bridge)
                bridge = await self.wiring.look()
                if not any(interface.port in first for interface in self._due(bridge)[0]):
                    up = tuple(
                        mark(interface, self.known[port].details)
                        for port, interface in bridge.items()
                        if self._is_up(port, interface)
                    )
                    if changed := await self._network.report_look(up, began):
                        log.warning("nobody has told us that ports are not what they were", ports=sorted(changed))
                        self._dirty |= changed
                        self._work.set()
                    break
        self.dhcp.changed_all()
        self.firewall.changed_all()

    async def _catch_up(self) -> None:
        """Return when the switch has all flows for what is on the bridge now. Raises Unavailable."""
        async with self._turn:
            if await self._take(await self.wiring.look()):
                self._work.set()

    def _put_off(self, ports: AbstractSet[PortId]) -> None:
        """These had their turn, in vain: they have another in a while."""
        if ports:
            at = self.clock.monotonic() + AGAIN_AFTER
            self._not_before.update(dict.fromkeys(ports, at))
            asyncio.get_running_loop().call_later(AGAIN_AFTER + 0.01, self._work.set)  # not a moment too early

    def _is_up(self, port: PortId, interface: Interface) -> bool:
        known = self.known.get(port)
        return known is not None and known.is_up and is_wired(interface)

    async def _beat(self) -> Never:
        started = self.clock.now()
        while True:
            left = 0 if self.progress is None else self.progress.of - self.progress.wired
            beat = wire.AgentHeartbeat(
                host=self.host, started_at=started, has_dhcp=True, devices=len(self.known), pending=left
            )
            try:
                await self.bus.call("network", beat, timeout=HEARTBEAT_EVERY)  # a lost one misses no other
            except Unavailable as error:
                log.warning("the network did not take the heartbeat", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
            else:
                await asyncio.sleep(SOON if left else HEARTBEAT_EVERY)
