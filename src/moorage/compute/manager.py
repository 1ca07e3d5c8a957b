"""What a host does: one job at a time for each server, taken from its record, again and again until it is done."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Never

import structlog

from moorage.compute.boot import Boot, details_of, fault_of
from moorage.compute.nics import BindingFailed
from moorage.compute.patience import for_ever, patiently
from moorage.compute.records import NotOurs
from moorage.compute.sweeping import Sweeper
from moorage.domain.errors import Exhausted, NotFound, Unavailable, VirtualInterfaceCreateException
from moorage.domain.events import EventName
from moorage.domain.ids import PortId, ServerId
from moorage.domain.server import Job, PowerState, Server, ServerEvent, VmState, has_guest, job_of
from moorage.kit.per_key import PerKey
from moorage.kit.supervise import supervise
from moorage.seams.bus import Bus
from moorage.seams.hypervisor import GuestState
from moorage.wire import messages as wire

log = structlog.get_logger(__name__)

HEARTBEAT_EVERY = 3.0  # seconds; dead after 10
HEARTBEAT_AGAIN = 0.5  # seconds, when it was not taken: whoever starts is soon known
RECONCILE_EVERY = 5.0  # seconds
AGAIN_AFTER = 0.5  # seconds, when compute API or the host's own parts did not answer
STOP_PATIENCE = 5.0  # seconds a guest's OS gets to switch itself off


@dataclass(frozen=True)
class Capacity:
    """What the host offers to the scheduler."""

    vcpus: int
    memory_mib: int
    disk_gib: int
    hypervisor_type: str


@dataclass(frozen=True)
class ComputeHost:
    """The manager of one host."""

    boot: Boot
    bus: Bus
    capacity: Capacity
    jobs: PerKey[ServerId] = field(default_factory=PerKey)
    _looks: PerKey[ServerId] = field(default_factory=PerKey)  # after guests that ended, once no job of theirs goes on

    async def run(self) -> Never:
        """Serve the host until cancelled. A job that is cut off is found unfinished and run again at the next start."""
        await supervise(
            [
                ("jobs", self.jobs.run),
                ("looks after ends", self._looks.run),
                ("messages", partial(self.bus.serve, f"compute.{self.boot.host}", self.handle)),
                ("heartbeat", self._beat),
                ("reconcile", self._reconcile),
                ("sweeps", Sweeper(self.boot.nics, self.boot.records, self._is_busy).run),
                ("looks", self.boot.expectations.keep_looking),
                ("looks after reconnects", self._look_after_reconnects),
                ("ended guests", self._watch_ended),
            ]
        )

    async def handle(self, message: wire.Message) -> wire.Message | None:
        """One message of the queue compute.<host>."""
        match message:
            case wire.DoJob(server=server):
                await self.take_up(ServerId(server))
            case wire.HostEvents(events=events):
                await self._heard(events)
            case wire.ConsoleWanted(server=server):
                return wire.Console(output=await self._console(ServerId(server)))
            case _:
                log.warning("a message that is not for a host", message=type(message).__name__)
        return None

    async def take_up(self, server_id: ServerId) -> None:
        """Start the job that the server's record stands for, unless it is under way.

        A delete takes any other job's place, and a newer attempt an older one's; a server that is not ours any more is
        cleared away. What meets a job that goes on is found when that has ended, or by the next look at the records.
        """
        server = await self.boot.records.of(server_id)
        if server is None:
            self._clear(server_id)
            return
        job, busy = job_of(server.life), self.jobs.busy(server_id)
        if job is None:
            return
        instead = job is Job.DELETE or (busy is not None and _attempt_in(busy) < server.attempt)
        self.jobs.start(server_id, f"{job}#{server.attempt}", partial(self._work, server_id), instead=instead)

    async def _work(self, server_id: ServerId) -> None:
        """Do what the record stands for, until it stands for nothing more."""
        done: tuple[Job, int] | None = None
        while True:
            server = await patiently(partial(self.boot.records.of, server_id))
            job = job_of(server.life) if server is not None else None
            if server is None or job is None or (job, server.attempt) == done:
                return
            ids = {"server": server.id, "request_id": server.request_id, "host": self.boot.host}
            with structlog.contextvars.bound_contextvars(**ids):
                await self._do(job, server)
            done = (job, server.attempt)

    async def _do(self, job: Job, server: Server) -> None:
        match job:
            case Job.BOOT:
                await self._up(server, keeps_guest=False)
            case Job.START:
                await self._up(server, keeps_guest=True)
            case Job.REBOOT if server.reboot_type == "SOFT":
                await self._in_place(server, self.boot.hypervisor.reboot, ServerEvent.REBOOTED)
            case Job.REBOOT:
                await for_ever(partial(self.boot.take_down, server, keeps_guest=True))
                await self._up(server, keeps_guest=True)
            case Job.PAUSE:
                await self._in_place(server, self.boot.hypervisor.pause, ServerEvent.PAUSED)
            case Job.UNPAUSE:
                await self._in_place(server, self.boot.hypervisor.unpause, ServerEvent.UNPAUSED)
            case Job.SUSPEND:
                await self._in_place(server, self.boot.hypervisor.pause, ServerEvent.SUSPENDED)
            case Job.RESUME:
                await self._in_place(server, self.boot.hypervisor.unpause, ServerEvent.RESUMED)
            case Job.REBUILD:
                await for_ever(partial(self.boot.clear_host, server.id))  # with its disk; its ports stay
                if server.life.vm is VmState.STOPPED:
                    await self._finish(server, ServerEvent.REBUILT)  # its next start makes the guest
                else:
                    await self._up(server, keeps_guest=True)
            case Job.STOP:
                await self._stop(server)
            case Job.DELETE:
                await for_ever(partial(self.boot.take_down, server, keeps_guest=False))
                await self._finish(server, ServerEvent.DELETED)

    async def _up(self, server: Server, *, keeps_guest: bool) -> None:
        try:
            await self.boot.bring_up(server)
        except NotOurs:
            await self._disown(server)
        except Exception as error:  # not cancellation: whoever cancels runs it again, or tears it down
            log.warning("a server could not be brought up", error=str(error), exc_info=error)
            await self._give_up(server, error, keeps_guest=keeps_guest)
        else:
            if not await self._finish(server, ServerEvent.BOOTED):
                await self._disown(server)

    async def _disown(self, server: Server) -> None:
        """This attempt was refused: of a server that is not ours any more, nothing stays on this host."""
        current = await for_ever(partial(self.boot.records.of, server.id))
        if current is None:
            log.info("the server is not this host's any more: clearing the host of it", attempt=server.attempt)
            await for_ever(partial(self.boot.clear_host, server.id))
        else:
            log.info("the attempt is over; a newer word on the server holds", attempt=server.attempt)

    async def _give_up(self, server: Server, error: Exception, *, keeps_guest: bool) -> None:
        await for_ever(partial(self.boot.take_down, server, keeps_guest=keeps_guest))
        self.boot.tell_failed(server, str(error))
        elsewhere = not keeps_guest and not isinstance(error, (VirtualInterfaceCreateException, Exhausted))
        details = details_of(error, self.boot.host)
        if isinstance(error, BindingFailed):
            details = f"host {self.boot.host} has no live Open vSwitch agent: start it there. {error.message}"
        report = partial(self.boot.records.failed, server, fault_of(error), details, is_elsewhere_possible=elsewhere)
        await for_ever(report)

    async def _stop(self, server: Server) -> None:
        await for_ever(partial(self.boot.hypervisor.power_off, server.id, patience=STOP_PATIENCE))
        await for_ever(partial(self.boot.take_down, server, keeps_guest=True))
        await self._finish(server, ServerEvent.STOPPED)

    async def _in_place(self, server: Server, act: Callable[[ServerId], Awaitable[None]], event: ServerEvent) -> None:
        """What leaves a guest's devices as they are. One that has ended meanwhile is settled as such."""
        try:
            await patiently(partial(act, server.id))
        except Exception as error:
            log.warning("what was asked of a guest could not be done", asked=event, error=str(error))
            if await patiently(partial(self.boot.hypervisor.state, server.id)) in (None, GuestState.OFF):
                if await self._finish(server, event):
                    await self._settle_ended(server)
            else:
                await self._give_up(server, error, keeps_guest=True)
        else:
            await self._finish(server, event)

    async def _finish(self, server: Server, event: ServerEvent) -> bool:
        """Record that the job has ended well; False when the record refused it as stale."""
        return await for_ever(partial(self.boot.records.done, server.id, server.attempt, event))

    async def _heard(self, events: tuple[wire.HostEvent, ...]) -> None:
        """Wake those who wait for these ports. What nobody waits for is only worth a word in the log."""
        unawaited = await self.boot.expectations.heard({PortId(event.port) for event in events})
        for event in events:
            if event.port in unawaited and event.name is EventName.VIF_PLUGGED:
                log.info(
                    "nobody waits for this port: its news came late, or twice", port=event.port, server=event.server
                )

    async def _console(self, server: ServerId) -> bytes:
        try:
            return await self.boot.hypervisor.console(server)
        except NotFound:
            return b""

    async def _beat(self) -> Never:
        started = self.boot.clock.now()
        while True:
            beat = wire.HostHeartbeat(
                host=self.boot.host,
                vcpus=self.capacity.vcpus,
                memory_mib=self.capacity.memory_mib,
                disk_gib=self.capacity.disk_gib,
                hypervisor_type=self.capacity.hypervisor_type,
                started_at=started,
            )
            try:
                await self.bus.call("compute-api", beat, timeout=HEARTBEAT_EVERY)  # a lost one misses no other
            except Unavailable as error:
                log.warning("compute API did not take the heartbeat", error=str(error))
                await asyncio.sleep(HEARTBEAT_AGAIN)
            else:
                await asyncio.sleep(HEARTBEAT_EVERY)

    async def _reconcile(self) -> Never:
        """At start and periodically: do what is recorded as unfinished, remove what belongs to nobody."""
        strangers: frozenset[ServerId] = frozenset()
        while True:
            try:
                strangers = await self._reconcile_once(strangers)
            except Unavailable as error:
                log.warning("could not compare records and guests; trying again", error=str(error))
                await asyncio.sleep(AGAIN_AFTER)
                continue
            await asyncio.sleep(RECONCILE_EVERY)

    async def _reconcile_once(self, suspects: frozenset[ServerId]) -> frozenset[ServerId]:
        unfinished, present = await self.boot.records.unfinished()
        for server in sorted(unfinished):
            await self.take_up(server)
        states = await self.boot.hypervisor.states()
        for server in sorted(present - unfinished):
            if states.get(server, GuestState.OFF) is GuestState.OFF and self.jobs.busy(server) is None:
                await self._guest_ended(server)
        here = frozenset(states) | {vif.server for vif in (await self.boot.switch.plugged()).values()}
        strangers = here - present
        for server in sorted(strangers & suspects):  # seen twice: not one that was just being recorded
            log.info("a guest that belongs to no record is removed", server=server)
            self._clear(server)
        return strangers

    def _is_busy(self, server: ServerId) -> bool:
        return self.jobs.busy(server) is not None

    def _clear(self, server: ServerId) -> None:
        """In the place of whatever is done for it."""
        clear = partial(self.boot.clear_host, server)
        self.jobs.start(server, "clear", partial(for_ever, clear), instead=True)

    async def _look_after_reconnects(self) -> None:
        async for _ in self.bus.reconnects():
            await self.boot.expectations.look_at_all("look after the bus was back")

    async def _watch_ended(self) -> None:
        async for server in self.boot.hypervisor.ended():
            self._looks.start(server, "look", partial(self._look_after_end, server))

    async def _look_after_end(self, server: ServerId) -> None:
        """A guest may end in the midst of a job, which may have known of it, or not."""
        await self.jobs.idle(server)
        await patiently(partial(self._guest_ended, server))

    async def _guest_ended(self, server_id: ServerId) -> None:
        """A guest that runs no more though its record says so."""
        server = await self.boot.records.of(server_id)
        if server is None or job_of(server.life) is not None or not has_guest(server.life):
            return
        self.jobs.start(server_id, "guest ended", partial(self._settle_ended, server))

    async def _settle_ended(self, server: Server) -> None:
        """Its VIFs go. The record says SHUTOFF, or if it ran until its host ended: it is started again."""
        state = await patiently(partial(self.boot.hypervisor.state, server.id))
        if state not in (None, GuestState.OFF):
            return  # it was switched off only in passing
        await for_ever(partial(self.boot.take_down, server, keeps_guest=True))
        if server.world == self.boot.records.world or server.life.power is not PowerState.RUNNING:
            await self._finish(server, ServerEvent.GUEST_ENDED)
        else:
            log.info("a server that ran when its host ended is started again", server=server.id)
            await self._finish(server, ServerEvent.HOST_CAME_BACK)


def _attempt_in(name: str) -> int:
    """The attempt in a job's name ("boot#3"); 0 for jobs that belong to none."""
    return int(name.rpartition("#")[2]) if "#" in name else 0
