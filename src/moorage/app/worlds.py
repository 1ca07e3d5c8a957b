"""The worlds that a cloud's hosts live in: for one command and gone with it, or outliving their `moorage up`."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Never
from uuid import uuid4

import msgspec
import structlog

from moorage.adapters.world import protocol
from moorage.adapters.world.client import HolderProcess
from moorage.adapters.world.living import LivingHolder, ended, find_living, start_living
from moorage.app import runtime
from moorage.app.config import CloudSettings, HostKind
from moorage.app.state import write_private
from moorage.domain.errors import Conflict, MoorageError, Unavailable
from moorage.domain.ids import HostName, ServerId
from moorage.seams.hypervisor import GuestState, Hypervisor
from moorage.seams.world import World

SOCKET, NOTE = "holder.sock", "world.json"
PATIENCE = 5.0  # seconds a guest's OS gets to switch itself off

log = structlog.get_logger(__name__)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Note:
    """What a world that outlives its `moorage up` was made for. Without this file it was being ended."""

    id: str
    version: str
    protocol: int
    host_kind: HostKind
    hosts: int

    def misfit(self, settings: CloudSettings) -> str | None:
        """Why a cloud of these settings cannot go on in it, and what to do; None when it can."""
        ours = version("moorage")
        if (self.version, self.protocol) != (ours, protocol.VERSION):
            return (
                f"guests of this cloud still run in a world of Moorage {self.version}, and this is {ours}: "
                "`moorage down` switches them off and ends it, then `moorage up` starts them again"
            )
        there, wanted = _hosts(self.hosts, self.host_kind), _hosts(settings.hosts, settings.host_kind)
        if there != wanted:
            return (
                f"guests of this cloud still run on {there}, not on {wanted}: start it as before (--host-kind "
                f"{self.host_kind} --hosts {self.hosts}), or switch them off first (`moorage down`)"
            )
        return None


def _hosts(number: int, kind: HostKind) -> str:
    return f"{number} {kind} host{'s' if number > 1 else ''}"


def _beginning(settings: CloudSettings) -> str:
    return f"starting Open vSwitch in a world of its own ({settings.host_kind} host) …"


def host_names(number: int) -> list[HostName]:
    return [HostName(f"host-{each}") for each in range(1, number + 1)]


@dataclass
class Worlds:
    """The worlds of a cloud's hosts. `id` is as long-lived as they are: guests that ran in another are off."""

    id: str
    holder: HolderProcess | LivingHolder
    sockets: Path
    guests: list[Hypervisor] = field(default_factory=list)  # what is switched off before they end in order
    is_used: bool = False  # a failure does not end them any more

    def world(self, host: str) -> World:
        return self.holder.world(host)

    async def gone(self) -> Never:
        """Raises Unavailable when they have ended by themselves: the holder was killed."""
        await self.holder.connection.closed()
        raise Unavailable(
            "the holder was killed, and with it every guest and switch of this cloud: `moorage up` starts them again"
        )


@asynccontextmanager
async def private_worlds(settings: CloudSettings, say: Say) -> AsyncIterator[Worlds]:
    """They end with this process, however it ends."""
    say(_beginning(settings))
    with runtime.runtime(settings.state_dir) as sockets:
        async with HolderProcess() as holder:
            yield Worlds(uuid4().hex, holder, sockets)


class LastingWorlds:
    """Those that a killed `moorage up` has left here, else new ones; an async context manager.

    At an orderly end guests are switched off and the worlds end. At a failure they live on, for the next `moorage up`;
    but new ones in which nothing has run yet end.
    """

    def __init__(self, settings: CloudSettings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._place = runtime.place_of(settings.state_dir)
        self._worlds: Worlds | None = None

    async def __aenter__(self) -> Worlds:
        """Raises Conflict, with what to do, when guests live on in a world of another kind; Unavailable."""
        found = await found_world(self._settings.state_dir)
        if found is not None and found[1] is None:
            await end_world(self._place, found[0], ())
            found = None
        if found is None:
            self._worlds = await self._made()
        else:
            holder, note = found
            assert note is not None
            if (why := note.misfit(self._settings)) is not None:
                holder.let_go()
                raise Conflict(why)
            self._say(f"taking over what lives on of this cloud ({_hosts(note.hosts, note.host_kind)}) …")
            self._worlds = Worlds(note.id, holder, self._place, is_used=True)
        return self._worlds

    async def _made(self) -> Worlds:
        self._say(_beginning(self._settings))
        runtime.require_ours(self._place)
        await ended(self._place / SOCKET)
        place = runtime.make(self._settings.state_dir)
        note = Note(uuid4().hex, version("moorage"), protocol.VERSION, self._settings.host_kind, self._settings.hosts)
        write_private(place / NOTE, msgspec.json.encode(note).decode())
        is_made = False
        try:
            holder = await start_living(place / SOCKET, self._settings.state_dir / "holder.log")
            runtime.belongs_to(place, holder.pid)
            is_made = True
        finally:
            if not is_made:  # it failed, or was interrupted: then a holder may be about to begin
                await _unmade(place)
        return Worlds(note.id, holder, place)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        worlds = self._worlds
        assert worlds is not None
        assert isinstance(worlds.holder, LivingHolder)
        me = asyncio.current_task()
        is_orderly = kind is None or (me is not None and me.cancelling() > 0)  # whatever else fails meanwhile
        if is_orderly or not worlds.is_used:
            await end_world(self._place, worlds.holder, worlds.guests, self._say)
        else:
            worlds.holder.let_go()


async def _unmade(place: Path) -> None:
    if (holder := await find_living(place / SOCKET)) is not None:
        await end_world(place, holder, ())
    shutil.rmtree(place, ignore_errors=True)  # without which one that comes later cannot begin


async def found_world(state: Path) -> tuple[LivingHolder, Note | None] | None:
    """The holder that lives on of a cloud, with the note of its worlds; None when there is none."""
    place = runtime.place_of(state)
    if not runtime.is_ours(place):
        return None
    holder = await find_living(place / SOCKET)
    return None if holder is None else (holder, _note(place / NOTE))


async def require_no_world(settings: CloudSettings) -> None:
    """For a cloud whose hosts need none. Raises Conflict when guests live on in one."""
    found = await found_world(settings.state_dir)
    if found is not None:
        holder, note = found
        holder.let_go()
        if note is not None and (why := note.misfit(settings)) is not None:
            raise Conflict(why)


def _note(path: Path) -> Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError):
        return None


async def end_world(place: Path, holder: LivingHolder, guests: Iterable[Hypervisor], say: Say = lambda _: None) -> None:
    """Switch the guests off, then end the holder and all that is there. Raises Unavailable.

    Cut off at any point, it is done again by whoever finds a holder without a note.
    """
    (place / NOTE).unlink(missing_ok=True)
    await power_off_all(guests, say)
    await holder.end()
    shutil.rmtree(place, ignore_errors=True)


async def power_off_all(hypervisors: Iterable[Hypervisor], say: Say) -> None:
    """Every guest, side by side, each asked politely first; one that cannot be is only logged."""
    running: list[tuple[Hypervisor, ServerId]] = []
    for hypervisor in hypervisors:
        try:
            states = await hypervisor.states()
        except Unavailable as error:
            log.warning("guests cannot be switched off in order", error=error.message)
            continue
        running += [(hypervisor, server) for server, state in states.items() if state is not GuestState.OFF]
    if running:
        say(f"switching {len(running)} guest{'s' if len(running) > 1 else ''} off …")
    async with asyncio.TaskGroup() as group:
        for hypervisor, server in running:
            group.create_task(_power_off(hypervisor, server))


async def _power_off(hypervisor: Hypervisor, server: ServerId) -> None:
    try:
        await hypervisor.power_off(server, patience=PATIENCE)
    except MoorageError as error:
        log.warning("a guest could not be switched off in order", server=server, error=error.message)
