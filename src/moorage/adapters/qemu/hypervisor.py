"""Guests by QEMU, each a process of the host's world, held by -S until QMP lets it run (sub-fact held, hop running)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Never, ParamSpec, TypeVar
from weakref import WeakValueDictionary

import structlog

from moorage.adapters.qemu.command_line import Accelerator, Files, command_line
from moorage.adapters.qemu.disk import make_overlay
from moorage.adapters.qemu.endings import Endings, process_name
from moorage.adapters.qemu.last_words import for_its_owner
from moorage.adapters.qemu.monitor import Monitor
from moorage.adapters.qemu.records import Record, Records
from moorage.domain.errors import Conflict, Exhausted, Invalid, NotFound, Unavailable
from moorage.domain.ids import ServerId
from moorage.kit.supervise import supervise
from moorage.kit.translating import translating
from moorage.seams.hypervisor import Guest, GuestState
from moorage.seams.world import World

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

SOCKET_PATH_SIZE = 107  # bytes (unix(7))
STATES: Mapping[str, GuestState] = {
    "prelaunch": GuestState.HELD,
    "running": GuestState.RUNNING,
    "shutdown": GuestState.OFF,  # its OS is off, and an adapter died between that and the reset of a reboot
}  # every other one stands still, and not by us: paused, io-error, guest-panicked, …
PRESS_EVERY = 2.0  # seconds between two presses of a power button
PASSING = ("Cannot allocate memory", "Device or resource busy", "Resource temporarily unavailable", "No space left")


class QemuHypervisor:
    """Fulfils Hypervisor. Guests outlive it; a new one on the same directories and world finds them again.

    `run()` must be running for `ended()`; nothing else needs it.
    """

    def __init__(
        self,
        world: World,
        state: Path,
        runtime: Path,
        *,
        accelerator: Accelerator = Accelerator.TCG,
        uids: range | None = None,
        program: str = "qemu-system-x86_64",
        qemu_img: str = "qemu-img",
        start_timeout: float = 10.0,  # seconds until QEMU answers
        look_every: float = 30.0,  # seconds
    ) -> None:
        """`state` keeps disks and logs, `runtime` the sockets; with `uids` each QEMU gives up root for one of its own.

        Raises Invalid when `runtime` is too long for a socket's path.
        """
        longest = len(str(runtime.absolute() / f"{'0' * 36}.serial"))
        if longest > SOCKET_PATH_SIZE:
            raise Invalid(f"directory {runtime}: too long by {longest - SOCKET_PATH_SIZE} bytes for sockets in it")
        self._world = world
        self._records = Records(state.absolute())
        self._runtime = runtime.absolute()
        self._accelerator = accelerator
        self._uids = uids
        self._program = program
        self._qemu_img = qemu_img
        self._start_timeout = start_timeout
        self._look_every = look_every
        self._monitors: dict[ServerId, Monitor] = {}
        self._allocating = asyncio.Lock()
        self._locks: WeakValueDictionary[ServerId, asyncio.Lock] = WeakValueDictionary()
        self._rebooting: set[ServerId] = set()
        self._endings = Endings(world, self._is_gone)

    async def run(self) -> Never:
        """Watch the guests' processes, and keep console logs from filling the disk."""
        await supervise([("qemu processes", self._endings.run), ("qemu guests", self._look_after_all)])

    async def close(self) -> None:
        """Let go of the guests, which go on."""
        while self._monitors:
            _, monitor = self._monitors.popitem()
            await monitor.close()

    # Hypervisor

    async def create_stopped(self, guest: Guest) -> None:
        async with self._one_at_a_time(guest.server):
            before = await self._on_disk(self._records.find, guest.server)
            state = await self._state(guest.server)
            if state in (GuestState.RUNNING, GuestState.PAUSED):
                raise Conflict(f"creating guest {guest.server}: it is {state} already")
            if state is GuestState.HELD and before is not None and before.guest.nics == guest.nics:
                if pid := (await self._world.processes()).get(process_name(guest.server)):
                    self._endings.watch(guest.server, pid)  # one that made it may have been cancelled just before
                return
            if guest.image.kernel is None and guest.image.disk is None:
                raise Invalid(f"creating guest {guest.server}: its image has neither a kernel nor a disk")
            await self._stop(guest.server)
            await self._start(guest, before)

    async def resume(self, server: ServerId) -> None:
        async with self._one_at_a_time(server):
            state = await self._state(server)
            if state is GuestState.OFF:
                raise NotFound(f"resuming guest {server}: it is off, or not there")
            if state is GuestState.HELD:
                monitor = self._monitor(server)
                await monitor.execute("cont")
                if (status := await monitor.status()) != "running":
                    raise Unavailable(f"resuming guest {server}: QEMU says it is {status}")

    async def power_off(self, server: ServerId, *, patience: float = 0.0) -> None:
        async with self._one_at_a_time(server):
            if patience > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._ask_to_end(server)
            await self._stop(server, patience=2.0)

    async def reboot(self, server: ServerId, *, patience: float = 5.0) -> None:
        async with self._one_at_a_time(server):
            await self._known(server)
            state = await self._state(server)
            if state is not GuestState.RUNNING:
                raise Conflict(f"rebooting guest {server}: it is {state}")
            self._rebooting.add(server)
            try:
                await self._restart(server, patience)
            finally:
                self._rebooting.discard(server)

    async def pause(self, server: ServerId) -> None:
        await self._halt(server, "stop", "paused", GuestState.PAUSED)

    async def unpause(self, server: ServerId) -> None:
        await self._halt(server, "cont", "running", GuestState.RUNNING)

    async def _halt(self, server: ServerId, command: str, status: str, wanted: GuestState) -> None:
        """Stop or continue a guest that runs or is paused; QEMU has to say that it is so."""
        async with self._one_at_a_time(server):
            await self._known(server)
            state = await self._state(server)
            if state not in (GuestState.RUNNING, GuestState.PAUSED):
                raise Conflict(f"making guest {server} {wanted}: it is {state}")
            if state is not wanted:
                monitor = self._monitor(server)
                await monitor.execute(command)
                if (said := await monitor.status()) != status:
                    raise Unavailable(f"making guest {server} {wanted}: QEMU says it is {said}")

    async def destroy(self, server: ServerId) -> None:
        async with self._one_at_a_time(server):
            await self._stop(server, patience=1.0)
            record = await self._on_disk(self._records.find, server)
            for nic in record.guest.nics if record else ():
                await self._world.remove_link(nic.device)
            await self._on_disk(self._records.forget, server)
            self._endings.forget(server)

    async def state(self, server: ServerId) -> GuestState | None:
        is_there = await self._on_disk(self._records.find, server) is not None
        return await self._said(server, await self._world.processes()) if is_there else None

    async def states(self) -> Mapping[ServerId, GuestState]:
        servers = [record.guest.server for record in await self._on_disk(self._records.all)]
        processes = await self._world.processes()
        async with asyncio.TaskGroup() as group:  # side by side: one that is silent takes no longer than QMP's deadline
            asked = {server: group.create_task(self._said(server, processes)) for server in servers}
        return {server: task.result() for server, task in asked.items()}

    def ended(self) -> AsyncIterator[ServerId]:
        return self._endings.ended()

    async def console(self, server: ServerId) -> bytes:
        await self._known(server)
        return await self._on_disk(self._records.written, server)

    async def open_console(self, server: ServerId) -> socket.socket:
        await self._known(server)
        if process_name(server) not in await self._world.processes():
            raise Conflict(f"opening the console of guest {server}: it is off")
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.setblocking(False)
        with ExitStack() as unless_connected:
            unless_connected.enter_context(stream)
            with translating({OSError: Unavailable}, f"opening the console of guest {server}"):
                stream.connect(str(self._socket(server, "serial")))  # a unix socket's: it does not wait
            unless_connected.pop_all()
        return stream

    # Up and down

    async def _start(self, guest: Guest, before: Record | None) -> None:
        server = guest.server
        for nic in before.guest.nics if before else ():
            if nic not in guest.nics:
                await self._world.remove_link(nic.device)
        async with self._allocating:
            known = before.uid if before and self._uids else None
            record = Record(guest, known if known is not None else await self._free_uid())
            await self._on_disk(self._prepare, record)
        await make_overlay(guest.image, self._records.disk(server), disk_gib=guest.disk_gib, program=self._qemu_img)
        for nic in guest.nics:
            await self._world.make_tap(nic.device, mtu=nic.mtu)
        self._endings.forget(server)
        argv = command_line(
            guest, self._files(guest), program=self._program, accelerator=self._accelerator, uid=record.uid
        )
        pid = await self._world.start(process_name(server), argv, log=self._records.log(server), is_guest=True)
        status = await self._first_status(server)
        if status != "prelaunch":
            raise Unavailable(f"creating guest {server}: QEMU says it is {status}")
        self._endings.watch(server, pid)

    def _prepare(self, record: Record) -> None:
        self._runtime.mkdir(mode=0o770, parents=True, exist_ok=True)
        self._records.keep(record)
        self._records.clear_words(record.guest.server)

    async def _first_status(self, server: ServerId) -> str:
        """What QEMU says as soon as it answers. Raises Invalid with its own words when it gives up before."""
        pause = 0.01  # seconds; QEMU does not tell when its socket is there
        try:
            async with asyncio.timeout(self._start_timeout):
                while True:
                    try:
                        return await self._monitor(server).status()
                    except Unavailable:
                        if process_name(server) not in await self._world.processes():
                            break
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 0.05)
        except TimeoutError as error:
            raise Unavailable(f"creating guest {server}: QEMU did not answer in {self._start_timeout:g} s") from error
        said = (await self._on_disk(self._records.last_words, server)).removeprefix(f"{self._program}: ")
        words = for_its_owner(said)
        if not words or any(passing in words for passing in PASSING):
            raise Unavailable(f"creating guest {server}: QEMU ended at once: {words or 'without a word'}")
        raise Invalid(f"creating guest {server}: {words}") from Invalid(said)  # all of it is for the log

    async def _stop(self, server: ServerId, *, patience: float = 1.0) -> None:
        """The process gone, and its sockets; SIGTERM makes QEMU write its disk back and end, held or running."""
        pid = (await self._world.processes()).get(process_name(server))
        if pid is not None:
            self._endings.expect(server, pid)
            await self._world.stop(process_name(server), patience=patience)
        if monitor := self._monitors.pop(server, None):
            await monitor.close()
        for path in (self._socket(server, "qmp"), self._socket(server, "serial")):
            path.unlink(missing_ok=True)

    async def _restart(self, server: ServerId, patience: float) -> None:
        monitor = self._monitor(server)
        if patience > 0:
            # An OS that switches itself off ends QEMU; now it shall only stop, to be reset (as libvirt does it).
            await monitor.execute("set-action", {"shutdown": "pause"})
            if not await monitor.execute_until("system_powerdown", "SHUTDOWN", patience=patience, again=PRESS_EVERY):
                log.info("guest %s was reset: it did not shut down in %s s", server, patience)
        await monitor.execute_until("system_reset", "RESET", patience=2.0, again=2.0)
        await monitor.execute("set-action", {"shutdown": "poweroff"})
        await monitor.execute("cont")  # a reset leaves an OS that is off in prelaunch

    async def _ask_to_end(self, server: ServerId) -> None:
        """Press its power button until its process has ended; an OS that is still booting does not feel the first."""
        while pid := (await self._world.processes()).get(process_name(server)):
            try:
                if await self._monitor(server).status() != "running":
                    return
                self._endings.expect(server, pid)
                await self._monitor(server).execute("system_powerdown")
            except Unavailable as error:
                log.info("guest %s could not be asked to switch off: %s", server, error)
                return
            with suppress(TimeoutError, NotFound):
                async with asyncio.timeout(PRESS_EVERY):
                    await self._world.wait(process_name(server))

    async def _free_uid(self) -> int | None:
        if self._uids is None:
            return None
        taken = {record.uid for record in await self._on_disk(self._records.all)}
        found = next((uid for uid in self._uids if uid not in taken), None)
        if found is None:
            raise Exhausted(f"all {len(self._uids)} user ids for guests are taken")
        return found

    # Looking

    async def _known(self, server: ServerId) -> Record:
        record = await self._on_disk(self._records.find, server)
        if record is None:
            raise NotFound(f"there is no guest {server}")
        return record

    async def _said(self, server: ServerId, processes: Mapping[str, int]) -> GuestState:
        if server in self._rebooting:  # off and held in passing, which is nobody's business
            return GuestState.RUNNING
        if process_name(server) not in processes:
            return GuestState.OFF
        try:
            return await self._state(server)
        except Unavailable as error:
            log.info("guest %s is left alone: its QEMU does not answer: %s", server, error)
            return GuestState.UNKNOWN

    async def _state(self, server: ServerId) -> GuestState:
        """OFF also when there is no such guest. Raises Unavailable when it does not answer."""
        if process_name(server) not in await self._world.processes():
            return GuestState.OFF
        try:
            return STATES.get(await self._monitor(server).status(), GuestState.PAUSED)
        except Unavailable:
            if process_name(server) not in await self._world.processes():
                return GuestState.OFF
            raise

    async def _look_after_all(self) -> None:
        while True:
            records = await self._on_disk(self._records.all)
            processes = await self._world.processes()
            for record in records:
                server = record.guest.server
                await self._on_disk(self._records.cut_console, server)
                pid = processes.get(process_name(server))
                if pid is not None and self._endings.watch(server, pid):
                    await self._mend(server)
            await asyncio.sleep(self._look_every)

    async def _is_gone(self, server: ServerId) -> bool:
        """After the end of its process; lets go of its monitor."""
        async with self._one_at_a_time(server):
            if process_name(server) in await self._world.processes():
                return False
            if monitor := self._monitors.pop(server, None):
                await monitor.close()
            return True

    async def _mend(self, server: ServerId) -> None:
        """End what another adapter may have left of a reboot: an OS that is off while its QEMU goes on."""
        try:
            async with self._one_at_a_time(server):
                if await self._monitor(server).status() == "shutdown":
                    await self._world.stop(process_name(server))
                else:
                    await self._monitor(server).execute("set-action", {"shutdown": "poweroff"})
        except Unavailable as error:
            log.warning("guest %s was found, but its QEMU does not answer: %s", server, error)

    # Its things

    async def _on_disk(self, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        with translating({OSError: Unavailable}, "files of guests"):
            return await asyncio.to_thread(call, *args, **named)

    def _one_at_a_time(self, server: ServerId) -> asyncio.Lock:
        return self._locks.setdefault(server, asyncio.Lock())

    def _monitor(self, server: ServerId) -> Monitor:
        return self._monitors.setdefault(server, Monitor(self._socket(server, "qmp")))

    def _socket(self, server: ServerId, kind: str) -> Path:
        return self._runtime / f"{server}.{kind}"

    def _files(self, guest: Guest) -> Files:
        server = guest.server
        return Files(
            qmp=self._socket(server, "qmp"),
            serial=self._socket(server, "serial"),
            console=self._records.console(server),
            disk=self._records.disk(server) if guest.image.disk else None,
        )
