"""The agent of one host: sees ports, asks for their details, wires them, proves it and says so (hops seen, wired)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Never

import structlog

from moorage.agent.dhcp import DhcpServers
from moorage.agent.plan import Known, is_wired, news_of, plan_for, vlan_for, vlans_of
from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ServerId
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.clock import Clock
from moorage.seams.switch import Interface, WirePlan, Wiring
from moorage.seams.timeline import Timeline
from moorage.wire import messages as wire

log = structlog.get_logger(__name__)

HEARTBEAT_EVERY = 3.0  # seconds; dead after 10
LOOK_EVERY = 10.0  # seconds between full looks
AGAIN_AFTER = 0.5  # seconds, when the network or the switch did not answer


@dataclass
class Agent:
    """One life of the agent: `epoch` orders its reports after those of earlier lives."""

    host: HostName
    wiring: Wiring
    dhcp: DhcpServers
    bus: Bus
    clock: Clock
    timeline: Timeline
    epoch: int = 0
    sequence: int = 0
    known: dict[PortId, Known] = field(default_factory=dict)
    vlans: dict[NetworkId, int] = field(default_factory=dict)
    _dirty: set[PortId] = field(default_factory=set)  # to be asked about again
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # reports leave in their order

    async def run(self) -> Never:
        """Serve the host until cancelled. The switch and the guests go on without us."""
        self.epoch = await self._begin()
        await supervise(
            [
                ("bridge", self._watch),
                ("wiring", self._keep_wiring),
                ("full look", self._keep_looking),
                ("DHCP", self.dhcp.run),
                ("messages", partial(self.bus.serve, f"agent.{self.host}", self.handle)),
                ("heartbeat", self._beat),
            ]
        )

    async def _begin(self) -> int:
        """When this life began, by the network's clock: our own may be set back between two lives, and then the
        reports of the later one would be taken for older. In ns since 1970."""
        while True:
            try:
                began = await self._look_begins()
            except Unavailable as error:
                log.warning("the network does not answer; trying again", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
            else:
                return int(began.timestamp() * 1_000_000_000)

    async def _look_begins(self) -> datetime:
        began = await self.bus.call("network", wire.LookBegins(host=self.host))
        if not isinstance(began, wire.LookBegan):
            raise Unavailable(f"network answered {type(began).__name__}, not LookBegan")
        return began.at

    async def handle(self, message: wire.Message) -> None:
        """One message of the queue agent.<host>."""
        match message:
            case wire.PortsChanged(ports=ports, networks=networks):
                self._dirty.update(map(PortId, ports))
                self.dhcp.changed(map(NetworkId, networks))
                self._work.set()
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
                    await self._take(await self.wiring.look())
            except MoorageError as error:
                log.warning("could not wire; trying again", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
                self._work.set()

    async def _take(self, bridge: Mapping[PortId, Interface]) -> None:
        """Bring this bridge up to date, and tell the network what became of its ports."""
        dirty, self._dirty = self._dirty, set()
        try:
            for port in dirty:
                self.known.pop(port, None)
            fresh, gone = news_of(bridge, self.known)
            if gone:
                await self._let_go(gone)
            if fresh:
                await self._wire(fresh, bridge)
        except Exception:
            self._dirty |= dirty
            self._work.set()
            raise

    async def _let_go(self, gone: list[PortId]) -> None:
        await self.wiring.unwire(gone)
        down = tuple(wire.PortMark(port=port, generation=self.known[port].generation) for port in gone)
        await self._report(down=down)
        for port in gone:
            del self.known[port]

    async def _wire(self, fresh: list[Interface], bridge: Mapping[PortId, Interface]) -> None:
        seen_at, seen_monotonic = self.clock.now(), self.clock.monotonic()
        self.sequence += 1
        wanted = wire.DetailsWanted(
            host=self.host, epoch=self.epoch, sequence=self.sequence, ports=tuple(map(_mark, fresh))
        )
        answer = await self.bus.call("network", wanted)
        if not isinstance(answer, wire.Details):
            raise Unavailable(f"network answered {type(answer).__name__}, not Details")
        details = {found.port: found for found in answer.ports}
        for interface in fresh:
            found = details.get(interface.port)
            if found is not None and found.is_bound_here:
                self._tell(Hop.SEEN, interface, found, seen_at, seen_monotonic)
        await self._wire_known(fresh, details, bridge)

    async def _wire_known(
        self, fresh: list[Interface], details: Mapping[str, wire.PortDetails], bridge: Mapping[PortId, Interface]
    ) -> None:
        plans: list[WirePlan] = []
        refused: list[Interface] = []
        self.vlans.update(vlans_of(bridge.values()))
        for interface in fresh:
            found = details.get(interface.port)
            if found is None or not found.is_bound_here or not found.admin_state_up:
                refused.append(interface)
                continue
            network = NetworkId(found.network)
            try:
                self.vlans[network] = vlan_for(network, self.vlans)
                plans.append(plan_for(found, interface, self.vlans[network]))
            except MoorageError as error:
                log.error("a port cannot be wired", port=interface.port, error=str(error))
        was_wired = {interface.port for interface in fresh if is_wired(interface)}
        failed = await self.wiring.wire(plans) if plans else {}
        done = [plan for plan in plans if plan.port not in failed]
        by_port = {interface.port: interface for interface in fresh}
        for plan in done:
            interface = by_port[plan.port]
            what = SubFact.REWIRED if plan.port in was_wired else Hop.WIRED
            self._tell(what, interface, details[plan.port], self.clock.now(), self.clock.monotonic())
        for port, reason in failed.items():
            log.warning("a port could not be wired; it is tried again", port=port, reason=reason)
        if failed:
            asyncio.get_running_loop().call_later(AGAIN_AFTER, self._work.set)
        if refused:
            await self.wiring.unwire([interface.port for interface in refused])
        down = [interface for interface in refused if details.get(interface.port) is not None]
        await self._report(up=tuple(_mark(by_port[plan.port]) for plan in done), down=tuple(map(_mark, down)))
        for plan in done:
            self.known[plan.port] = Known(plan.generation, plan.ofport, is_up=True)
        for interface in refused:
            assert interface.ofport is not None  # news_of names no other
            self.known[interface.port] = Known(interface.generation, interface.ofport, is_up=False)

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
        began = await self._look_begins()
        async with self._turn:
            bridge = await self.wiring.look()
            for port in [port for port, known in self.known.items() if not known.is_up]:
                del self.known[port]  # ask again: it may be bound here by now
            await self._take(bridge)
            bridge = await self.wiring.look()
            up = tuple(_mark(interface) for port, interface in bridge.items() if self._is_up(port, interface))
            await self._report(up=up, look_began=began, complete=True)
        self.dhcp.changed_all()

    def _is_up(self, port: PortId, interface: Interface) -> bool:
        known = self.known.get(port)
        return known is not None and known.is_up and is_wired(interface)

    async def _report(
        self,
        *,
        up: tuple[wire.PortMark, ...] = (),
        down: tuple[wire.PortMark, ...] = (),
        complete: bool = False,
        look_began: datetime | None = None,
    ) -> None:
        if not (up or down or complete):
            return
        self.sequence += 1
        await self.bus.call(
            "network",
            wire.Reports(
                host=self.host,
                epoch=self.epoch,
                sequence=self.sequence,
                up=up,
                down=down,
                complete=complete,
                look_began=look_began,
            ),
        )

    async def _beat(self) -> Never:
        started = self.clock.now()
        while True:
            beat = wire.AgentHeartbeat(host=self.host, started_at=started, has_dhcp=True, devices=len(self.known))
            try:
                await self.bus.call("network", beat)
            except Unavailable as error:
                log.warning("the network did not take the heartbeat", error=str(error))
            await asyncio.sleep(HEARTBEAT_EVERY)

    def _tell(
        self, what: Hop | SubFact, interface: Interface, details: wire.PortDetails, wall: datetime, monotonic: float
    ) -> None:
        self.timeline.tell(
            Fact(
                what=what,
                wall=wall,
                monotonic=monotonic,
                who="agent",
                server=ServerId(details.server) if details.server else None,
                port=interface.port,
                generation=Generation(interface.generation) if interface.generation else None,
                host=self.host,
            )
        )


def _mark(interface: Interface) -> wire.PortMark:
    return wire.PortMark(port=interface.port, generation=interface.generation)
