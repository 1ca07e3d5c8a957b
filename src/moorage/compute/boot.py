"""The one way up (hops plugged, woken, running) and the one way down, both repeatable from any half-done state."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from moorage.compute.expectations import Expectations, Expected
from moorage.compute.images import Images
from moorage.compute.nics import Nics
from moorage.compute.records import Records
from moorage.domain.errors import Conflict, MoorageError, Unavailable, VirtualInterfaceCreateException
from moorage.domain.hops import Fact, Hop, SubFact
from moorage.domain.ids import Generation, HostName, PortId, ServerId, device_name
from moorage.domain.server import Server
from moorage.seams.clock import Clock
from moorage.seams.hypervisor import Guest, GuestState, Hypervisor, Nic
from moorage.seams.network_api import NetworkApi, NetworkPort
from moorage.seams.switch import Plugging, Vif
from moorage.seams.timeline import Timeline

log = structlog.get_logger(__name__)

LAST_LOOK = 2.0  # seconds for the look before giving up


class NotOurs(Exception):
    """The attempt is not the server's any more: what it made here goes, what is shared is left alone."""


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
    network: NetworkApi
    switch: Plugging
    hypervisor: Hypervisor
    images: Images
    expectations: Expectations
    clock: Clock
    timeline: Timeline

    async def bring_up(self, server: Server) -> None:
        """From the record to a running guest: the ten hops' compute side.

        Raises VirtualInterfaceCreateException, NotOurs, and what the seams raise. Leaves what it made: who calls tears
        down, or runs it again.
        """
        generation = server.generation
        if generation is None:
            raise NotOurs(f"server {server.id} has no attempt under way")
        ports = await self.nics.bring(server, generation)
        if not await self.records.nics_known(server, await self.nics.describe(server, ports)):
            raise NotOurs(server.id)
        if not await self._is_running(server.id):
            vifs = [_vif(server, port, generation) for port in ports]
            await self._hold(server, ports, vifs)
            await self._plug_and_wait(server, generation, ports, vifs)
        if not await self.records.may_run(server):
            raise NotOurs(server.id)
        await self.hypervisor.resume(server.id)
        self._tell(Hop.RUNNING, server)

    async def _is_running(self, server: ServerId) -> bool:
        """A guest that runs already was let run by this attempt before a crash: the wait is over."""
        return (await self.hypervisor.states()).get(server) is GuestState.RUNNING

    async def _hold(self, server: Server, ports: Sequence[NetworkPort], vifs: Sequence[Vif]) -> None:
        for vif in vifs:
            await self.switch.prepare(vif)
        mtus = await self.nics.mtus(ports)
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
        stored = await self.records.plug_began(server, wanted)
        if stored is None:
            raise NotOurs(server.id)
        deadline = stored.plug_deadline
        unready = [port.id for port in ports if not port.is_ready(generation)] if deadline is not None else []
        with self._expect(server, unready, generation) as expected:
            await self._plug(server, vifs, timeout=self._left(server, stored))
            if deadline is None:
                return
            silent = await expected.missing(deadline, self.clock)
            if silent:
                silent = await self._last_look(expected, silent)
        if not silent:
            return
        if self.rules.is_fatal:
            raise VirtualInterfaceCreateException({port: expected.reached(port) for port in silent}, self.rules.timeout)
        log.warning("ports are not ready in time; the guest runs all the same", server=server.id, ports=sorted(silent))

    def _expect(
        self, server: Server, ports: Sequence[PortId], generation: Generation
    ) -> AbstractContextManager[Expected]:
        return self.expectations.of(server.id, ports, generation)

    def _left(self, server: Server, stored: Server) -> float | None:
        """Seconds until the stored deadline, which covers plugging too; None when nobody waits."""
        if stored.plug_deadline is None:
            return None
        return max(0.0, (stored.plug_deadline - self.clock.now()).total_seconds())

    async def _plug(self, server: Server, vifs: Sequence[Vif], *, timeout: float | None) -> None:
        silent = {vif.port for vif in vifs}
        try:
            async with asyncio.timeout(timeout):
                for vif in vifs:
                    await self.switch.plug(vif)
                    silent.discard(vif.port)
                    self._tell(Hop.PLUGGED, server, vif.port)
        except TimeoutError:
            raise VirtualInterfaceCreateException({port: "bound" for port in silent}, self.rules.timeout) from None

    async def _last_look(self, expected: Expected, silent: frozenset[PortId]) -> frozenset[PortId]:
        """Before giving up, look once: an event may have been lost, the port's status is the truth."""
        try:
            async with asyncio.timeout(LAST_LOOK):
                await self.expectations.look(silent)
        except (TimeoutError, Unavailable) as error:
            log.warning("the last look failed", server=expected.server, error=str(error))
        return frozenset(expected.silent)

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
        case Conflict() | MoorageError():
            return f"Failed to start the server: {error.message}"
        case _:
            return "Failed to start the server: an internal error, which the host's log tells."
