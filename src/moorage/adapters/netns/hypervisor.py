"""Guests as network namespaces: held while nothing runs in them, let run by starting a process (held, running).

A guest has a process and runs; or it has none, and its record says whether it is held. Its namespace stays, with its
NICs in it, until it is destroyed: a userspace switch does not see that a device was replaced by one of its name.
"""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Never
from weakref import WeakValueDictionary

import structlog

from moorage.adapters.netns.records import Record, Records
from moorage.domain.errors import Conflict, Invalid, NotFound, Unavailable
from moorage.domain.ids import ServerId
from moorage.kit.per_key import PerKey
from moorage.kit.retry import retry
from moorage.kit.supervise import supervise
from moorage.kit.translating import translating
from moorage.seams.hypervisor import Guest, GuestState
from moorage.seams.world import World

log = structlog.get_logger(__name__)

_SCRIPT = Path(__file__).with_name("guest.sh")


class NetnsHypervisor:
    """The Hypervisor seam (seams/hypervisor.py). Guests outlive it; a new one on the same directory finds them again.

    A NIC is a cable: its device stands with the host, for the switch, and its other end in the guest's namespace, with
    which both go. `run()` must be running for `ended()`.
    """

    def __init__(self, world: World, state: Path, *, look_every: float = 5.0) -> None:
        """`state` is a directory of its own; `look_every` in seconds."""
        self._world = world
        self._records = Records(state.absolute())
        self._look_every = look_every
        self._locks: WeakValueDictionary[ServerId, asyncio.Lock] = WeakValueDictionary()
        self._watchers: PerKey[tuple[ServerId, int]] = PerKey()
        self._ended: dict[ServerId, None] = {}
        self._something_ended = asyncio.Event()

    async def run(self) -> Never:
        """Watch the guests' processes and devices, and keep console logs from filling the disk."""
        await supervise([("guest processes", self._watchers.run), ("netns guests", self._look_after_all)])

    # Hypervisor

    async def create_stopped(self, guest: Guest) -> None:
        async with self._one_at_a_time(guest.server):
            before = self._find(guest.server)
            state = await self._state(before)
            if state in (GuestState.RUNNING, GuestState.PAUSED):
                raise Conflict(f"creating guest {guest.server}: it is {state} already")
            if before is not None and before.nics != guest.nics:
                await self._world.remove_namespace(guest_name(guest.server))
            self._ended.pop(guest.server, None)
            with translating({OSError: Unavailable}, f"making the files of guest {guest.server}"):
                self._records.make(Record(guest.server, guest.name, guest.nics))
            name = guest_name(guest.server)
            await self._world.make_namespace(name)
            for number, nic in enumerate(guest.nics):
                await self._world.make_cable(nic.device, name, f"eth{number}", mac=nic.mac, mtu=nic.mtu)

    async def resume(self, server: ServerId) -> None:
        async with self._one_at_a_time(server):
            record = self._find(server)
            is_held = record is not None and record.wanted is GuestState.HELD
            if record is None or not (is_held or await self._state(record) is not GuestState.OFF):
                raise NotFound(f"resuming guest {server}: it is off, or not there")
            if is_held:
                self._keep(replace(record, wanted=GuestState.RUNNING))
                await self._start(record)  # it has a namespace, or is not found; one that runs already is kept

    async def power_off(self, server: ServerId, *, patience: float = 0.0) -> None:
        async with self._one_at_a_time(server):
            if (record := self._find(server)) is not None:
                self._keep(replace(record, wanted=GuestState.OFF))
                await self._world.stop(guest_name(server), patience=patience)
                self._ended.pop(server, None)

    async def reboot(self, server: ServerId, *, patience: float = 5.0) -> None:
        async with self._one_at_a_time(server):
            record = self._find(server)
            state = await self._state(record)
            if record is None:
                raise NotFound(f"there is no guest {server}")
            if state is not GuestState.RUNNING:
                raise Conflict(f"rebooting guest {server}: it is {state}")
            await self._restart(record, patience=patience)

    async def pause(self, server: ServerId) -> None:
        await self._halt(server, signal.SIGSTOP, GuestState.PAUSED)

    async def unpause(self, server: ServerId) -> None:
        await self._halt(server, signal.SIGCONT, GuestState.RUNNING)

    async def _halt(self, server: ServerId, number: int, wanted: GuestState) -> None:
        """Stop or continue all processes of a guest that runs or is paused. Signalled again, they stay as they are."""
        async with self._one_at_a_time(server):
            record = self._find(server)
            state = await self._state(record)
            if record is None:
                raise NotFound(f"there is no guest {server}")
            if state not in (GuestState.RUNNING, GuestState.PAUSED):
                raise Conflict(f"making guest {server} {wanted}: it is {state}")
            await self._world.signal(guest_name(server), number)
            self._keep(replace(record, wanted=wanted))

    async def destroy(self, server: ServerId) -> None:
        async with self._one_at_a_time(server):
            if self._find(server) is not None:
                await self._world.stop(guest_name(server), patience=0.0)
                await self._world.remove_namespace(guest_name(server))
                with translating({OSError: Unavailable}, f"removing the files of guest {server}"):
                    self._records.forget(server)
            self._ended.pop(server, None)

    async def state(self, server: ServerId) -> GuestState | None:
        record = self._find(server)
        return None if record is None else await self._state(record)

    async def states(self) -> Mapping[ServerId, GuestState]:
        processes, namespaces = await self._world.processes(), await self._world.namespaces()
        with translating({OSError: Unavailable}, "listing guests"):
            return {record.server: _state(record, processes, namespaces) for record in self._records.all()}

    async def ended(self) -> AsyncIterator[ServerId]:
        while True:
            while not self._ended:
                self._something_ended.clear()
                await self._something_ended.wait()
            server = next(iter(self._ended))
            del self._ended[server]
            yield server

    async def console(self, server: ServerId) -> bytes:
        if self._find(server) is None:
            raise NotFound(f"there is no guest {server}")
        with translating({OSError: Unavailable}, f"reading the console of guest {server}"):
            return self._records.written(server)

    async def open_console(self, server: ServerId) -> socket.socket:
        if self._find(server) is None:
            raise NotFound(f"there is no guest {server}")
        raise Invalid("a guest of kind netns has no serial console: `openstack console log show` shows its words")

    # Up and down

    async def _start(self, record: Record) -> None:
        name = guest_name(record.server)
        argv = ["busybox", "sh", str(_SCRIPT), str(self._records.home(record.server)), str(len(record.nics))]
        pid = await self._world.start(name, argv, namespace=name, log=self._records.console(record.server))
        self._watch(record.server, pid)

    async def _restart(self, record: Record, *, patience: float = 0.0) -> None:
        await self._world.stop(guest_name(record.server), patience=patience)
        await self._start(record)

    # Looking

    async def _state(self, record: Record | None) -> GuestState:
        """OFF also when there is none."""
        if record is None:
            return GuestState.OFF
        return _state(record, await self._world.processes(), await self._world.namespaces())

    async def _look_after_all(self) -> None:
        while True:
            processes = await self._world.processes()
            for record in self._records.all():
                self._records.cut_console(record.server)
                if pid := processes.get(guest_name(record.server)):
                    self._watch(record.server, pid)
            await asyncio.sleep(self._look_every)

    def _watch(self, server: ServerId, pid: int) -> None:
        self._watchers.start((server, pid), "watch", partial(self._until_ended, server))

    async def _until_ended(self, server: ServerId) -> None:
        with suppress(NotFound):  # it ended before we looked
            await retry(partial(self._world.wait, guest_name(server)), on=Unavailable, timeout=None)
        async with self._one_at_a_time(server):
            record = self._find(server)
            if record is None or record.wanted not in (GuestState.RUNNING, GuestState.PAUSED):
                return  # we have switched it off ourselves
            if guest_name(server) not in await self._world.processes():
                self._ended[server] = None
                self._something_ended.set()

    # Its things

    def _one_at_a_time(self, server: ServerId) -> asyncio.Lock:
        return self._locks.setdefault(server, asyncio.Lock())

    def _find(self, server: ServerId) -> Record | None:
        with translating({OSError: Unavailable}, f"reading the record of guest {server}"):
            return self._records.find(server)

    def _keep(self, record: Record) -> None:
        with translating({OSError: Unavailable}, f"writing the record of guest {record.server}"):
            self._records.keep(record)


def guest_name(server: ServerId) -> str:
    """Of a guest's namespace, and of its process."""
    return f"guest-{server[:8]}"


def _state(record: Record, processes: Mapping[str, int], namespaces: frozenset[str]) -> GuestState:
    name = guest_name(record.server)
    if name in processes:
        return GuestState.PAUSED if record.wanted is GuestState.PAUSED else GuestState.RUNNING
    return GuestState.HELD if record.wanted is GuestState.HELD and name in namespaces else GuestState.OFF
