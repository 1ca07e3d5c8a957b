"""The one way up (hops plugged, woken, running) and the one way down, both repeatable from any half-done state."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from moorage.compute.expectations import Expectations, Expected
from moorage.compute.images import Images
from moorage.compute.nics import BindingFailed, Nics, described
from moorage.compute.patience import patiently
from moorage.compute.records import NotOurs, Records
from moorage.domain.errors import MoorageError, NotFound, Unavailable, VirtualInterfaceCreateException
from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import Generation, HostName, NetworkId, PortId, ServerId, device_name
from moorage.domain.server import Server
from moorage.kit.retry import retry
from moorage.seams.clock import Clock
from moorage.seams.hypervisor import Guest, GuestState, Hypervisor, Nic
from moorage.seams.network_api import NetworkInfo, NetworkPort
from moorage.seams.switch import Plugging, Vif
from moorage.seams.timeline import Timeline

log = structlog.get_logger(__name__)

BINDING_PATIENCE = 60.0  # seconds for an agent to be heard again; compute API moves a boot much sooner, where it can
LAST_LOOK = 5.0  # seconds for the look before giving up
GUEST_DEATHS = 2  # how often a guest may die while it is held, before its boot fails
SHORTEST_PLUG = 5.0  # seconds that plugging gets in any case, also in a re-run when time is up


@dataclass(frozen=True)
class PluggingRules:
    """The two settings that rule the wait, as in nova.conf."""

    timeout: float = 300.0  # seconds, wall-clock, for all VIFs of an attempt; 0: never wait
    is_fatal: bool = True


@dataclass(frozen=True)
class Boot:
    """Brings servers up on one host, and takes them down."""

    host: HostName
    rules: PluggingRules
    records: Records
    nics: Nics
    switch: Plugging
    hypervisor: Hypervisor
    images: Images
    expectations: Expectations
    clock: Clock
    timeline: Timeline

    async def bring_up(self, server: Server) -> None:
        """From the record to a running guest: the ten hops' compute side.

        Each step is tried again while a neighbour is Unavailable; the wait for the ports has the stored deadline.
        Raises VirtualInterfaceCreateException, NotOurs, and what the seams raise. Leaves what it made: who calls tears
        down, or runs it again.
        """
        generation = server.generation
        if generation is None:
            raise NotOurs(f"server {server.id} has no attempt under way")
        bring = partial(patiently, partial(self.nics.bring, server, generation))
        ports = await retry(bring, on=BindingFailed, timeout=BINDING_PATIENCE)
        networks = await patiently(partial(self.nics.networks, ports))
        if not await patiently(partial(self.records.nics_known, server, described(ports, networks))):
            raise NotOurs(server.id)
        hold = partial(patiently, partial(self._hold, server, ports, networks))
        if not await patiently(partial(self._was_let_run, server.id)):
            vifs = [_vif(server, port, generation) for port in ports]
            await hold()
            await self._plug_and_wait(server, generation, ports, vifs)
        if not await patiently(partial(self.records.may_run, server)):
            raise NotOurs(server.id)
        await self._let_run(server, hold)
        self._tell(Hop.RUNNING, server)

    async def _let_run(self, server: Server, hold: Callable[[], Awaitable[None]]) -> None:
        """The held guest runs. One that died while it was held is made anew: its ports are as ready as they were."""
        for _ in range(GUEST_DEATHS):
            try:
                await patiently(partial(self.hypervisor.resume, server.id))
            except NotFound:
                log.warning("the guest died while it was held; it is made anew", server=server.id)
                await hold()
            else:
                return
        await patiently(partial(self.hypervisor.resume, server.id))

    async def _was_let_run(self, server: ServerId) -> bool:
        """Whether the guest executes, or has and was paused: it was let run before a crash, and the wait is over."""
        return await self.hypervisor.state(server) in (GuestState.RUNNING, GuestState.PAUSED)

    async def _hold(
        self, server: Server, ports: Sequence[NetworkPort], networks: Mapping[NetworkId, NetworkInfo]
    ) -> None:
        mtus = {network.id: network.mtu for network in networks.values()}
        guest = Guest(
            server=server.id,
            name=server.hostname or server.name,
            vcpus=server.flavor.vcpus,
            memory_mib=server.flavor.ram,
            disk_gib=server.flavor.disk,
            image=await self.images.ready(server.image, server.project),
            nics=tuple(
                Nic(port=port.id, mac=port.mac, device=device_name(port.id), mtu=mtus.get(port.network, 1500))
                for port in ports
            ),
        )
        await self.hypervisor.create_stopped(guest)
        self._tell(SubFact.HELD, server)

    async def _plug_and_wait(
        self, server: Server, generation: Generation, ports: Sequence[NetworkPort], vifs: Sequence[Vif]
    ) -> None:
        waits = self.rules.timeout > 0
        wanted = self.clock.now() + timedelta(seconds=self.rules.timeout) if waits else None
        stored = await patiently(partial(self.records.plug_began, server, wanted))
        if stored is None:
            raise NotOurs(server.id)
        deadline = stored.plug_deadline
        unready = [port.id for port in ports if not port.is_ready(generation)] if deadline is not None else []
        with self.expectations.of(server.id, unready, generation) as expected:
            unplugged = await self._plug(server, vifs, timeout=self._left(stored))
            silent = frozenset[PortId]()
            if deadline is not None and unready:
                silent = await expected.missing(deadline, self.clock)
                if silent:
                    silent = await self._last_look(expected, silent)
        silent |= unplugged
        if not silent:
            return
        reached = {str(port): await self._reached(expected, port, unplugged) for port in silent}
        if self.rules.is_fatal and deadline is not None:
            raise VirtualInterfaceCreateException(reached, self.rules.timeout, broken=frozenset(expected.broken))
        log.warning("ports are not ready in time; the guest runs all the same", server=server.id, ports=reached)

    def _left(self, stored: Server) -> float:
        """Seconds that plugging may take: until the stored deadline, which covers it too."""
        if stored.plug_deadline is None:
            return self.rules.timeout or SHORTEST_PLUG
        return max(SHORTEST_PLUG, (stored.plug_deadline - self.clock.now()).total_seconds())

    async def _plug(self, server: Server, vifs: Sequence[Vif], *, timeout: float) -> frozenset[PortId]:
        """Plug all VIFs; the ports for which the switch did not take it in time."""
        waiting = {vif.port for vif in vifs}
        try:
            async with asyncio.timeout(timeout):
                for vif in vifs:
                    await patiently(partial(self.switch.plug, vif))
                    waiting.discard(vif.port)
                    self._tell(Hop.PLUGGED, server, vif.port)
        except (TimeoutError, Unavailable) as error:
            log.warning("the switch did not take all VIFs", server=server.id, ports=sorted(waiting), error=str(error))
        return frozenset(waiting)

    async def _last_look(self, expected: Expected, silent: frozenset[PortId]) -> frozenset[PortId]:
        """Before giving up, look once: an event may have been lost, the port's status is the truth."""
        try:
            async with asyncio.timeout(LAST_LOOK):
                await self.expectations.look(silent)
        except (TimeoutError, Unavailable) as error:
            log.warning("the last look failed", server=expected.server, error=str(error))
        return frozenset(expected.silent)

    async def _reached(self, expected: Expected, port: PortId, unplugged: frozenset[PortId]) -> str:
        """The hop that a silent port had reached, from its status and the agent's mark on the switch."""
        if port in unplugged:
            return Hop.BOUND.value
        try:
            if await self.switch.wired(port) == expected.generation:
                return Hop.WIRED.value
        except Unavailable as error:
            log.warning("the switch could not be asked what was wired", port=port, error=str(error))
        return (Hop.SEEN if expected.statuses.get(port) == "BUILD" else Hop.PLUGGED).value

    async def take_down(self, server: Server, *, keeps_guest: bool) -> None:
        """Guest off, VIFs unplugged, then ports deleted or unbound (not with `keeps_guest`: a stop, a failed start).

        From any half-done state, repeatable. Raises Unavailable (run it again).
        """
        await self.clear_host(server.id, keeps_guest=keeps_guest)
        if not keeps_guest:
            await self.nics.release(server)

    async def clear_host(self, server: ServerId, *, keeps_guest: bool = False) -> None:
        """The part of a server that is on this host: the guest, then its VIFs. Nothing shared is touched."""
        if keeps_guest:
            await self.hypervisor.power_off(server)
        else:
            await self.hypervisor.destroy(server)
        self.timeline.tell(self._fact(SubFact.POWERED_OFF, server, None, None, None))
        for vif in [vif for vif in (await self.switch.plugged()).values() if vif.server == server]:
            await self.switch.unplug(vif.port)
            self.timeline.tell(self._fact(SubFact.UNPLUGGED, server, vif.port, vif.generation, None))

    def told_woken(self, server: ServerId, port: PortId, generation: Generation, why: str) -> None:
        """Expectations' word that a port was found ready."""
        fact = self._fact(Hop.WOKEN, server, port, generation, None)
        self.timeline.tell(fact if why == "event" else replace(fact, detail=f"found by a {why}"))

    def tell_failed(self, server: Server, why: str) -> None:
        """The boot has failed, and what it made here is gone."""
        fact = self._fact(SubFact.FAILED, server.id, None, server.generation, server.attempt)
        self.timeline.tell(replace(fact, detail=why))

    def _tell(self, what: Hop | SubFact, server: Server, port: PortId | None = None) -> None:
        self.timeline.tell(self._fact(what, server.id, port, server.generation, server.attempt))

    def _fact(
        self,
        what: Hop | SubFact,
        server: ServerId,
        port: PortId | None,
        generation: Generation | None,
        attempt: int | None,
    ) -> Fact:
        return Fact(
            what=what,
            wall=self.clock.now(),
            monotonic=self.clock.monotonic(),
            who="compute",
            server=server,
            port=port,
            generation=generation,
            attempt=attempt,
            host=self.host,
        )


def _vif(server: Server, port: NetworkPort, generation: Generation) -> Vif:
    return Vif(port.id, server.id, port.mac, device_name(port.id), generation)


def fault_of(error: Exception) -> str:
    """What a server's owner reads in its fault: the error's own words, nothing of hosts or agents."""
    match error:
        case VirtualInterfaceCreateException():
            return str(error)
        case MoorageError():
            return f"Failed to start the server: {error.message}"
        case _:
            return "Failed to start the server: an internal error, which the host's log tells."


_BLAME: Mapping[str, str] = {
    Hop.BOUND.value: "the host's switch did not take the VIF: is ovsdb-server alive?",
    Hop.PLUGGED.value: "the host's network agent saw no VIF that is open: is it running, and is ovs-vswitchd?",
    Hop.SEEN.value: "the host's network agent saw the VIF and did not wire it: is ovs-vswitchd alive? See its timeline",
    Hop.WIRED.value: "the VIF is wired; the network has not made the port ready: DHCP, or the network service",
}


def details_of(error: Exception, host: HostName) -> str:
    """What an admin reads besides: where it happened, and which part was silent."""
    if isinstance(error, VirtualInterfaceCreateException):
        told = "; ".join(f"port {port}: {_BLAME[hop]}" for port, hop in sorted(error.silent.items()))
        return f"host {host}: {told}"
    return f"host {host}: {type(error).__name__}: {error}"
