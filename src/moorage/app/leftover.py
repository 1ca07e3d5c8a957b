"""What lives on of a cloud whose `moorage up` was killed: who is there, and its orderly end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from moorage.adapters.world import protocol
from moorage.adapters.world.living import LivingHolder, ended
from moorage.app import runtime
from moorage.app.config import HostKind
from moorage.app.guests import guests_on
from moorage.app.worlds import SOCKET, Note, end_world, found_world, host_names
from moorage.domain.errors import MoorageError
from moorage.seams.hypervisor import GuestState, Hypervisor


@dataclass(frozen=True)
class Leftover:
    """`host_kind` and `guests` (how many run) are None where they cannot be known: its holder is another version's."""

    pid: int
    host_kind: HostKind | None = None
    hosts: int = 0
    guests: int | None = None


async def leftover(cloud: Path) -> Leftover | None:
    """What lives on of the cloud that keeps its things in `cloud`; None when nothing does."""
    found = await found_world(cloud)
    if found is None:
        return None
    holder, note = found
    try:
        if note is None or note.protocol != protocol.VERSION:
            return Leftover(holder.pid)
        running = 0
        for hypervisor in _guests(cloud, holder, note):
            states = await hypervisor.states()
            running += sum(state is not GuestState.OFF for state in states.values())
        return Leftover(holder.pid, note.host_kind, note.hosts, running)
    except MoorageError:
        return Leftover(holder.pid)
    finally:
        holder.let_go()


async def end_leftover(cloud: Path, say: Callable[[str], None]) -> bool:
    """Switch the guests off in order, and end their world; False when there was none. Raises Unavailable."""
    place = runtime.place_of(cloud)
    found = await found_world(cloud)
    if found is None:
        await ended(place / SOCKET)
        return False
    holder, note = found
    is_understood = note is not None and note.protocol == protocol.VERSION
    await end_world(place, holder, _guests(cloud, holder, note) if note and is_understood else (), say)
    return True


def _guests(cloud: Path, holder: LivingHolder, note: Note) -> list[Hypervisor]:
    place = runtime.place_of(cloud)
    return [guests_on(note.host_kind, name, cloud, holder.world(name), place)[0] for name in host_names(note.hosts)]
